"""Trials on a Ray cluster, with Ray Tune as the engine.

Tune runs in a thread of its own. It asks its searcher for trials, which are those the study has asked for; what
they say goes back to the driver, which records it before anything is asked next: the journal is the truth, and
Tune's own snapshots are never read. Tune begins a trial again whose actor or node has died; the study counts that
as an attempt that was lost, and the trial goes on from its own last checkpoint. What a trial's worker process
survives or dies of (its time, its memory, its bugs) is an outcome like any other.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

import ray
from ray import tune
from ray.tune.search import Searcher

from search_spaces.errors import BadInput, ClusterError, StorageError
from search_spaces.serialise import Json

from ..proposal import Outcome, Proposal, Status
from ..spending import Capacity
from .base import Ended, Happening, Notice, Report
from .ray_cluster import answers, head_address, join, leave, nodes
from .ray_trial import CPU, GPU, Asked, Place, RayTrial, Share, Stopped

ENGINE = "tune"  # of the run's folder, what Tune writes; removed when it has ended
MOST_STARTS_AGAIN = 2  # of one trial whose actor or node died, by Tune
SETTLE_SECONDS = 5.0  # that Tune waits for the driver to have heard of all that happened
LOOK_SECONDS = 5.0  # between two looks at the cluster
HEAD_SECONDS = 20.0  # without an answer of the head; Ray itself ends this process after 60
IDLE_SECONDS = 15.0  # without a trial at work before that is said
CLOSE_SECONDS = 4.0
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

    attempt: int  # the one that runs, or waits for its turn: Tune begins the next where an actor dies
    alone: bool
    at: float  # monotonic seconds, when it was handed over or began
    actor: Any = None  # while it runs


class RayTune:
    """Runs trials on a cluster; one thread, the driver's, talks to it."""

    def __init__(self, *, setup: Mapping[str, Json], folder: Path, wanted: Wanted) -> None:
        join(wanted.cluster)
        self._wanted = wanted
        self._folder = folder.resolve()
        self._place = Place(
            dict(setup), self._folder, wanted.share.cpus, wanted.trial_seconds, str(Path.cwd())
        )
        self._change = threading.Condition()
        self._todo: deque[Asked] = deque()
        self._happened: deque[Happening | Stopped | BaseException] = deque()
        self._flights: dict[int, Flight] = {}
        self._idle = self._stopping = False
        self._settles = True
        self._head = head_address()
        self._looked_at = self._answered_at = time.monotonic()
        self._fit, self._gpus_alone = self._fitting()
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
        return 0 if waits else self.workers - len(flights)

    def submit(self, proposal: Proposal, attempt: int, *, alone: bool = False) -> None:
        """Hand a trial to the cluster, unless Tune has begun it again already; one to run `alone` gets a node."""
        with self._change:
            if proposal.number not in self._flights:
                share = _whole(self._wanted.share) if alone else self._wanted.share
                self._flights[proposal.number] = Flight(attempt, alone, time.monotonic())
                self._todo.append(Asked(proposal, share))
            self._change.notify_all()

    def wait(self, seconds: float) -> Sequence[Happening]:
        """Return what trials said and how they ended.

        Raises ClusterError where the cluster is gone, BadInput or StorageError where no trial can be run there.
        """
        with self._change:
            self._idle = self._settles = True
            self._change.notify_all()
            self._change.wait_for(lambda: self._happened, timeout=seconds)
            self._idle = False
            happened = list(self._happened)
            self._happened.clear()
        for one in happened:
            if isinstance(one, Stopped):
                raise (StorageError if one.storage else BadInput)(one.text)
            if isinstance(one, BaseException):
                raise self._gone(f"Ray Tune ended with {type(one).__name__}: {one}") from one
        return [one for one in happened if isinstance(one, Happening)] + self._looked()

    def interrupt(self) -> None:
        """Nothing to do: `wait` never lasts."""

    def close(self) -> None:
        """End what runs, its worker processes with it, and leave the cluster."""
        with self._change:
            self._stopping = True
            actors = [flight.actor for flight in self._flights.values() if flight.actor is not None]
            self._change.notify_all()
        if answers(self._head):
            for actor in actors:
                with suppress(Exception):  # it may have ended
                    ray.kill(actor)
            self._engine.join(CLOSE_SECONDS)
        leave()
        shutil.rmtree(self._folder / ENGINE, ignore_errors=True)

    def _tune(self) -> None:
        """Run Tune until the driver is done, in its own thread."""
        try:
            os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(max(self.workers, 1))
            shutil.rmtree(self._folder / ENGINE, ignore_errors=True)
            tune.Tuner(
                RayTrial,
                param_space={"place": self._place},
                tune_config=tune.TuneConfig(
                    search_alg=_Handed(self), num_samples=-1, reuse_actors=self._wanted.reuse,
                    trial_dirname_creator=lambda trial: trial.config["asked"].proposal.key,
                ),
                run_config=tune.RunConfig(
                    name=ENGINE, storage_path=str(self._folder), verbose=0, callbacks=[_Heard(self)],
                    failure_config=tune.FailureConfig(max_failures=MOST_STARTS_AGAIN), stop=_Stop(self),
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # trials keep their own
                ),
            ).fit()  # fmt: skip
        except BaseException as error:  # noqa: BLE001 - the driver raises it, unless it is leaving
            self._say(error)

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

    @property
    def stopping(self) -> bool:
        """Whether the driver is leaving."""
        return self._stopping

    def given_up(self, asked: Asked) -> bool:
        """Tell whether nobody waits for a trial any more."""
        return asked.proposal.number not in self._flights

    def began(self, asked: Asked, actor: Any) -> None:
        """Note that a trial has an actor."""
        with self._change:
            if flight := self._flights.get(asked.proposal.number):
                flight.actor, flight.at = actor, time.monotonic()

    def heard(self, asked: Asked, said: Sequence[Report | Ended | Stopped]) -> None:
        """Take what a trial said. An actor knows nothing of attempts, which are counted here."""
        number = asked.proposal.number
        with self._change:
            for one in said if number in self._flights else ():
                if isinstance(one, Ended):
                    flight = self._flights.pop(number)
                    one = Ended(number, flight.attempt, one.outcome)
                self._happened.append(one)
            self._change.notify_all()

    def lost(self, asked: Asked, why: str, *, again: bool) -> None:
        """Note that a trial's actor or node died; `again` says that Tune begins it again."""
        number = asked.proposal.number
        with self._change:
            if flight := self._flights.get(number):
                outcome = Outcome(status=Status.LOST, note=why, seconds=time.monotonic() - flight.at)
                self._happened.append(Ended(number, flight.attempt, outcome))
                flight.attempt += 1
                flight.actor, flight.at = None, time.monotonic()
                if not again or flight.attempt > MOST_STARTS_AGAIN:
                    del self._flights[number]
            self._change.notify_all()

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
        if answers(self._head):
            self._answered_at = now
            self._fit, self._gpus_alone = self._fitting()
        elif now > self._answered_at + HEAD_SECONDS:
            raise self._gone(f"its head at {self._head} has not answered for {now - self._answered_at:.0f} s")
        return self._nowhere(now)

    def _nowhere(self, now: float) -> list[Notice]:
        flights = list(self._flights.values())
        idle = bool(flights) and all(f.actor is None and now > f.at + IDLE_SECONDS for f in flights)
        said, self._said_nowhere = self._said_nowhere, idle
        if idle and not said:
            return [Notice(f"{NOWHERE}: {many_nodes()}, and a trial asks for {self._wanted.share}")]
        return [Notice("trials run again", over=True)] if said and not idle else []

    def _fitting(self) -> tuple[int, float]:
        """Return how many trials fit on the nodes there are, and the GPUs of one that runs alone."""
        share = self._wanted.share
        return sum(node.fits(share) for node in nodes()), _whole(share).gpus

    def _gone(self, why: str) -> ClusterError:
        return ClusterError(
            f"execution.cluster: {self._wanted.cluster}: {why}; what was told is on disk, nothing is lost: go on with "
            f"`nas resume {self._folder.name}`, there or with --cluster on another"
        )


