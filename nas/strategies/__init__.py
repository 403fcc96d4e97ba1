"""Strategies: one file each; importing this registers ours."""

from .base import Scope, Strategy, StrategyConfig, Told
from .evolution import Evolution
from .random_search import Random

__all__ = ["Evolution", "Random", "Scope", "Strategy", "StrategyConfig", "Told"]
