"""What a block is, and the register that makes one usable by name in YAML, spaces and interpreters.

A new block is one frozen dataclass: `@register class MyBlock(Block)` with searchable fields and a `lower`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, TypeVar, overload

from pydantic import Field

from .choice import Choice
from .data import ByKind, Data
from .errors import BadSpec
from .graph import Feature, Place
from .layers import ACTIVATIONS

Whole = Annotated[int, Field(ge=1, le=2**31)]
Amount = Annotated[Whole | tuple[Whole, ...], ByKind()]  # the same along each axis, or one number an axis
Ratio = Annotated[float, Field(ge=0, le=64, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
ActivationName = Annotated[str, Field(pattern=f"^({'|'.join(ACTIVATIONS)}|none)$")]

T = TypeVar("T")


class Block(Data):
    """Something that lowers to layers; subclasses are frozen dataclasses with searchable fields."""

    __slots__ = ()
    tagged: ClassVar[bool] = True
    open: ClassVar[bool] = True

    def lower(self, place: Place) -> Feature:
        """Write this block's layers at a place and return its output; `Unbuildable` where they do not fit.

        Called on resolved blocks only: no field holds a `Choice`.
        """
        raise NotImplementedError

    def reads(self) -> tuple[str, ...]:
        """Name the taps this block reads; the place then holds just these."""
        return ()

    def memory(self) -> int:
        """Return how many of the newest features this block reads: 1, or 2 for a cell with two inputs."""
        return 1


class Head(Block):
    """A block that ends a network: its width is its own."""

    __slots__ = ()
    open: ClassVar[bool] = True


@overload
def fixed(value: Choice[T]) -> T: ...
@overload
def fixed(value: T) -> T: ...
def fixed(value: object) -> object:
    """Narrow a searchable field to its value; `BadSpec` where a choice was left open."""
    if isinstance(value, Choice):
        raise BadSpec(f"got {value!r}, expected a value; resolve the space before it is lowered")
    return value
