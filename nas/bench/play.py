"""One run of a strategy on a table, in memory: ask, look up, tell. No journal; nothing is kept but the scores."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, takewhile
from operator import attrgetter, itemgetter
from typing import Protocol, cast

from search_spaces.automaton import slots
from search_spaces.choice import Choice, Pick, Repeat
from search_spaces.errors import ArchscaleError, BadInput
from search_spaces.moves import encode

from ..analysis.front import Costs, Objective, covers, front
from ..analysis.hypervolume import common_reference, hypervolume
from ..recipe import Candidate
from ..strategies.base import Code, Scope, StrategyConfig, Told
from .protocols import Task
from .table import Row, Table

Values = tuple[float | None, ...]  # one a report; None while no query has ended
Steps = Sequence[str | int]  # field names and positions in tuples
_STEP = re.compile(r"\.?(\w+)|\[(\d+)\]")


class Keeper(Protocol):
    """What is kept of the queries of one run."""

    def see(self, costs: Costs, row: Row) -> None:
        """Take in one query."""

    def values(self) -> Values:
        """Return what the task's reports say now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """A task made ready on a table: what is the same in all its runs."""

    task: Task
    table: Table
    space: Candidate
    code_of: Callable[[Candidate], Code]
    signal: tuple[tuple[int, int], ...]  # (position in a row, sign) of each objective
    keeper: Callable[[], Keeper]

    @classmethod
    def of(cls, task: Task, table: Table) -> Ground:
        """Find the columns, and for several objectives the true front; `BadInput` for a column that is not there."""
        space = Candidate(network=table.space)
        signal = tuple((table.place(o.metric), 1 if o.direction == "min" else -1) for o in task.signal)
        if task.clock is not None:
            _check_clock(table, task.clock)
        return cls(
            task=task,
            table=table,
            space=space,
            code_of=coder(space),
            signal=signal,
            keeper=_keeper(task, table),
        )


def play(ground: Ground, strategy: StrategyConfig, *, seed: int) -> tuple[Values, ...]:
    """Run a strategy until the largest budget is spent or it asks no more; its values at each of the task's marks.

    It may never ask a member twice; one that does all the same pays for it again.
    """
    rows, marks, code_of = ground.table.rows, ground.task.marks, ground.code_of
    clock = None if ground.task.clock is None else ground.table.place(ground.task.clock)
    known: set[Code] = set()
    machine = strategy.start(
        Scope(space=ground.space, seed=seed, admits=lambda candidate: code_of(candidate) not in known)
    )
    keeper, found = ground.keeper(), list[Values]()
    number, spent = 0, 0.0
    while (candidate := machine.ask(number)) is not None:
        code = code_of(candidate)
        row = rows[code]
        spent += 1 if clock is None else row[clock]
        while marks[len(found)] < spent:
            found.append(keeper.values())
            if len(found) == len(marks):
                return tuple(found)
        known.add(code)
        costs = tuple([sign * row[position] for position, sign in ground.signal])
        keeper.see(costs, row)
        machine.tell(Told(number, code, costs))
        number += 1
        if spent >= marks[-1]:
            break
    return (*found, *[keeper.values()] * (len(marks) - len(found)))


def play_named(ground: Ground, name: str, strategy: StrategyConfig, *, seed: int) -> tuple[Values, ...]:
    """As `play`; what a strategy raises becomes a `BadInput` that names it and the seed."""
    try:
        return play(ground, strategy, seed=seed)
    except ArchscaleError:
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise BadInput(
            f"strategy {name}: protocol {ground.task.protocol}, seed {seed}: raised {said}; --debug shows where"
        ) from error


@dataclass(slots=True)
class Best:
    """The member with the best signal, the first of equals, and what is reported of it."""

    places: tuple[int, ...]
    signal: float = float("inf")
    row: Row | None = None

    def see(self, costs: Costs, row: Row) -> None:
        """Take in one query."""
        if costs[0] < self.signal:
            self.signal, self.row = costs[0], row

    def values(self) -> Values:
        """Return the reported metrics."""
        row = self.row
        return (None,) * len(self.places) if row is None else tuple([row[place] for place in self.places])


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


def true_front(table: Table, objectives: Sequence[Objective]) -> list[Mapping[str, float]]:
    """Return the points of all members that no other dominates; equal ones stand once each."""
    places = [(o.metric, table.place(o.metric)) for o in objectives]
    points = [{name: row[place] for name, place in places} for row in table.rows.values()]
    return [points[i] for i in front(points, objectives)]


def coder(space: Candidate) -> Callable[[Candidate], Code]:
    """Return `encode` of a space, 30 times faster where its decisions are fields that always stand.

    Such a field's value is the very option that the space holds, in whatever a move over the space made. What is no
    decision is not looked at. Anything else goes to `encode`.
    """
    try:
        found = [_options(space, path) for path in slots(space)]
    except LookupError:
        return lambda candidate: encode(space, candidate)
    alike = takewhile(lambda at: len(set(at)) == 1, zip(*(steps for steps, _ in found), strict=False))
    shared = [at[0] for at in alike]
    trunk = _reader(shared)
    branches = [(_reader(steps[len(shared) :]), indices) for steps, indices in found]

    def code_of(candidate: Candidate) -> Code:
        try:
            node = trunk(candidate)
            return tuple([indices[id(read(node))] for read, indices in branches])
        except (LookupError, AttributeError, TypeError):
            return encode(space, candidate)

    return code_of


def best_there_is(task: Task, table: Table, report: int) -> float:
    """Return the best value a report can have: of all members, or 1 for a share of the true front."""
    metric = task.reports[report].metric
    if metric is None:
        return 1.0
    place = table.place(metric.metric)
    return (max if metric.direction == "max" else min)(row[place] for row in table.rows.values())


def _check_clock(table: Table, clock: str) -> None:
    place = table.place(clock)
    if any(row[place] < 0 for row in table.rows.values()):
        raise BadInput(
            f"{table.name}: clock {clock}: got numbers below 0, expected what a query costs; name another"
        )


def _keeper(task: Task, table: Table) -> Callable[[], Keeper]:
    if task.reports[0].metric is not None:
        places = tuple(table.place(report.metric.metric) for report in task.reports if report.metric)
        return lambda: Best(places)
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


def _options(space: Candidate, path: str) -> tuple[Steps, Mapping[int, int]]:
    """Return the steps to a decision and its options' indices by identity; `LookupError` where it may be absent."""
    node: object = space
    steps: list[str | int] = []
    at = 0
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None or isinstance(node, Choice | Repeat | Pick):
            raise LookupError(path)
        name, index = found.groups()
        steps.append(name or int(index))
        node, at = _reader(steps[-1:])(node), found.end()
    if not isinstance(node, Choice):
        raise LookupError(path)
    return steps, {id(option): i for i, option in enumerate(node.options)}


def _reader(steps: Steps) -> Callable[[object], object]:
    """Return what follows field names and positions, as few calls as that takes."""
    calls: list[Callable[[object], object]] = []
    for are_names, run in groupby(steps, key=lambda step: isinstance(step, str)):
        at = list(run)
        calls += [attrgetter(".".join(map(str, at)))] if are_names else map(_item, at)

    def read(node: object) -> object:
        for call in calls:
            node = call(node)
        return node

    return read


def _item(position: object) -> Callable[[object], object]:
    return cast("Callable[[object], object]", itemgetter(position))
