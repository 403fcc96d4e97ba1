"""Strategies: one file each; importing this registers ours."""

from .base import Answer, Promoting, Request, Scope, Strategy, StrategyConfig, Told, Wait, no_excess
from .bayesian import Bayesian
from .darts import Darts
from .evolution import Evolution
from .halving import Halving
from .local_search import LocalSearch
from .one_shot import OneShot
from .random_search import Random

__all__ = [
    "Answer", "Bayesian", "Darts", "Evolution", "Halving", "LocalSearch", "OneShot", "Promoting", "Random", "Request",
    "Scope", "Strategy", "StrategyConfig", "Told", "Wait", "no_excess",
]  # fmt: skip
