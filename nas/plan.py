"""What a study is, apart from its past: space, strategy, objectives, limits and how much is to be done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from scaling.constraints import Limit
from scaling.providers import ANALYTIC, Provider
from search_spaces.automaton import count

from .analysis.front import Objective
from .recipe import Space
from .strategies import StrategyConfig

Tested = Literal["best", "every", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a study needs to know, apart from its past."""

    space: Space
    strategy: StrategyConfig
    objectives: tuple[Objective, ...]
    limits: tuple[Limit, ...] = ()
    providers: tuple[Provider, ...] = (ANALYTIC,)  # who knows what limits are held against
    most_measured: int = 100  # candidates, by slow providers, while one proposal is looked for
    epochs: int = 20
    trials: int = 50
    minutes: float | None = None
    gpu_hours: float | None = None
    confirm_top: int = 3
    confirm_seeds: int = 2
    final: Tested = "best"  # who is trained for the test part: the winner, or every member of the space
    final_seeds: int = 1
    final_epochs: int | None = None
    seed: int = 0
    twins: bool = True


def finals(plan: Plan) -> int:
    """Return how many final trainings a plan ends with."""
    return {"none": 0, "best": 1, "every": count(plan.space)}[plan.final] * plan.final_seeds


def confirmations(plan: Plan) -> int:
    """Return how many confirmations a plan has, as far as there are trials to confirm."""
    return min(plan.confirm_top, plan.trials) * plan.confirm_seeds
