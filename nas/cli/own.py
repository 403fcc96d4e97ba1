"""The user's own network: `module:attribute` names it, or a callable that makes it."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.errors import BadInput
from search_spaces.names import nearest
from search_spaces.network import Network

if TYPE_CHECKING:
    from torch import nn


def names_own(text: str) -> bool:
    """Tell whether MODEL is `module:attribute`."""
    module, mark, attribute = text.partition(":")
    whole = all(part.isidentifier() for part in (*module.split("."), *attribute.split(".")))
    return bool(mark) and whole and not Path(text).is_file()


def own_model(text: str) -> Network | nn.Module:
    """Return the `torch.nn.Module` or `Network` that `module:attribute` is, or makes when called with nothing.

    `BadInput` where there is none, or where the user's own code raises instead of making one.
    """
    from torch import nn  # takes seconds

    found = _found(text)
    try:
        made = found() if callable(found) and not isinstance(found, nn.Module) else found
    except Exception as error:
        raise BadInput(f"{text}: {_raised(error)}, called without arguments; --debug shows where") from error
    if not isinstance(made, Network | nn.Module):
        raise BadInput(
            f"{text}: got a {type(made).__name__}, expected a torch.nn.Module, or a function or class that makes "
            "one without arguments"
        )
    return made


def _found(text: str) -> Callable[[], object] | object:
    name, _, path = text.partition(":")
    try:
        module = import_module(name)
    except ImportError as error:
        raise BadInput(
            f"model: got {text!r} and {error}, expected module:attribute; is it in this folder, or on PYTHONPATH?"
        ) from error
    except Exception as error:
        raise BadInput(f"{name}: {_raised(error)} while it was imported; --debug shows where") from error
    found: object = module
    for attribute in path.split("."):
        if not hasattr(found, attribute):
            public = [known for known in dir(found) if not known.startswith("_")]
            raise BadInput(f"{text}: there is no {attribute!r} in it{nearest(attribute, public)}")
        found = getattr(found, attribute)
    return found


def _raised(error: Exception) -> str:
    return f"raised {type(error).__name__}: {' '.join(str(error).split())}"
