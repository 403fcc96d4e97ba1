"""Trials in worker processes on this machine, each of which can be killed alone.

A worker is `python -m nas.worker`: JSON lines in on its standard input, JSON lines out on its standard output.
It dies with the driver. A trial over its time limit is killed with all it started; the final training, which may
be longer and comes once, has no limit. A worker that cannot begin (the data changed, no such device) or cannot
write ends the driving with its message: no trial is told anything, and all resume.

A trial that ran out of memory comes again `alone`: it begins when nothing else runs, in a fresh process and with
the other workers gone, so that all the machine's memory is its own; nothing else is taken on until it has ended.
"""

from __future__ import annotations

import selectors
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from search_spaces.errors import BadInput, StorageError
from search_spaces.serialise import Json, to_data

from ..proposal import Kind, Outcome, Proposal, Status, weights_from
from ..spending import Capacity
from .base import Ended, Report
from .process import WorkerProcess

PROGRAM = (sys.executable, "-P", "-m", "nas.worker")
STARTUP_SECONDS = 600.0  # for a worker to load torch and the data, before a trial's own clock begins
MOST_STILLBORN = 3  # workers in a row that died before a trial began
GRACE_SECONDS = 2.0  # past its limit, for a trial to stop by itself before it is killed


class LocalWorkers:
    """Up to `workers` trials side by side; `setup` is sent to each worker first; `program` is what a worker runs.

    They share `gpus` of this machine, which one that runs alone has for itself. What a worker prints goes to
    `<folder>/<log>-<slot>.log`.
    """

    def __init__(
        self,
        *,
        setup: Mapping[str, Json],
        folder: Path,
        workers: int,
        threads: int,
        trial_seconds: float | None,
        program: Sequence[str] = PROGRAM,
        log: str = "worker",
        gpus: float = 0.0,
    ) -> None:
        self._setup = dict(setup)
        self._gpus = gpus
        self._folder = folder
        self._most = workers
        self._threads = threads
        self._trial_seconds = trial_seconds
        self._program = program
        self._log = log
        self._workers: list[WorkerProcess] = []
        self._selector = selectors.DefaultSelector()
        self._stillborn = 0
        self._alone: tuple[Proposal, int] | None = None  # waits for the others to end, then runs by itself

    @property
    def capacity(self) -> Capacity:
        """How many trials can run side by side, and with how many GPUs."""
        return Capacity(workers=self._most, gpus=self._gpus / self._most, gpus_alone=self._gpus)

    @property
    def free(self) -> int:
        """How many more trials can be taken on now."""
        return 0 if self._alone else self._most - len(self._busy())

    def submit(self, proposal: Proposal, attempt: int, *, alone: bool = False) -> None:
        """Hand a trial to an idle worker, begun if need be; one to run alone waits until nothing else runs."""
        if alone:
            self._alone = proposal, attempt
            self._begin_alone()
        else:
            self._hand(proposal, attempt)

    def wait(self, seconds: float) -> list[Report | Ended]:
        """Return what workers said, who died, and who was killed for taking too long.

        Raises BadInput where a worker cannot begin, StorageError where one cannot write.
        """
        until = self._next_limit()
        pause = max(0.0, min(seconds, until - time.monotonic())) if until else seconds
        speaking = [cast(WorkerProcess, key.data) for key, _ in self._selector.select(pause)]
        happened: list[Report | Ended] = []
        for worker in dict.fromkeys([*speaking, *(w for w in self._workers if w.dead)]):
            happened += self._heard(worker)
        happened += self._overdue()
        self._begin_alone()
        return happened

    def interrupt(self) -> None:
        """Nothing to do: `wait` never lasts."""

    def close(self) -> None:
        """Kill every worker and what it started."""
        for worker in list(self._workers):
            self._kill(worker)
        self._selector.close()

    def _busy(self) -> list[WorkerProcess]:
        return [worker for worker in self._workers if worker.proposal is not None]

    def _begin_alone(self) -> None:
        """Begin the trial that is to run alone, once nothing runs; idle workers keep memory, so they go first."""
        if self._alone is not None and not self._busy():
            for worker in list(self._workers):
                self._kill(worker)
            self._hand(*self._alone)

    def _hand(self, proposal: Proposal, attempt: int) -> None:
        worker = next((w for w in self._workers if w.proposal is None), None) or self._begin()
        worker.hand(proposal, attempt)
        if self._has_limit(proposal):
            worker.latest = time.monotonic() + STARTUP_SECONDS
        worker.send({"proposal": said(proposal), "attempt": attempt})

    def _has_limit(self, proposal: Proposal) -> bool:
        return self._trial_seconds is not None and proposal.kind is not Kind.FINAL

    def _begin(self) -> WorkerProcess:
        taken = {worker.slot for worker in self._workers}
        slot = next(number for number in range(len(taken) + 1) if number not in taken)
        worker = WorkerProcess(
            self._program,
            slot=slot,
            log=self._folder / f"{self._log}-{slot}.log",
            threads=self._threads,
        )
        self._selector.register(worker.says, selectors.EVENT_READ, worker)
        self._workers.append(worker)
        worker.send({"setup": self._setup})
        return worker

    def _heard(self, worker: WorkerProcess) -> list[Report | Ended]:
        # Asked first: what a dead process said is then all there. A child of its own may keep its output open.
        dead = worker.dead
        messages, over = worker.heard()
        happened = [h for message in messages if (h := self._happening(worker, message)) is not None]
        return happened + (self._died(worker) if (dead or over) and worker in self._workers else [])

    def _happening(self, worker: WorkerProcess, heard: Mapping[str, Json]) -> Report | Ended | None:
        if "unusable" in heard:
            raise BadInput(f"{heard['unusable']} (a worker could not begin; more in {worker.log})")
        if worker.proposal is None or heard.get("of") != [worker.proposal.number, worker.attempt]:
            return None  # it comes twice, or too late: the first outcome of an attempt has won
        if "stopped" in heard:
            raise (StorageError if heard["storage"] else BadInput)(str(heard["stopped"]))
        if "began" in heard:
            worker.began, self._stillborn = time.monotonic(), 0
            if worker.latest is not None and self._trial_seconds is not None:
                worker.latest = worker.began + self._trial_seconds + GRACE_SECONDS
            return None
        if "epoch" in heard:
            return Report(worker.proposal.number, cast(int, heard["epoch"]), _metrics(heard))
        return self._ended(worker, outcome_of(heard))

    def _died(self, worker: WorkerProcess) -> list[Report | Ended]:
        how, for_memory = self._kill(worker)
        if worker.proposal is None:
            return []
        if worker.began is None:
            self._replace(worker, f"ended before a trial began, the last with {how}")
            return []
        note = f"its worker process ended with {how} in mid-trial; see {worker.log.name}"
        if for_memory:
            note = f"the kernel killed its worker process, because memory had run out; see {worker.log.name}"
        return [self._failed(worker, Status.OUT_OF_MEMORY if for_memory else Status.LOST, note)]

    def _replace(self, worker: WorkerProcess, how: str) -> None:
        """Hand a trial that had not begun to another worker; whoever died, the trial is not to blame."""
        assert worker.proposal is not None
        self._stillborn += 1
        if self._stillborn == MOST_STILLBORN:
            raise BadInput(
                f"execution: got {MOST_STILLBORN} workers in a row that {how}; "
                f"is there memory enough for {self._most} of them? More in {worker.log}"
            )
        self._hand(worker.proposal, worker.attempt)

    def _overdue(self) -> list[Report | Ended]:
        now = time.monotonic()
        ended: list[Report | Ended] = []
        for worker in [w for w in self._busy() if w.latest is not None and now >= w.latest]:
            self._kill(worker)
            if worker.began is None:
                self._replace(worker, f"had not begun a trial within {STARTUP_SECONDS:g} s")
            else:
                note = f"killed after its limit of {self._trial_seconds} s"
                ended.append(self._failed(worker, Status.TIMED_OUT, note))
        return ended

    def _failed(self, worker: WorkerProcess, status: Status, note: str) -> Ended:
        assert worker.began is not None
        return self._ended(worker, Outcome(status=status, note=note, seconds=time.monotonic() - worker.began))

    def _ended(self, worker: WorkerProcess, outcome: Outcome) -> Ended:
        proposal = worker.proposal
        assert proposal is not None
        worker.proposal = None
        # Memory that was short is not given back by a process that goes on.
        short = self._alone is not None and self._alone[0].number == proposal.number
        if short:
            self._alone = None
        if worker in self._workers and (short or outcome.status is Status.OUT_OF_MEMORY):
            self._kill(worker)
        return Ended(proposal.number, worker.attempt, outcome)

    def _kill(self, worker: WorkerProcess) -> tuple[str, bool]:
        self._workers.remove(worker)
        self._selector.unregister(worker.says)
        return worker.kill()

    def _next_limit(self) -> float | None:
        return min((w.latest for w in self._busy() if w.latest is not None), default=None)


def said(proposal: Proposal) -> dict[str, Json]:
    """Return a proposal as JSON; `nas.worker` reads it."""
    return {
        "number": proposal.number, "kind": proposal.kind.value, "candidate": to_data(proposal.candidate),
        "epochs": proposal.epochs, "seed": proposal.seed, "parent": proposal.parent,
        "parent_key": proposal.parent_key, "settings": to_data(proposal.settings), "trained": proposal.trained,
    }  # fmt: skip


def outcome_of(heard: Mapping[str, Json]) -> Outcome:
    """Return the outcome that a worker's message holds."""
    return Outcome(
        status=Status(cast(str, heard["status"])), metrics=_metrics(heard), note=str(heard["note"]),
        seconds=cast(float, heard["seconds"]), weights=weights_from(heard.get("weights", {})),
    )  # fmt: skip


def _metrics(heard: Mapping[str, Json]) -> dict[str, float]:
    return cast("dict[str, float]", heard["metrics"])
