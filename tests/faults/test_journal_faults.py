"""The journal on bad days: killed, cut short, damaged, fought over, out of disk, under hostile links."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest

from nas.journal import Event, Journal, read
from nas.storage import DISK, Disk, replace_file
from search_spaces.errors import StorageError

P = ParamSpec("P")
R = TypeVar("R")

SEED = {"seed": 7}
APPENDS = 5


class Crash(BaseException):
    """The end of the process: nothing of ours may handle it."""


class Machine:
    """A disk that ends the process at its call number `dies_at`, and can then lose all that was not synced.

    A call of `write` that dies still writes `torn` of its bytes. After `lose_power` the folder holds, under
    the names that were there when the folder was last synced, what each file held when it was last synced.
    """

    def __init__(self, folder: Path, *, dies_at: int | None = None, torn: float = 0.0) -> None:
        self.folder = folder
        self.dies_at = dies_at
        self.torn = torn
        self.calls = 0
        self.names = {path.name: path.stat().st_ino for path in folder.iterdir()}
        self.synced = {path.stat().st_ino: path.read_bytes() for path in folder.iterdir()}
        self.disk = Disk(write=self.write, fsync=self.fsync, replace=self.replace, ftruncate=self.ftruncate)

    def dying(self) -> bool:
        self.calls += 1
        if self.dies_at is not None and self.calls > self.dies_at + 1:
            raise Crash
        return self.calls - 1 == self.dies_at

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        if self.dying():
            os.write(descriptor, data[: round(len(data) * self.torn)])
            raise Crash
        return os.write(descriptor, data)

    def fsync(self, descriptor: int) -> None:
        if self.dying():
            raise Crash
        inode = os.fstat(descriptor).st_ino
        if inode == self.folder.stat().st_ino:
            self.names = {path.name: path.stat().st_ino for path in self.folder.iterdir()}
        for path in self.folder.iterdir():
            if path.stat().st_ino == inode:
                self.synced[inode] = path.read_bytes()

    def replace(self, source: Path, target: Path) -> None:
        if self.dying():
            raise Crash
        source.replace(target)

    def ftruncate(self, descriptor: int, size: int) -> None:
        if self.dying():
            raise Crash
        os.ftruncate(descriptor, size)

    def lose_power(self) -> None:
        for path in self.folder.iterdir():
            path.unlink()
        for name, inode in self.names.items():
            (self.folder / name).write_bytes(self.synced.get(inode, b""))


class Refusing:
    """A disk whose call number `fails_at` (and all after it, unless `once`) raises an error."""

    def __init__(self, *, fails_at: int, number: int, once: bool) -> None:
        self.fails_at = fails_at
        self.number = number
        self.once = once
        self.calls = 0
        self.disk = Disk(
            write=self.guarded(DISK.write),
            fsync=self.guarded(DISK.fsync),
            replace=self.guarded(DISK.replace),
            ftruncate=self.guarded(DISK.ftruncate),
        )

    def guarded(self, call: Callable[P, R]) -> Callable[P, R]:
        def guard(*args: P.args, **kwargs: P.kwargs) -> R:
            self.calls += 1
            late = self.calls - 1 - self.fails_at
            if late == 0 or (late > 0 and not self.once):
                raise OSError(self.number, os.strerror(self.number))
            return call(*args, **kwargs)

        return guard


def run_study(folder: Path, disk: Disk, acknowledged: list[Event]) -> None:
    with Journal.create(folder, SEED, disk=disk) as journal:  # leaving closes files only, as death does
        acknowledged.append(journal.events[0])
        for i in range(APPENDS):
            acknowledged.append(journal.append("told", {"trial": i, "accuracy": i / 10}))


def record(folder: Path, count: int = 3) -> bytes:
    """A journal of a header and `count` events; its bytes."""
    with Journal.create(folder, SEED, clock=lambda: 1000.25) as journal:
        for i in range(count):
            journal.append("told", {"trial": i})
    return (folder / "journal.jsonl").read_bytes()


def assert_goes_on(folder: Path, expected: list[Event], *, or_one_more: bool) -> None:
    """The journal holds exactly what was expected (or the event in flight too), and takes another."""
    looked_at = read(folder)
    with Journal.open(folder) as journal:
        found = list(journal.events)
        assert found == list(looked_at)
        assert found[: len(expected)] == expected
        assert len(found) <= len(expected) + or_one_more
        assert [event.payload["trial"] for event in found[1:]] == list(range(len(found) - 1))
        added = journal.append("told", {"trial": len(found) - 1})
    assert read(folder) == (*found, added)


@contextmanager
def untouched(path: Path) -> Iterator[None]:
    """Whatever is done here leaves the file's bytes and times alone, and nothing set aside beside it."""
    before = path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino
    yield
    assert (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino) == before
    assert not path.with_name("journal.torn").exists()


