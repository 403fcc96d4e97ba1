"""How a trial fails, as exceptions inside a job and as an outcome outside."""

from __future__ import annotations

import errno
import traceback

import torch

from ..proposal import LONGEST_NOTE, Outcome, Status

LONGEST_MESSAGE = 1000  # characters of an exception's own text; the rest of a note is where it came from
MEMORY_WORDS = (  # how torch and the libraries below it say it, in a RuntimeError
    "out of memory", "can't allocate memory", "not enough memory", "std::bad_alloc", "STATUS_ALLOC_FAILED",
)  # fmt: skip


class TrialFailure(Exception):
    """A failure that a job knows the name of."""

    status = Status.BUG


class Diverged(TrialFailure):
    """A loss or metric that is not finite."""

    status = Status.DIVERGED


class TimedOut(TrialFailure):
    """The trial's time is up."""

    status = Status.TIMED_OUT


def failed(error: BaseException, *, seconds: float) -> Outcome:
    """Return the outcome of a job that ended with `error`: text of bounded length, no object of the job's."""
    status = _status(error)
    text = _message(error)
    if not isinstance(error, TrialFailure):
        text = f"{type(error).__name__}: {text}"
    if status is Status.BUG:
        room = LONGEST_NOTE - len(text) - 1
        text += "\n" + "".join(traceback.format_tb(error.__traceback__))[-room:]
    # Half a surrogate pair cannot be written as UTF-8, and the note goes to a file.
    note = text.encode(errors="backslashreplace").decode()[:LONGEST_NOTE]
    return Outcome(status=status, note=note, seconds=seconds)


def _status(error: BaseException) -> Status:
    if isinstance(error, TrialFailure):
        return error.status
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return Status.OUT_OF_MEMORY
    if isinstance(error, RuntimeError) and any(words in _message(error) for words in MEMORY_WORDS):
        return Status.OUT_OF_MEMORY
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return Status.OUT_OF_MEMORY  # how mapping a file or starting a process says it
    return Status.BUG


def _message(error: BaseException) -> str:
    try:
        return str(error)[:LONGEST_MESSAGE]
    except BaseException:  # noqa: BLE001 - a user's exception may be anything, its text too
        return "(its text cannot be read)"
