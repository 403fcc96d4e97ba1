"""The front of a run in two metrics, and the space it covers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..analysis.front import Objective, costs, front
from ..analysis.hypervolume import common_box, hypervolume, normalised_hypervolume
from ..history import History, Trial
from ..plan import Plan
from ..proposal import Kind

MACS = Objective(metric="macs", direction="min")


def axes_of(plan: Plan) -> tuple[Objective, ...]:
    """Return what a run's front is drawn in: its objectives, and MACs beside a single one."""
    if len(plan.objectives) > 1 or plan.objectives[0].metric == MACS.metric:
        return plan.objectives
    return (*plan.objectives, MACS)


def front_of(history: History, objectives: Sequence[Objective]) -> list[Trial]:
    """List the trials of the search that no other beats, best in the first objective first."""
    trials = scored(history, objectives)
    best = [trials[i] for i in front([t.metrics for t in trials], objectives)]
    return sorted(best, key=lambda t: (costs(t.metrics, objectives), t.number))


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """The hypervolume of a run's trials in the metrics' units, its share of the box, the box's far corner."""

    volume: float
    share: float
    reference: tuple[float, ...]


def covered_by(history: History, objectives: Sequence[Objective]) -> Covered | None:
    """Return what a run's trials cover, up to 10 % of the range beyond the worst; None without trials."""
    points = [t.metrics for t in scored(history, objectives)]
    if not points:
        return None
    box = common_box([points], objectives)
    return Covered(
        volume=hypervolume(points, objectives, reference=box.reference),
        share=normalised_hypervolume(points, objectives, box=box),
        reference=box.reference,
    )


def scored(history: History, objectives: Sequence[Objective]) -> list[Trial]:
    """List the trials of the search that are done and have a finite value in each objective."""
    return [t for t in history.of(Kind.TRAIN) if t.done and costs(t.metrics, objectives) is not None]