def assert_refused(folder: Path, data: bytes, message: str) -> None:
    path = folder / "journal.jsonl"
    path.write_bytes(data)
    with untouched(path):
        for entry in (Journal.open, read):
            with pytest.raises(StorageError, match=message) as refusal:
                entry(folder)
            assert refusal.value.exit_code == 4
            assert str(path) in str(refusal.value)


def calls_of_a_study(folder: Path) -> int:
    folder.mkdir()
    machine = Machine(folder)
    run_study(folder, machine.disk, [])
    return machine.calls


@pytest.mark.parametrize("power", ["kept", "lost"])
@pytest.mark.parametrize("torn", [0.0, 0.5, 1.0])
def test_a_crash_at_any_disk_call_leaves_the_state_before_or_after_it(
    tmp_path: Path, power: str, torn: float
) -> None:
    for dies_at in range(calls_of_a_study(tmp_path / "whole")):
        folder = tmp_path / str(dies_at)
        folder.mkdir()
        machine = Machine(folder, dies_at=dies_at, torn=torn)
        acknowledged: list[Event] = []
        with pytest.raises(Crash):
            run_study(folder, machine.disk, acknowledged)
        if power == "lost":
            machine.lose_power()
        if (folder / "journal.jsonl").exists():
            assert_goes_on(folder, acknowledged, or_one_more=True)
        else:
            assert acknowledged == []
            run_study(folder, DISK, acknowledged)


@pytest.mark.parametrize("power", ["kept", "lost"])
@pytest.mark.parametrize("ending", ["torn", "no newline"])
def test_a_crash_while_the_tail_is_mended_loses_neither_events_nor_tail(
    tmp_path: Path, power: str, ending: str
) -> None:
    whole = record(tmp_path)
    cut = whole[:-1] if ending == "no newline" else whole[:-20]
    kept = len(read(tmp_path)) - (ending == "torn")
    tail = cut[cut.rfind(b"\n") + 1 :]
    for dies_at in range(20):
        folder = tmp_path / str(dies_at)
        folder.mkdir()
        (folder / "journal.jsonl").write_bytes(cut)
        machine = Machine(folder, dies_at=dies_at, torn=0.5)
        try:
            Journal.open(folder, disk=machine.disk).close()
        except Crash:
            if power == "lost":
                machine.lose_power()
        else:
            assert dies_at >= 6
            break
        assert_goes_on(folder, list(read(folder)), or_one_more=False)
        assert len(read(folder)) == kept + 1
        assert ending == "no newline" or (folder / "journal.torn").read_bytes().endswith(tail)


