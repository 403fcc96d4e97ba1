"""Specs and spaces as JSON and YAML, and the key that names an architecture.

Fields at their default are left out, so that a file says what matters and a later field changes no key.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import ClassVar, TypeVar

import yaml

from .choice import Choice, Pick, Repeat
from .data import Data
from .errors import BadInput
from .network import Network
from .schema import as_mapping, build

DataT = TypeVar("DataT", bound=Data)
Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
VERSION = 1
LARGEST_FILE = 1_000_000  # bytes; a space is a few thousand
DEEPEST_FILE = 64  # levels of nesting


def to_data(node: object) -> Json:
    """Return a spec or space as what JSON and YAML can hold."""
    if isinstance(node, tuple):
        return [to_data(item) for item in node]
    if isinstance(node, Choice | Repeat | Pick):
        return {key: to_data(value) for key, value in as_mapping(node).items()}
    if isinstance(node, Data):
        tag: dict[str, Json] = {"type": type(node).__name__} if node.tagged else {}
        return tag | {
            f.name: to_data(value)
            for f in fields(node)  # type: ignore[arg-type]
            if (value := getattr(node, f.name)) != f.default or type(value) is not type(f.default)
        }
    assert node is None or isinstance(node, bool | int | float | str)
    return node


def from_data(kind: type[DataT], data: object) -> DataT:
    """Return a checked spec or space from what JSON or YAML gave; `BadSpec` names each path once."""
    return build(kind, _tuples(data))


def to_json(network: Network) -> str:
    """Return a network or space as JSON text with the format's version."""
    return json.dumps({"version": VERSION, "network": to_data(network)}, indent=2)


def to_yaml(network: Network) -> str:
    """Return a network or space as YAML text with the format's version."""
    return yaml.safe_dump({"version": VERSION, "network": to_data(network)}, sort_keys=False)


def from_text(text: str, *, source: str = "text") -> Network:
    """Return the network or space that JSON or YAML text says; `source` names it in errors."""
    data = parse(text, source=source)
    if not isinstance(data, Mapping) or set(data) != {"version", "network"}:
        raise BadInput(f"{source}: expected the two keys version and network, got {_keys(data)}")
    if data["version"] != VERSION or isinstance(data["version"], bool):
        raise BadInput(f"{source}: version: got {data['version']!r}, expected {VERSION}")
    try:
        return from_data(Network, data["network"])
    except BadInput as error:
        raise type(error)(f"{source}: {error}") from None


def load(path: Path) -> Network:
    """Read a network or space from a JSON or YAML file."""
    return from_text(read_text(path), source=str(path))


def read_text(path: Path, *, largest: int = LARGEST_FILE) -> str:
    """Read a small UTF-8 text file; `BadInput` where it is missing, too large or not text."""
    try:
        size = path.stat().st_size
        if size > largest:
            raise BadInput(f"{path}: got {size:,} bytes, expected at most {largest:,}")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read as a text file ({error})") from None


def parse(text: str, *, source: str) -> object:
    """Parse YAML (and so JSON) safely: no tags, aliases or duplicate keys, bounded size and depth, no NaN."""
    if len(text) > LARGEST_FILE:
        raise BadInput(f"{source}: got {len(text):,} characters, expected at most {LARGEST_FILE:,}")
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506  (a subclass of SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise BadInput(f"{source}{where}: {problem}") from None


def key(spec: Data) -> str:
    """Return the name of an exact resolved spec: 16 hex digits of the SHA-256 of its canonical JSON.

    >>> from search_spaces import Classifier, Conv, Stage
    >>> key(Network(input=(1, 8, 8), stages=(Stage(blocks=(Conv(),), width=8),), head=Classifier(classes=10)))
    '???'
    """
    text = json.dumps(to_data(spec), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _tuples(data: object) -> object:
    if isinstance(data, list):
        return tuple(_tuples(item) for item in data)
    if isinstance(data, dict):
        return {name: _tuples(value) for name, value in data.items()}
    return data


def _keys(data: object) -> str:
    return ", ".join(map(str, data)) if isinstance(data, Mapping) else type(data).__name__


class _Loader(yaml.SafeLoader):
    """YAML reduced to JSON's kinds: YAML 1.1's `no`, `1_000`, dates and sexagesimals stay text."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not read; repeat the value", event.start_mark)
        self.depth += 1
        if self.depth > DEEPEST_FILE:
            mark = self.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, f"nested deeper than {DEEPEST_FILE} levels", mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[str, object]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key_node.value!r} stands twice; remove one", key_node.start_mark
                )
            if not isinstance(key_node.value, str) or key_node.tag != "tag:yaml.org,2002:str":
                raise yaml.constructor.ConstructorError(
                    None, None, f"got the key {key_node.value!r}, expected text", key_node.start_mark
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep=True)


for _tag, _pattern, _first in (
    ("bool", r"^(?:true|false)$", "tf"),
    ("null", r"^(?:null|~|)$", ["n", "~", ""]),
    ("int", r"^-?[0-9]+$", "-0123456789"),
    ("float", r"^-?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?$", "-0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))
