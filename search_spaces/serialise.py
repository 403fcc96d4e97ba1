"""Specs and spaces as JSON and YAML, and the key that names an architecture.

Fields at their default are left out, so that a file says what matters and a later field changes no key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import yaml

from .choice import Choice, Pick, Repeat
from .data import Data, declared
from .errors import BadInput, BadSpec
from .explain import short
from .network import Network
from .schema import as_mapping, build
from .text import DEEPEST_FILE, located
from .text import parse as parse
from .text import read_text as read_text

DataT = TypeVar("DataT", bound=Data)
Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
VERSION = 1


def to_data(node: object) -> Json:
    """Return a spec or space as what JSON and YAML can hold."""
    match node:
        case float():
            return node + 0.0  # -0.0 is 0.0, and so has its key
        case None | bool() | int() | str():
            return node
        case tuple():
            return [to_data(item) for item in node]
        case Choice() | Repeat() | Pick():
            return {key: to_data(value) for key, value in as_mapping(node).items()}
        case Data():
            tag: dict[str, Json] = {"type": type(node).__name__} if node.tagged else {}
            return tag | {
                name: to_data(value)
                for name, default in declared(type(node))
                if (value := getattr(node, name)) != default or type(value) is not type(default)
            }
    raise BadSpec(
        f"got {short(node)}, expected a number, text, tuple, combinator or a dataclass derived from Data"
    )


def from_data(kind: type[DataT], data: object) -> DataT:
    """Return a checked spec or space from what JSON or YAML gave; `BadSpec` names each path once."""
    return build(kind, _tuples(data, DEEPEST_FILE))


def to_json(network: Network) -> str:
    """Return a network or space as JSON text with the format's version."""
    data = {"version": VERSION, "network": to_data(network)}
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)


def to_yaml(network: Network) -> str:
    """Return a network or space as YAML text with the format's version."""
    data = {"version": VERSION, "network": to_data(network)}
    return yaml.safe_dump(data, sort_keys=False, default_flow_style=None, width=110)


def from_text(text: str, *, source: str = "text") -> Network:
    """Return the network or space that JSON or YAML text says; `source` names it in errors."""
    data = parse(text, source=source)
    if not isinstance(data, Mapping) or set(data) != {"version", "network"}:
        got = f"the keys {short(list(data))}" if isinstance(data, Mapping) else short(data)
        raise BadInput(f"{source}: got {got}, expected the two keys version and network")
    if type(data["version"]) is not int or data["version"] != VERSION:
        got = short(data["version"])
        raise BadInput(
            f"{source}: version: got {got}, expected {VERSION}; was it written by a later release?"
        )
    try:
        return from_data(Network, data["network"])
    except BadSpec as error:
        raise BadSpec(located(str(error), text, source=source, under="network")) from None


def load(path: Path) -> Network:
    """Read a network or space from a JSON or YAML file."""
    return from_text(read_text(path), source=str(path))


def key(spec: Data) -> str:
    """Return the name of an exact resolved spec: 16 hex digits of the SHA-256 of its canonical JSON.

    >>> from search_spaces import Classifier, Conv, Stage
    >>> key(Network(input=(1, 8, 8), stages=(Stage(blocks=(Conv(),), width=8),), head=Classifier(classes=10)))
    '54eaf4a54bd34af3'
    """
    text = json.dumps(to_data(spec), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _tuples(data: object, depth: int) -> object:
    if depth < 0:
        raise BadSpec(f"spec: nested deeper than {DEEPEST_FILE} levels")
    if isinstance(data, list):
        return tuple([_tuples(item, depth - 1) for item in data])
    if isinstance(data, dict):
        return {name: _tuples(value, depth - 1) for name, value in data.items()}
    return data
