"""A space as an automaton: what is still open at each point of its walk, for exact counts and fair samples.

Every member is one path through the cells. Ties and conditions are the state carried along; the number of
ways to finish depends on the cell and the state alone, so it is worked out once for each pair.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from .choice import LEAVES, Choice, Decisions, Pick, Repeat, Same, layout, picks
from .conditions import Condition, conditions_in, reads

Value = int | float
State = tuple[tuple[tuple[str, int], ...], tuple[Value, ...]]  # (tied name, option) pairs; condition states


@dataclass(slots=True, eq=False)
class Ask:
    """A decision: its path, tie, and the cell each option leads to."""

    path: str
    name: str | None
    nexts: tuple[Cell, ...]
    names_ahead: frozenset[str]


@dataclass(slots=True, eq=False)
class See:
    """A value that a condition reads."""

    condition: int
    value: Value
    rest: Cell
    names_ahead: frozenset[str]


Cell = Ask | See | None
Place = tuple[Ask | None, State]  # the next decision, or None at the end, and what is carried along
NO_NAMES: frozenset[str] = frozenset()


class Fork(NamedTuple):
    """A decision in one state: ways to finish after each option, options that have any, where each leads."""

    ways: tuple[int, ...]
    live: tuple[int, ...]
    nexts: tuple[Place | None, ...]


@dataclass(slots=True, eq=False)
class Automaton:
    """The cells of one space, and the number of ways to finish from each."""

    start: Cell
    conditions: tuple[Condition, ...]
    known: dict[Place, int] = field(default_factory=dict)
    forks: dict[Place, Fork] = field(default_factory=dict)

    @property
    def begin(self) -> State:
        """The state before the first decision."""
        return ((), tuple(condition.begin() for condition in self.conditions))

    def after(self, cell: Ask, state: State, option: int) -> Place | None:
        """Return where an option leads, past what conditions read; None where a tie or condition breaks."""
        ties, folds = state
        following = cell.nexts[option]
        if cell.name is not None:
            taken = dict(ties).get(cell.name)
            if taken not in (None, option):
                return None
            ties = tuple(sorted({**dict(ties), cell.name: option}.items()))
        return self.settle(following, (ties, folds))

    def settle(self, cell: Cell, state: State) -> Place | None:
        """Fold in the values up to the next decision and forget ties that nothing ahead reads."""
        ties, folds = state
        while isinstance(cell, See):
            folded = self.conditions[cell.condition].step(folds[cell.condition], cell.value)
            if folded is None:
                return None
            folds = (*folds[: cell.condition], folded, *folds[cell.condition + 1 :])
            cell = cell.rest
        if ties:
            ahead = cell.names_ahead if cell else NO_NAMES
            ties = tuple(pair for pair in ties if pair[0] in ahead)
        return cell, (ties, folds)

    def ways(self, cell: Ask | None, state: State) -> int:
        """Count the ways to finish, exactly, without recursion however long the space."""
        if cell is None:
            return 1
        todo = [(cell, state)]
        while todo:
            here = todo[-1]
            if here in self.known:
                todo.pop()
                continue
            branches = [b for i in range(len(here[0].nexts)) if (b := self.after(*here, i)) is not None]
            missing = [(ask, s) for ask, s in branches if ask is not None and (ask, s) not in self.known]
            if missing:
                todo += missing
                continue
            self.known[here] = sum(1 if b[0] is None else self.known[b] for b in branches)
            todo.pop()
        return self.known[cell, state]

    def root(self) -> Place | None:
        """Return the first decision, or None where the fixed parts already break a condition."""
        return self.settle(self.start, self.begin)

    def fork(self, cell: Ask, state: State) -> Fork:
        """Return what the options of a decision lead to, worked out once for each state."""
        known = self.forks.get((cell, state))
        if known is None:
            nexts = tuple(self.after(cell, state, i) for i in range(len(cell.nexts)))
            ways = tuple(0 if following is None else self.ways(*following) for following in nexts)
            known = self.forks[cell, state] = Fork(ways, tuple(i for i, n in enumerate(ways) if n), nexts)
        return known

    def walk(self, pick: Callable[[Fork], int]) -> Decisions:
        """Follow one member's decisions; `pick` names a live option of each fork."""
        place, found = self.root(), Decisions()
        while place is not None and (cell := place[0]) is not None:
            fork = self.fork(cell, place[1])
            option = found.setdefault(cell.path, pick(fork))
            place = fork.nexts[option]
        return found

    def accepts(self, chosen: Decisions) -> bool:
        """Tell whether decisions that the choices allow also keep the conditions."""
        place = self.root()
        while place is not None and (cell := place[0]) is not None:
            place = self.after(cell, place[1], chosen[cell.path])
        return place is not None

    def members(self) -> Iterator[Decisions]:
        """Yield every member's decisions, first options first."""
        todo = [(self.root(), Decisions())]
        while todo:
            place, found = todo.pop()
            if place is None or not self.ways(*place):
                continue
            cell, state = place
            if cell is None:
                yield found
                continue
            for i in reversed(range(len(cell.nexts))):
                todo.append((self.after(cell, state, i), {**found, cell.path: i}))


