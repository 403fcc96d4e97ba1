"""Strict JSON: finite numbers, unique text keys, bounded depth; what is written reads back equal."""

import json
import math
import re
from collections.abc import Mapping
from typing import NoReturn

from search_spaces.errors import BadInput
from search_spaces.serialise import Json as Json

DEPTH_LIMIT = 64  # arrays and objects inside one another; our own files need fewer than 20


def dump_json(value: Json, *, where: str = "value") -> str:
    """One line of strict ASCII JSON that reads back equal, tuples as lists; BadInput names the bad path."""
    plain = _plain(value, where, DEPTH_LIMIT)
    try:
        return json.dumps(plain, allow_nan=False, separators=(",", ":"))
    except ValueError as error:  # an integer too long to print
        raise BadInput(f"{where}: cannot be written as JSON ({error})") from None


def parse_json(text: str, *, where: str = "JSON") -> Json:
    """What strict JSON says; BadInput, beginning with `where`, for duplicate keys, NaN or deep nesting."""
    try:
        # A count of the brackets bounds the depth and is cheap; only a long text needs the careful look.
        if text.count("[") + text.count("{") > DEPTH_LIMIT:
            _refuse_depth(text)
        value: Json = _DECODER.decode(text)
    except ValueError as error:
        raise BadInput(f"{where}: {error}; expected strict JSON") from None
    return value


def shown(value: object) -> str:
    """The repr of a value for a message, at most 80 characters of it."""
    try:
        text = repr(value)
    except ValueError:  # an integer too long to print
        text = f"an {type(value).__name__} beyond printing"
    return text if len(text) <= 80 else f"{text[:76]}..."


def _plain(value: object, where: str, depth: int) -> object:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        raise BadInput(f"{where}: got {value}, expected a finite number")
    if depth == 0:
        raise BadInput(f"{where}: got more than {DEPTH_LIMIT} levels, expected fewer; does it hold itself?")
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{i}]", depth - 1) for i, item in enumerate(value)]
    if isinstance(value, Mapping):
        return {_key(key, where): _plain(item, f"{where}.{key}", depth - 1) for key, item in value.items()}
    raise BadInput(
        f"{where}: got {type(value).__name__}, expected JSON: null, bool, number, text, list or mapping"
    )


def _key(key: object, where: str) -> str:
    if isinstance(key, str):
        return key
    raise BadInput(f"{where}: got the key {shown(key)}, expected text; JSON has no other keys")


_NESTING = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


def _refuse_depth(text: str) -> None:
    depth = 0
    for match in _NESTING.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(match[0], 0)
        if depth > DEPTH_LIMIT:
            raise ValueError(f"more than {DEPTH_LIMIT} levels at character {match.start()}")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {shown(twice)} comes twice")
    return found


def _finite(text: str) -> float:
    if math.isfinite(number := float(text)):
        return number
    raise ValueError(f"the number {shown(text)} is too large")


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_refuse_constant)
