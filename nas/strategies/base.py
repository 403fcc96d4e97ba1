"""What a strategy is: a small ask/tell machine over members of a space.

Its state is a function of (space, seed, events so far) and its randomness for proposal i comes from
`scope.rng(i)`. `ask` changes nothing, so that a resumed study, told the same events, asks the same next.
A new strategy is one file: a registered `StrategyConfig` and the machine it starts.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import ClassVar, Protocol, runtime_checkable

from scaling.constraints import Limit
from search_spaces.automaton import count
from search_spaces.data import Data
from search_spaces.moves import enumerate_members, sample
from search_spaces.walks import walk

from ..proposal import Kind, Settings
from ..recipe import Candidate, Space

Code = tuple[int, ...]
TRIES = 200  # moves of the strategy's own, then as many fair samples, before the space is listed
SAMPLES = 1000  # fair samples of a space that cannot be listed
WALKS = 4
LISTABLE = 20_000  # members; a smaller space is searched to its last one


@dataclass(frozen=True, slots=True)
class Told:
    """One evaluation as strategies see it. `costs`, one an objective, less is better; None where it failed.

    A supernet has neither code nor costs: `()`. What it has learnt of the space is in `weights`.
    """

    number: int
    code: Code  # of the candidate, by `search_spaces.encode`
    costs: tuple[float, ...] | None
    kind: Kind = Kind.TRAIN
    weights: Mapping[str, tuple[float, ...]] = field(
        default_factory=dict
    )  # by a choice's path, one an option
    epochs: int = 1  # the budget
    before: int | None = None  # candidates begun before this one; of what begins none: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A job that a strategy asks for, where it is not simply the training of a candidate.

    A supernet has no candidate: it is of the whole space. None of the rest: what the study's trainings have.
    """

    kind: Kind
    candidate: Candidate | None = None
    settings: Settings | None = None
    epochs: int | None = None
    seed: int | None = None
    parent: int | None = None  # the proposal that it continues or follows from

    @classmethod
    def training(cls, candidate: Candidate) -> Request:
        """Return what a bare candidate stands for."""
        return cls(kind=Kind.TRAIN, candidate=candidate)


class Wait(Enum):
    """Says that a strategy can ask nothing before it is told of what is in flight."""

    UNTIL_TOLD = "until told"


Answer = Candidate | Request | Wait | None


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
    admits_job: Callable[[Request], bool] = lambda _: True  # the same of a job with a candidate
    limits: tuple[Limit, ...] = ()
    waits: Callable[[Kind], bool] = lambda _: False  # whether jobs of a kind are in flight
    hurries: Callable[[], bool] = lambda: (
        False
    )  # whether the study's time is up: what is owed is asked, no more
    epochs: int = 1  # of a training
    flying: Callable[[], Iterable[int]] = lambda: ()  # the budgets of trainings and rungs in flight
    begun: Callable[[], int] = lambda: 0  # how many candidates were begun
    trials: int = 10**9  # how many the study allows

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

    def ask(self, number: int) -> Answer:
        """Return the candidate to train as proposal `number`, or another job.

        None says that nothing is left to ask, `Wait` that nothing is before more is told.
        """

    def tell(self, told: Told) -> None:
        """Take in one evaluation; called in the order of the journal."""


@runtime_checkable
class Promoting(Strategy, Protocol):
    """A machine that asks for rungs and promotes some."""

    def hopeless(self) -> Iterable[int]:
        """List the numbers of rungs that will not be promoted any more."""


class StrategyConfig(Data):
    """A strategy's settings; subclasses are registered dataclasses, in files by their class name."""

    __slots__ = ()
    tagged: ClassVar[bool] = True
    open: ClassVar[bool] = True
    shares_weights: ClassVar[bool] = False  # whether it asks for supernets
    inherits: ClassVar[bool] = False  # whether it searches by scores of inherited weights
    promotes: ClassVar[bool] = False  # whether it asks for rungs, trainings that stop early

    def check_epochs(self, epochs: int) -> None:
        """Raise `BadInput` where this strategy cannot do with trainings of so many epochs."""

    def mean_epochs(self, epochs: int) -> float:
        """Return how long a candidate is trained in the mean, where a full training has so many epochs."""
        return epochs

    def check_space(self, space: Space) -> None:
        """Raise `BadInput` where this strategy cannot search such a space; the study is then never begun."""

    def trainings(self, most: int) -> int:
        """Return how many architectures it has trained, of the `most` that a study allows."""
        return most

    def planned(self, kind: Kind) -> int:
        """Return how many jobs of a kind it means to ask for, 0 where it cannot say; of candidates, the study says."""
        return 0

    def start(self, scope: Scope) -> Strategy:
        """Return the machine at the beginning of a study."""
        raise NotImplementedError
