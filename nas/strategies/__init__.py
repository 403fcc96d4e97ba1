"""Strategies: one file each; importing this registers ours."""

from .base import Scope, Strategy, StrategyConfig, Told, no_excess
from .bayesian import Bayesian
from .evolution import Evolution
from .local_search import LocalSearch
from .random_search import Random

__all__ = [
    "Bayesian", "Evolution", "LocalSearch", "Random", "Scope", "Strategy", "StrategyConfig", "Told", "no_excess",
]  # fmt: skip