class _OfThisProcess:
    """Is one and the same for Tune, which copies and stores what it is given."""

    def __init__(self, trials: RayTune | None) -> None:
        super().__init__()
        self._of = trials

    @property
    def _trials(self) -> RayTune:
        assert self._of is not None, "a stored one is of no run"
        return self._of

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[type[Self], tuple[None]]:
        return type(self), (None,)


class _Handed(_OfThisProcess, Searcher):
    """Hands Tune the trials that the study has asked for."""

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        if self._trials.stopping:
            return cast("dict[str, Any]", Searcher.FINISHED)  # a word that Tune knows
        asked = self._trials.next_asked()
        return None if asked is None else {"asked": asked}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing: what a trial said was heard before."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing: the journal is the truth."""


class _Heard(_OfThisProcess, tune.Callback):
    """Tells what Tune sees of trials."""

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._trials.began(trial.config["asked"], trial.temporary_state.ray_actor)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self._trials.heard(trial.config["asked"], result.pop("said"))

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._trials.lost(trial.config["asked"], _why(trial), again=True)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._trials.lost(trial.config["asked"], _why(trial), again=False)


class _Stop(_OfThisProcess, tune.Stopper):
    """Ends what nobody waits for, and all of it when the driver leaves."""

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return self._trials.given_up(result["config"]["asked"])

    def stop_all(self) -> bool:
        return self._trials.stopping


def _why(trial: Any) -> str:
    """Return in one line why a trial's actor was lost."""
    error = trial.get_error() or "its actor died"
    said = " ".join(str(error).split())
    return f"its actor or its node was lost in mid-trial: {said}"[:500]


def _whole(share: Share) -> Share:
    """Return a share that is all of the largest node that fits one."""
    fitting = [node for node in nodes() if node.fits(share)]
    if not fitting:
        return share
    largest = max(fitting, key=lambda node: (node.resources[CPU], node.resources.get(GPU, 0.0)))
    return Share(
        cpus=int(largest.resources[CPU]), gpus=largest.resources.get(GPU, 0.0) if share.gpus else 0.0
    )


def many_nodes() -> str:
    """Return what the cluster has, in words."""
    alive = nodes()
    return f"{len(alive)} node{'s' if len(alive) != 1 else ''} alive" if alive else "none is alive"
