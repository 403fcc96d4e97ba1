"""Optimisers and learning rates of a recipe."""

from __future__ import annotations

import math

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from search_spaces.block import fixed

from ..recipe import Recipe

RISE = 0.3  # the share of a one-cycle schedule in which the rate rises


def make_optimiser(model: nn.Module, recipe: Recipe) -> Optimizer:
    """Return the recipe's optimiser over a model's weights, fused: one kernel for all weights at once.

    Weights of one axis (norms, biases, slopes) are not decayed (He et al. 2019, "Bag of Tricks", 3.1).
    """
    weights = [w for w in model.parameters() if w.requires_grad]
    decay = fixed(recipe.weight_decay)
    groups = [
        {"params": [w for w in weights if w.ndim > 1], "weight_decay": decay},
        {"params": [w for w in weights if w.ndim <= 1], "weight_decay": 0.0},
    ]
    lr = fixed(recipe.lr)
    if fixed(recipe.optimiser) == "adamw":
        return AdamW(groups, lr=lr, fused=True)
    momentum = fixed(recipe.momentum)
    return SGD(groups, lr=lr, momentum=momentum, nesterov=momentum > 0, fused=True)


def learning_rate(recipe: Recipe, position: float) -> float:
    """Return the rate at a position from 0 to 1 in the training; steps stand at their middles, so none is 0.

    >>> [round(learning_rate(Recipe(lr=1.0, schedule="cosine", warmup=0.5), p), 3) for p in (0.25, 0.5, 0.75)]
    [0.5, 1.0, 0.5]
    """
    peak, schedule = fixed(recipe.lr), fixed(recipe.schedule)
    if schedule == "constant":
        return peak
    rise = RISE if schedule == "one_cycle" else fixed(recipe.warmup)
    if position < rise:
        return peak * position / rise
    fall = (position - rise) / (1 - rise)
    return peak * (1 + math.cos(math.pi * fall)) / 2
