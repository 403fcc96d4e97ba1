"""The journal of a study: what was told, one checked line an event, on disk before anybody acts on it."""

import errno
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from search_spaces.errors import BadInput, StorageError

from .journal_lines import HEADER, VERSION, Content, Event, decode, encode, header_of, parse
from .storage import (
    DISK,
    Disk,
    Lock,
    advice,
    make_folder,
    open_regular,
    replace_file,
    storage_errors,
    sync_folder,
)
from .strict_json import Json

__all__ = ["JOURNAL", "Event", "Journal", "header_of", "read"]

JOURNAL = "journal.jsonl"
TORN = "journal.torn"
LOCK = "lock"


class Journal:
    """The only writer of a study's journal; one thread at a time, one process at a time.

    Made by `create` or `open`; a context manager. After a failed or interrupted `append` it takes no more
    events: what is on disk is then known only by opening it again.
    """

    def __init__(
        self,
        *,
        path: Path,
        descriptor: int,
        lock: Lock,
        content: Content,
        clock: Callable[[], float],
        disk: Disk,
    ) -> None:
        self._path = path
        self._descriptor = descriptor
        self._lock = lock
        self._events = list(content.events)
        self._size = content.whole_bytes
        self._clock = clock
        self._disk = disk
        self._open = True
        self._sound = True

    @classmethod
    def create(
        cls,
        folder: Path,
        header: Mapping[str, Json],
        *,
        clock: Callable[[], float] = time.time,
        disk: Disk = DISK,
    ) -> Self:
        """Begin a journal in `folder` (made if need be), header and all, or not at all.

        Raises StorageError when there is one already, another driver holds the folder or the disk refuses,
        BadInput when the header is not strict JSON.
        """
        line = encode(0, clock(), HEADER, {"version": VERSION, "header": header})
        make_folder(folder, disk=disk)
        with ExitStack() as stack:
            lock = Lock.take(folder / LOCK, clock=clock, disk=disk)
            stack.callback(lock.release)
            if os.path.lexists(folder / JOURNAL):
                raise StorageError(
                    f"{folder / JOURNAL}: there is a journal already, expected none; "
                    "resume it or use another folder"
                )
            replace_file(folder / JOURNAL, line, disk=disk)
            journal = cls._under(lock, folder, clock=clock, disk=disk)
            stack.pop_all()
        return journal

    @classmethod
    def open(cls, folder: Path, *, clock: Callable[[], float] = time.time, disk: Disk = DISK) -> Self:
        """Take up the journal in `folder`: every line checked, a torn last one moved to `journal.torn`.

        Raises StorageError when there is none, another driver holds it, a line is damaged (the file is then
        left as it was) or the disk refuses.
        """
        _refuse_missing(folder / JOURNAL)
        with ExitStack() as stack:
            lock = Lock.take(folder / LOCK, clock=clock, disk=disk)
            stack.callback(lock.release)
            journal = cls._under(lock, folder, clock=clock, disk=disk)
            stack.pop_all()
        return journal

    @classmethod
    def _under(cls, lock: Lock, folder: Path, *, clock: Callable[[], float], disk: Disk) -> Self:
        path = folder / JOURNAL
        with storage_errors(path, doing="opening it"), ExitStack() as stack:
            descriptor = open_regular(path, os.O_RDWR | os.O_APPEND)
            stack.callback(os.close, descriptor)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                content = parse(file.read(), path)
            _mend(descriptor, folder, content, disk=disk)
            stack.pop_all()
        return cls(path=path, descriptor=descriptor, lock=lock, content=content, clock=clock, disk=disk)

    @property
    def events(self) -> Sequence[Event]:
        """All events, header included, so `events[i].number == i`; grows in place, not to be changed."""
        return self._events

    @property
    def header(self) -> Mapping[str, Json]:
        """What `create` was given: the settings that a resumed study must share."""
        return header_of(self._events)

    def append(self, event_type: str, payload: Mapping[str, Json], *, durable: bool = True) -> Event:
        """Record an event and return it as it will be read back; on disk, fsynced, when this returns.

        One that is not `durable` outlives this process but, until the next durable one, not a loss of power:
        for what is worked out again from the events before it, never for an outcome.

        Raises BadInput when the payload is not strict JSON: nothing is written and the journal goes on.
        Raises StorageError when the disk refuses or the journal is no longer ours: this object is finished.
        """
        if not event_type or event_type == HEADER:
            raise BadInput(f"journal: got the event type {event_type!r}, expected any name but {HEADER!r}")
        self._check_ours()
        number = len(self._events)
        line = encode(number, self._clock(), event_type, payload)
        event = decode(line[:-1], number)
        self._sound = False  # until the line is known to be on disk; an interrupt may come at any point
        try:
            if self._disk.write(self._descriptor, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if durable:
                self._disk.fsync(self._descriptor)
        except OSError as error:
            self._take_back()
            why = error.strerror or error
            raise StorageError(
                f"{self._path}: {why} while recording event {number}; all before it are safe. "
                f"Open the journal again to go on; {advice(error)}"
            ) from error
        self._size += len(line)
        self._events.append(event)
        self._sound = True
        return event

    def close(self) -> None:
        """Let go of the file and the lock; `events` stay readable. Harmless when done twice."""
        if self._open:
            self._open = False
            os.close(self._descriptor)
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_ours(self) -> None:
        if not self._open:
            raise StorageError(f"{self._path}: closed, expected an open journal; open it again")
        if not self._sound:
            raise StorageError(
                f"{self._path}: an earlier event could not be recorded; open it again to go on"
            )
        self._lock.check()
        with storage_errors(self._path, doing="checking it before an event"):
            ours, there = os.fstat(self._descriptor), self._path.lstat()
        if (ours.st_dev, ours.st_ino, ours.st_size) != (there.st_dev, there.st_ino, self._size):
            raise StorageError(
                f"{self._path}: changed by somebody else while open; stop all drivers and open it again"
            )

    def _take_back(self) -> None:
        # A disk that has just failed may fail here too; what is left is then a torn tail, or the whole event.
        with suppress(OSError):
            self._disk.ftruncate(self._descriptor, self._size)
            self._disk.fsync(self._descriptor)


def read(folder: Path) -> tuple[Event, ...]:
    """The events of a journal, for a look from outside: no lock, no change, a torn last line skipped.

    Raises StorageError as `Journal.open` does, but never because a driver is at work.
    """
    path = folder / JOURNAL
    _refuse_missing(path)
    with storage_errors(path, doing="reading it"):
        descriptor = open_regular(path, os.O_RDONLY)
        with os.fdopen(descriptor, "rb") as file:
            return tuple(parse(file.read(), path).events)


def _mend(descriptor: int, folder: Path, content: Content, *, disk: Disk) -> None:
    if content.tail:
        _set_aside(content.tail, folder / TORN, disk=disk)
        disk.ftruncate(descriptor, content.whole_bytes)
    if content.newline_lost:
        disk.ftruncate(descriptor, content.whole_bytes - 1)
        disk.write(descriptor, b"\n")
    # A driver killed before its fsync leaves events in the cache alone: on disk first, then acted on.
    disk.fsync(descriptor)
    sync_folder(folder, disk=disk)


def _set_aside(tail: bytes, path: Path, *, disk: Disk) -> None:
    descriptor = open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        if disk.write(descriptor, tail) != len(tail):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        disk.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(path.parent, disk=disk)


def _refuse_missing(path: Path) -> None:
    if not os.path.lexists(path):
        raise StorageError(
            f"{path}: there is no such file, expected the journal of a study; check the folder's name"
        )
