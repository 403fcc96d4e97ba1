"""Files that are whole or absent, names that stay in their folder, a lock that dies with its holder."""

import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from search_spaces.errors import BadInput, StorageError

from .strict_json import dump_json, parse_json, shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """The four calls that change what is on disk: the seam at which tests make them fail."""

    write: Callable[[int, bytes | memoryview], int] = os.write
    fsync: Callable[[int], None] = os.fsync
    ftruncate: Callable[[int, int], None] = os.ftruncate
    replace: Callable[[Path, Path], None] = os.replace


DISK = Disk()


def replace_file(path: Path, data: bytes, *, disk: Disk = DISK) -> None:
    """Make `path` hold `data`, durably: after a crash at any moment it holds the old content or the new.

    Raises StorageError. A crash may leave `.<name>.<hex>.tmp` beside it, which is safe to delete.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with storage_errors(path, doing="writing it"):
        try:
            _write_new(temporary, data, disk=disk)
            disk.replace(temporary, path)
        except OSError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent, disk=disk)


def make_folder(path: Path, *, disk: Disk = DISK) -> None:
    """Make a folder and those above it, durably; one that is there already is fine. Raises StorageError."""
    with storage_errors(path, doing="making the folder"):
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        # The direct parent is always synced: whoever made this folder may have died before doing so.
        for folder in {path, *missing}:
            sync_folder(folder.parent, disk=disk)


@contextmanager
def new_folder(path: Path, *, disk: Disk = DISK) -> Iterator[Path]:
    """Give a folder to fill, which is put in the place of `path` when the block ends: whole, or not at all.

    Raises StorageError where something lies there already. A crash may leave `.<name>.<hex>.tmp` beside it, which is
    safe to delete.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    make_folder(temporary, disk=disk)
    try:
        yield temporary
        with storage_errors(path, doing="putting the folder in its place"):
            if path.exists() and any(path.iterdir()):  # an empty one is replaced
                raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))
            disk.replace(temporary, path)
            sync_folder(path.parent, disk=disk)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sync_folder(path: Path, *, disk: Disk = DISK) -> None:
    """Put a folder's names on disk; file systems that cannot (SMB, some FUSE) are let off. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        disk.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def open_regular(path: Path, flags: int) -> int:
    """Open a plain file and give its descriptor; links, pipes and devices are refused. Raises OSError."""
    # O_NONBLOCK only keeps the opening of a pipe from hanging; plain files ignore it.
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file")
    return descriptor


def read_bounded(path: Path, limit_bytes: int) -> bytes:
    """The bytes of a plain file of at most `limit_bytes`.

    Raises BadInput when it is missing, not a plain file or too long, StorageError when it cannot be read.
    """
    with storage_errors(path, doing="reading it"):
        if not path.exists():
            raise BadInput(f"{shown(str(path))}: there is no such file; check the path")
        if not path.is_file():
            raise BadInput(f"{path}: got a folder or device, expected a file")
        with path.open("rb") as file:
            data = file.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise BadInput(
            f"{path}: got more than {limit_bytes} bytes, expected at most that; is it the right file?"
        )
    return data


_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def check_name(name: object) -> str:
    """The name itself, if it is safe as a file name on any system; else BadInput."""
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    raise BadInput(
        f"name: got {shown(name)}, expected up to 64 of a-z 0-9 . _ - and first a letter or digit; rename it"
    )


def inside(root: Path, name: str) -> Path:
    """The resolved path of `name` (parts joined by `/`) under `root`; it need not exist yet.

    Raises BadInput when a part is no safe name or a link leads out of `root`; `root` itself may be a link.
    """
    parts = [check_name(part) for part in name.split("/")]
    home = root.resolve()
    try:
        path = home.joinpath(*parts).resolve()
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
        raise BadInput(f"{home / name}: cannot be followed ({error}); remove the link") from error
    if not path.is_relative_to(home) or path == home:
        raise BadInput(
            f"{home / name}: got a link to {path}, expected a place inside {home}; remove the link"
        )
    return path


class Lock:
    """A file held by one process at a time, by flock: the kernel frees it however the holder dies."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor: int | None = descriptor
        _LOCKS.add(self)

    @classmethod
    def take(cls, path: Path, *, clock: Callable[[], float] = time.time, disk: Disk = DISK) -> Self:
        """Hold `path` and note in it who does (pid, host, since).

        Raises StorageError at once, naming the holder, when it is held, and when the disk refuses.
        """
        with storage_errors(path, doing="locking it"), ExitStack() as stack:
            descriptor = open_regular(path, os.O_RDWR | os.O_CREAT)
            stack.callback(os.close, descriptor)
            _seize(descriptor, path)
            since = datetime.fromtimestamp(clock(), UTC).isoformat(timespec="seconds")
            note = dump_json({"pid": os.getpid(), "host": os.uname().nodename, "since": since})
            disk.ftruncate(descriptor, 0)
            disk.write(descriptor, note.encode())
            stack.pop_all()
        return cls(path, descriptor)

    def check(self) -> None:
        """Raise StorageError unless this process holds the lock, and by the file that others would try."""
        if self._descriptor is None:
            raise StorageError(f"{self._path}: not held by this process any more; open it again")
        with storage_errors(self._path, doing="checking who holds it"):
            ours, there = os.fstat(self._descriptor), self._path.lstat()
        if (ours.st_dev, ours.st_ino) != (there.st_dev, there.st_ino):
            raise StorageError(
                f"{self._path}: was removed or replaced while held, so another driver may have begun; "
                "stop all but one and open it again"
            )

    def release(self) -> None:
        """Let go; harmless when done twice."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


# A forked worker shares its parent's locks and would keep them held after the parent is killed.
# Closing (not unlocking) the worker's copies leaves the parent's hold as it is.
_LOCKS: weakref.WeakSet[Lock] = weakref.WeakSet()


def _let_go_in_child() -> None:
    for lock in list(_LOCKS):
        lock.release()


os.register_at_fork(after_in_child=_let_go_in_child)


@contextmanager
def storage_errors(path: Path, *, doing: str) -> Iterator[None]:
    """Turn an OSError into a StorageError that says where, what went wrong and what to do."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error} while {doing}; {advice(error)}") from error


def advice(error: OSError) -> str:
    """What to do about a disk that refuses."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "free some space and try again"
    if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
        return "give another name, or move away what lies there"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "make the folder writable and try again"
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL):
        return "check that the folder is there and that nothing in it is a link"
    return "check the disk and try again"


def _write_new(path: Path, data: bytes, *, disk: Disk) -> None:
    descriptor = open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        rest = memoryview(data)
        while rest:  # one call writes 2 GiB at most
            written = disk.write(descriptor, rest)
            if written == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            rest = rest[written:]
        disk.fsync(descriptor)
    finally:
        os.close(descriptor)


def _seize(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StorageError(
            f"{path}: held by {_holder(descriptor)}, expected no other driver; wait for it, stop it, or use "
            "another folder. Leave this file alone: the lock ends with the process that holds it"
        ) from None


def _holder(descriptor: int) -> str:
    try:
        note = parse_json(os.pread(descriptor, 4096, 0).decode())
    except (BadInput, OSError, UnicodeDecodeError):
        note = None
    if not isinstance(note, Mapping):
        return "another process that has not yet noted its name"
    return f"process {note.get('pid')} on {note.get('host')} since {note.get('since')}"
