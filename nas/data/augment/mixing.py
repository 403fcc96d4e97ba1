"""Augmentations that mix examples, and their targets with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from search_spaces.block import fixed
from search_spaces.choice import Searchable
from search_spaces.data import register

from .base import Augmentation, Probability, Targets

if TYPE_CHECKING:
    from torch import Generator, Tensor


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Mixup(Augmentation):
    """Mix each example with another of its batch: share s of one, 1 - s of the other (Zhang et al. 2018).

    As in the paper's code, s is drawn once a batch, from Beta(alpha, alpha); an alpha of 0 mixes nothing.
    The loss of a mixed label is mixed alike; targets of a regression are mixed themselves.
    """

    strengths: ClassVar[tuple[str, ...]] = ("alpha",)

    alpha: Searchable[Annotated[float, Field(ge=0, le=100)]] = 0.2
    probability: Searchable[Probability] = 1.0  # of mixing a batch

    def apply(self, x: Tensor, generator: Generator) -> Tensor:
        """Mix the examples alone."""
        from . import tensors

        order, share = self._drawn(x, generator)
        return tensors.mix(x, order, share=share)

    def transform(self, x: Tensor, y: Targets, generator: Generator) -> tuple[Tensor, Targets]:
        """Mix the examples, and their targets alike."""
        from . import tensors

        order, share = self._drawn(x, generator)
        return tensors.mix(x, order, share=share), tensors.mix_targets(y, order, share=share)

    def _drawn(self, x: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Draw who is mixed with whom, and the share of the first."""
        from . import tensors

        order = tensors.draw_order(x, generator=generator)
        alpha, probability = fixed(self.alpha), fixed(self.probability)
        return order, tensors.draw_share(x, alpha, probability=probability, generator=generator)
