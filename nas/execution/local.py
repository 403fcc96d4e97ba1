"""Trials in worker processes on this machine, each of which can be killed.

A worker is `python -m nas.worker`: JSON lines in on its standard input, JSON lines out on its standard output.
It dies with the driver. A trial over its time limit is killed with all it started; the final training, which may
be longer and comes once, has no limit. A worker that cannot begin (the data changed, no such device) ends the
driving with its message: no trial is told anything, and all resume.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from search_spaces.errors import BadInput, StorageError
from search_spaces.serialise import Json, to_data

from ..proposal import Kind, Outcome, Proposal, Status
from .base import Ended, Report

STARTUP_SECONDS = 120.0  # for a worker to load torch and the data, before a trial's own clock begins
# Read by glibc alone. Kept memory instead of fresh pages for every large tensor: a training step of six `mixed`
# networks at 28x28, batch 128, took 0 to 46 % less time, and the kernel a quarter of its share.
KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 34), "MALLOC_TOP_PAD_": str(1 << 26),
}  # fmt: skip
MOST_STILLBORN = 3  # workers in a row that died before a trial began
GRACE_SECONDS = 2.0  # past its limit, for a trial to stop by itself before it is killed
LONGEST_LINE = 1 << 20  # bytes; a worker that says more in one line is not ours


@dataclass(slots=True, eq=False)
class _Worker:
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    proposal: Proposal | None = None  # at work
    attempt: int = 0
    began: float | None = None  # monotonic seconds; a trial's own clock begins when its worker says so
    latest: float | None = None  # when it is killed, where its trial has a limit
    unread: bytearray = field(default_factory=bytearray)


class LocalWorkers:
    """Up to `workers` trials side by side; `setup` is sent to each worker first."""

    def __init__(
        self,
        *,
        setup: Mapping[str, Json],
        folder: Path,
        workers: int,
        threads: int,
        trial_seconds: float | None,
    ) -> None:
        self._setup = dict(setup)
        self._folder = folder
        self._most = workers
        self._threads = threads
        self._trial_seconds = trial_seconds
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()
        self._stillborn = 0

    @property
    def free(self) -> int:
        """How many more trials can be taken on now."""
        return self._most - sum(worker.proposal is not None for worker in self._workers)

    def submit(self, proposal: Proposal, attempt: int) -> None:
        """Hand a trial to an idle worker, begun if need be."""
        worker = next((w for w in self._workers if w.proposal is None), None) or self._begin()
        worker.proposal, worker.attempt, worker.began, worker.latest = proposal, attempt, None, None
        if self._trial_seconds is not None and proposal.kind is not Kind.FINAL:
            worker.latest = time.monotonic() + STARTUP_SECONDS + self._trial_seconds + GRACE_SECONDS
        self._send(worker, {"proposal": said(proposal)})

    def wait(self, seconds: float) -> list[Report | Ended]:
        """Return what workers said, who died, and who was killed for taking too long.

        Raises BadInput where a worker cannot begin.
        """
        until = self._next_limit()
        pause = max(0.0, min(seconds, until - time.monotonic())) if until else seconds
        happened: list[Report | Ended] = []
        for selected, _ in self._selector.select(pause):
            happened += self._heard(cast(_Worker, selected.data))
        return happened + self._overdue()

    def close(self) -> None:
        """Kill every worker and what it started."""
        for worker in list(self._workers):
            self._drop(worker)
        self._selector.close()

    def _begin(self) -> _Worker:
        threads = {
            name: str(self._threads)
            for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        }
        modules = os.pathsep.join(
            place or str(Path.cwd()) for place in sys.path
        )  # what is importable here is there
        number = len(self._workers)
        try:
            log = (self._folder / f"worker-{number}.log").open("ab")
        except OSError as error:
            raise StorageError(
                f"{self._folder}: a worker's log cannot be opened ({error}); free or mend it"
            ) from None
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "nas.worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            env={**KEEP_MEMORY, **os.environ, **threads, "PYTHONPATH": modules}, start_new_session=True,
        )  # fmt: skip
        worker = _Worker(process, log)
        assert process.stdout is not None
        self._selector.register(process.stdout, selectors.EVENT_READ, worker)
        self._workers.append(worker)
        self._send(worker, {"setup": self._setup})
        return worker

    def _send(self, worker: _Worker, message: Mapping[str, Json]) -> None:
        assert worker.process.stdin is not None
        try:
            worker.process.stdin.write(json.dumps(message).encode() + b"\n")
            worker.process.stdin.flush()
        except BrokenPipeError:
            pass  # it died; its closed output says so to `wait`

    def _heard(self, worker: _Worker) -> list[Report | Ended]:
        assert worker.process.stdout is not None
        chunk = os.read(worker.process.stdout.fileno(), 1 << 16)
        worker.unread += chunk
        if not chunk or len(worker.unread) > LONGEST_LINE:
            return self._died(worker)
        *lines, rest = bytes(worker.unread).split(b"\n")
        worker.unread = bytearray(rest)
        return [message for line in lines if (message := self._message(worker, line)) is not None]

    def _message(self, worker: _Worker, line: bytes) -> Report | Ended | None:
        heard = json.loads(line)
        if "unusable" in heard:
            raise BadInput(f"{heard['unusable']} (a worker could not begin; more in {worker.log.name})")
        if worker.proposal is None:
            return None
        number = worker.proposal.number
        if "began" in heard:
            worker.began, self._stillborn = time.monotonic(), 0
            if worker.latest is not None and self._trial_seconds is not None:
                worker.latest = worker.began + self._trial_seconds + GRACE_SECONDS
            return None
        if "epoch" in heard:
            return Report(number, heard["epoch"], heard["metrics"])
        worker.proposal = None
        outcome = Outcome(
            status=Status(heard["status"]),
            metrics=heard["metrics"],
            note=heard["note"],
            seconds=heard["seconds"],
        )
        return Ended(number, worker.attempt, outcome)

    def _died(self, worker: _Worker) -> list[Report | Ended]:
        code = self._drop(worker)
        if worker.proposal is None:
            return []
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        if worker.began is None:
            self._replace(worker, how)
            return []
        note = f"its worker process ended with {how} in mid-trial; see {worker.log.name}"
        return [self._ended(worker, Status.LOST, note)]

    def _replace(self, worker: _Worker, how: str) -> None:
        """Hand a trial that had not begun to another worker; whoever died, the trial is not to blame."""
        assert worker.proposal is not None
        self._stillborn += 1
        if self._stillborn == MOST_STILLBORN:
            raise BadInput(
                f"execution: got {MOST_STILLBORN} workers in a row that ended before a trial began, the last with "
                f"{how}; is there memory enough for {self._most} of them? More in {worker.log.name}"
            )
        self.submit(worker.proposal, worker.attempt)

    def _overdue(self) -> list[Report | Ended]:
        now = time.monotonic()
        late = [w for w in self._workers if w.proposal and w.latest is not None and now >= w.latest]
        for worker in late:
            self._drop(worker)
        note = f"killed after its limit of {self._trial_seconds} s"
        return [self._ended(worker, Status.TIMED_OUT, note) for worker in late]

    def _ended(self, worker: _Worker, status: Status, note: str) -> Ended:
        assert worker.proposal is not None
        return Ended(
            worker.proposal.number,
            worker.attempt,
            Outcome(
                status=status, note=note, seconds=time.monotonic() - worker.began if worker.began else 0.0
            ),
        )

    def _drop(self, worker: _Worker) -> int:
        self._workers.remove(worker)
        assert worker.process.stdout is not None
        self._selector.unregister(worker.process.stdout)
        with suppress(ProcessLookupError):  # it is gone, and nothing it started is left
            os.killpg(worker.process.pid, signal.SIGKILL)
        code = worker.process.wait()
        for stream in (worker.process.stdin, worker.process.stdout, worker.log):
            if stream is not None:
                with suppress(BrokenPipeError):  # what was still to be sent to a dead worker
                    stream.close()
        return code

    def _next_limit(self) -> float | None:
        return min((w.latest for w in self._workers if w.proposal and w.latest is not None), default=None)


def said(proposal: Proposal) -> dict[str, Json]:
    """Return a proposal as JSON; `nas.worker` reads it."""
    return {
        "number": proposal.number, "kind": proposal.kind.value, "candidate": to_data(proposal.candidate),
        "epochs": proposal.epochs, "seed": proposal.seed, "parent": proposal.parent,
    }  # fmt: skip
