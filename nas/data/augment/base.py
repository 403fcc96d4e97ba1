"""What an augmentation is: a random change of a batch, and of its targets where it mixes examples.

A new augmentation is one frozen dataclass: `@register class MyAugmentation(Augmentation)` with searchable
fields and an `apply`. Batches are (N, C, *spatial), already normalised: 0 is a channel's mean and 1 its
standard deviation. A field of strength takes a number or a range (low, high) to draw from, anew an example.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeAlias, TypeVar

from pydantic import AfterValidator, Field

from search_spaces.data import Checked

if TYPE_CHECKING:
    from torch import Generator, Tensor

T = TypeVar("T")
Range = tuple[float, float]
Targets: TypeAlias = "Tensor | Mixed"
Probability = Annotated[float, Field(ge=0, le=1)]
Axis = Annotated[int, Field(ge=-3, le=-1)]  # counted from the last
Fill = Literal["zero", "edge", "reflect"]  # reflect: mirrored at the outer side of the border


class Augmentation(Checked):
    """A random change of a batch; subclasses are frozen keyword-only dataclasses with searchable fields."""

    __slots__ = ()
    tagged: ClassVar[bool] = True
    open: ClassVar[bool] = True
    strengths: ClassVar[tuple[str, ...]] = ()  # fields that say how much is changed, not how often

    def apply(self, x: Tensor, generator: Generator) -> Tensor:
        """Return a changed batch of the shape and type of `x` (N, C, *spatial), which stays as it was.

        All randomness comes from `generator`, drawn on its device. Every field must be resolved.
        """
        raise NotImplementedError

    def transform(self, x: Tensor, y: Targets, generator: Generator) -> tuple[Tensor, Targets]:
        """Return a changed batch and its targets; for those to override that change targets too."""
        return self.apply(x, generator), y

    def check_axes(self, count: int) -> None:
        """Raise `BadInput` where examples of `count` spatial axes cannot take it; fields may be open."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mixed:
    """Labels of examples that are each mixed of two: `share`, a number, of `first`, the rest of `second`."""

    first: Targets
    second: Targets
    share: Tensor


def augmented(
    x: Tensor, y: Targets, augmentations: tuple[Augmentation, ...], *, generator: Generator
) -> tuple[Tensor, Targets]:
    """Apply `augmentations` to a batch and its targets, in order."""
    for augmentation in augmentations:
        x, y = augmentation.transform(x, y, generator)
    return x, y


def around(centre: float, strength: float | Range) -> Range:
    """Return the range that a strength stands for, where a number goes to both sides of the centre."""
    return strength if isinstance(strength, tuple) else (centre - strength, centre + strength)


def exactly(strength: float | Range) -> Range:
    """Return the range that a strength stands for, where a number is drawn as it is."""
    return strength if isinstance(strength, tuple) else (strength, strength)


def _risen(ends: Range) -> Range:
    if ends[0] > ends[1]:
        raise ValueError(f"got the range {list(ends)}, expected [low, high]; turn it round")
    return ends


Rising = AfterValidator(_risen)  # of the type of a range
