"""A space as an automaton: what is still open at each point of its walk, for exact counts and fair samples.

Every member is one path through the cells. Ties and conditions are the state carried along; the number of
ways to finish depends on the cell and the state alone, so it is worked out once for each pair.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import cast

from .choice import LEAVES, Choice, Decisions, Pick, Repeat, layout, picks
from .conditions import Condition, reads

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
NO_NAMES: frozenset[str] = frozenset()


@dataclass(slots=True, eq=False)
class Automaton:
    """The cells of one space, and the number of ways to finish from each."""

    start: Cell
    conditions: tuple[Condition, ...]
    known: dict[tuple[Cell, State], int] = field(default_factory=dict)

    @property
    def begin(self) -> State:
        """The state before the first decision."""
        return ((), tuple(condition.begin() for condition in self.conditions))

    def after(self, cell: Ask, state: State, option: int) -> tuple[Cell, State] | None:
        """Return where an option leads, past all that conditions read; None where it breaks a tie or condition."""
        ties, folds = state
        following = cell.nexts[option]
        if cell.name is not None:
            taken = dict(ties).get(cell.name)
            if taken not in (None, option):
                return None
            ties = tuple(sorted({**dict(ties), cell.name: option}.items()))
        return self.settle(following, (ties, folds))

    def settle(self, cell: Cell, state: State) -> tuple[Cell, State] | None:
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

    def ways(self, cell: Cell, state: State) -> int:
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
            missing = [b for b in branches if b[0] is not None and b not in self.known]
            if missing:
                todo += cast("list[tuple[Ask, State]]", missing)
                continue
            self.known[here] = sum(1 if b[0] is None else self.known[b] for b in branches)
            todo.pop()
        return self.known[cell, state]

    def root(self) -> tuple[Cell, State] | None:
        """Return the first decision, or None where the fixed parts already break a condition."""
        return self.settle(self.start, self.begin)

    def walk(self, pick: Callable[[list[int]], int]) -> Decisions:
        """Follow one member's decisions: `pick(ways to finish per option) -> option`; 0 ways is a dead end."""
        place, found = self.root(), Decisions()
        while place is not None and place[0] is not None:
            cell, state = cast("tuple[Ask, State]", place)
            branches = [self.after(cell, state, i) for i in range(len(cell.nexts))]
            option = pick([0 if b is None else self.ways(*b) for b in branches])
            found.setdefault(cell.path, option)
            place = branches[option]
        return found

    def accepts(self, chosen: Decisions) -> bool:
        """Tell whether decisions that the choices allow also keep the conditions."""
        place = self.root()
        while place is not None and place[0] is not None:
            cell, state = cast("tuple[Ask, State]", place)
            place = self.after(cell, state, chosen[cell.path])
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
            asked = cast(Ask, cell)
            for i in reversed(range(len(asked.nexts))):
                todo.append((self.after(asked, state, i), {**found, asked.path: i}))


def automaton(space: object) -> Automaton:
    """Return a space's automaton; worked out once for each space object."""
    return _automaton(_Same(space))


def count(space: object) -> int:
    """Return the exact number of members, however many."""
    machine = automaton(space)
    root = machine.root()
    return 0 if root is None else machine.ways(*root)


def slots(space: object) -> tuple[str, ...]:
    """List every decision that some member has, once each: the positions of `encode`."""
    return tuple(_option_counts(_Same(space)))


def option_counts(space: object) -> Mapping[str, int]:
    """Return the number of options of every decision of the space, by path."""
    return _option_counts(_Same(space))


def draw(space: object, rng: random.Random, *, uniform: bool) -> Decisions:
    """Draw a member's decisions: uniform over members, or over the live options of each decision."""

    def pick(ways: list[int]) -> int:
        if uniform:
            return _weighted(ways, rng)
        live = [i for i, n in enumerate(ways) if n]
        return live[rng.randrange(len(live))]

    return automaton(space).walk(pick)


def conditions_of(space: object) -> tuple[Condition, ...]:
    """Collect the conditions of a space, or of the spaces it is made of."""
    if type(space) in LEAVES or isinstance(space, Choice | Repeat | Pick):
        return ()
    if isinstance(space, tuple):
        return tuple(c for part in space for c in conditions_of(part))
    names, blanks = layout(type(space))
    if blanks:
        return tuple(c for position, _ in blanks for c in getattr(space, names[position]))
    return tuple(c for name in names for c in conditions_of(getattr(space, name)))


@dataclass(frozen=True, slots=True, eq=False)
class _Same:
    """A key that is equal only for the very same object."""

    space: object

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.space is self.space

    def __hash__(self) -> int:
        return id(self.space)


@lru_cache(maxsize=64)
def _automaton(key: _Same) -> Automaton:
    conditions = conditions_of(key.space)
    return Automaton(_Builder(conditions).cells(key.space, "", None), conditions)


@lru_cache(maxsize=64)
def _option_counts(key: _Same) -> dict[str, int]:
    seen: set[Cell] = set()
    counts: dict[str, int] = {}
    todo = [automaton(key.space).start]
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


@dataclass(frozen=True, slots=True)
class _Builder:
    """Builds cells from the last to the first, so that what follows is shared by all options."""

    conditions: tuple[Condition, ...]

    def cells(self, node: object, path: str, rest: Cell) -> Cell:
        match node:
            case Choice():
                nexts = tuple(self.option(path, i, option, rest) for i, option in enumerate(node.options))
                return _ask(path, node.name, nexts)
            case Repeat():
                return self.repeat(node, path, rest)
            case Pick():
                nexts = tuple(self.picked(node, chosen, path, rest) for chosen in picks(node))
                return _ask(path, None, nexts)
            case tuple():
                for i in reversed(range(len(node))):
                    rest = self.cells(node[i], f"{path}[{i}]", rest)
                return self.seen(path, len(node), rest)
            case _ if type(node) in LEAVES:
                return self.seen(path, node, rest)
        names, blanks = layout(type(node))
        hidden = {names[position] for position, _ in blanks}
        for name in reversed(names):
            if name not in hidden:
                rest = self.cells(getattr(node, name), f"{path}.{name}" if path else name, rest)
        return rest

    def option(self, path: str, index: int, option: object, rest: Cell) -> Cell:
        if type(option) in LEAVES or (isinstance(option, tuple) and all(type(o) in LEAVES for o in option)):
            return self.seen(path, len(option) if isinstance(option, tuple) else option, rest)
        return self.cells(option, f"{path}{{{index}}}", rest)

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
        for number, condition in enumerate(self.conditions):
            if isinstance(value, int | float) and reads(condition, path):
                rest = See(number, value, rest, rest.names_ahead if rest else NO_NAMES)
        return rest


def _ask(path: str, name: str | None, nexts: tuple[Cell, ...]) -> Ask:
    ahead = frozenset().union(*(cell.names_ahead for cell in nexts if cell))
    return Ask(path if name is None else "@" + name, name, nexts, ahead | {name} if name else ahead)


def _weighted(ways: list[int], rng: random.Random) -> int:
    ticket = rng.randrange(sum(ways))
    for option, n in enumerate(ways):
        if ticket < n:
            return option
        ticket -= n
    raise AssertionError("a ticket below the total falls to some option")
