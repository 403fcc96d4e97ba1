"""What a study is, apart from its past: space, strategy, objectives, limits and how much is to be done."""

from __future__ import annotations

from dataclasses import dataclass

from scaling.constraints import Limit
from scaling.providers import ANALYTIC, Provider

from .analysis.front import Objective
from .recipe import Candidate
from .strategies import StrategyConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a study needs to know, apart from its past."""

    space: Candidate
    strategy: StrategyConfig
    objectives: tuple[Objective, ...]
    limits: tuple[Limit, ...] = ()
    providers: tuple[Provider, ...] = (ANALYTIC,)  # who knows what limits are held against
    most_measured: int = 100  # candidates, by slow providers, while one proposal is looked for
    epochs: int = 20
    trials: int = 50
    minutes: float | None = None
    confirm_top: int = 3
    confirm_seeds: int = 2
    final: bool = True  # the winner is trained once more and tested; not where trials are looked up
    final_epochs: int | None = None
    seed: int = 0
    twins: bool = True
