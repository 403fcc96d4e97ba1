"""What is kept of a run's queries, and what its reports can be at best."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from search_spaces.errors import BadInput

from ..analysis.front import Objective, front
from ..analysis.hypervolume import common_reference, hypervolume
from ..dominance import Costs, covers
from .protocols import Task
from .table import Row, Table

Values = tuple[float | None, ...]  # one a report; None while no query has ended


class Keeper(Protocol):
    """What is kept of the queries of one run."""

    def see(self, costs: Costs, row: Row) -> None:
        """Take in one query."""

    def values(self) -> Values:
        """Return what the task's reports say now."""


def keeper_of(task: Task, table: Table) -> Callable[[], Keeper]:
    """Return what makes the keeper of a run, worked out once for all runs of a task; raises `BadInput`."""
    if task.reports[0].metric is not None:
        reports = tuple(
            (table.place(one.metric.metric), _best(one.metric, task, table) if one.regret else None)
            for one in task.reports
            if one.metric is not None
        )
        return lambda: Best(reports)
    objectives, truth = task.signal, true_front(table, task.signal)
    corner = _reference(task, table)
    whole = hypervolume(truth, objectives, reference=corner)
    if not whole > 0:
        raise BadInput(
            f"{table.name}: no member is better than the reference {corner} in all of {objectives}"
        )

    def volume(vectors: Sequence[Costs]) -> float:
        points = [
            {
                o.metric: cost if o.direction == "min" else -cost
                for o, cost in zip(objectives, vector, strict=True)
            }
            for vector in vectors
        ]
        return hypervolume(points, objectives, reference=corner)

    return lambda: Front(volume, whole, [])


def best_there_is(task: Task, table: Table, report: int) -> float:
    """Return the best value a report can have: 1 for a share of the true front, 0 for a regret, else a metric's."""
    of = task.reports[report]
    if of.regret:
        return 0.0
    return 1.0 if of.metric is None else _best(of.metric, task, table)


def limit_of(task: Task, table: Table) -> tuple[int, float] | None:
    """Return a task's limit: a position in the rows, and the least value that so many per cent of all members keep."""
    if task.within is None:
        return None
    place = table.place(task.within.column)
    column = sorted(row[place] for row in table.rows.values())
    return place, column[-(-len(column) * task.within.percentile // 100) - 1]


def true_front(table: Table, objectives: Sequence[Objective]) -> list[Mapping[str, float]]:
    """Return the points of all members that no other dominates; equal ones stand once each."""
    places = [(o.metric, table.place(o.metric)) for o in objectives]
    points = [{name: row[place] for name, place in places} for row in table.rows.values()]
    return [points[i] for i in front(points, objectives)]


@dataclass(slots=True)
class Best:
    """The member with the best signal, the first of equals, and what is reported of it.

    A report is the place of a metric in a row, and where it is a regret, the best there is.
    """

    reports: tuple[tuple[int, float | None], ...]
    signal: float = float("inf")
    row: Row | None = None

    def see(self, costs: Costs, row: Row) -> None:
        """Take in one query."""
        if costs[0] < self.signal:
            self.signal, self.row = costs[0], row

    def values(self) -> Values:
        """Return the reported metrics."""
        row = self.row
        if row is None:
            return (None,) * len(self.reports)
        return tuple([row[place] if best is None else abs(best - row[place]) for place, best in self.reports])


@dataclass(slots=True)
class Front:
    """The front of what was found, and its hypervolume over that of the true front."""

    volume: Callable[[Sequence[Costs]], float]
    truth: float
    front: list[Costs]
    known: float | None = None  # the ratio of the front as it stands

    def see(self, costs: Costs, row: Row) -> None:
        """Take in one query."""
        if not any(covers(other, costs) for other in self.front):
            self.front = [other for other in self.front if not covers(costs, other)] + [costs]
            self.known = None

    def values(self) -> Values:
        """Return the ratio."""
        if self.front and self.known is None:
            self.known = self.volume(self.front) / self.truth
        return (self.known,)


def _best(metric: Objective, task: Task, table: Table) -> float:
    """Return the best value of a metric among the members within the task's limit."""
    place, limit = table.place(metric.metric), limit_of(task, table)
    values = (row[place] for row in table.rows.values() if limit is None or row[limit[0]] <= limit[1])
    return (max if metric.direction == "max" else min)(values)


def _reference(task: Task, table: Table) -> tuple[float, ...]:
    """Return the stated reference, its gaps filled by the worst of the table; else the house's common one."""
    places = [table.place(o.metric) for o in task.signal]
    if not task.reference:
        points = [
            {o.metric: row[p] for o, p in zip(task.signal, places, strict=True)}
            for row in table.rows.values()
        ]
        return common_reference([points], task.signal)
    return tuple(
        (max if o.direction == "min" else min)(row[place] for row in table.rows.values())
        if stated is None
        else stated
        for stated, o, place in zip(task.reference, task.signal, places, strict=True)
    )
