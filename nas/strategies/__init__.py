"""Strategies: one file each; importing this registers ours."""

from .base import Answer, Request, Scope, Strategy, StrategyConfig, Told, Wait, no_excess
from .bayesian import Bayesian
from .darts import Darts
from .evolution import Evolution
from .local_search import LocalSearch
from .one_shot import OneShot
from .random_search import Random

__all__ = [
    "Answer", "Bayesian", "Darts", "Evolution", "LocalSearch", "OneShot", "Random", "Request", "Scope",
    "Strategy", "StrategyConfig", "Told", "Wait", "no_excess",
]  # fmt: skip
