"""How long trials will take: a few members are trained for a little while, and the plan is worked out by that.

A probe trains on a small part of the data, for a few epochs, with as many beside it as in the search. Its first epoch
warms up; what the later ones take, times the examples there are, is what an epoch of a trial is taken to last.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import fmean

from .execution.base import Ended, Executor, Notice, Report
from .plan import Plan, confirmations, finals
from .proposal import Kind, Proposal, Status
from .recipe import Candidate
from .spending import HOUR, Capacity

STEPS = 8  # of an epoch of a probe, where the data has many more
WHOLE = 20  # steps of an epoch: it is then taken whole
EPOCHS = 6  # of a probe: the first warms up
SECONDS = 90.0  # of a probe at most: the epochs that it had by then count
MOST = 16  # probes side by side
PAUSE_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a member's probes say: seconds of an epoch of theirs, and of all beside; None where they failed."""

    epoch_seconds: float | None
    beside_seconds: float = 0.0  # building, warming up
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """The probes of some members, in their order, and the place where they ran."""

    probes: tuple[Probe, ...]
    capacity: Capacity
    startup_seconds: float  # until the first trial began


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """How many examples of train and validation part there are, and how many of them a probe sees."""

    train: int
    validation: int
    probe_train: int
    probe_validation: int

    @property
    def times(self) -> float:
        """How many times as long an epoch of a trial lasts as one of a probe."""
        return self.train / self.probe_train


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """How long it takes if all members were as one: a trial, the whole run, and their GPU-hours."""

    trial_seconds: float
    seconds: float
    trial_gpu_hours: float
    gpu_hours: float


def parts_of(train: int, validation: int, batch: int) -> Parts:
    """Return how much of the data a probe sees: all where that is little, else a few batches."""
    seen = train if train <= WHOLE * batch else STEPS * batch
    return Parts(
        train=train,
        validation=validation,
        probe_train=seen,
        probe_validation=min(validation, max(2, ceil(validation * seen / train))),
    )


def probed(
    executor: Executor,
    members: Sequence[Candidate],
    *,
    begun_at: float,
    notice: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
) -> Probed:
    """Train members for a little while, side by side as in a search; `begun_at` is when the executor was asked for."""
    capacity, waiting = executor.capacity, list(range(_many(len(members), executor.capacity.workers)))
    reports: dict[int, list[float]] = {number: [] for number in waiting}
    ended: dict[int, tuple[float, Ended]] = {}
    while len(ended) < len(reports):
        while waiting and executor.free:
            number = waiting.pop(0)
            executor.submit(_proposal(number, members[number % len(members)]), 0)
        for one in executor.wait(PAUSE_SECONDS):
            if isinstance(one, Notice):
                notice(one.text)
            elif isinstance(one, Report):
                reports[one.number].append(clock())
            elif one.number not in ended:
                ended[one.number] = clock(), one
    probes = [_probe(reports[number], ended[number][1]) for number in reports]
    began = min(at - one.outcome.seconds for at, one in ended.values())
    return Probed(
        probes=tuple(_mean(probes[place :: len(members)]) for place in range(len(members))),
        capacity=capacity,
        startup_seconds=max(0.0, began - begun_at),
    )


def forecasts(
    found: Probed, plan: Plan, parts: Parts, *, trial_limit: float | None
) -> Mapping[str, Forecast]:
    """Return `mean`, `fastest` and `slowest`: the run if all members were as the probes' mean, or as one of them."""
    known = [
        (probe.epoch_seconds * parts.times, probe.beside_seconds)
        for probe in found.probes
        if probe.epoch_seconds is not None
    ]
    if not known:
        return {}
    mean = (fmean(epoch for epoch, _ in known), fmean(beside for _, beside in known))
    by = {"mean": mean, "fastest": min(known, key=lambda k: k[0]), "slowest": max(known, key=lambda k: k[0])}
    return {
        name: _forecast(epoch, beside, found, plan, parts, trial_limit)
        for name, (epoch, beside) in by.items()
    }


def _forecast(
    epoch: float, beside: float, found: Probed, plan: Plan, parts: Parts, trial_limit: float | None
) -> Forecast:
    place, workers = found.capacity, found.capacity.workers
    trial = beside + plan.epochs * epoch
    trial = trial if trial_limit is None else min(trial, trial_limit)
    # It is trained on train and validation together.
    final = beside + (plan.final_epochs or plan.epochs) * epoch * (1 + parts.validation / parts.train)
    stopped = beside + plan.strategy.mean_epochs(plan.epochs) * epoch  # where trainings stop early
    search = min(trial, stopped) * plan.trials
    if plan.gpu_hours is not None and place.gpus:
        search = min(search, HOUR * plan.gpu_hours / place.gpus)
    if plan.minutes is not None:
        search = min(search, 60 * plan.minutes * workers)
    later = ((trial, confirmations(plan)), (final, finals(plan)))
    work = search + sum(seconds * number for seconds, number in later)
    lasts = max(search / workers, min(trial, search)) + sum(
        seconds * max(1, number / workers) for seconds, number in later if number
    )
    return Forecast(
        trial_seconds=trial,
        seconds=found.startup_seconds + lasts,
        trial_gpu_hours=trial * place.gpus / HOUR,
        gpu_hours=work * place.gpus / HOUR,
    )


def _many(members: int, workers: int) -> int:
    """Return how many probes keep all workers busy, within reason, so that they hinder each other as trials will."""
    return max(members, min(ceil(members / workers) * workers, MOST))


def _proposal(number: int, member: Candidate) -> Proposal:
    return Proposal(number=number, kind=Kind.TRAIN, candidate=member, epochs=EPOCHS, seed=number)


def _probe(reports: Sequence[float], ended: Ended) -> Probe:
    outcome = ended.outcome
    if len(reports) < 2:
        why = outcome.note.strip().partition("\n")[0] or "it said nothing"
        return Probe(epoch_seconds=None, failure=f"{outcome.status.value.replace('_', ' ')}: {why}")
    epoch = (reports[-1] - reports[0]) / (len(reports) - 1)
    whole = outcome.status is Status.DONE
    beside = max(0.0, outcome.seconds - len(reports) * epoch) if whole else 0.0
    return Probe(epoch_seconds=epoch, beside_seconds=beside)


def _mean(probes: Sequence[Probe]) -> Probe:
    """Return the mean of a member's probes that went well; the failure where none did."""
    known = [(one.epoch_seconds, one.beside_seconds) for one in probes if one.epoch_seconds is not None]
    if not known:
        return probes[0]
    return Probe(epoch_seconds=fmean(k[0] for k in known), beside_seconds=fmean(k[1] for k in known))
