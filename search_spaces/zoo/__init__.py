"""Published networks as specs, one family a file, read only when one of its models is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import cast

from ..errors import BadInput
from ..names import nearest
from ..network import Network

MODELS: Mapping[str, str] = {  # model -> the file of its family, whose own MODELS makes it
    "lenet5": "lenet",
    "darts_v2_cifar": "darts",
    "darts_v2_imagenet": "darts",
    **{f"efficientnet_b{i}": "efficientnet" for i in range(8)},
}


def model(name: str) -> Network:
    """Return a published network by name; `BadInput` names the nearest."""
    if name not in MODELS:
        raise BadInput(f"model: got {name!r}, expected one of {', '.join(MODELS)}{nearest(name, MODELS)}")
    family = import_module(f"{__name__}.{MODELS[name]}")
    return cast("Mapping[str, Callable[[], Network]]", family.MODELS)[name]()
