"""One trial on a Ray cluster: an actor that Ray Tune reuses, around one worker process of ours.

The worker process loads the data once and keeps it from trial to trial. It can be killed alone, so that a trial
that spins in C ends at its limit, one that exits takes nobody with it, and memory that ran out is blamed on the
trial that took it: a trial ends on a cluster exactly as it ends on one machine, see `nas.execution.local`. If the
actor or its node dies, Ray Tune begins the trial again, and it goes on from its own last checkpoint.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ray import tune
from ray.util.placement_group import get_current_placement_group, remove_placement_group

from search_spaces.errors import ArchscaleError, StorageError
from search_spaces.serialise import Json

from ..proposal import Proposal
from .base import Ended, Report
from .local import PROGRAM, LocalWorkers

CPU, GPU = "CPU", "GPU"
LOGS = "workers"  # of the run's folder: a log for each of the many worker processes
WAIT_SECONDS = 60.0  # between two looks at the clock of a worker that says nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What each trial asks of a node."""

    cpus: int = 1
    gpus: float = 0.0

    def __str__(self) -> str:
        cpus = f"{self.cpus} CPU{'s' if self.cpus > 1 else ''}"
        return f"{cpus} and {self.gpus:g} GPU{'s' if self.gpus > 1 else ''}" if self.gpus else cpus

    @property
    def resources(self) -> dict[str, float]:
        """The request as Ray writes it."""
        return {CPU: float(self.cpus)} | ({GPU: self.gpus} if self.gpus else {})


@dataclass(frozen=True, slots=True)
class Asked:
    """A trial as it was handed over once: Tune's config of it holds this and the place, nothing else."""

    proposal: Proposal
    share: Share
    serial: int  # tells it from the same trial handed over before or after
    starts_again: int  # how often Tune may begin it again, where an actor or a node dies

    def __deepcopy__(self, memo: dict[int, Any]) -> Asked:  # Tune copies what never changes
        return self

    def __str__(self) -> str:  # what Tune would put into file names and logs
        return f"{self.proposal.kind.value} {self.proposal.number}"


@dataclass(frozen=True, slots=True)
class Place:
    """What all the trials of a run share: their workers' setup, the run's folder, where the driver was started."""

    setup: Mapping[str, Json]
    folder: Path
    threads: int
    trial_seconds: float | None
    home: str
    program: tuple[str, ...] | None = None  # what a worker process runs; None: ours, by the node's own Python

    def __deepcopy__(self, memo: dict[int, Any]) -> Place:
        return self

    def __str__(self) -> str:
        return self.folder.name


@dataclass(frozen=True, slots=True)
class Stopped:
    """No trial can be run there; says why."""

    text: str
    storage: bool


class RayTrial(tune.Trainable):
    """Runs trials one after the other in a worker process of its own; each step is what was heard since the last."""

    def setup(self, config: dict[str, Any]) -> None:
        """Take on the first trial."""
        self._workers: LocalWorkers | None = None
        self._stopped: Stopped | None = None
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take on another trial; the worker process and its data stay."""
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Return what the trial said since the last step, under `said`; done when it has ended."""
        if self._stopped is not None:
            return {"said": [self._stopped], "done": True}
        assert self._workers is not None
        try:
            said: list[Report | Ended] = []
            while not said:
                said = self._workers.wait(WAIT_SECONDS)
        except ArchscaleError as error:
            return {"said": [_stopped(error)], "done": True}
        return {"said": said, "done": any(isinstance(one, Ended) for one in said)}

    def cleanup(self) -> None:
        """Kill the worker process and what it started, and give back what the trial asked for.

        Tune would do the latter too, but only looks when it has another trial, and a measurement may wait for it.
        """
        self._kill()
        if (held := get_current_placement_group()) is not None:
            remove_placement_group(held)

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory | None:
        """Return what a trial asks for, which differs where one is to run alone."""
        return tune.PlacementGroupFactory([cast(Asked, config["asked"]).share.resources])

    def _kill(self) -> None:
        if self._workers is not None:
            self._workers.close()
            self._workers = None

    def _begin(self, config: Mapping[str, Any]) -> None:
        asked, place = cast(Asked, config["asked"]), cast(Place, config["place"])
        if self._workers is not None and not self._workers.free:  # a trial that was given up is still at work
            self._kill()
        try:
            self._workers = self._workers or _workers_of(place, asked.share)
            self._workers.submit(asked.proposal, 0)
        except (ArchscaleError, OSError) as error:  # said at the next step: no trial's fault, and no actor's
            self._stopped = _stopped(error)


def _stopped(error: Exception) -> Stopped:
    if isinstance(error, ArchscaleError):
        return Stopped(str(error), isinstance(error, StorageError))
    return Stopped(
        f"{error} on {os.uname().nodename}; is the run's folder shared with every node?", storage=True
    )


def _workers_of(place: Place, share: Share) -> LocalWorkers:
    if Path(place.home).is_dir():
        os.chdir(place.home)  # for paths of data that are relative, as on the driver's machine
    if not share.gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # without a request Ray shows them all
    (place.folder / LOGS).mkdir(exist_ok=True)
    return LocalWorkers(
        setup=place.setup,
        folder=place.folder,
        workers=1,
        threads=place.threads,
        trial_seconds=place.trial_seconds,
        program=place.program or PROGRAM,
        log=f"{LOGS}/{os.uname().nodename[:24].lower()}-{os.getpid()}",
    )
