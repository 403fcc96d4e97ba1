"""Local search: climbs from neighbour to neighbour (White et al. 2021, "Exploring the loss landscape in NAS")."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from search_spaces.automaton import option_counts, slots
from search_spaces.block import Whole
from search_spaces.choice import Decisions
from search_spaces.data import register
from search_spaces.moves import ABSENT, changed, encode, sample

from ..recipe import Candidate, Space
from .base import Code, Scope, Strategy, StrategyConfig, Told

Point = tuple[Code, tuple[float, ...]]
REMEMBERED = 32  # centres of climbs whose neighbours may still be on their way


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSearch(StrategyConfig):
    """Asks the neighbours of the best so far, one decision changed, in random order; nothing is asked twice.

    With one objective the first better neighbour is climbed to, and from a local optimum, all neighbours known,
    a fair sample begins a new climb. With several objectives it is Pareto local search (Paquete et al. 2004):
    neighbours of a random member of the front of what was told; once the front has no unknown neighbour, of the
    second front, then fair samples. The first `initial` proposals are drawn, each decision uniform.
    """

    initial: Whole = 10

    def start(self, scope: Scope) -> Strategy:
        return _LocalSearch(self, scope)


@dataclass(slots=True)
class _LocalSearch:
    config: LocalSearch
    scope: Scope
    known: set[Code] = field(default_factory=set)
    climbed: deque[Point] = field(default_factory=lambda: deque(maxlen=REMEMBERED))  # one objective
    fronts: tuple[list[Point], list[Point]] = field(default_factory=lambda: ([], []))  # several

    def ask(self, number: int) -> Candidate | None:
        rng = self.scope.rng(number)
        steps = self._steps(rng, drawn=number < self.config.initial)
        return self.scope.first_admitted(lambda: next(steps), rng)

    def tell(self, told: Told) -> None:
        self.known.add(told.code)
        if told.costs is None:
            return
        point = told.code, told.costs
        if len(told.costs) > 1:
            first, second = self.fronts
            for outside in _joined(first, point):
                _joined(second, outside)
        elif self._moves_to(point, drawn=told.number < self.config.initial):
            self.climbed.append(point)

    def _steps(self, rng: random.Random, *, drawn: bool) -> Iterator[Candidate]:
        """Yield, without end, what may be worth asking, best first."""
        for centres in () if drawn else (list(self.climbed)[-1:], *self.fronts):
            walks = [unknown_neighbours(self.scope.space, code, self.known, rng) for code, _ in centres]
            while walks:
                walk = rng.choice(walks)
                step = next(walk, None)
                if step is None:
                    walks.remove(walk)
                else:
                    yield step
        while True:
            yield sample(self.scope.space, rng)

    def _moves_to(self, point: Point, *, drawn: bool) -> bool:
        """Tell whether a climb goes on from `point`: it is better, or it is a sample that begins a new climb.

        Only what is asked from a local optimum is no neighbour of a centre; with several trials in flight it
        may be told before the last neighbours are.
        """
        if not self.climbed or point[1] < self.climbed[-1][1]:
            return True
        return not drawn and not any(
            _adjacent(self.scope.space, code, point[0]) for code, _ in reversed(self.climbed)
        )


def _adjacent(space: Space, code: Code, other: Code) -> bool:
    """Tell whether one decision of `code` changed gives `other`."""
    differing = [i for i, (a, b) in enumerate(zip(code, other, strict=True)) if a != b]
    shared = [i for i in differing if ABSENT not in (code[i], other[i])]
    if len(shared) != 1 or len(differing) == 1:
        return len(shared) == 1
    path, option = slots(space)[shared[0]], other[shared[0]]  # which opened or closed the others
    step = changed(space, _open(space, code), path, option)
    return step is not None and encode(space, step) == other


def unknown_neighbours(
    space: Space, code: Code, known: Collection[Code], rng: random.Random
) -> Iterator[Candidate]:
    """Yield the neighbours of a member that are not known, in random order; each is made once it is looked at.

    A known one is passed over by its code; one that opens or closes other decisions shows its code too late.
    """
    base = _open(space, code)
    moves = [
        (path, option)
        for slot, (path, n) in enumerate(option_counts(space).items())
        for option in range(n if code[slot] != ABSENT else 0)
        if option != code[slot] and (*code[:slot], option, *code[slot + 1 :]) not in known
    ]
    rng.shuffle(moves)
    for path, option in moves:
        step = changed(space, base, path, option)
        if step is not None:
            yield step


def _open(space: Space, code: Code) -> Decisions:
    return {path: option for path, option in zip(slots(space), code, strict=True) if option != ABSENT}


def _joined(front: list[Point], point: Point) -> list[Point]:
    """Add a point to a front; returns who is left outside: the point itself, or the members it dominates."""
    if any(_reaches(member, point) for member in front):
        return [point]
    outside = [member for member in front if _reaches(point, member)]
    front[:] = [member for member in front if not _reaches(point, member)]
    front.append(point)
    return outside


def _reaches(a: Point, b: Point) -> bool:
    return all(x <= y for x, y in zip(a[1], b[1], strict=True))
