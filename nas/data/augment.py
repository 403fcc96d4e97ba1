"""Augmentations as data: what a recipe holds; loads no torch until one is applied.

A new augmentation is one frozen dataclass: `@register class MyAugmentation(Augmentation)` with searchable
fields and an `apply`. Batches are (N, C, *spatial), already normalised: 0 is a channel's mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.block import Whole, fixed
from search_spaces.choice import Searchable
from search_spaces.data import Checked, register

if TYPE_CHECKING:
    from torch import Generator, Tensor


class Augmentation(Checked):
    """A random change of a batch; subclasses are frozen keyword-only dataclasses with searchable fields."""

    __slots__ = ()
    tagged: ClassVar[bool] = True
    open: ClassVar[bool] = True

    def apply(self, x: Tensor, generator: Generator) -> Tensor:
        """Return a changed batch of the shape and type of `x` (N, C, *spatial), which stays as it was.

        All randomness comes from `generator`, drawn on its device. Every field must be resolved.
        """
        raise NotImplementedError


def augmented(x: Tensor, augmentations: tuple[Augmentation, ...], *, generator: Generator) -> Tensor:
    """Apply `augmentations` to a batch, in order."""
    for augmentation in augmentations:
        x = augmentation.apply(x, generator)
    return x


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Flip(Augmentation):
    """Mirror each example along one spatial axis with a probability; axis -1 is left to right."""

    axis: Searchable[Annotated[int, Field(ge=-3, le=-1)]] = -1  # counted from the last
    probability: Searchable[Annotated[float, Field(ge=0, le=1)]] = 0.5

    def apply(self, x: Tensor, generator: Generator) -> Tensor:
        """Flip the chosen examples."""
        from . import augment_tensors as tensors

        chosen = tensors.draw_chosen(x, fixed(self.probability), generator=generator)
        return tensors.flip(x, chosen, axis=fixed(self.axis))


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Crop(Augmentation):
    """Pad every spatial axis on both sides and cut the input's size out, at a random place an example."""

    padding: Searchable[Whole] = 4
    fill: Searchable[Literal["zero", "reflect"]] = "zero"  # reflect: mirrored, the border itself not repeated

    def apply(self, x: Tensor, generator: Generator) -> Tensor:
        """Shift each example by up to `padding` along each axis."""
        from . import augment_tensors as tensors

        padding = fixed(self.padding)
        offsets = tensors.draw_places(x, (2 * padding + 1,) * (x.ndim - 2), generator=generator)
        return tensors.crop(x, offsets, padding=padding, fill=fixed(self.fill))


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Cutout(Augmentation):
    """Set a square, or cube, of each example to 0 (DeVries & Taylor 2017).

    Its centre is anywhere in the example, so that part of it may lie outside.
    """

    size: Searchable[Whole]

    def apply(self, x: Tensor, generator: Generator) -> Tensor:
        """Cut one square out of each example, through all channels."""
        from . import augment_tensors as tensors

        centres = tensors.draw_places(x, x.shape[2:], generator=generator)
        return tensors.cutout(x, centres, size=fixed(self.size))
