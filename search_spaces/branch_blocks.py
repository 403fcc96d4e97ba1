"""Blocks made of blocks, one after the other or side by side, and what else stands between them.

In each `lower`, x is the input (C_in, *spatial), w the width the place demands, s its stride.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Annotated, Literal

from pydantic import Field

from .block import ActivationName, Amount, Block, Rate, Whole, fixed
from .choice import Searchable
from .data import Data, register
from .errors import BadSpec, Unbuildable
from .graph import BATCH_NORM, Feature, Norm, Place, concat
from .parts import conv_norm, conv_norm_act, projected


@dataclass(frozen=True, slots=True, kw_only=True)
class Part(Data):
    """A block among others, and the width it gives beside theirs."""

    block: Searchable[Block]
    width: Searchable[Whole]


Parts = Annotated[tuple[Part, ...], Field(min_length=1, max_length=64)]


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Chain(Block):
    """Blocks one after the other, each of a width of its own; the block numbered `strided` strides.

    The widths are those at the last one's; where the place demands another, all are in proportion, rounded down.
    """

    parts: Parts
    strided: Annotated[int, Field(ge=0, le=63)] = 0

    def check(self) -> None:
        """Raise `BadSpec` where no block has the number that is to stride."""
        if self.strided >= len(self.parts):
            raise BadSpec(f"strided: got block {self.strided}, expected 0 to {len(self.parts) - 1}")

    def reads(self) -> tuple[str, ...]:
        return _reads(self.parts)

    def memory(self) -> int:
        return max(fixed(part.block).memory() - number for number, part in enumerate(self.parts))

    def lower(self, place: Place) -> Feature:
        newest, last = place.inputs, fixed(self.parts[-1].width)
        for number, part in enumerate(self.parts):
            width = max(1, fixed(part.width) * place.width // last)
            stride = place.stride if number == self.strided else (1,) * len(place.stride)
            with place.input.tracer.within(f"part{number}"):
                newest = (_lowered(part, newest, width, stride, place), *newest)
        return newest[0]


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Branches(Block):
    """Blocks side by side on one input, their channels one after the other (Szegedy et al. 2015, inception).

    The widths are those at their sum; where the place demands another width, it is shared out in proportion.
    """

    parts: Parts

    def reads(self) -> tuple[str, ...]:
        return _reads(self.parts)

    def memory(self) -> int:
        return max(fixed(part.block).memory() for part in self.parts)

    def lower(self, place: Place) -> Feature:
        widths = shares([fixed(part.width) for part in self.parts], place.width)
        branches = []
        for number, (part, width) in enumerate(zip(self.parts, widths, strict=True)):
            with place.input.tracer.within(f"branch{number}"):
                branches.append(_lowered(part, place.inputs, width, place.stride, place))
        return concat(*branches) if len(branches) > 1 else branches[0]


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ShuffleUnit(Block):
    """Half of the channels as they are, half through three convolutions, then mixed (Ma et al. 2018, figure 3).

    Where the place demands another shape, both halves are made from the whole input, the first by a depthwise
    and a 1x1 convolution.
    """

    kernel: Searchable[Amount] = 3
    act: Searchable[ActivationName] = "relu"
    norm: Searchable[Norm] = BATCH_NORM

    def lower(self, place: Place) -> Feature:
        x, half = place.input, place.width // 2
        if place.strides or x.channels != place.width:
            kept, rest = self._filtered(x, place, "kept"), x
            kept = conv_norm_act(self, kept, place.width - half, 1, name="kept_mix")
        else:
            kept, rest = x.slice(0, place.width - half), x.slice(place.width - half, place.width)
        y = conv_norm_act(self, rest, half, 1, name="mix")
        y = self._filtered(y, place, "filter")
        return concat(kept, conv_norm_act(self, y, half, 1, name="remix")).shuffle(2)

    def _filtered(self, x: Feature, place: Place, name: str) -> Feature:
        return conv_norm(self, x, x.channels, self.kernel, stride=place.stride, groups=x.channels, name=name)


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Drop(Block):
    """Dropout: in training, each value, channel or whole sample is zero at a rate (Srivastava et al. 2014).

    A strided 1x1 convolution and norm come first where the place demands another shape.
    """

    rate: Searchable[Rate] = 0.5
    of: Searchable[Literal["value", "channel", "sample"]] = "value"
    norm: Searchable[Norm] = BATCH_NORM

    def lower(self, place: Place) -> Feature:
        return projected(self, place.input, place).dropout(fixed(self.rate), of=fixed(self.of))


def shares(widths: Sequence[int], whole: int) -> tuple[int, ...]:
    """Share a whole out in proportion to some widths; `Unbuildable` where one of them would have nothing.

    >>> shares((64, 128, 32, 32), 256), shares((64, 128, 32, 32), 128), shares((1, 1, 1), 8)
    ((64, 128, 32, 32), (32, 64, 16, 16), (2, 3, 3))
    """
    ends = [0, *(end * whole // sum(widths) for end in accumulate(widths))]
    given = tuple(end - start for start, end in pairwise(ends))
    if min(given) < 1:
        raise Unbuildable(
            f"got a width of {whole} for branches of {', '.join(map(str, widths))} channels, expected one that "
            "leaves each at least one channel; use a greater width or fewer branches"
        )
    return given


def _lowered(
    part: Part, recent: tuple[Feature, ...], width: int, stride: tuple[int, ...], place: Place
) -> Feature:
    block = fixed(part.block)
    return block.lower(Place(inputs=recent[: block.memory()], width=width, stride=stride, taps=place.taps))


def _reads(parts: Sequence[Part]) -> tuple[str, ...]:
    def taps() -> Iterator[str]:
        for part in parts:
            yield from fixed(part.block).reads()

    return tuple(dict.fromkeys(taps()))
