"""Training batches without end, whose place within an epoch is part of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Generator, Tensor

from ..data.augment import Augmentation, Targets
from ..data.device import DevicePart


@dataclass(slots=True, kw_only=True, eq=False)
class Stream:
    """Shuffled, augmented batches of some examples of a part, epoch after epoch; all of one size."""

    part: DevicePart
    numbers: Tensor  # of the examples it draws from
    batch: int
    generator: Generator
    augment: tuple[Augmentation, ...] = ()
    order: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))
    at: int = 0

    @property
    def steps(self) -> int:
        """How many batches an epoch has; what is left over is left out, and with it a batch of its own size."""
        return max(1, len(self.numbers) // self.batch)

    def draw(self) -> tuple[Tensor, Targets]:
        """Return the next batch."""
        if self.at + min(self.batch, len(self.numbers)) > len(self.order):
            self.order = torch.randperm(
                len(self.numbers), generator=self.generator, device=self.generator.device
            )
            self.at = 0
        chosen = self.order[self.at : self.at + self.batch]
        self.at += len(chosen)
        return self.part.drawn(self.numbers[chosen], self.generator, augment=self.augment)

    def state(self) -> dict[str, object]:
        """Return what the next batch depends on."""
        return {"generator": self.generator.get_state(), "order": self.order, "at": self.at}

    def restore(self, state: Mapping[str, object]) -> None:
        """Take over what `state` gave."""
        self.generator.set_state(cast(Tensor, state["generator"]))
        self.order, self.at = cast(Tensor, state["order"]).to(self.numbers.device), cast(int, state["at"])
