"""Search spaces ready for use, one a file; each is a function (input shape, classes, *, settings) -> space."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..errors import BadInput
from ..layers import Shape
from ..names import nearest
from ..network import Network
from ..settings import settings, split
from .darts import darts
from .mixed import mixed
from .mobile import mobile
from .nasbench201 import nasbench201

PRESETS: Mapping[str, Callable[..., Network]] = {
    "mixed": mixed,
    "mobile": mobile,
    "darts": darts,
    "nasbench201": nasbench201,
}


def preset(text: str, shape: Shape, *, classes: int) -> Network:
    """Return the preset of that name for inputs `(channels, *spatial)`.

    Settings, all whole numbers, may follow in brackets: `darts(width=36, cells=20)`. Raises `BadInput` where there
    is no such preset, naming the nearest, or no such setting.
    """
    name, given = split(text)
    if name not in PRESETS:
        raise BadInput(f"preset: got {name!r}, expected one of {', '.join(PRESETS)}{nearest(name, PRESETS)}")
    return PRESETS[name](shape, classes, **settings(PRESETS[name], name, given, what="preset"))


def is_preset(text: str) -> bool:
    """Tell whether a text names a preset, with settings or without."""
    return text.partition("(")[0].strip() in PRESETS