def test_an_event_seen_at_opening_is_on_disk_before_it_is_acted_on(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    with Journal.create(tmp_path, SEED, disk=machine.disk) as journal:
        machine.dies_at = machine.calls + 1  # the fsync of the next event
        with pytest.raises(Crash):
            journal.append("told", {"trial": 0})
    machine.dies_at = None
    with Journal.open(tmp_path, disk=machine.disk) as journal:
        assert len(journal.events) == 2
    machine.lose_power()
    assert_goes_on(tmp_path, list(journal.events), or_one_more=False)


def test_an_interrupt_while_recording_ends_the_journal_but_not_the_study(tmp_path: Path) -> None:
    def interrupted(_descriptor: int) -> None:
        raise KeyboardInterrupt

    Journal.create(tmp_path, SEED).close()
    with Journal.open(tmp_path) as journal:
        journal._disk = Disk(fsync=interrupted)
        with pytest.raises(KeyboardInterrupt):
            journal.append("told", {"trial": 0})
        with pytest.raises(StorageError, match="open it again"):
            journal.append("told", {"trial": 0})
    assert_goes_on(tmp_path, list(journal.events), or_one_more=True)


def test_a_last_record_cut_at_any_byte_is_set_aside_and_the_journal_goes_on(tmp_path: Path) -> None:
    whole = record(tmp_path)
    events = list(read(tmp_path))
    start = whole.rstrip(b"\n").rfind(b"\n") + 1
    for cut in range(start, len(whole) - 1):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / "journal.jsonl").write_bytes(whole[:cut])
        assert_goes_on(folder, events[:-1], or_one_more=False)
        torn = folder / "journal.torn"
        assert (torn.read_bytes() if torn.exists() else b"") == whole[start:cut]


@pytest.mark.parametrize("count", [0, 3])
@pytest.mark.parametrize("ending", [b"", b"\0", b"\x0b", b"\x8a", b"}"])
def test_a_whole_last_record_outlives_its_newline(tmp_path: Path, count: int, ending: bytes) -> None:
    whole = record(tmp_path, count)
    events = list(read(tmp_path))
    (tmp_path / "journal.jsonl").write_bytes(whole[:-1] + ending)
    assert list(read(tmp_path)) == events
    Journal.open(tmp_path).close()
    assert (tmp_path / "journal.jsonl").read_bytes() == whole
    assert not (tmp_path / "journal.torn").exists()
    assert_goes_on(tmp_path, events, or_one_more=False)


def test_tails_set_aside_one_after_another_are_all_kept(tmp_path: Path) -> None:
    record(tmp_path)
    for tail in (b'{"n":4', b"\0\0\0\0"):
        with (tmp_path / "journal.jsonl").open("ab") as file:
            file.write(tail)
        Journal.open(tmp_path).close()
    assert (tmp_path / "journal.torn").read_bytes() == b'{"n":4\0\0\0\0'


@pytest.mark.parametrize("mask", [0x01, 0x20, 0x80, 0xFF])
def test_any_flipped_byte_is_refused_by_its_line_and_the_file_is_left_alone(
    tmp_path: Path, mask: int
) -> None:
    whole = record(tmp_path)
    for at in range(len(whole) - 1):  # the last byte is the newline of a whole record: see above
        damaged = bytearray(whole)
        damaged[at] ^= mask
        assert_refused(tmp_path, bytes(damaged), f"line {whole.count(10, 0, at) + 1}:")


def test_a_byte_turned_into_a_newline_is_refused_by_its_line(tmp_path: Path) -> None:
    whole = record(tmp_path)
    for at in (at for at in range(len(whole)) if whole[at] != 10):
        damaged = whole[:at] + b"\n" + whole[at + 1 :]
        assert_refused(tmp_path, damaged, f"line {whole.count(10, 0, at) + 1}:")


def test_a_lost_doubled_or_moved_line_is_refused_by_its_line(tmp_path: Path) -> None:
    lines = record(tmp_path).splitlines(keepends=True)
    for i in range(len(lines) - 1):
        assert_refused(tmp_path, b"".join(lines[:i] + lines[i + 1 :]), f"line {i + 1}:")
        assert_refused(
            tmp_path, b"".join([*lines[:i], lines[i + 1], lines[i], *lines[i + 2 :]]), f"line {i + 1}:"
        )
    for i in range(len(lines)):
        assert_refused(tmp_path, b"".join([*lines[: i + 1], *lines[i:]]), f"line {i + 2}:")
        assert_refused(tmp_path, b"".join([*lines[:i], b"\n", *lines[i:]]), f"line {i + 1}:")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'"t":1.0,"type":"told","payload":{"a":1,"a":2}}', "comes twice"),
        (b'"t":1.0,"type":"told","payload":{"a":NaN}}', "NaN is not a number"),
        (b'"t":1.0,"type":"told","payload":{"a":1e999}}', "too large"),
        (b'"t":1.0,"type":"told","payload":{}} {}', "Extra data"),
        (b'"t":1.0,"type":"told","payload":{},"more":1}', "other fields"),
        (b'"t":1.0,"type":"told"}', "other fields"),
        (b'"t":"now","type":"told","payload":{}}', "other fields"),
        (b'"t":1.0,"type":"told","payload":[]}', "other fields"),
        (b'"t":1.0,"type":"told","payload":{"a":"\xff"}}', "decode"),
        (b'"t":1.0,"type":"told","payload":{"a":%b}}' % (b"[" * 10_000), "more than 64 levels"),
        (b"", "decode|Expecting"),
    ],
)
def test_a_line_with_a_right_checksum_must_still_be_strict_json(
    tmp_path: Path, body: bytes, message: str
) -> None:
    whole = record(tmp_path, 0)
    assert_refused(
        tmp_path, whole + b'{"n":1,"crc":"%08x",%b\n' % (zlib.crc32(body), body), f"line 2: .*({message})"
    )


