"""How architecture parameters become what weighs the options: the four published ways, over all slots at once.

Parameters are one table (vectors, entries), a row a vector, padded with entries that are never read. A vector over a
node's edges is always a softmax (Xu et al. 2020, eq. 3).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from search_spaces.mixture import Mixture

from ..gradient import Gradient

START = 1e-3  # the standard deviation that parameters start with (Liu et al. 2019)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Which row of the table is which vector."""

    sizes: Mapping[str, int]  # by path, in the order of the rows
    slots: int  # the first rows, so many, are slots; the others vectors over edges
    valid: Tensor  # (vectors, entries) bool
    own: Tensor  # the numbers of those of slots, in the flat table

    def start(self, generator: Generator) -> Tensor:
        """Return parameters before the first step."""
        return START * torch.randn(self.valid.shape, generator=generator, device=generator.device)

    def vectors(self, table: Tensor) -> dict[str, Tensor]:
        """Return the rows of a table by path, without their padding."""
        rows = zip(self.sizes.items(), table.unbind(0), strict=True)
        return {path: row[:size] for (path, size), row in rows}

    def softmax(self, table: Tensor) -> Tensor:
        """Return each row's softmax over the entries that are read."""
        return table.masked_fill(~self.valid, -math.inf).softmax(1)


@dataclass(frozen=True, slots=True, eq=False)
class Mixed:
    """What weighs the options in one step; where one path is run, the entry of each slot."""

    table: Tensor
    only: Mapping[str, int] | None = None


def rows_of(mixture: Mixture, device: torch.device) -> Rows:
    """Return the layout of a mixture's parameters."""
    sizes = mixture.vectors
    widest = max(sizes.values())
    valid = torch.arange(widest)[None, :] < torch.tensor(list(sizes.values()))[:, None]
    slots = len(mixture.slots)
    own = valid[:slots].flatten().nonzero().flatten()
    return Rows(sizes, slots, valid.to(device), own.to(device))


def shares(settings: Gradient, rows: Rows, alphas: Tensor) -> Tensor:
    """Return what the options weigh in expectation: what an architecture is derived from."""
    soft = rows.softmax(alphas)
    if settings.mixing == "sigmoid":
        return torch.cat((alphas[: rows.slots].sigmoid(), soft[rows.slots :])) * rows.valid
    if settings.mixing == "dirichlet":
        concentrated = _concentrations(alphas) * rows.valid
        means = concentrated / concentrated.sum(1, keepdim=True)
        return torch.cat((means[: rows.slots], soft[rows.slots :]))
    return soft


def mixed(settings: Gradient, rows: Rows, alphas: Tensor, generator: Generator, *, place: float) -> Mixed:
    """Return what weighs the options in one step; `place` is 0 at the first step and 1 at the last."""
    if settings.mixing == "gumbel":
        return _one_sampled(settings, rows, alphas, generator, place)
    if settings.mixing == "dirichlet":
        drawn = [
            _dirichlet(_concentrations(alphas[i, : int(size)]), generator, width=alphas.shape[1])
            for i, size in enumerate(list(rows.sizes.values())[: rows.slots])
        ]
        return Mixed(torch.cat((torch.stack(drawn), rows.softmax(alphas)[rows.slots :])))
    return Mixed(shares(settings, rows, alphas))


def regularised(settings: Gradient, rows: Rows, alphas: Tensor) -> Tensor:
    """Return what a way of mixing adds to the loss of its parameters."""
    own = alphas.flatten().index_select(0, rows.own)
    if settings.mixing == "sigmoid":
        return -settings.zero_one * (own.sigmoid() - 0.5).square().mean()
    if settings.mixing == "dirichlet":
        return settings.anchor * (_concentrations(own) - 1).square().sum()
    return alphas.new_zeros(())


def _one_sampled(settings: Gradient, rows: Rows, alphas: Tensor, generator: Generator, place: float) -> Mixed:
    """Sample an entry of each slot and let gradients pass as through the softmax (Dong & Yang 2019, eq. 5-7)."""
    first, last = settings.temperature
    noise = torch.empty_like(alphas).exponential_(generator=generator).log().neg()
    logits = rows.softmax(alphas).clamp_min(1e-20).log() + noise
    soft = rows.softmax(logits / (first + (last - first) * place))[: rows.slots]
    chosen = soft.argmax(1)
    hard = F.one_hot(chosen, soft.shape[1]).to(soft.dtype)
    table = torch.cat((hard - soft.detach() + soft, rows.softmax(alphas)[rows.slots :]))
    return Mixed(table, dict(zip(list(rows.sizes)[: rows.slots], chosen.tolist(), strict=True)))


def _concentrations(alphas: Tensor) -> Tensor:
    return F.elu(alphas) + 1 + 1e-6  # above 0 (DrNAS, section 3.1)


def _dirichlet(concentration: Tensor, generator: Generator, *, width: int) -> Tensor:
    drawn: Tensor = _Dirichlet.apply(concentration, generator)  # type: ignore[no-untyped-call]
    return F.pad(drawn, (0, width - len(concentration)))


class _Dirichlet(torch.autograd.Function):
    """A sample with its pathwise gradient, as `torch.distributions` has it, from a generator of our own."""

    @staticmethod
    def forward(ctx, concentration: Tensor, generator: Generator) -> Tensor:  # type: ignore[no-untyped-def]
        drawn = torch._sample_dirichlet(concentration, generator=generator)
        ctx.save_for_backward(drawn, concentration)
        return drawn

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[no-untyped-def]
        drawn, concentration = ctx.saved_tensors
        total = concentration.sum(-1, True).expand_as(concentration)
        slope = torch._dirichlet_grad(drawn, concentration, total)
        return slope * (grad - (drawn * grad).sum(-1, True)), None
