"""One worker process as its driver sees it: begun, spoken to in JSON lines, listened to, killed.

A worker leads a process group of its own, so that what a trial starts is killed with it. One without a log is of the
group of the worker that began it, and writes into its log.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from search_spaces.errors import StorageError
from search_spaces.serialise import Json

from ..proposal import Proposal
from .machine import oom_kills

# Read by glibc alone. Kept memory instead of fresh pages for every large tensor: a training step of six `mixed`
# networks at 28x28, batch 128, took 0 to 46 % less time, and the kernel a quarter of its share.
KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 34), "MALLOC_TOP_PAD_": str(1 << 26),
}  # fmt: skip
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
LONGEST_LINE = 1 << 20  # bytes; a worker that says more in one line is not ours
CHUNK = 1 << 16


class WorkerProcess:
    """A worker, what it works on, and its log, in which no other one at work writes."""

    def __init__(self, program: Sequence[str], *, slot: int, log: Path | None, threads: int) -> None:
        self.slot = slot
        self.proposal: Proposal | None = None  # at work
        self.attempt = 0
        self.began: float | None = (
            None  # monotonic seconds; a trial's own clock begins when its worker says so
        )
        self.latest: float | None = None  # when it is killed, where its trial has a limit
        self._oom_kills = 0
        self._unread = bytearray()
        self._log: IO[bytes] | None = None
        try:
            if log is not None:
                self._log = log.open("ab")
        except OSError as error:
            raise StorageError(f"{log}: a worker's log cannot be opened ({error}); free or mend it") from None
        self._process = subprocess.Popen(
            program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
            env=_environment(threads), start_new_session=log is not None,
        )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self.says = self._process.stdin, self._process.stdout
        os.set_blocking(self.says.fileno(), False)

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    @property
    def log(self) -> Path:
        """Where what it prints is kept."""
        assert self._log is not None, "it writes into another's"
        return Path(self._log.name)

    @property
    def dead(self) -> bool:
        """Whether its process has ended; a child of its own may still hold its output open."""
        return self._process.poll() is not None

    def hand(self, proposal: Proposal, attempt: int) -> None:
        """Note what it works on from now on."""
        self.proposal, self.attempt, self.began, self.latest = proposal, attempt, None, None
        self._oom_kills = oom_kills()

    def send(self, message: Mapping[str, Json]) -> None:
        """Send a message; a dead worker's silence says so later."""
        with suppress(BrokenPipeError):
            self._to.write(json.dumps(message).encode() + b"\n")
            self._to.flush()

    def heard(self) -> tuple[list[dict[str, Json]], bool]:
        """Return the messages that have come, and whether no more will: its output ended, or is no message."""
        ended = False
        with suppress(BlockingIOError):  # all that has come is read
            while not ended and len(self._unread) <= LONGEST_LINE:
                chunk = os.read(self.says.fileno(), CHUNK)
                self._unread += chunk
                ended = not chunk
        *lines, rest = bytes(self._unread).split(b"\n")
        self._unread = bytearray(rest)
        messages = [message for line in lines if (message := _message(line)) is not None]
        return messages, ended or len(messages) < len(lines) or len(rest) > LONGEST_LINE

    def kill(self) -> tuple[str, bool]:
        """Kill it and what it started; return how it ended, and whether the kernel had killed it for its memory."""
        with suppress(ProcessLookupError):  # it is gone, and nothing it started is left
            (os.kill if self._log is None else os.killpg)(self.pid, signal.SIGKILL)
        code = self._process.wait()
        for stream in (self._to, self.says, self._log):
            with suppress(BrokenPipeError, OSError):  # what was still to be sent to a dead worker
                if stream is not None:
                    stream.close()
        # Who else may send SIGKILL does not count as the kernel does; a user's own kill leaves the count alone.
        return _ending(code), code == -signal.SIGKILL and oom_kills() > self._oom_kills


def _environment(threads: int) -> dict[str, str]:
    # What is importable here is importable there.
    modules = os.pathsep.join(place or str(Path.cwd()) for place in sys.path)
    limits = dict.fromkeys(THREADS, str(threads))
    return {**KEEP_MEMORY, **os.environ, **limits, "PYTHONPATH": modules}


def _message(line: bytes) -> dict[str, Json] | None:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal has no name
        return f"signal {-code}"