def automaton(space: object) -> Automaton:
    """Return a space's automaton; worked out once for each space object."""
    return _automaton(Same(space))


def count(space: object) -> int:
    """Return the exact number of members, however many."""
    machine = automaton(space)
    root = machine.root()
    return 0 if root is None else machine.ways(*root)


def slots(space: object) -> tuple[str, ...]:
    """List every decision that some member has, once each: the positions of `encode`."""
    return tuple(_option_counts(Same(space)))


def option_counts(space: object) -> Mapping[str, int]:
    """Return the number of options of every decision of the space, by path."""
    return _option_counts(Same(space))


def draw(space: object, rng: random.Random, *, uniform: bool) -> Decisions:
    """Draw a member's decisions: uniform over members, or over the live options of each decision."""

    def by_decision(fork: Fork) -> int:
        return fork.live[int(rng.random() * len(fork.live))]

    def by_member(fork: Fork) -> int:
        return _weighted(fork.ways, rng)

    return automaton(space).walk(by_member if uniform else by_decision)


@lru_cache(maxsize=64)
def _automaton(key: Same) -> Automaton:
    builder = _Builder()
    start = builder.cells(key.node, "", None)
    return Automaton(start, tuple(builder.conditions))


@lru_cache(maxsize=64)
def _option_counts(key: Same) -> dict[str, int]:
    seen: set[Cell] = set()
    counts: dict[str, int] = {}
    todo = [automaton(key.node).start]
    while todo:
        cell = todo.pop()
        if cell is None or cell in seen:
            continue
        seen.add(cell)
        if isinstance(cell, See):
            todo.append(cell.rest)
            continue
        counts[cell.path] = len(cell.nexts)
        todo += reversed(cell.nexts)
    return counts


@dataclass(slots=True)
class _Builder:
    """Builds cells from the last to the first, so that what follows is shared by all options.

    `scope` holds the conditions in force, by number, and the path of the node each belongs to.
    """

    conditions: list[Condition] = field(default_factory=list)
    scope: tuple[tuple[int, str], ...] = ()

    def cells(self, node: object, path: str, rest: Cell) -> Cell:
        match node:
            case Choice():
                nexts = tuple(self.cells(o, f"{path}{{{i}}}", rest) for i, o in enumerate(node.options))
                return _ask(path, node.name, nexts)
            case Repeat():
                return self.repeat(node, path, rest)
            case Pick():
                nexts = tuple(self.picked(node, chosen, path, rest) for chosen in picks(node))
                return _ask(path, None, nexts)
            case tuple():
                for i in reversed(range(len(node))):
                    rest = self.cells(node[i], f"{path}[{i}]", rest)
                of_nodes = any(type(item) not in LEAVES for item in node)
                return self.seen(path, len(node), rest) if of_nodes else rest
            case _ if type(node) in LEAVES:
                return self.seen(path, node, rest)
            case _:
                return self.fields(node, path, rest)

    def fields(self, node: object, path: str, rest: Cell) -> Cell:
        names, blanks = layout(type(node))
        hidden = [names[position] for position, _ in blanks]
        outer = self.scope
        for condition in conditions_in([getattr(node, name) for name in hidden]):
            self.scope += ((len(self.conditions), path),)
            self.conditions.append(condition)
        for name in reversed(names):
            if name not in hidden:
                rest = self.cells(getattr(node, name), f"{path}.{name}" if path else name, rest)
        self.scope = outer
        return rest

    def repeat(self, repeat: Repeat[object], path: str, rest: Cell) -> Cell:
        def items(count: int) -> Cell:
            following = rest
            if repeat.independent:
                for i in reversed(range(count)):
                    following = self.cells(repeat.item, f"{path}[{i}]", following)
            else:
                following = self.cells(repeat.item, path + ".item", following)
            return self.seen(path, count, following)

        if isinstance(repeat.count, Choice):
            nexts = tuple(items(count) for count in repeat.count.options)
            return _ask(path + ".count", repeat.count.name, nexts)
        return items(repeat.count)

    def picked(self, pick: Pick[object], chosen: tuple[int, ...], path: str, rest: Cell) -> Cell:
        for i in reversed(chosen):
            rest = self.cells(pick.options[i], f"{path}{{{i}}}", rest)
        return rest

    def seen(self, path: str, value: object, rest: Cell) -> Cell:
        for number, prefix in self.scope:
            below = path.removeprefix(prefix).removeprefix(".")
            if isinstance(value, int | float) and reads(self.conditions[number], below):
                rest = See(number, value, rest, rest.names_ahead if rest else NO_NAMES)
        return rest


def _ask(path: str, name: str | None, nexts: tuple[Cell, ...]) -> Ask:
    ahead = frozenset().union(*(cell.names_ahead for cell in nexts if cell))
    return Ask(path if name is None else "@" + name, name, nexts, ahead | {name} if name else ahead)


def _weighted(ways: tuple[int, ...], rng: random.Random) -> int:
    ticket = rng.randrange(sum(ways))
    for option, n in enumerate(ways):
        if ticket < n:
            return option
        ticket -= n
    raise AssertionError("a ticket below the total falls to some option")
