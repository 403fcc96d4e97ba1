"""One run of a strategy on a table, in memory: ask, look up, tell. No journal; nothing is kept but the scores."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, takewhile
from operator import attrgetter, itemgetter
from typing import cast

from scaling.constraints import excess
from search_spaces.automaton import slots
from search_spaces.choice import Choice, Pick, Repeat
from search_spaces.errors import ArchscaleError, BadInput
from search_spaces.moves import encode

from ..recipe import Candidate
from ..strategies.base import Code, Scope, StrategyConfig, Told, no_excess
from .keepers import Keeper, Values, keeper_of, limit_of
from .protocols import Task
from .table import Table

Steps = Sequence[str | int]  # field names and positions in tuples
_STEP = re.compile(r"\.?(\w+)|\[(\d+)\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """A task made ready on a table: what is the same in all its runs."""

    task: Task
    table: Table
    space: Candidate
    code_of: Callable[[Candidate], Code]
    signal: tuple[tuple[int, int], ...]  # (position in a row, sign) of each objective
    keeper: Callable[[], Keeper]
    limit: tuple[int, float] | None  # a position in a row, and the most that may stand there

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
            keeper=keeper_of(task, table),
            limit=limit_of(task, table),
        )

    def excess(self, code: Code) -> float:
        """Return by which part of the limit a member breaks it, 0 where it keeps it or there is none."""
        if self.limit is None:
            return 0.0
        place, most = self.limit
        value = self.table.rows[code][place]
        return excess(value, most) if value > most else 0.0


def play(ground: Ground, strategy: StrategyConfig, *, seed: int) -> tuple[Values, ...]:
    """Run a strategy until the largest budget is spent or it asks no more; its values at each of the task's marks.

    It may never ask a member twice; one that does all the same pays for it again. What lies outside the task's limit is
    never admitted, and costs nothing.
    """
    if strategy.promotes:
        raise BadInput(
            f"got {type(strategy).__name__}, which stops trainings early, expected a strategy that asks for "
            "architectures alone: a table has one answer a member, and none for the first epochs of a training"
        )
    rows, marks, code_of = ground.table.rows, ground.task.marks, ground.code_of
    clock = None if ground.task.clock is None else ground.table.place(ground.task.clock)
    known: set[Code] = set()

    def admits(candidate: Candidate) -> bool:
        code = code_of(candidate)
        return code not in known and not ground.excess(code)

    machine = strategy.start(
        Scope(
            space=ground.space,
            seed=seed,
            admits=admits,
            excess=no_excess if ground.limit is None else lambda candidate: ground.excess(code_of(candidate)),
        )
    )
    keeper, found = ground.keeper(), list[Values]()
    number, spent = 0, 0.0
    while (candidate := machine.ask(number)) is not None:
        if not isinstance(candidate, Candidate):
            raise BadInput(
                "got a strategy that trains supernets, expected one that asks for architectures alone"
            )
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


def _check_clock(table: Table, clock: str) -> None:
    place = table.place(clock)
    if any(row[place] < 0 for row in table.rows.values()):
        raise BadInput(
            f"{table.name}: clock {clock}: got numbers below 0, expected what a query costs; name another"
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
