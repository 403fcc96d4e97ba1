"""What a run has spent, and its caps: the time of its drivers, and the GPU-hours of all attempts at its trials.

An attempt costs its seconds times the GPUs it held, whatever came of it. One that runs costs what it has taken so
far; one that was cut short with its driver, what the journal knows of it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from search_spaces.serialise import Json

if TYPE_CHECKING:
    from .history import History, Trial
    from .plan import Plan

HOUR = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """The place where trials run: how many side by side, the GPUs that each holds, and those of one that runs alone."""

    workers: int
    gpus: float = 0.0
    gpus_alone: float = 0.0

    def payload(self) -> dict[str, Json]:
        """Return the journal's record of it."""
        return asdict(self)


def seconds_spent(history: History, now: float | None = None) -> float:
    """Return the seconds that drivers were at work, up to `now`, or up to the last event where none is."""
    if history.began_at is None:
        return 0.0
    return history.spent_seconds + (history.last_at if now is None else now) - history.began_at


def gpu_hours(history: History, now: float | None = None) -> float:
    """Return the GPU-hours of all attempts, those that run up to `now`, or up to the last event."""
    until = history.last_at if now is None else now
    running = sum(gpu_seconds(history, t, until - t.began_at) for t in history.untold.values() if t.began_at)
    return (history.gpu_seconds + running) / HOUR


def gpu_seconds(history: History, trial: Trial, seconds: float) -> float:
    """Return what a trial's present attempt costs that lasts so long."""
    place = history.capacity
    if place is None:
        return 0.0
    return max(0.0, seconds) * (place.gpus_alone if trial.alone else place.gpus)


def cap_reached(history: History, plan: Plan, now: float) -> bool:
    """Tell whether as much time or as many GPU-hours are spent as a plan allows: no trial is begun from then on."""
    if plan.minutes is not None and seconds_spent(history, now) >= 60 * plan.minutes:
        return True
    return plan.gpu_hours is not None and gpu_hours(history, now) >= plan.gpu_hours
