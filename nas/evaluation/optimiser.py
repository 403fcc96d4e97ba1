"""Optimisers and learning rates of a recipe.

The update rules are torch's own, fused, in their functional form. The classes of `torch.optim` import torch's
compiler at their first step, which takes as long as importing torch, and spend 0.2 to 0.4 ms more on each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from search_spaces.block import fixed

from ..recipe import Recipe

RISE = 0.3  # the share of a one-cycle schedule in which the rate rises
BETAS, EPS = (0.9, 0.999), 1e-8  # of adamw (Loshchilov & Hutter 2019)


@dataclass(frozen=True, slots=True, eq=False)
class Slot:
    """A weight, its decay, and what its updates remember: two moments and a count, or one momentum."""

    weight: Tensor
    decay: float
    memory: tuple[Tensor, ...]


class Optimiser:
    """Steps down the gradients of a model's weights.

    Weights of one axis (norms, biases, slopes) are not decayed (He et al. 2019, "Bag of Tricks", 3.1).
    """

    def __init__(self, model: nn.Module, recipe: Recipe) -> None:
        self.clip, self.momentum = fixed(recipe.clip), fixed(recipe.momentum)
        self.adaptive = fixed(recipe.optimiser) == "adamw"
        decay = fixed(recipe.weight_decay)
        self.slots = tuple(
            Slot(weight, decay if weight.ndim > 1 else 0.0, self._memory(weight))
            for weight in model.parameters()
            if weight.requires_grad
        )

    def step(self, lr: float | Tensor) -> None:
        """Take one step and drop the gradients; weights without one stay as they are.

        A rate that is a tensor () float32, on the weights' device, is not waited for.
        """
        reached = [slot for slot in self.slots if slot.weight.grad is not None]
        if self.clip:
            clip_grad_norm_([slot.weight for slot in reached], self.clip)
        for decay in {slot.decay: None for slot in reached}:  # two at most, in a fixed order
            self._update([slot for slot in reached if slot.decay == decay], decay, lr)
        for slot in reached:
            slot.weight.grad = None

    def state(self) -> list[list[Tensor]]:
        """Return what the updates remember, a list a weight, for `restore`."""
        return [list(slot.memory) for slot in self.slots]

    def restore(self, state: Sequence[Sequence[Tensor]]) -> None:
        """Take over what `state` gave; ValueError or RuntimeError where it is of other weights."""
        for slot, memory in zip(self.slots, state, strict=True):
            for mine, theirs in zip(slot.memory, memory, strict=True):
                mine.copy_(theirs)

    def _memory(self, weight: Tensor) -> tuple[Tensor, ...]:
        if self.adaptive:
            steps = torch.zeros((), dtype=torch.float32, device=weight.device)
            return (torch.zeros_like(weight), torch.zeros_like(weight), steps)
        return (torch.zeros_like(weight),) if self.momentum else ()

    @torch.no_grad()
    def _update(self, slots: list[Slot], decay: float, lr: float | Tensor) -> None:
        weights = [slot.weight for slot in slots]
        gradients = [slot.weight.grad for slot in slots if slot.weight.grad is not None]
        memory = list(zip(*(slot.memory for slot in slots), strict=True))
        if self.adaptive:
            means, squares, steps = map(list, memory)
            adamw(
                weights, gradients, means, squares, [], steps,
                fused=True, amsgrad=False, beta1=BETAS[0], beta2=BETAS[1], lr=lr, weight_decay=decay, eps=EPS,
                maximize=False,
            )  # fmt: skip
        else:
            momenta: list[Tensor | None] = [*memory[0]] if memory else [None] * len(slots)
            sgd(
                weights, gradients, momenta,
                fused=True, weight_decay=decay, momentum=self.momentum, dampening=0.0,
                lr=lr,  # type: ignore[arg-type]  # the fused kernel takes a tensor too
                nesterov=self.momentum > 0, maximize=False,
            )  # fmt: skip


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
