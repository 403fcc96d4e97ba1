"""Settings in brackets behind a name: `darts(width=36, cells=20)`, `mobilenet_v2(width=1.4)`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from math import isfinite

from .errors import BadInput
from .names import nearest

LARGEST_WHOLE = 4096
LARGEST_REAL = 16.0


def split(text: str) -> tuple[str, str]:
    """Return the name and what stands in brackets behind it; a text that is no such thing is all name.

    >>> split("mobilenet_v2(width=1.4)"), split("resnet18")
    (('mobilenet_v2', 'width=1.4'), ('resnet18', ''))
    """
    found = re.fullmatch(r"\s*([\w-]+)\s*(?:\((.*)\))?\s*", text, re.DOTALL)
    return (found[1], found[2] or "") if found else (text, "")


def settings(function: Callable[..., object], name: str, text: str, *, what: str) -> dict[str, int | float]:
    """Read `width=36, cells=20` as the keyword-only arguments of a function, numbers like their defaults.

    Raises `BadInput`, its message beginning with `what`, where a setting is unknown, said twice or out of range.
    """
    known = {
        p.name: p.default for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY
    }
    said: dict[str, int | float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, _, value = (side.strip() for side in part.partition("="))
        if key not in known or key in said:
            some = f"{name} takes {', '.join(known)}, each once" if known else f"{name} takes none"
            raise BadInput(
                f"{what}: got the setting {part!r}, expected none such: {some}{nearest(key, known)}"
            )
        read = _whole if isinstance(known[key], int) else _real
        said[key] = read(value, f"{what}: {key}")
    return said


def _whole(value: str, where: str) -> int:
    if not value.isdecimal() or not 1 <= int(value) <= LARGEST_WHOLE:
        raise BadInput(f"{where}: got {value!r}, expected a whole number, 1 to {LARGEST_WHOLE}")
    return int(value)


def _real(value: str, where: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not isfinite(number) or not 0 < number <= LARGEST_REAL:
        raise BadInput(f"{where}: got {value!r}, expected a number above 0, at most {LARGEST_REAL:g}")
    return number