@pytest.mark.parametrize("data", [b"", b"{", b'{"n":0,"crc":"0', b"\0" * 100])
def test_a_journal_without_a_whole_header_says_that_nothing_was_recorded(tmp_path: Path, data: bytes) -> None:
    assert_refused(tmp_path, data, "nothing was ever recorded")


# Written by the first release; it must be readable for ever.
VERSION_1 = (
    b'{"n":0,"crc":"9e833946","t":1.5,"type":"header","payload":{"version":1,"header":{"seed":7}}}\n'
    b'{"n":1,"crc":"61c315e0","t":2.5,"type":"told","payload":{"metrics":{"accuracy":0.5}}}\n'
)


def test_a_journal_of_version_one_is_read(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_bytes(VERSION_1)
    with Journal.open(tmp_path) as journal:
        assert journal.header == {"seed": 7}
        assert journal.events[1] == Event(
            number=1, time=2.5, type="told", payload={"metrics": {"accuracy": 0.5}}
        )
    assert (tmp_path / "journal.jsonl").read_bytes() == VERSION_1


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (
            b'"t":1.0,"type":"header","payload":{"version":2,"header":{}}}',
            r"version 2, expected one of \(1,\)",
        ),
        (b'"t":1.0,"type":"header","payload":{"version":true,"header":{}}}', "expected the header"),
        (b'"t":1.0,"type":"header","payload":{"version":1}}', "without its settings"),
        (b'"t":1.0,"type":"told","payload":{}}', "expected the header"),
    ],
)
def test_a_header_of_another_kind_is_refused_by_what_it_is(
    tmp_path: Path, start: bytes, message: str
) -> None:
    line = b'{"n":0,"crc":"%08x",%b\n' % (zlib.crc32(start), start)
    assert_refused(tmp_path, line, message)
    assert_refused(tmp_path, line[:-1], message)


DRIVER = """
import os, pathlib, sys, time
from nas.journal import Journal
journal = Journal.open(pathlib.Path(sys.argv[1]))
{program}
print("ready", flush=True)
time.sleep(60)
"""


