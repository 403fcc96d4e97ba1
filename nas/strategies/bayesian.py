"""Bayesian optimisation by Optuna's TPE: what the good trials have in common and the bad ones have not.

Bergstra et al. 2011, "Algorithms for hyper-parameter optimization"; with several objectives Ozaki et al. 2020.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from math import inf
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from search_spaces.automaton import automaton, option_counts, slots
from search_spaces.block import Whole
from search_spaces.choice import Decisions
from search_spaces.data import register
from search_spaces.making import from_decisions
from search_spaces.moves import ABSENT, encode, mutate, sample

from ..recipe import Candidate, Space
from .base import Code, Scope, Strategy, StrategyConfig, Told
from .local_search import unknown_neighbours

if TYPE_CHECKING:  # loading Optuna takes a while: only who runs this strategy waits for it
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.storages import InMemoryStorage
    from optuna.study import Study
    from optuna.trial import FrozenTrial, TrialState

STEPS = 20  # of the walk from a suggestion whose neighbours are all known
LARGEST = 1e50  # cost; Optuna multiplies them into volumes


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Bayesian(StrategyConfig):
    """Asks what is likely among the best tenth of the trials and unlikely among the others.

    The first `initial` proposals, until as many have succeeded, are drawn, each decision uniform. Then each
    proposal is the best of `candidates` that the estimator of the good trials draws or, where that is known, an
    unknown neighbour of it; where the limits refuse it, it is drawn again, up to `draws` times in all. Failed
    trials count as bad ones. The time of an ask grows with the trials remembered: of more than `history`, a
    quarter is forgotten, the oldest of those in the worse half, so that the best are always kept.
    """

    initial: Whole = 10
    candidates: Whole = 24
    draws: Whole = 4
    history: Annotated[int, Field(ge=40, le=100_000)] = 500

    def start(self, scope: Scope) -> Strategy:
        return _Bayesian(self, scope)


@dataclass(slots=True)
class _Bayesian:
    config: Bayesian
    scope: Scope
    known: set[Code] = field(default_factory=set)
    trials: list[FrozenTrial] = field(default_factory=list)  # remembered, in the order told
    closed: set[str] = field(default_factory=set)  # decisions that were not open in some trial
    succeeded: int = 0
    objectives: int = 0

    def ask(self, number: int) -> Candidate | None:
        rng = self.scope.rng(number)
        steps = self._steps(rng)
        return self.scope.first_admitted(lambda: next(steps), rng)

    def tell(self, told: Told) -> None:
        params = dict(zip(slots(self.scope.space), told.code, strict=True))
        self.known.add(told.code)
        self.closed.update(path for path, option in params.items() if option == ABSENT)
        self.trials.append(_trial(told.number, params, told.costs))
        if told.costs is not None:
            self.succeeded += 1
            self.objectives = len(told.costs)
        if len(self.trials) > self.config.history:
            self.trials = _thinned(self.trials)

    def _steps(self, rng: random.Random) -> Iterator[Candidate]:
        """Yield, without end, what may be worth asking, best first."""
        space = self.scope.space
        for wanted in self._suggestions(rng) if self.succeeded >= self.config.initial else ():
            member = from_decisions(space, _nearest(space, wanted, rng))
            if encode(space, member) in self.known:  # a second draw would mostly be known, too
                yield from self._around(member, rng)
                break
            yield member
        while True:
            yield sample(space, rng)

    def _around(self, member: Candidate, rng: random.Random) -> Iterator[Candidate]:
        """Yield unknown neighbours of a member, then of what a walk from there comes past."""
        space = self.scope.space
        for _ in range(STEPS):
            yield from unknown_neighbours(space, encode(space, member), self.known, rng)
            member = mutate(space, member, rng)

    def _suggestions(self, rng: random.Random) -> Iterator[Decisions]:
        """Yield an option for each decision of the space, whether it will be open or not."""
        from optuna.distributions import CategoricalDistribution
        from optuna.samplers import TPESampler

        ranges: dict[str, BaseDistribution] = {
            path: CategoricalDistribution(range(ABSENT if path in self.closed else 0, n))
            for path, n in option_counts(self.scope.space).items()
        }
        sampler = TPESampler(
            seed=rng.getrandbits(32),
            multivariate=True,
            constant_liar=False,  # it would write into the study; in-flight trials are known by `admits`
            n_startup_trials=0,
            n_ei_candidates=self.config.candidates,
        )
        study = _study(self.trials, self.objectives, sampler)
        asking = _trial(-1, {}, None)  # which is not looked at
        for _ in range(self.config.draws):
            yield sampler.sample_relative(study, asking, ranges)


def _nearest(space: Space, wanted: Mapping[str, int], rng: random.Random) -> Decisions:
    """Return a member's decisions: the wanted option wherever ties and conditions leave it, else a drawn one."""
    machine = automaton(space)
    place, found = machine.root(), Decisions()
    while place is not None and (cell := place[0]) is not None:
        fork = machine.fork(cell, place[1])
        option = wanted[cell.path] if wanted[cell.path] in fork.live else rng.choice(fork.live)
        found[cell.path] = option
        place = fork.nexts[option]
    return found


def _thinned(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """Forget a quarter: of the half that more others dominate, the older half. Failed ones are worse than any."""
    import numpy as np

    objectives = max(len(trial.values or ()) for trial in trials)
    costs = np.array([trial.values or [inf] * objectives for trial in trials])
    no_worse, better = (costs[:, None] <= costs).all(-1), (costs[:, None] < costs).any(-1)
    worst_first = np.argsort(-(no_worse & better).sum(0), kind="stable")
    worse = sorted(worst_first[: len(trials) // 2].tolist())
    forgotten = set(worse[: len(trials) // 4])
    return [trial for i, trial in enumerate(trials) if i not in forgotten]


def _study(trials: Sequence[FrozenTrial], objectives: int, sampler: BaseSampler) -> Study:
    """Return a study for one ask, so that Optuna keeps nothing from one to the next."""
    from optuna import create_study, logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.WARNING)  # it would announce each
    try:
        storage = _storage_class()(trials)
        return create_study(storage=storage, sampler=sampler, directions=["minimize"] * objectives)
    finally:
        logging.set_verbosity(verbosity)


@cache
def _storage_class() -> Callable[[Sequence[FrozenTrial]], InMemoryStorage]:
    """Return a storage class that holds the trials it is given, and copies none; made once Optuna is there."""
    from optuna.storages import InMemoryStorage

    class Remembered(InMemoryStorage):
        def __init__(self, trials: Sequence[FrozenTrial]) -> None:
            super().__init__()
            self.trials = trials

        def get_all_trials(
            self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
        ) -> list[FrozenTrial]:
            return [trial for trial in self.trials if states is None or trial.state in states]

    return Remembered


def _trial(number: int, params: Decisions, costs: tuple[float, ...] | None) -> FrozenTrial:
    """Return one evaluation in Optuna's terms; it puts pruned trials behind all that were finished."""
    from optuna.trial import FrozenTrial, TrialState

    return FrozenTrial(
        number=number,
        trial_id=number,
        state=TrialState.PRUNED if costs is None else TrialState.COMPLETE,
        params=params,
        value=None,
        values=None if costs is None else [min(max(float(cost), -LARGEST), LARGEST) for cost in costs],
        distributions={},
        datetime_start=None,
        datetime_complete=None,
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )
