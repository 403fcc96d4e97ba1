"""A trial on several devices: a worker process that trains nothing itself, and begins one process a device that does.

Each is a worker like any other, that was told which rank it is. This one hands a proposal to all of them, passes on
what rank 0 reports, and is in no exchange between them, so that it cannot hang with them: when one fails or dies, all
are killed, and what came of the trial is what the first to fail said. They stay from trial to trial, with the data in
memory, and die with this process or its group. What trains no single architecture runs on the first device alone.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import cast

from search_spaces.errors import BadInput, StorageError
from search_spaces.serialise import Json

from . import gradient, sharing  # noqa: F401 - proposals hold settings of theirs, and are read by them
from .execution.local import PROGRAM, outcome_of, said
from .execution.process import WorkerProcess
from .proposal import Outcome, Proposal, Status

LOOK_SECONDS = 1.0  # between two looks at who lives
SETTLE_SECONDS = 3.0  # that the others have, once one has failed, to say what they know of it
Message = Mapping[str, Json] | None  # None: the process has ended


class RankProcesses:
    """Runs trials on as many devices as the setup's `ranks` says."""

    def __init__(self, setup: Mapping[str, Json], *, program: Sequence[str] = PROGRAM) -> None:
        self._program = program
        self._setup, self._count = dict(setup), cast(int, setup["ranks"])
        self._ranks: list[WorkerProcess] = []
        self._begin()

    def run(self, proposal: Proposal, report: Callable[[int, Mapping[str, float]], None]) -> Outcome:
        """Run one trial. Raises `StorageError` where the disk refuses, `BadInput` where no rank can begin."""
        began = time.monotonic()
        if not self._ranks:
            self._begin()
        ranks = self._ranks[: self._count if proposal.kind.about.splits else 1]
        for rank in ranks:
            rank.hand(proposal, 0)
            rank.send({"proposal": said(proposal), "attempt": 0})
        ended = self._ended(ranks, report)
        failed = [rank for rank, outcome in ended.items() if outcome.status is not Status.DONE]
        if failed:
            living = {rank.slot for rank in self._ranks}
            self._end()
            # One that lives and was lost only says that another is gone.
            first = min(failed, key=lambda rank: (ended[rank].status is Status.LOST, rank in living, rank))
            of = f"rank {first} of {len(ranks)}: " if len(ranks) > 1 else ""
            note = of + ended[first].note
            return replace(ended[first], note=note, seconds=time.monotonic() - began)
        alone = f"on one of {self._count} devices" if len(ranks) < self._count else ""
        return replace(ended[0], note="; ".join(filter(None, (ended[0].note, alone))))

    def _begin(self) -> None:
        """Begin a process a rank, and wait until all have their data and have met."""
        # A worker is ended by a kill, which leaves this file of some hundred bytes to the system's own sweeping.
        self._meeting = tempfile.TemporaryDirectory(prefix="archscale-ranks-")
        meeting = str(Path(self._meeting.name) / "meeting")
        for number in range(self._count):
            rank = WorkerProcess(
                self._program, slot=number, log=None, threads=cast(int, self._setup["threads"])
            )
            rank.send({"setup": {**self._setup, "rank": number, "meeting": meeting}})
            self._ranks.append(rank)
        waiting = set(range(self._count))
        while waiting:
            for rank, heard in self._heard(self._ranks):
                if heard is None:
                    how, _ = rank.kill()
                    self._end(but=rank)
                    raise BadInput(f"execution.gpus: rank {rank.slot} ended with {how} before a trial began")
                self._refused(heard)
                waiting.discard(rank.slot)

    def _ended(
        self, ranks: list[WorkerProcess], report: Callable[[int, Mapping[str, float]], None]
    ) -> dict[int, Outcome]:
        """Return how each rank ended; once one has failed, of those that say so soon."""
        ended: dict[int, Outcome] = {}
        until: float | None = None
        while len(ended) < len(ranks) and (until is None or time.monotonic() < until):
            for rank, heard in self._heard([rank for rank in ranks if rank.slot not in ended]):
                if heard is None:
                    ended[rank.slot] = self._death(rank)
                    continue
                self._refused(heard)
                if "epoch" in heard and rank.slot == 0:
                    report(cast(int, heard["epoch"]), cast("Mapping[str, float]", heard["metrics"]))
                elif "status" in heard:
                    ended[rank.slot] = outcome_of(heard)
            if until is None and any(outcome.status is not Status.DONE for outcome in ended.values()):
                until = time.monotonic() + SETTLE_SECONDS
        return ended

    def _heard(self, ranks: list[WorkerProcess]) -> Iterator[tuple[WorkerProcess, Message]]:
        """Yield what ranks have said since, waiting for one to say something; None after the last word of one."""
        speaking = wait([rank.says.fileno() for rank in ranks], LOOK_SECONDS)
        for rank in ranks:
            dead = rank.dead
            if dead or rank.says.fileno() in speaking:
                messages, over = rank.heard()
                yield from ((rank, message) for message in messages)
                if dead or over:
                    yield rank, None

    def _refused(self, heard: Mapping[str, Json]) -> None:
        """Raise what keeps a rank from running any trial."""
        why = heard.get("unusable") or heard.get("stopped")
        if why is not None:
            self._end()
            raise (StorageError if heard.get("storage") else BadInput)(str(why))

    def _death(self, rank: WorkerProcess) -> Outcome:
        how, for_memory = rank.kill()
        self._ranks.remove(rank)
        if for_memory:
            return Outcome(
                status=Status.OUT_OF_MEMORY, note="the kernel killed it, because memory had run out"
            )
        return Outcome(status=Status.LOST, note=f"its process ended with {how} in mid-trial")

    def _end(self, *, but: WorkerProcess | None = None) -> None:
        for rank in self._ranks:
            if rank is not but:
                rank.kill()
        self._ranks.clear()
        self._meeting.cleanup()