def held(folder: Path, program: str = "") -> "subprocess.Popen[str]":
    """A driver in another process that holds the journal of `folder` until it is killed."""
    source = DRIVER.format(program=program)
    driver = subprocess.Popen([sys.executable, "-c", source, folder], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    assert driver.stdout.readline() == "ready\n"
    return driver


def kill(driver: "subprocess.Popen[str]") -> None:
    driver.kill()
    driver.communicate()


def test_a_second_driver_leaves_at_once_naming_the_first_whose_death_frees_the_lock(tmp_path: Path) -> None:
    record(tmp_path)
    driver = held(tmp_path)
    try:
        with untouched(tmp_path / "journal.jsonl"):
            for second in (partial(Journal.open, tmp_path), partial(Journal.create, tmp_path, SEED)):
                start = time.monotonic()
                host = os.uname().nodename
                with pytest.raises(
                    StorageError, match=f"process {driver.pid} on {host} since .*; wait for it"
                ):
                    second()
                assert time.monotonic() - start < 1
            assert len(read(tmp_path)) == 4
    finally:
        kill(driver)
    assert_goes_on(tmp_path, list(read(tmp_path)), or_one_more=False)


def test_a_forked_worker_that_outlives_its_driver_does_not_keep_the_lock(tmp_path: Path) -> None:
    record(tmp_path)
    worker_file = tmp_path / "worker"
    driver = held(
        tmp_path,
        f"""
worker = os.fork()
if worker == 0:
    os.close(1)
    time.sleep(60)
pathlib.Path({str(worker_file)!r}).write_text(str(worker))""",
    )
    worker = int(worker_file.read_text())
    try:
        with pytest.raises(StorageError, match=f"process {driver.pid} "):
            Journal.open(tmp_path)
        kill(driver)
        os.kill(worker, 0)
        Journal.open(tmp_path).close()
    finally:
        os.kill(worker, signal.SIGKILL)


def test_a_forked_worker_cannot_record(tmp_path: Path) -> None:
    record(tmp_path)
    program = """
if os.fork() == 0:
    try:
        journal.append("told", {})
    except Exception as error:
        print(error, flush=True)
    os._exit(0)
os.wait()
sys.exit()"""
    source = DRIVER.format(program=program)
    worker = subprocess.run(
        [sys.executable, "-c", source, tmp_path], capture_output=True, text=True, check=True
    )
    assert "not held by this process any more" in worker.stdout
    assert len(read(tmp_path)) == 4


def test_two_journals_in_one_process_are_two_drivers(tmp_path: Path) -> None:
    with Journal.create(tmp_path, SEED), pytest.raises(StorageError, match=f"process {os.getpid()}"):
        Journal.open(tmp_path)
    Journal.open(tmp_path).close()


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b"\xff"])
def test_a_holder_without_a_readable_note_still_holds(tmp_path: Path, note: bytes) -> None:
    with Journal.create(tmp_path, SEED):
        (tmp_path / "lock").write_bytes(note)
        with pytest.raises(StorageError, match="held by another process"):
            Journal.open(tmp_path)


def test_a_driver_whose_lock_was_deleted_records_no_more(tmp_path: Path) -> None:
    with Journal.create(tmp_path, SEED) as first:
        (tmp_path / "lock").unlink()
        with pytest.raises(StorageError, match="lock: No such file"):
            first.append("told", {"trial": 0})
        with Journal.open(tmp_path) as second:
            with pytest.raises(StorageError, match="another driver may have begun"):
                first.append("told", {"trial": 0})
            second.append("told", {"trial": 0})
    assert len(read(tmp_path)) == 2


def test_a_journal_changed_behind_the_driver_takes_no_more(tmp_path: Path) -> None:
    with Journal.create(tmp_path, SEED) as journal:
        with (tmp_path / "journal.jsonl").open("ab") as file:
            file.write(b"{")
        with (
            untouched(tmp_path / "journal.jsonl"),
            pytest.raises(StorageError, match="changed by somebody else"),
        ):
            journal.append("told", {"trial": 0})


def test_a_journal_replaced_by_an_equal_one_takes_no_more(tmp_path: Path) -> None:
    with Journal.create(tmp_path, SEED) as journal:
        replace_file(tmp_path / "journal.jsonl", (tmp_path / "journal.jsonl").read_bytes())
        with (
            untouched(tmp_path / "journal.jsonl"),
            pytest.raises(StorageError, match="changed by somebody else"),
        ):
            journal.append("told", {"trial": 0})


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("once", [True, False])
def test_a_disk_that_refuses_at_any_call_stops_the_study_and_loses_nothing(
    tmp_path: Path, number: int, once: bool
) -> None:
    for fails_at in range(calls_of_a_study(tmp_path / "whole")):
        folder = tmp_path / str(fails_at)
        folder.mkdir()
        acknowledged: list[Event] = []
        with pytest.raises(StorageError, match=os.strerror(number)):
            run_study(folder, Refusing(fails_at=fails_at, number=number, once=once).disk, acknowledged)
        if (folder / "journal.jsonl").exists():
            expected = acknowledged or list(read(folder))[:1]
            assert_goes_on(folder, expected, or_one_more=not once)
        else:
            assert acknowledged == []
            assert not list(folder.glob("*.tmp"))
            run_study(folder, DISK, acknowledged)


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_after_a_refusal_the_journal_is_whole_and_takes_no_more_until_opened(
    tmp_path: Path, call: str
) -> None:
    before = record(tmp_path)
    refusing = Refusing(fails_at=10**9, number=errno.ENOSPC, once=True)
    with Journal.open(tmp_path, disk=refusing.disk) as journal:
        refusing.fails_at = refusing.calls + (call == "fsync")
        with pytest.raises(StorageError, match="free some space"):
            journal.append("told", {"trial": 3})
        assert (tmp_path / "journal.jsonl").read_bytes() == before
        with pytest.raises(StorageError, match="an earlier event could not be recorded"):
            journal.append("told", {"trial": 3})
        assert len(journal.events) == 4
    assert_goes_on(tmp_path, list(journal.events), or_one_more=False)


