"""Checkpoints of one training: each is one file, written whole, checked by its hash, loaded as plain data.

A file is `checkpoint-<training>-<epoch>.pt`, where `<training>` is a hash of its identity. It holds a
line with the SHA-256 of the rest, then what `torch.save` wrote. The last two are kept. `Pace` says when one is due.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TypeVar, cast

import torch

from search_spaces.errors import BadInput, StorageError

from ..storage import make_folder, read_bounded, replace_file

State = Mapping[str, object]  # tensors, numbers, text, and lists and mappings of them
T = TypeVar("T")

KEPT = 2
HEAD = b"archscale checkpoint 1 "
HEAD_BYTES = len(HEAD) + 64 + 1
SLACK_BYTES = 16 << 20  # beside the tensors: names, generators, the format itself
CALM = 20.0  # times what writing one took, until the next is due


class Pace:
    """When a training's next checkpoint is due: every so many seconds, more rarely where writing one takes long.

    With 0 seconds one is always due.
    """

    def __init__(self, clock: Callable[[], float], seconds: float) -> None:
        self._clock, self._seconds = clock, seconds
        self._due_at = clock() + seconds

    def when_due(self, write_one: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
        """Have a checkpoint written if one is due; returns the remarks of that."""
        began = self._clock()
        if began < self._due_at:
            return ()
        notes = write_one()
        now = self._clock()
        self._due_at = now + (max(self._seconds, CALM * (now - began)) if self._seconds else 0.0)
        return notes


def save(folder: Path, *, identity: str, epoch: int, state: State) -> None:
    """Write a checkpoint of the training that `identity` names, and drop all but the last two of it.

    `epoch` may count anything that only rises. Raises StorageError; the earlier checkpoints are then still there.
    """
    make_folder(folder)
    write(folder / f"{_stem(identity)}{epoch:06d}.pt", identity=identity, epoch=epoch, state=state)
    for old in _found(folder, identity)[KEPT:]:
        _remove(old)


def try_to_save(
    folder: Path, *, identity: str, epoch: int, state: State, unit: str = "epoch"
) -> tuple[str, ...]:
    """Do as `save`; a disk that refuses is remarked on, for the training itself needs no checkpoint."""
    try:
        save(folder, identity=identity, epoch=epoch, state=state)
    except StorageError as error:
        return (f"no checkpoint after {unit} {epoch}: {error}",)
    return ()


def resume(
    folder: Path, *, identity: str, expected_bytes: int, restore: Callable[[State], T], unit: str = "epoch"
) -> tuple[T | None, tuple[str, ...]]:
    """Return what `restore` makes of the last good checkpoint, None where there is none, and notes.

    `restore` may raise anything: the state was then not this training's. What cannot be used is noted and
    removed. A file much larger than the `expected_bytes` of tensors is not read.
    """
    notes: list[str] = []
    for path in _found(folder, identity):
        try:
            epoch, state = read(path, identity=identity, expected_bytes=expected_bytes)
            return restore(state), (*notes, f"continued after {unit} {epoch}")
        except Exception as error:  # noqa: BLE001 - a damaged or hostile file may raise anything
            notes.append(f"{path.name} was not used: {str(error)[:200]}")
            _remove(path)
    return None, tuple(notes)


def clear(folder: Path, *, identity: str) -> None:
    """Remove a training's checkpoints, and what was left where writing one was cut short."""
    for path in (*_found(folder, identity), *folder.glob(f".{_stem(identity)}*.tmp")):
        _remove(path)


def _stem(identity: str) -> str:
    return f"checkpoint-{sha256(identity.encode()).hexdigest()[:16]}-"


def _found(folder: Path, identity: str) -> list[Path]:
    """Return a training's checkpoints, the newest first: a longer number is a larger one."""
    return sorted(folder.glob(f"{_stem(identity)}*.pt"), key=lambda p: (len(p.name), p.name), reverse=True)


def write(path: Path, *, identity: str, epoch: int, state: State) -> None:
    """Write one file of tensors whole, with the hash of its content; raises StorageError."""
    buffer = io.BytesIO()
    torch.save({"identity": identity, "epoch": epoch, "state": dict(state)}, buffer)
    body = buffer.getbuffer()
    replace_file(path, b"".join((HEAD, sha256(body).hexdigest().encode(), b"\n", body)))


def read(path: Path, *, identity: str, expected_bytes: int) -> tuple[int, State]:
    """Return what `write` wrote; raises anything where the file is missing, damaged, too large or of another."""
    data = read_bounded(path, expected_bytes + SLACK_BYTES)
    body = memoryview(data)[HEAD_BYTES:]
    if data[:HEAD_BYTES] != HEAD + sha256(body).hexdigest().encode() + b"\n":
        raise BadInput("its hash is not that of its content, so it was cut short or changed")
    held = cast("dict[str, object]", torch.load(io.BytesIO(body), map_location="cpu", weights_only=True))
    if held["identity"] != identity:
        raise BadInput(f"it is of another training, {held['identity']}")
    return cast(int, held["epoch"]), cast(State, held["state"])


def _remove(path: Path) -> None:
    with suppress(OSError):  # a file left behind does no harm
        path.unlink(missing_ok=True)
