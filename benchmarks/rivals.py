"""Other libraries' searchers as strategies, to run beside ours: the same space, told the same, scored the same.

They are as their libraries give them, with the settings stated here. They may ask a cell again, and then pay for it
again: their libraries do not keep what is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState, create_trial
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.variable import Integer
from pymoo.operators.crossover.ux import UniformCrossover
from pymoo.operators.mutation.rm import ChoiceRandomMutation

from nas.recipe import Candidate
from nas.strategies import Scope, Strategy, StrategyConfig, Told
from search_spaces.automaton import option_counts
from search_spaces.block import Whole
from search_spaces.data import register
from search_spaces.moves import decode, sample

optuna.logging.set_verbosity(optuna.logging.ERROR)


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class OptunaTpe(StrategyConfig):
    """Optuna's TPESampler with its defaults; each decision is a category."""

    def start(self, scope: Scope) -> Strategy:
        return _Optuna(scope, optuna.samplers.TPESampler(seed=scope.seed))


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class OptunaNsga2(StrategyConfig):
    """Optuna's NSGAIISampler with its defaults, among them a population of 50; each decision is a category."""

    population: Whole = 50

    def start(self, scope: Scope) -> Strategy:
        return _Optuna(scope, optuna.samplers.NSGAIISampler(population_size=self.population, seed=scope.seed))


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class PymooNsga2(StrategyConfig):
    """Pymoo's NSGA-II with its operators for categories: uniform crossover, and decisions drawn anew as mutation."""

    population: Whole = 20

    def start(self, scope: Scope) -> Strategy:
        return _Pymoo(scope, self.population)


@dataclass(slots=True)
class _Optuna:
    """The first proposal is drawn by us: how many objectives there are is known once something was told."""

    scope: Scope
    sampler: optuna.samplers.BaseSampler
    study: optuna.Study | None = None
    pending: optuna.Trial | None = None

    def ask(self, number: int) -> Candidate | None:
        if self.study is None:
            return sample(self.scope.space, self.scope.rng(number))
        self.pending = self.study.ask()
        counts = option_counts(self.scope.space)
        code = tuple(self.pending.suggest_categorical(path, range(n)) for path, n in counts.items())
        return decode(self.scope.space, code)

    def tell(self, told: Told) -> None:
        assert told.costs is not None
        if self.study is not None and self.pending is not None:
            self.study.tell(self.pending, told.costs)
            return
        counts = option_counts(self.scope.space)
        self.study = optuna.create_study(sampler=self.sampler, directions=["minimize"] * len(told.costs))
        self.study.add_trial(
            create_trial(
                state=TrialState.COMPLETE,
                values=told.costs,
                params=dict(zip(counts, told.code, strict=True)),
                distributions={path: CategoricalDistribution(range(n)) for path, n in counts.items()},
            )
        )


@dataclass(slots=True)
class _Pymoo:
    """Serves one generation after another; the first is drawn by us."""

    scope: Scope
    population: int
    waiting: list[tuple[int, ...]] = field(default_factory=list)
    asked: list[tuple[int, ...]] = field(default_factory=list)
    told: list[tuple[float, ...]] = field(default_factory=list)
    algorithm: NSGA2 | None = None
    generation: Population | None = None

    def ask(self, number: int) -> Candidate | None:
        if not self.waiting:
            self.waiting = self._next()
        if not self.waiting:
            return None  # nothing new came of many matings
        self.asked.append(self.waiting.pop(0))
        return decode(self.scope.space, self.asked[-1])

    def tell(self, told: Told) -> None:
        assert told.costs is not None
        self.told.append(told.costs)

    def _next(self) -> list[tuple[int, ...]]:
        counts = list(option_counts(self.scope.space).values())
        if not self.told:
            rng = np.random.default_rng(self.scope.seed)
            return [tuple(int(rng.integers(n)) for n in counts) for _ in range(self.population)]
        if self.algorithm is None:
            self.algorithm = self._started(counts, len(self.told[0]))
            self.generation = self.algorithm.infill()
        assert self.generation is not None
        known = dict(zip(self.asked, self.told, strict=True))
        self.generation.set("F", np.array([known[_code(x)] for x in self.generation.get("X")]))
        self.algorithm.advance(infills=self.generation)
        self.generation = self.algorithm.infill()
        return [] if self.generation is None else [_code(x) for x in self.generation.get("X")]

    def _started(self, counts: Sequence[int], objectives: int) -> NSGA2:
        problem = Problem(
            n_obj=objectives, vars={str(i): Integer(bounds=(0, n - 1)) for i, n in enumerate(counts)}
        )
        algorithm = NSGA2(
            pop_size=self.population,
            sampling=np.array(self.asked),
            crossover=UniformCrossover(),
            mutation=ChoiceRandomMutation(),
            seed=self.scope.seed,
        )
        return algorithm.setup(problem, termination=("n_gen", 10**9))


def _code(x: np.ndarray) -> tuple[int, ...]:
    return tuple(int(option) for option in x)
