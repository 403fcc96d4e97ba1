"""Search spaces ready for use, one a file; each is a function (input shape, classes) -> space."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..errors import BadInput
from ..layers import Shape
from ..names import nearest
from ..network import Network
from .darts import darts
from .mixed import mixed
from .mobile import mobile
from .nasbench201 import nasbench201

PRESETS: Mapping[str, Callable[[Shape, int], Network]] = {
    "mixed": mixed,
    "mobile": mobile,
    "darts": darts,
    "nasbench201": nasbench201,
}


def preset(name: str, shape: Shape, *, classes: int) -> Network:
    """Return the preset of that name for inputs `(channels, *spatial)`; `BadInput` names the nearest."""
    if name not in PRESETS:
        raise BadInput(f"preset: got {name!r}, expected one of {', '.join(PRESETS)}{nearest(name, PRESETS)}")
    return PRESETS[name](shape, classes)