def test_what_was_taken_back_does_not_return_after_a_power_cut(tmp_path: Path) -> None:
    before = record(tmp_path)
    machine = Machine(tmp_path)

    def fsync(descriptor: int) -> None:
        machine.fsync(descriptor)
        if (tmp_path / "journal.jsonl").stat().st_size > len(before):
            raise OSError(errno.EIO, os.strerror(errno.EIO))  # the bytes arrived, the answer did not

    disk = Disk(fsync=fsync, write=machine.write, ftruncate=machine.ftruncate)
    with Journal.open(tmp_path, disk=disk) as journal, pytest.raises(StorageError, match="check the disk"):
        journal.append("told", {"trial": 3})
    machine.lose_power()
    assert (tmp_path / "journal.jsonl").read_bytes() == before


def test_a_short_write_is_a_full_disk_and_is_taken_back(tmp_path: Path) -> None:
    before = record(tmp_path)

    def short(descriptor: int, data: bytes | memoryview) -> int:
        return os.write(descriptor, data[: len(data) // 2])

    with (
        Journal.open(tmp_path, disk=Disk(write=short)) as journal,
        pytest.raises(StorageError, match="free some"),
    ):
        journal.append("told", {"trial": 3})
    assert (tmp_path / "journal.jsonl").read_bytes() == before


def test_a_tail_that_cannot_be_set_aside_stays_where_it_is(tmp_path: Path) -> None:
    cut = record(tmp_path)[:-20]
    (tmp_path / "journal.jsonl").write_bytes(cut)
    (tmp_path / "journal.torn").mkdir()
    with pytest.raises(StorageError, match="Is a directory"):
        Journal.open(tmp_path)
    assert (tmp_path / "journal.jsonl").read_bytes() == cut


def test_a_vanished_folder_stops_the_study(tmp_path: Path) -> None:
    with Journal.create(tmp_path / "study", SEED) as journal:
        shutil.rmtree(tmp_path / "study")
        with pytest.raises(StorageError, match="No such file"):
            journal.append("told", {"trial": 0})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to a read-only folder")
def test_a_read_only_folder_can_be_read_and_not_opened(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    record(folder)
    (folder / "lock").unlink()
    folder.chmod(0o500)
    try:
        assert len(read(folder)) == 4
        with pytest.raises(StorageError, match="make the folder writable"):
            Journal.open(folder)
    finally:
        folder.chmod(0o700)


@pytest.mark.parametrize("name", ["journal.jsonl", "journal.torn", "lock"])
def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    theirs = tmp_path / "theirs"
    theirs.write_bytes(record(folder)[:-20])
    (folder / "journal.jsonl").write_bytes(theirs.read_bytes())
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(theirs)
    with untouched(theirs), pytest.raises(StorageError, match=r"symbolic links.*nothing in it is a link"):
        Journal.open(folder)


@pytest.mark.parametrize("name", ["journal.jsonl", "lock"])
def test_a_dangling_link_makes_no_file_elsewhere(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError):
        Journal.create(folder, SEED)
    assert not (tmp_path / "elsewhere").exists()


def test_a_pipe_in_place_of_a_journal_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "journal.jsonl")
    with pytest.raises(StorageError, match="not a regular file"):
        read(tmp_path)
