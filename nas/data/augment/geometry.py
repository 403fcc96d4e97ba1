"""Augmentations that move values: mirrored, shifted, turned, zoomed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.block import Whole, fixed
from search_spaces.choice import Searchable, options
from search_spaces.data import ByKind, register
from search_spaces.errors import BadInput

from .base import Augmentation, Axis, Fill, Probability, Rising, around

if TYPE_CHECKING:
    from torch import Generator, Tensor

Turn = Annotated[float, Field(ge=-180, le=180)]
Turns = Annotated[tuple[Turn, Turn], Rising]
Degrees = Annotated[Annotated[float, Field(ge=0, le=180)] | Turns, ByKind()]
Zoom = Annotated[float, Field(ge=0.1, le=10)]
Zooms = Annotated[tuple[Zoom, Zoom], Rising]
Factor = Annotated[Annotated[float, Field(ge=0, le=0.9)] | Zooms, ByKind()]


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Flip(Augmentation):
    """Mirror each example along one spatial axis with a probability; axis -1 is left to right."""

    axis: Searchable[Axis] = -1
    probability: Searchable[Probability] = 0.5

    def apply(self, x: Tensor, generator: Generator) -> Tensor:
        """Flip the chosen examples."""
        from . import tensors

        self.check_axes(x.ndim - 2)
        chosen = tensors.draw_chosen(x, fixed(self.probability), generator=generator)
        return tensors.flip(x, chosen, axis=fixed(self.axis))

    def check_axes(self, count: int) -> None:
        """Refuse an axis that is not there."""
        for axis in options(self.axis):
            if -axis > count:
                raise BadInput(
                    f"Flip.axis: got {axis}, expected one of the {count} spatial axes of the input; change it"
                )


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Crop(Augmentation):
    """Pad every spatial axis on both sides and cut the input's size out, at a random place an example."""

    strengths: ClassVar[tuple[str, ...]] = ("padding",)

    padding: Searchable[Whole] = 4
    fill: Searchable[Literal["zero", "reflect"]] = "zero"  # reflect: mirrored, the border itself not repeated

    def apply(self, x: Tensor, generator: Generator) -> Tensor:
        """Shift each example by up to `padding` along each axis."""
        from . import tensors

        padding = fixed(self.padding)
        offsets = tensors.draw_places(x, (2 * padding + 1,) * (x.ndim - 2), generator=generator)
        return tensors.crop(x, offsets, padding=padding, fill=fixed(self.fill))


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Rotate(Augmentation):
    """Turn each example about its centre, sampled linearly (Simard et al. 2003).

    `degrees` is a range of angles, or the largest to both sides; above 0 is from the first axis of the plane
    to the second, as `torch.rot90`. A volume turns about `axis`, or, where it is None, about each by an angle
    of its own.
    """

    strengths: ClassVar[tuple[str, ...]] = ("degrees",)

    degrees: Searchable[Degrees] = 15.0
    axis: Searchable[Annotated[Axis | None, ByKind()]] = None
    probability: Searchable[Probability] = 1.0
    fill: Searchable[Fill] = "zero"

    def apply(self, x: Tensor, generator: Generator) -> Tensor:
        """Turn the chosen examples."""
        from . import tensors

        self.check_axes(x.ndim - 2)
        planes = tensors.planes(x.ndim - 2, fixed(self.axis))
        chosen = tensors.draw_chosen(x, fixed(self.probability), generator=generator)
        bounds = around(0.0, fixed(self.degrees))
        degrees = tuple(tensors.draw_strengths(x, bounds, chosen=chosen, generator=generator) for _ in planes)
        return tensors.rotate(x, degrees, planes=planes, fill=fixed(self.fill))

    def check_axes(self, count: int) -> None:
        """Refuse signals, and an axis to turn an image about."""
        if count == 1:
            raise BadInput("Rotate: got signals (1 spatial axis), expected images or volumes; leave it out")
        for axis in options(self.axis):
            if count == 2 and axis is not None:
                raise BadInput(
                    f"Rotate.axis: got {axis} for images, expected none, they turn one way; drop it"
                )


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Scale(Augmentation):
    """Zoom each example about its centre, all axes alike, sampled linearly (Simard et al. 2003).

    `scale` is a range of factors, or how far they go to both sides of 1; above 1 enlarges what is seen.
    Signals are stretched in time (Salamon & Bello 2017).
    """

    strengths: ClassVar[tuple[str, ...]] = ("scale",)

    scale: Searchable[Factor] = 0.1
    probability: Searchable[Probability] = 1.0
    fill: Searchable[Fill] = "zero"

    def apply(self, x: Tensor, generator: Generator) -> Tensor:
        """Zoom the chosen examples."""
        from . import tensors

        chosen = tensors.draw_chosen(x, fixed(self.probability), generator=generator)
        bounds = around(1.0, fixed(self.scale))
        factors = tensors.draw_strengths(x, bounds, chosen=chosen, neutral=1.0, generator=generator)
        return tensors.scale(x, factors, fill=fixed(self.fill))
