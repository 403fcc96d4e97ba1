"""The journal on a good day; what it does on bad ones is in tests/faults/test_journal_faults.py."""

import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.journal import Event, Journal, header_of, read
from nas.storage import Disk
from nas.strict_json import Json
from search_spaces.errors import BadInput, StorageError

HEADER: dict[str, Json] = {"config": {"name": "digits"}, "space": "mobile", "strategy": "random", "seed": 7}

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
payloads = st.dictionaries(
    st.text(),
    st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10),
)


def test_what_was_recorded_is_read_back_in_order(tmp_path: Path) -> None:
    ticks = itertools.count(1000.5)
    with Journal.create(tmp_path / "a" / "study", HEADER, clock=lambda: next(ticks)) as journal:
        first = journal.append("asked", {"proposal": 0})
        second = journal.append("told", {"proposal": 0, "metrics": {"accuracy": 0.5}})
    assert first == Event(number=1, time=1002.5, type="asked", payload={"proposal": 0})
    assert second.number == 2
    for events in (read(tmp_path / "a" / "study"), journal.events):
        assert [event.number for event in events] == [0, 1, 2]
        assert tuple(events[1:]) == (first, second)
        assert header_of(events) == HEADER


def test_an_opened_journal_goes_on_where_it_was(tmp_path: Path) -> None:
    with Journal.create(tmp_path, HEADER) as journal:
        journal.append("told", {"i": 0})
    with Journal.open(tmp_path) as journal:
        assert journal.header == HEADER
        journal.append("told", {"i": 1})
    assert [event.payload.get("i") for event in read(tmp_path)] == [None, 0, 1]


def test_the_lines_are_those_of_version_one(tmp_path: Path) -> None:
    with Journal.create(tmp_path, {"seed": 1}, clock=lambda: 0) as journal:
        journal.append("told", {"i": 1})
    body = b'"t":0.0,"type":"told","payload":{"i":1}}'
    start = b'"t":0.0,"type":"header","payload":{"version":1,"header":{"seed":1}}}'
    assert (tmp_path / "journal.jsonl").read_bytes() == (
        b'{"n":0,"crc":"%08x",%b\n{"n":1,"crc":"%08x",%b\n'
        % (zlib.crc32(start), start, zlib.crc32(body), body)
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(payloads, max_size=4), st.text(min_size=1).filter(lambda name: name != "header"))
def test_any_json_comes_back_as_it_was(told: list[dict[str, Json]], event_type: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with Journal.create(Path(folder), {"all": told}, disk=Disk(fsync=lambda _fd: None)) as journal:
            appended = [journal.append(event_type, payload) for payload in told]
        events = read(Path(folder))
    assert repr([event.payload for event in events[1:]]) == repr(told)
    assert list(events[1:]) == appended
    assert repr(header_of(events)) == repr({"all": told})
    assert all(event.type == event_type for event in events[1:])


def test_an_event_is_returned_as_it_will_be_read_back(tmp_path: Path) -> None:
    with Journal.create(tmp_path, HEADER) as journal:
        assert journal.append("told", {"shape": (3, 32)}).payload == {"shape": [3, 32]}


def test_an_event_costs_one_write_and_one_fsync_in_that_order(tmp_path: Path) -> None:
    calls: list[str] = []

    def write(descriptor: int, data: bytes | memoryview) -> int:
        calls.append("write")
        return os.write(descriptor, data)

    with Journal.create(
        tmp_path, HEADER, disk=Disk(write=write, fsync=lambda _fd: calls.append("fsync"))
    ) as journal:
        calls.clear()
        for i in range(3):
            journal.append("told", {"i": i})
    assert calls == ["write", "fsync"] * 3


@pytest.mark.parametrize(
    "payload", [{"loss": math.nan}, {"loss": [math.inf]}, {"a": {1: 2}}, {"a": {1, 2}}, [1], None]
)
def test_a_payload_that_is_no_json_object_is_refused_and_the_journal_goes_on(
    tmp_path: Path, payload: Json
) -> None:
    with Journal.create(tmp_path, HEADER) as journal:
        before = (tmp_path / "journal.jsonl").read_bytes()
        with pytest.raises(BadInput):
            journal.append("told", payload)  # type: ignore[arg-type]
        assert (tmp_path / "journal.jsonl").read_bytes() == before
        journal.append("told", {})
    assert len(read(tmp_path)) == 2


@pytest.mark.parametrize("event_type", ["", "header"])
def test_the_header_is_written_once_only(tmp_path: Path, event_type: str) -> None:
    with Journal.create(tmp_path, HEADER) as journal, pytest.raises(BadInput, match="event type"):
        journal.append(event_type, {})


def test_a_header_that_is_no_json_leaves_no_trace(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="finite"):
        Journal.create(tmp_path / "study", {"limit": math.inf})
    assert list(tmp_path.iterdir()) == []


def test_a_second_journal_in_a_folder_is_refused_and_the_first_is_kept(tmp_path: Path) -> None:
    Journal.create(tmp_path, HEADER).close()
    before = (tmp_path / "journal.jsonl").read_bytes()
    with pytest.raises(StorageError, match="there is a journal already"):
        Journal.create(tmp_path, {"seed": 8})
    assert (tmp_path / "journal.jsonl").read_bytes() == before
    Journal.open(tmp_path).close()


def test_a_missing_journal_is_said_and_nothing_is_made(tmp_path: Path) -> None:
    for missing in (Journal.open, read):
        with pytest.raises(StorageError, match="there is no such file"):
            missing(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_closed_journal_keeps_its_events_and_takes_no_more(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, HEADER)
    journal.close()
    journal.close()
    assert len(journal.events) == 1
    with pytest.raises(StorageError, match="closed"):
        journal.append("told", {})


def test_reading_needs_no_lock_and_changes_nothing(tmp_path: Path) -> None:
    with Journal.create(tmp_path, HEADER) as journal:
        journal.append("told", {"i": 0})
        path = tmp_path / "journal.jsonl"
        with path.open("ab") as file:
            file.write(b'{"n":2,"crc":"')
        before = path.read_bytes(), path.stat().st_mtime_ns, sorted(tmp_path.iterdir())
        assert len(read(tmp_path)) == 2
        assert (path.read_bytes(), path.stat().st_mtime_ns, sorted(tmp_path.iterdir())) == before


def test_the_lock_notes_who_holds_it_and_since_when(tmp_path: Path) -> None:
    with Journal.create(tmp_path, HEADER, clock=lambda: 0.0):
        note = json.loads((tmp_path / "lock").read_text())
    assert note == {"pid": os.getpid(), "host": os.uname().nodename, "since": "1970-01-01T00:00:00+00:00"}


def test_importing_the_journal_loads_nothing_heavy() -> None:
    heavy = "{'torch', 'numpy', 'pandas', 'ray'}"
    program = f"import sys, nas.journal, nas.storage; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_an_event_that_is_not_durable_is_written_at_once_and_synced_by_the_next_durable_one(
    tmp_path: Path,
) -> None:
    syncs: list[int] = []

    def sync(descriptor: int) -> None:
        syncs.append(descriptor)
        os.fsync(descriptor)

    disk = Disk(fsync=sync)
    with Journal.create(tmp_path / "run", {}, disk=disk) as journal:
        syncs.clear()
        journal.append("ask", {"number": 0}, durable=False)
        assert not syncs
        assert read(tmp_path / "run")[-1].type == "ask"
        journal.append("tell", {"number": 0})
        assert len(syncs) == 1
