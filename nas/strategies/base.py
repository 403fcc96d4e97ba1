"""What a strategy is: a small ask/tell machine over members of a space.

Its state is a function of (space, seed, events so far) and its randomness for proposal i comes from
`scope.rng(i)`. `ask` changes nothing, so that a resumed study, told the same events, asks the same next.
A new strategy is one file: a registered `StrategyConfig` and the machine it starts.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Protocol

from search_spaces.automaton import count
from search_spaces.data import Data
from search_spaces.moves import enumerate_members, sample

from ..recipe import Candidate, Space
from .walks import walk

Code = tuple[int, ...]
TRIES = 200  # moves of the strategy's own, then as many fair samples, before the space is listed
SAMPLES = 1000  # fair samples of a space that cannot be listed
WALKS = 4
LISTABLE = 20_000  # members; a smaller space is searched to its last one


@dataclass(frozen=True, slots=True)
class Told:
    """One evaluation as strategies see it. `costs`, one an objective, less is better; None where it failed."""

    number: int
    code: Code  # of the candidate, by `search_spaces.encode`
    costs: tuple[float, ...] | None


def no_excess(candidate: Candidate) -> float:
    """Return 0: without limits, none is broken."""
    return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a strategy may know: the space, a seed, and whether a candidate may be proposed.

    `excess` is 0 for what keeps the limits, else it says by how much they are broken: which way to go.
    """

    space: Space
    seed: int
    admits: Callable[[Candidate], bool]  # within the limits, and never evaluated before
    excess: Callable[[Candidate], float] = no_excess

    def rng(self, number: int) -> random.Random:
        """Return the generator for proposal `number`, the same however the study got there."""
        return random.Random(f"{self.seed}:{number}")

    def first_admitted(self, draw: Callable[[], Candidate], rng: random.Random) -> Candidate | None:
        """Return the first candidate of `draw` that is admitted; fair samples next; None where nothing is found.

        Bounded: 200 draws, 200 samples uniform over members, then every member of a space of up to 20,000. In a
        larger one 1,000 samples in all, then 4 walks of 1,000 steps. A sample that is admitted is a fair draw of what
        is; the end of a walk is nearly one, see `walks`. The order of options counts nowhere.
        """
        fair = partial(sample, self.space, rng, by="member")
        listable = count(self.space) <= LISTABLE
        for source, tries in ((draw, TRIES), (fair, TRIES if listable else SAMPLES)):
            for _ in range(tries):
                candidate = source()
                if self.admits(candidate):
                    return candidate
        if listable:
            left = [member for member in enumerate_members(self.space) if self.admits(member)]
            return rng.choice(left) if left else None
        ends = (member for _ in range(WALKS) for member in walk(self.space, self.excess, rng))
        return next(filter(self.admits, ends), None)


class Strategy(Protocol):
    """The machine a study talks to."""

    def ask(self, number: int) -> Candidate | None:
        """Return the candidate for proposal `number`, or None where there is nothing left to ask."""

    def tell(self, told: Told) -> None:
        """Take in one evaluation; called in the order of the journal."""


class StrategyConfig(Data):
    """A strategy's settings; subclasses are registered dataclasses, in files by their class name."""

    __slots__ = ()
    tagged: ClassVar[bool] = True
    open: ClassVar[bool] = True

    def start(self, scope: Scope) -> Strategy:
        """Return the machine at the beginning of a study."""
        raise NotImplementedError
