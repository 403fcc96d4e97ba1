"""Trials on a Ray cluster, with Ray Tune as the engine.

Tune runs in a thread of its own. It asks its searcher for trials, which are those the study has asked for; what
they say goes back to the driver, which records it before anything is asked next: the journal is the truth, and
Tune's own snapshots are never read. Tune begins a trial again whose actor or node has died; the study counts that
as an attempt that was lost, and the trial goes on from its own last checkpoint. What a trial's worker process
survives or dies of (its time, its memory, its bugs) is an outcome like any other.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray

from search_spaces.errors import BadInput, ClusterError, StorageError
from search_spaces.serialise import Json

from ..proposal import MOST_RETRIES, Outcome, Proposal, Status
from ..spending import Capacity
from .base import Ended, Happening, Notice, Report
from .ray_cluster import Head, Node, head_address, join, leave, many, nodes
from .ray_engine import cleared, quieten, run
from .ray_trial import CPU, GPU, Asked, Place, Share, Stopped

MOST_STILLBORN = 6  # actors in a row that died before a trial began in them
SETTLE_SECONDS = 5.0  # that Tune waits for the driver to have heard of all that happened
LOOK_SECONDS = 2.0  # between two looks at the cluster
IDLE_SECONDS = 60.0  # without a trial at work, where nodes could take one, before that is said
CLOSE_SECONDS = 2.0
SLOW = "no trial is at work yet; waiting for a worker to begin"
NOWHERE = "no node of the cluster can take a trial now; waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a run asks of a cluster."""

    cluster: str
    share: Share = Share()
    workers: int | None = None  # trials side by side; None: as many as fit
    trial_seconds: float | None = None
    reuse: bool = True  # of actors, which keep what they asked for from trial to trial


@dataclass(slots=True)
class Flight:
    """A trial that was handed over, and how it goes."""

    asked: Asked
    attempt: int  # the one that runs, or waits for its turn: Tune begins the next where an actor dies
    alone: bool
    at: float  # monotonic seconds, when it was handed over or began
    actor: Any = None  # while it runs


