"""Tells values and types apart by their kind, for the unions of a schema: number, text, list, choice, node...

A tag is written `<...>`, so that it can be left out of error paths.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from typing import Annotated, Union, get_args, get_origin

from .choice import Choice, Pick, Repeat
from .data import registered
from .explain import named, short
from .names import nearest

WRONG = "<wrong>"  # the tag of a value that is none of those expected


def type_tag(value: object, known: Mapping[str, type]) -> str:
    """Return the tag of a node among classes: its class, or in a file its `type`."""
    name = value.get("type") if isinstance(value, Mapping) else type(value).__name__
    if isinstance(name, str) and name in known and isinstance(value, Mapping | known[name]):
        return f"<{name}>"
    return WRONG


def type_problem(value: object, known: Mapping[str, type]) -> str:
    """Say what is wrong with a value that is no node of the known classes."""
    name, got = type(value).__name__, named(value)
    if isinstance(value, Mapping):
        name = str(value.get("type"))
        got = f"type {short(value['type'])}" if "type" in value else "no type"
    stranger = is_dataclass(value) and type(value) not in registered()
    hint = "; is it registered?" if stranger else nearest(name, known)
    return f"got {got}, expected one of {', '.join(sorted(known))}{hint}"


def kind_tag(value: object, kinds: Sequence[str]) -> str:
    """Return the tag of a value among kinds; a whole number does for a real one."""
    kind = _kind(value)
    if kind == "<whole>" and kind not in kinds and "<real>" in kinds:
        kind = "<real>"
    if kind == "<map>":  # a file's mapping: told apart by its keys
        keys = set(value) if isinstance(value, Mapping) else set()
        kind = next((f"<{word}>" for word in ("choice", "repeat", "pick") if word in keys), "<data>")
    return kind if kind in kinds else WRONG


def kind_problem(value: object, kinds: Sequence[str]) -> str:
    """Say what is wrong with a value of none of the kinds."""
    return f"got {named(value)}, expected {' or '.join(_WORDS[k] for k in kinds)}"


_WORDS = {
    "<choice>": "a choice", "<repeat>": "a repeat", "<pick>": "a pick", "<flag>": "true or false",
    "<whole>": "a whole number", "<real>": "a number", "<text>": "text", "<list>": "a list",
    "<none>": "nothing", "<data>": "a mapping",
}  # fmt: skip
_KINDS: dict[type, str] = {
    Choice: "<choice>", Repeat: "<repeat>", Pick: "<pick>", bool: "<flag>", int: "<whole>", float: "<real>",
    str: "<text>", tuple: "<list>", list: "<list>", type(None): "<none>", dict: "<map>",
}  # fmt: skip


def _kind(value: object) -> str:
    kind: type = type(value)
    return _KINDS.get(kind) or ("<data>" if is_dataclass(value) else f"<{kind.__name__}>")


def kind_of_type(arm: object) -> str:
    """Return the kind of a type's values."""
    while get_origin(arm) is Annotated:
        arm = get_args(arm)[0]
    origin = get_origin(arm) or arm
    if str(origin) == "typing.Literal":
        return _kind(get_args(arm)[0])
    return _KINDS.get(origin, "<data>") if isinstance(origin, type) else "<data>"


def flat(source: object) -> list[object]:
    """List a union's arms, opening unions inside that are themselves told apart by kind."""
    if get_origin(source) in (Union, types.UnionType):
        return [arm for part in get_args(source) for arm in flat(part)]
    if get_origin(source) is Annotated and get_origin(get_args(source)[0]) in (Union, types.UnionType):
        return flat(get_args(source)[0])
    return [source]
