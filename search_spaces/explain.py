"""Turns what pydantic found into our own words: one line a mistake, where, what was got, what expected."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import is_dataclass

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from .names import nearest

MOST_LINES = 20  # of one message
OURS = "spec"  # the type of the errors that already say it in our words
UNKNOWN = "unknown_field"

_EXPECTED = {
    "bool_type": "true or false",
    "finite_number": "a finite number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "invalid_key": "a text as its name",
    "none_required": "nothing",
    "string_type": "text",
    "tuple_type": "a tuple (in a file: a list)",
}


def explain(error: ValidationError) -> str:
    """Return one line a mistake: path, what was got, what was expected; 20 at most, and how many more."""
    found = error.errors(include_url=False, include_context=True)
    lines = list(dict.fromkeys(line for detail in found if (line := _line(detail))))
    shown = lines[:MOST_LINES]
    return "\n".join([*shown, f"and {len(lines) - len(shown)} more"] if len(lines) > len(shown) else shown)


def short(value: object) -> str:
    """Return a value for a message, at most 60 characters of it."""
    try:
        text = repr(value)
    except ValueError:  # a whole number too long to print
        text = f"{type(value).__name__} too long to print"
    return text if len(text) <= 60 else text[:57] + "..."


def named(value: object) -> str:
    """Return a value for a message: a node by its class, anything else as it is."""
    return type(value).__name__ if is_dataclass(value) else short(value)


def _line(detail: ErrorDetails) -> str | None:
    path = _path(detail["loc"])
    given, about = detail["input"], detail.get("ctx", {})
    match detail["type"]:
        case "too_short" if isinstance(given, tuple) and len(given) >= about["min_length"]:
            return None  # its items failed, and each has a line of its own
        case "too_short":
            return f"{path}: got {short(given)}, expected at least {_items(about['min_length'])}"
        case "too_long":
            return f"{path}: got more than {_items(about['max_length'])}, expected at most that many"
        case "missing":
            return f"{path}: missing, and it has no default; give it a value"
        case "spec":
            return f"{path}: {detail['msg']}"
        case "unknown_field":
            return f"{path}: {detail['msg']}{nearest(str(detail['loc'][-1]), about['known'])}"
        case "value_error" | "assertion_error":
            return f"{path}: {about['error']}"
        case kind:
            expected = _EXPECTED.get(kind) or _expected(detail["msg"], about)
            return f"{path}: got {named(given)}, expected {expected}"


def _expected(message: str, about: Mapping[str, object]) -> str:
    words = re.fullmatch(r"\^\(([\w|]+)\)\$", str(about.get("pattern")))
    if words:
        return "one of " + words[1].replace("|", ", ")
    message = re.sub(r"^(?:Input|String|Value|Tuple) should ", "", message)
    return message.removeprefix("be ").replace("match pattern", "a match of")


def _items(number: object) -> str:
    return f"{number} item" if number == 1 else f"{number} items"


def _path(parts: tuple[int | str, ...]) -> str:
    """Write a place as `stages[0].blocks.choice[1]`, the tags of unions left out."""
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not part.startswith("<"):
            name = part if re.fullmatch(r"\w{1,60}", part, re.ASCII) else short(part)
            path += f".{name}" if path else name
    return path or "spec"
