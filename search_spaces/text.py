"""Reads JSON and YAML as plain data: no tags, aliases, duplicate keys, NaN or deep nesting; no code runs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from .errors import BadInput

LARGEST_FILE = 1_000_000  # bytes; a space is a few thousand
DEEPEST_FILE = 64  # levels of nesting
LONGEST_NUMBER = 300  # digits
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml reads a hundred times faster

_WORDS: dict[str, object] = {"true": True, "false": False, "null": None, "~": None, "": None}
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*)")
_REAL = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")


def parse(text: str, *, source: str) -> object:
    """Return what YAML (and so JSON) text says, in JSON's kinds; `BadInput` names the line.

    YAML 1.1's `no`, `1_000`, `010`, dates and sexagesimals stay text.

    >>> parse("{kernel: [3, 1e3], bias: no}", source="text")
    {'kernel': [3, 1000.0], 'bias': 'no'}
    """
    return _read(text, source, None)


def read_text(path: Path, *, largest: int = LARGEST_FILE) -> str:
    """Read a small UTF-8 text file; `BadInput` where it is missing, too large or not text."""
    if not path.is_file():
        raise BadInput(f"{path}: no such file")
    try:
        with path.open("rb") as file:
            content = file.read(largest + 1)
        if len(content) > largest:
            raise BadInput(f"{path}: got {path.stat().st_size:,} bytes, expected at most {largest:,}")
        return content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read as a text file ({error})") from None


def located(message: str, text: str, *, source: str, under: str = "") -> str:
    """Put the file and the line at the head of each line of a message that begins with a path.

    `under` is the path in the file of what the message is about.
    """
    lines: dict[str, int] = {}
    _read(text, source, lines)
    return "\n".join(f"{source}, line {_line(line, under, lines)}: {line}" for line in message.split("\n"))


def _line(message: str, under: str, lines: dict[str, int]) -> int:
    path = message.partition(": ")[0]
    path = re.sub(r"\{(\d+)\}", r".choice[\1]", re.sub(r"\[\*\]|\.item\b", ".repeat", path))
    path = f"{under}.{path}" if under else path
    while path and path not in lines:
        path = re.sub(r"(?:^|\.)[^.\[]*$|\[[^\[]*$", "", path)
    return lines[path]


def _read(text: str, source: str, lines: dict[str, int] | None) -> object:
    if len(text) > LARGEST_FILE:
        raise BadInput(f"{source}: got {len(text):,} characters, expected at most {LARGEST_FILE:,}")
    try:
        return _Reader(iter(yaml.parse(text, Loader=_LOADER)), source, lines).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f", line {mark.line + 1}" if mark else ""
        raise BadInput(f"{source}{where}: {error.problem or error.context}") from None
    except yaml.reader.ReaderError as error:
        line = text.encode("utf-8", "replace")[: error.position].count(b"\n") + 1
        raise BadInput(f"{source}, line {line}: {error.reason}") from None
    except UnicodeEncodeError as error:
        line = text[: error.start].count("\n") + 1
        raise BadInput(f"{source}, line {line}: got half a surrogate pair, expected text") from None


@dataclass(slots=True)
class _Reader:
    """Composes one document from YAML's events; where `lines` is given, notes the line of each path."""

    events: Iterator[yaml.Event]
    source: str
    lines: dict[str, int] | None

    def document(self) -> object:
        next(self.events)  # the start of the stream
        if isinstance(next(self.events), yaml.StreamEndEvent):
            if self.lines is not None:
                self.lines[""] = 1
            return None
        value = self.node(next(self.events), "", 0)
        next(self.events)  # the end of the document
        after = next(self.events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise self.refused(after, "got a second document, expected one")
        return value

    def node(self, event: yaml.Event, path: str, depth: int) -> object:
        if self.lines is not None:
            self.lines[path] = _line_of(event)
        if isinstance(event, yaml.AliasEvent):
            raise self.refused(event, "got an alias (*name), which is not read; repeat the value")
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag is not None:
            raise self.refused(event, f"got the tag {_short(event.tag)}, and tags are not read; remove it")
        if isinstance(event, yaml.ScalarEvent):
            return self.scalar(event)
        if depth == DEEPEST_FILE:
            raise self.refused(event, f"nested deeper than {DEEPEST_FILE} levels")
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(path, depth + 1)
        return self.mapping(path, depth + 1)

    def sequence(self, path: str, depth: int) -> list[object]:
        items: list[object] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self.node(event, f"{path}[{len(items)}]", depth))
        return items

    def mapping(self, path: str, depth: int) -> dict[str, object]:
        found: dict[str, object] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self.key(event, depth)
            if key in found:
                raise self.refused(event, f"the key {_short(key)} stands twice; remove one")
            found[key] = self.node(next(self.events), f"{path}.{key}" if path else key, depth)
        return found

    def key(self, event: yaml.Event, depth: int) -> str:
        if isinstance(event, yaml.CollectionStartEvent) and event.tag is None:
            raise self.refused(event, "got a list or mapping as a key, expected text")
        key = self.node(event, "", depth)
        if not isinstance(key, str):
            raise self.refused(event, f"got the key {_short(key)}, expected text; put it in quotes")
        return key

    def scalar(self, event: yaml.ScalarEvent) -> object:
        value = event.value
        if not event.implicit[0]:  # in quotes, or a block of text
            return value
        if value in _WORDS:
            return _WORDS[value]
        if len(value) <= LONGEST_NUMBER and _WHOLE.fullmatch(value):
            return int(value)
        if _REAL.fullmatch(value):
            number = float(value) if len(value) <= LONGEST_NUMBER else math.inf
            if math.isinf(number):
                raise self.refused(event, f"got {_short(value)}, too large or too long for a number")
            return number
        return value

    def refused(self, event: yaml.Event, problem: str) -> BadInput:
        return BadInput(f"{self.source}, line {_line_of(event)}: {problem}")


def _line_of(event: yaml.Event) -> int:
    assert event.start_mark is not None
    return event.start_mark.line + 1


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
