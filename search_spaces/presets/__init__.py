"""Search spaces ready for use, one a file; each is a function (input shape, classes, *, settings) -> space."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping

from ..errors import BadInput
from ..layers import Shape
from ..names import nearest
from ..network import Network
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
LARGEST_SETTING = 4096


def preset(text: str, shape: Shape, *, classes: int) -> Network:
    """Return the preset of that name for inputs `(channels, *spatial)`.

    Settings, all whole numbers, may follow in brackets: `darts(width=36, cells=20)`. Raises `BadInput` where there
    is no such preset, naming the nearest, or no such setting.
    """
    found = re.fullmatch(r"\s*([\w-]+)\s*(?:\((.*)\))?\s*", text, re.DOTALL)
    name = found[1] if found else text
    if name not in PRESETS:
        raise BadInput(f"preset: got {name!r}, expected one of {', '.join(PRESETS)}{nearest(name, PRESETS)}")
    return PRESETS[name](shape, classes, **_settings(name, (found[2] if found else None) or ""))


def is_preset(text: str) -> bool:
    """Tell whether a text names a preset, with settings or without."""
    return text.partition("(")[0].strip() in PRESETS


def _settings(name: str, text: str) -> dict[str, int]:
    """Read `width=36, cells=20`."""
    known = [p.name for p in inspect.signature(PRESETS[name]).parameters.values() if p.kind is p.KEYWORD_ONLY]
    settings: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, _, value = (side.strip() for side in part.partition("="))
        if key not in known or key in settings:
            some = f"{name} takes {', '.join(known)}, each once" if known else f"{name} takes none"
            raise BadInput(
                f"preset: got the setting {part!r}, expected none such: {some}{nearest(key, known)}"
            )
        if not value.isdecimal() or not 1 <= int(value) <= LARGEST_SETTING:
            raise BadInput(f"preset: {key}: got {value!r}, expected a whole number, 1 to {LARGEST_SETTING}")
        settings[key] = int(value)
    return settings
