"""Augmentations that change values and move none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from search_spaces.block import Whole, fixed
from search_spaces.choice import Searchable
from search_spaces.data import ByKind, register

from .base import Augmentation, Probability, Rising, around, exactly

if TYPE_CHECKING:
    from torch import Generator, Tensor

Width = Annotated[float, Field(ge=0, le=64)]
Widths = Annotated[tuple[Width, Width], Rising]
Sigma = Annotated[Width | Widths, ByKind()]
Deviation = Annotated[float, Field(ge=0, le=100)]
Deviations = Annotated[tuple[Deviation, Deviation], Rising]
Std = Annotated[Deviation | Deviations, ByKind()]
Offset = Annotated[float, Field(ge=-100, le=100)]
Offsets = Annotated[tuple[Offset, Offset], Rising]
Brightness = Annotated[Deviation | Offsets, ByKind()]
Gain = Annotated[float, Field(ge=0, le=10)]
Gains = Annotated[tuple[Gain, Gain], Rising]
Contrast = Annotated[Annotated[float, Field(ge=0, le=1)] | Gains, ByKind()]


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Cutout(Augmentation):
    """Set a square, or cube, of each example to 0 (DeVries & Taylor 2017).

    Its centre is anywhere in the example, so that part of it may lie outside.
    """

    strengths: ClassVar[tuple[str, ...]] = ("size",)

    size: Searchable[Whole]

    def apply(self, x: Tensor, generator: Generator) -> Tensor:
        """Cut one square out of each example, through all channels."""
        from . import tensors

        centres = tensors.draw_places(x, x.shape[2:], generator=generator)
        return tensors.cutout(x, centres, size=fixed(self.size))


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Blur(Augmentation):
    """Smooth each example along all axes with a Gaussian of `sigma` positions (Chen et al. 2020, SimCLR).

    The kernel is cut off at 3 of the largest sigma; outside, the border's value goes on.
    """

    strengths: ClassVar[tuple[str, ...]] = ("sigma",)

    sigma: Searchable[Sigma] = (0.1, 1.0)
    probability: Searchable[Probability] = 0.5

    def apply(self, x: Tensor, generator: Generator) -> Tensor:
        """Blur the chosen examples."""
        from . import tensors

        chosen = tensors.draw_chosen(x, fixed(self.probability), generator=generator)
        bounds = exactly(fixed(self.sigma))
        sigmas = tensors.draw_strengths(x, bounds, chosen=chosen, generator=generator)
        return tensors.blur(x, sigmas, largest=bounds[1])


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Noise(Augmentation):
    """Add Gaussian noise of `std` times the data's standard deviation (Bishop 1995)."""

    strengths: ClassVar[tuple[str, ...]] = ("std",)

    std: Searchable[Std] = 0.1
    probability: Searchable[Probability] = 1.0

    def apply(self, x: Tensor, generator: Generator) -> Tensor:
        """Add noise to the chosen examples."""
        from . import tensors

        chosen = tensors.draw_chosen(x, fixed(self.probability), generator=generator)
        bounds = exactly(fixed(self.std))
        stds = tensors.draw_strengths(x, bounds, chosen=chosen, generator=generator)
        return tensors.noisy(x, stds, generator=generator)


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Intensity(Augmentation):
    """Shift each example's values, and stretch them about each channel's mean in it (Howard 2013).

    `brightness` is added: a range, or the largest to both sides, in standard deviations of the data.
    `contrast` is a range of factors, or how far they go to both sides of 1.
    """

    strengths: ClassVar[tuple[str, ...]] = ("brightness", "contrast")

    brightness: Searchable[Brightness] = 0.2
    contrast: Searchable[Contrast] = 0.2
    probability: Searchable[Probability] = 1.0

    def apply(self, x: Tensor, generator: Generator) -> Tensor:
        """Change the chosen examples, all channels of one alike."""
        from . import tensors

        chosen = tensors.draw_chosen(x, fixed(self.probability), generator=generator)
        shifts, gains = around(0.0, fixed(self.brightness)), around(1.0, fixed(self.contrast))
        brightness = tensors.draw_strengths(x, shifts, chosen=chosen, generator=generator)
        contrast = tensors.draw_strengths(x, gains, chosen=chosen, neutral=1.0, generator=generator)
        return tensors.adjust(x, brightness=brightness, contrast=contrast)
