"""The lines of a journal: events to bytes and back, every byte of them checked.

A line is `{"n":12,"crc":"89abcdef","t":1700000000.5,"type":"told","payload":{...}}` and a newline, in ASCII.
`n` counts from 0. `crc` is the CRC-32 of the bytes after `"crc":"89abcdef",` up to the newline, so checking
needs no re-serialisation. Line 0 is the header, `"type":"header","payload":{"version":1,"header":{...}}`; its
form is the same in all versions, so that each can say which other it met.
"""

import gc
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from search_spaces.errors import BadInput, StorageError

from .strict_json import Json, dump_json, parse_json

HEADER = "header"
VERSION = 1
READABLE_VERSIONS = (1,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of a journal: its running number, wall-clock seconds since 1970, type and payload."""

    number: int
    time: float
    type: str
    payload: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a journal file holds, and what must be mended before anything is added."""

    events: Sequence[Event]
    whole_bytes: int  # of the file once mended: the records, each with its newline
    newline_lost: bool  # the last record is whole but for its newline
    tail: bytes  # of a torn last line


def header_of(events: Sequence[Event]) -> Mapping[str, Json]:
    """What `Journal.create` was given, from the events of a journal."""
    found = events[0].payload["header"]
    assert isinstance(found, Mapping)  # checked when the line was read or made
    return found


class Damage(BadInput):
    """What is wrong with a line; the caller knows which one, and whether it matters."""


def encode(number: int, seconds: float, event_type: str, payload: Mapping[str, Json]) -> bytes:
    """The line of an event, newline included; raises BadInput when the payload is not strict JSON."""
    fields: Mapping[str, Json] = {"t": float(seconds), "type": event_type, "payload": payload}
    body = dump_json(fields, where=f"journal: event {number}")[1:].encode("ascii")
    return b'{"n":%d,"crc":"%08x",%b\n' % (number, zlib.crc32(body), body)


def decode(line: bytes, number: int) -> Event:
    """The event in a line (without its newline) that is to be the `number`th; raises Damage."""
    start = b'{"n":%d,"crc":"' % number
    if not line.startswith(start):
        raise Damage(
            f"got {line[:24].decode(errors='replace')!r}, expected it to begin with {start.decode()!r}"
        )
    crc, body = line[len(start) : len(start) + 10], line[len(start) + 10 :]
    if crc != b'%08x",' % zlib.crc32(body):
        raise Damage("got another checksum than its content has")
    try:
        fields = parse_json("{" + body.decode("ascii"), where="content")
    except (BadInput, UnicodeDecodeError) as error:
        raise Damage(str(error)) from None
    match fields:
        case {"t": float(seconds), "type": str(kind), "payload": dict(payload), **rest} if not rest:
            return Event(number=number, time=seconds, type=kind, payload=payload)
    raise Damage("got other fields, expected t, type and payload")


def parse(data: bytes, path: Path) -> Content:
    """Check and read a whole journal; `path` is for messages only.

    Raises StorageError with the number of the damaged line, for no whole header and for another version.
    """
    *lines, rest = data.split(b"\n")
    with _collector_paused():
        events = [_checked(line, number, path) for number, line in enumerate(lines)]
    return _with_last(events, rest, len(data) - len(rest), path)


def _with_last(events: list[Event], rest: bytes, whole_bytes: int, path: Path) -> Content:
    # An event is one write that ends in its newline, so a torn one has none: only an unfinished last line may
    # be set aside. A bad line with its newline was whole once and may have been acted on: that is damage, at
    # the end too. A whole record whose newline was lost or turned into another byte is not torn: it is kept.
    for record in (rest, rest[:-1]):
        with suppress(Damage):
            events = [*events, decode(record, len(events))]
            _check_header(events[0], path)
            whole_bytes += len(record) + 1
            return Content(events=events, whole_bytes=whole_bytes, newline_lost=True, tail=b"")
    if not events:
        raise StorageError(
            f"{path}: got {len(rest)} bytes without a whole first line, so nothing was ever recorded; "
            "delete the file and start again"
        )
    return Content(events=events, whole_bytes=whole_bytes, newline_lost=False, tail=rest)


def _checked(line: bytes, number: int, path: Path) -> Event:
    try:
        event = decode(line, number)
    except Damage as damage:
        raise StorageError(
            f"{path}, line {number + 1}: {damage}; a line was damaged, lost or moved. "
            "The file was left as it is: restore it from a copy, or begin again"
        ) from None
    if number == 0:
        _check_header(event, path)
    return event


def _check_header(event: Event, path: Path) -> None:
    version = event.payload.get("version")
    if event.type != HEADER or type(version) is not int:
        raise StorageError(
            f"{path}, line 1: got an event of type {event.type!r}, expected the header of a journal"
        )
    if version not in READABLE_VERSIONS:
        raise StorageError(
            f"{path}, line 1: got journal version {version}, expected one of {READABLE_VERSIONS}; "
            "it was written by another release, use that one"
        )
    if not isinstance(event.payload.get("header"), Mapping):
        raise StorageError(f"{path}, line 1: got a header without its settings, expected them under 'header'")


@contextmanager
def _collector_paused() -> Iterator[None]:
    # Events hold no cycles, yet each thousand of them sets off the collector, which would double the time.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
