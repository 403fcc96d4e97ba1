"""What one step of a search by gradients is given, and copies of it that a replay reads."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..data.augment import Mixed, Targets

Batch = tuple[Tensor, Targets]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Given:
    """What a step is given: two batches, one while only weights learn, and what depends on the place."""

    train: Batch
    held_out: Batch | None
    place: float  # from 0 to 1; where steps are replayed nothing reads it
    lr: float | Tensor
    auxiliary: Tensor | None  # (1,): what an auxiliary skip weighs

    def held(self) -> Given:
        """Return copies in tensors of their own, the rate too."""
        return replace(
            self, train=_held(self.train), held_out=None if self.held_out is None else _held(self.held_out),
            lr=self._rate().to(self.train[0].device, copy=True),
            auxiliary=None if self.auxiliary is None else self.auxiliary.clone(),
        )  # fmt: skip

    def tensors(self) -> list[Tensor]:
        """Return all that differs between steps; the rate as a tensor."""
        batches = [tensor for x, y in filter(None, (self.train, self.held_out)) for tensor in (x, *_flat(y))]
        return [*batches, self._rate(), *([] if self.auxiliary is None else [self.auxiliary])]

    def _rate(self) -> Tensor:
        return torch.as_tensor(self.lr, dtype=torch.float32)  # as fused kernels read it


def _held(batch: Batch) -> Batch:
    x, y = batch
    return x.clone(), _held_targets(y)


def _held_targets(y: Targets) -> Targets:
    if isinstance(y, Tensor):
        return y.clone()
    return Mixed(first=_held_targets(y.first), second=_held_targets(y.second), share=y.share.clone())


def _flat(y: Targets) -> list[Tensor]:
    return [y] if isinstance(y, Tensor) else [*_flat(y.first), *_flat(y.second), y.share]
