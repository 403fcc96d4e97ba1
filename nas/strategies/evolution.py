"""Regularised (ageing) evolution (Real et al. 2019, algorithm 1)."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from search_spaces.block import Whole
from search_spaces.data import register
from search_spaces.moves import crossover, decode, mutate, sample

from ..recipe import Candidate
from .base import Code, Scope, Strategy, StrategyConfig, Told

FURTHER = 3  # mutations of a child that breaks the limits


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Evolution(StrategyConfig):
    """Mutates the best of a random sample of the youngest `population`; the oldest are forgotten, not the worst.

    With several objectives the contest's winner is one that no other contestant dominates. The first
    `population` proposals are drawn, each decision uniform. `crossover` is the share of children that mix two
    winners before mutation (0 in the paper). A child that breaks the limits is mutated on, up to 3 times: what lies
    within them may be reached only through what does not.
    """

    population: Whole = 20
    contestants: Whole = 5
    crossover: Annotated[float, Field(ge=0, le=1)] = 0.0

    def start(self, scope: Scope) -> Strategy:
        return _Evolution(self, scope, deque(maxlen=self.population))


@dataclass(frozen=True, slots=True)
class _Evolution:
    config: Evolution
    scope: Scope
    youngest: deque[tuple[Code, tuple[float, ...]]]

    def ask(self, number: int) -> Candidate | None:
        rng = self.scope.rng(number)
        grown = number >= self.config.population and bool(self.youngest)
        return self.scope.first_admitted(
            lambda: self._child(rng) if grown else sample(self.scope.space, rng), rng
        )

    def tell(self, told: Told) -> None:
        if told.costs is not None:
            self.youngest.append((told.code, told.costs))

    def _child(self, rng: random.Random) -> Candidate:
        space, parent = self.scope.space, self._winner(rng)
        if self.config.crossover and rng.random() < self.config.crossover:
            parent = crossover(space, parent, self._winner(rng), rng)
        child = mutate(space, parent, rng)
        for _ in range(FURTHER):
            if not self.scope.excess(child):
                break
            child = mutate(space, child, rng)
        return child

    def _winner(self, rng: random.Random) -> Candidate:
        contest = rng.sample(list(self.youngest), min(self.config.contestants, len(self.youngest)))
        code, _ = next(c for c in contest if not any(_dominates(other[1], c[1]) for other in contest))
        return decode(self.scope.space, code)


def _dominates(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a != b and all(x <= y for x, y in zip(a, b, strict=True))