class RayTune:
    """Runs trials on a cluster; one thread, the driver's, talks to it. Tests give workers another `program`."""

    def __init__(
        self,
        *,
        setup: Mapping[str, Json],
        folder: Path,
        wanted: Wanted,
        program: tuple[str, ...] | None = None,
    ) -> None:
        join(wanted.cluster)
        quieten()
        self._wanted = wanted
        self._folder = folder.resolve()
        self._place = Place(
            dict(setup), self._folder, wanted.share.cpus, wanted.trial_seconds, str(Path.cwd()), program
        )
        self._change = threading.Condition()
        self._todo: deque[Asked] = deque()
        self._happened: deque[Happening | Stopped | BaseException] = deque()
        self._flights: dict[int, Flight] = {}
        self._serials = self._stillborn = 0
        self._idle = self._stopping = False
        self._settles = True
        self._head, self._home = Head(head_address()), ray.get_runtime_context().get_node_id()
        self._looked_at = time.monotonic()
        self._fit, self._gpus_alone = self._fitting(nodes())
        self._said_nowhere = False
        self._engine = threading.Thread(target=self._tune, name="ray-tune", daemon=True)
        self._engine.start()

    @property
    def workers(self) -> int:
        """How many trials can run side by side: as many as are wanted, or as fit on the nodes there are now."""
        return self._wanted.workers or max(1, self._fit)

    @property
    def capacity(self) -> Capacity:
        """How many trials can run side by side, with a share of GPUs each, or a node's where one runs alone."""
        return Capacity(workers=self.workers, gpus=self._wanted.share.gpus, gpus_alone=self._gpus_alone)

    @property
    def free(self) -> int:
        """How many more trials can be taken on; none while one is to run alone and has not found its node."""
        flights = self._flights.values()
        waits = any(flight.alone and flight.actor is None for flight in flights)
        return 0 if waits else max(0, self.workers - len(flights))

    def submit(self, proposal: Proposal, attempt: int, *, alone: bool = False) -> None:
        """Hand a trial to the cluster, unless Tune has begun it again already; one to run `alone` gets a node."""
        with self._change:
            if proposal.number not in self._flights:
                share = whole(self._wanted.share, nodes()) if alone else self._wanted.share
                left = max(0, MOST_RETRIES - attempt)
                asked = Asked(proposal, share, serial=0, starts_again=left)
                self._hand(Flight(asked, attempt, alone, time.monotonic()), asked)
            self._change.notify_all()

    def wait(self, seconds: float) -> Sequence[Happening]:
        """Return what trials said and how they ended.

        Raises ClusterError where the cluster is gone, BadInput or StorageError where no trial can be run there; what
        was said before is returned first.
        """
        looked = self._looked()
        with self._change:
            self._idle = self._settles = True
            self._change.notify_all()
            self._change.wait_for(lambda: self._happened, timeout=seconds)
            self._idle = False
            happened: list[Happening] = []
            while self._happened and isinstance(self._happened[0], Happening):
                happened.append(self._happened.popleft())  # type: ignore[arg-type]
            if self._happened and not happened:
                raise self._broken(self._happened.popleft())
        return [*looked, *happened]

    def _broken(self, one: object) -> Exception:
        """Return what to raise where no trial can be run, or Tune has ended."""
        if isinstance(one, Stopped):
            return (StorageError if one.storage else BadInput)(one.text)
        return self._gone(f"Ray Tune ended with {type(one).__name__}: {one}")

    def interrupt(self) -> None:
        """Nothing to do: `wait` never lasts."""

    def close(self) -> None:
        """End what runs, its worker processes with it, and leave the cluster; harmless when done twice."""
        with self._change:
            again, self._stopping = self._stopping, True
            actors = [flight.actor for flight in self._flights.values() if flight.actor is not None]
            self._change.notify_all()
        if again:
            return
        if self._head.answers(seconds=0.5):
            for actor in actors:
                with suppress(Exception):  # it may have ended
                    ray.kill(actor)
            self._engine.join(CLOSE_SECONDS)
        leave()
        cleared(self._folder)

    def _tune(self) -> None:
        """Run Tune until the driver is done, in its own thread."""
        try:
            run(self, self._place, side_by_side=self.workers, reuse=self._wanted.reuse)
        except BaseException as error:  # noqa: BLE001 - the driver raises it, unless it is leaving
            self._say(error)

    def _hand(self, flight: Flight, asked: Asked) -> None:
        """Hand a trial to Tune, for the first time or anew; what Tune had of it before nobody waits for."""
        self._serials += 1
        flight.asked = replace(asked, serial=self._serials)
        flight.actor, flight.at = None, time.monotonic()
        self._flights[asked.proposal.number] = flight
        self._todo.append(flight.asked)

    @property
    def stopping(self) -> bool:
        """Whether the driver is leaving."""
        return self._stopping

    def next_asked(self) -> Asked | None:
        """Return the next trial for Tune, once the driver has heard of all that happened; None for none now.

        A driver that measures a latency hears nothing meanwhile, and Tune, once it has waited, goes on with the rest.
        """
        with self._change:
            self._settles = self._change.wait_for(
                lambda: bool(self._todo) or self._stopping or (self._idle and not self._happened),
                timeout=SETTLE_SECONDS if self._settles else 0.0,
            )
            return self._todo.popleft() if self._todo and not self._stopping else None

    def given_up(self, asked: Asked) -> bool:
        """Tell whether nobody waits for a trial any more."""
        return self._flight(asked) is None

    def began(self, asked: Asked, actor: Any) -> None:
        """Note that a trial has an actor."""
        with self._change:
            if flight := self._flight(asked):
                flight.actor, flight.at, self._stillborn = actor, time.monotonic(), 0

    def heard(self, asked: Asked, said: Sequence[Report | Ended | Stopped]) -> None:
        """Take what a trial said. An actor knows nothing of attempts, which are counted here."""
        with self._change:
            for one in said:
                if (flight := self._flight(asked)) is None:
                    break
                if isinstance(one, Ended):
                    del self._flights[one.number]
                    one = Ended(one.number, flight.attempt, one.outcome)
                self._happened.append(one)
            self._change.notify_all()

    def lost(self, asked: Asked, why: str, *, again: bool, for_memory: bool) -> None:
        """Note that a trial's actor or node died; `again` says that Tune begins it again.

        Who died before the trial began took no attempt from it, unless memory had run out: it comes again alone.
        """
        with self._change:
            if flight := self._flight(asked):
                self._stillborn += flight.actor is None
                if self._stillborn >= MOST_STILLBORN:
                    self._happened.append(
                        RuntimeError(f"{MOST_STILLBORN} actors in a row began no trial: {why}")
                    )
                elif flight.actor is not None or for_memory:
                    self._attempt_lost(flight, why, again=again, for_memory=for_memory)
                elif not again:
                    self._hand(flight, flight.asked)
            self._change.notify_all()

    def _attempt_lost(self, flight: Flight, why: str, *, again: bool, for_memory: bool) -> None:
        number = flight.asked.proposal.number
        status = Status.OUT_OF_MEMORY if for_memory else Status.LOST
        outcome = Outcome(status=status, note=why, seconds=time.monotonic() - flight.at)
        self._happened.append(Ended(number, flight.attempt, outcome))
        flight.attempt += 1
        flight.actor, flight.at = None, time.monotonic()
        if for_memory or not again or flight.attempt > MOST_RETRIES:
            del self._flights[number]  # the study hands it over again, or it is told

    def _flight(self, asked: Asked) -> Flight | None:
        flight = self._flights.get(asked.proposal.number)
        return flight if flight is not None and flight.asked.serial == asked.serial else None

    def _say(self, happened: BaseException) -> None:
        with self._change:
            self._happened.append(happened)
            self._change.notify_all()

    def _looked(self) -> list[Notice]:
        """Look at the cluster from time to time: whether its head answers, and whether anything can run at all."""
        now = time.monotonic()
        if now < self._looked_at + LOOK_SECONDS:
            return []
        self._looked_at = now
        if self._head.answers():
            alive = nodes()
            if alive and all(node.id != self._home for node in alive):
                raise self._gone(
                    "the node on this machine has died or was taken for dead, and nothing runs without it"
                )
            self._fit, self._gpus_alone = self._fitting(alive)
            self._smaller(alive)
        elif self._head.gone:
            raise self._gone(self._head.gone)
        return self._nowhere(now)

    def _smaller(self, alive: Sequence[Node]) -> None:
        """Hand over anew what is to run alone on a node that is gone."""
        with self._change:
            for flight in self._flights.values():
                asked = flight.asked
                if (
                    flight.alone
                    and flight.actor is None
                    and not any(node.fits(asked.share) for node in alive)
                ):
                    share = whole(self._wanted.share, alive)
                    if share != asked.share:
                        self._hand(flight, replace(asked, share=share))

    def _nowhere(self, now: float) -> list[Notice]:
        """Say once that trials wait: no node could take one, or none has for long, and once that they run again."""
        with self._change:
            waiting = [flight for flight in self._flights.values() if flight.actor is None]
            none_runs = bool(waiting) and len(waiting) == len(self._flights)
        for_long = none_runs and all(now > flight.at + IDLE_SECONDS for flight in waiting)
        idle = none_runs and (not self._fit or for_long or self._said_nowhere)
        said, self._said_nowhere = self._said_nowhere, idle
        if idle and not said:
            what = SLOW if self._fit else NOWHERE
            return [Notice(f"{what}: {many_nodes()}, and a trial asks for {self._wanted.share}")]
        return [Notice("trials run again", over=True)] if said and not idle else []

    def _fitting(self, alive: Sequence[Node]) -> tuple[int, float]:
        """Return how many trials fit on the nodes there are, and the GPUs of one that runs alone."""
        share = self._wanted.share
        return sum(node.fits(share) for node in alive), whole(share, alive).gpus

    def _gone(self, why: str) -> ClusterError:
        return ClusterError(
            f"execution.cluster: {self._wanted.cluster}: {why}; what was told is on disk, nothing is lost: go on with "
            f"`nas resume {self._folder.name}`, there or with --cluster on another"
        )


def whole(share: Share, alive: Sequence[Node]) -> Share:
    """Return a share that is all of the largest node that fits one."""
    fitting = [node for node in alive if node.fits(share)]
    if not fitting:
        return share
    largest = max(fitting, key=lambda node: (node.resources[CPU], node.resources.get(GPU, 0.0)))
    gpus = largest.resources.get(GPU, 0.0) if share.gpus else 0.0
    return replace(share, cpus=int(largest.resources[CPU]), gpus=gpus)


def many_nodes() -> str:
    """Return what the cluster has, in words."""
    alive = nodes()
    return f"{many(len(alive), 'node')} alive" if alive else "none is alive"
