"""The user's own data: `module:attribute` names a callable that returns a `Dataset` or a tuple of arrays."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import numpy as np

from search_spaces.errors import BadInput

from ..arrays import assemble
from ..dataset import Dataset
from ..names import unknown
from ..spec import DataSpec
from .settings import refuse_unused

ROLES = {2: ("x", "y"), 3: ("x", "y", "groups"), 4: ("x", "y", "x_test", "y_test")}


def load(spec: DataSpec) -> Dataset:
    """Call the user's function, with `spec.path` where one is given, and check what it returns.

    A tuple is (x, y), (x, y, groups) or (x_train, y_train, x_test, y_test) of arrays or CPU tensors.
    What the function itself raises is left as it is.
    """
    refuse_unused(spec, "keys", "size")
    function = _function(spec.source)
    result = function() if spec.path is None else function(spec.path)
    if isinstance(result, Dataset):
        refuse_unused(spec, "layout")
        return result
    if not isinstance(result, tuple) or len(result) not in ROLES:
        got = f"a tuple of {len(result)}" if isinstance(result, tuple) else f"a {type(result).__name__}"
        raise BadInput(
            f"{spec.source}: got {got}, expected a Dataset, (x, y), (x, y, groups) or "
            "(x_train, y_train, x_test, y_test); change what the function returns"
        )
    arrays = {role: np.asarray(array) for role, array in zip(ROLES[len(result)], result, strict=True)}
    return assemble(spec.source, arrays, layout=spec.layout)


def _function(source: str) -> Callable[..., object]:
    module_name, _, attribute = source.partition(":")
    try:
        if not all(part.isidentifier() for part in module_name.split(".")):
            raise ImportError(f"the module name {module_name!r}")
        module = import_module(module_name)
    except ImportError as error:
        raise BadInput(
            f"data.source: got {source!r} and {error}, expected module:attribute; is it in this "
            "folder, or on PYTHONPATH?"
        ) from error
    found: object = getattr(module, attribute, None)
    if found is None:
        public = [name for name in vars(module) if callable(vars(module)[name])]
        raise unknown(f"data.source: in {module_name}", attribute, known=public)
    if not callable(found):
        raise BadInput(f"{source}: got a {type(found).__name__}, expected a callable; wrap it in a function")
    return found
