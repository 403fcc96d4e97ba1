"""Random search: members of the space, each equally likely (Bergstra & Bengio 2012; Li & Talwalkar 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from search_spaces.data import register
from search_spaces.moves import sample

from ..recipe import Candidate
from .base import Scope, Strategy, StrategyConfig, Told


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Random(StrategyConfig):
    """Draws without looking back; the baseline every other strategy has to beat."""

    by: Literal["member", "decision"] = "member"  # all members equally likely, or each decision uniform

    def start(self, scope: Scope) -> Strategy:
        return _Random(self, scope)


@dataclass(frozen=True, slots=True)
class _Random:
    config: Random
    scope: Scope

    def ask(self, number: int) -> Candidate | None:
        rng = self.scope.rng(number)
        return self.scope.first_admitted(lambda: sample(self.scope.space, rng, by=self.config.by), rng)

    def tell(self, told: Told) -> None:
        """Nothing is learnt."""
