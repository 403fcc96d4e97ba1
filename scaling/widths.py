"""Which numbers of a network are widths, and the same parts with other ones.

Fields called `width` and `hidden` are widths wherever they stand, in users' own blocks and heads too; expansions
and squeezes follow, being ratios. The parts of a `Chain` or of `Branches` are widths where they are those of the
place they stand at; elsewhere they are proportions, which the block keeps by itself.

`groups` keep their number, so that a grouped convolution costs with the square of its width, as the rules expect,
and widths around it are whole multiples of it. One with as many groups as its place has channels is depthwise and
stays it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import lcm
from typing import TypeVar

from search_spaces.block import Block, fixed
from search_spaces.branch_blocks import Branches, Chain, Part
from search_spaces.check import nodes
from search_spaces.data import Data, declared
from search_spaces.graph import Norm
from search_spaces.network import Network, Stage, placed

Resize = Callable[[int], int]
DataT = TypeVar("DataT", bound=Data)
WIDTHS = ("width", "hidden")
FINEST_RATIO = 64  # the largest denominator that a ratio of channels is taken to have


@dataclass(frozen=True, slots=True)
class Spot:
    """The width a place demanded and the one it demands now."""

    old: int
    new: int


def resized(node: DataT, resize: Resize, *, spot: Spot | None, step: int = 1) -> DataT:
    """Return a block or head with every width in it resized; `spot` is its place's, None where places differ.

    Branches share out their place's width in whole multiples of `step` where that leaves something for each.
    """
    if spot is not None and isinstance(node, Branches | Chain):
        return _parted(node, resize, spot, step)
    changed = {}
    for name, _ in declared(type(node)):
        value = getattr(node, name)
        new = _field(name, value, resize, spot, step)
        if new is not value and new != value:
            changed[name] = new
    return replace(node, **changed) if changed else node  # type: ignore[type-var]


def resized_layers(stage: Stage, wide: int, width: Resize, step: int) -> tuple[Block, ...]:
    """Return a stage's layers where the stage is `wide`; equal ones are worked out once."""
    assert isinstance(stage.blocks, tuple)
    blocks = tuple(fixed(block) for block in stage.blocks)
    spot = Spot(fixed(stage.width), wide)
    known = {block: resized(block, width, spot=spot, step=step) for block in dict.fromkeys(blocks)}
    return tuple(known[block] for block in blocks)


def multiples(network: Network) -> Mapping[int, int]:
    """Return for each width of a stage or part the number that its groups ask it to be a multiple of."""
    found: dict[int, int] = {}
    before = None
    for _, block, width, _, _ in placed(network):
        for inner, own in _grouped(block, width):
            asked = _asked(inner, own)
            around = (width, own) if hasattr(inner, "ratio") or before is None else (before, width, own)
            for number in around:
                if number % asked == 0:
                    found[number] = lcm(found.get(number, 1), asked)
        before = width
    return found


def shared_out(widths: Sequence[int], whole: int, step: int) -> tuple[int, ...] | None:
    """Share a width out in whole multiples of a step, in proportion; None where it does not go so.

    Each step goes where it is owed most (Webster's method), so that none has less of a larger whole.

    >>> shared_out((64, 128, 32, 32), 280, 8), shared_out((8, 8), 12, 8)
    ((72, 144, 32, 32), None)
    """
    steps = whole // step
    if whole % step or steps < len(widths):
        return None
    given = [1] * len(widths)
    for _ in range(steps - len(widths)):
        given[max(range(len(widths)), key=lambda i: widths[i] / (2 * given[i] + 1))] += 1
    return tuple(step * n for n in given)


def _field(name: str, value: object, resize: Resize, spot: Spot | None, step: int) -> object:
    match value:
        case bool() | float() | str() | None | Norm():
            return value
        case int() if name in WIDTHS:
            return resize(value)
        case int() if name == "groups" and spot is not None and value == spot.old > 1:
            return spot.new
        case tuple():
            return tuple(_field(name, item, resize, spot, step) for item in value)
        case Part():
            return replace(value, block=resized(fixed(value.block), resize, spot=None, step=step))
        case Data():
            return resized(value, resize, spot=spot, step=step)
    return value


def _parted(node: DataT, resize: Resize, spot: Spot, step: int) -> DataT:
    assert isinstance(node, Branches | Chain)
    old = [fixed(part.width) for part in node.parts]
    own = sum(old) if isinstance(node, Branches) else old[-1]
    if own != spot.old:  # proportions
        spots: list[Spot | None] = [None] * len(old)
    elif isinstance(node, Branches):
        new = tuple(old) if spot.new == spot.old else shared_out(old, spot.new, step)
        spots = [None] * len(old) if new is None else [Spot(a, b) for a, b in zip(old, new, strict=True)]
    else:
        spots = [*(Spot(n, resize(n)) for n in old[:-1]), spot]
    parts = tuple(_part(part, at, resize, step) for part, at in zip(node.parts, spots, strict=True))
    return replace(node, parts=parts)


def _part(part: Part, spot: Spot | None, resize: Resize, step: int) -> Part:
    block = resized(fixed(part.block), resize, spot=spot, step=step)
    return replace(part, block=block) if spot is None else Part(block=block, width=spot.new)


def _grouped(block: Block, width: int) -> Iterator[tuple[Block, int]]:
    """Yield (block, width of its place) of the blocks within one that have groups and are not depthwise."""
    if isinstance(block, Branches | Chain):
        for part in block.parts:
            yield from _grouped(fixed(part.block), fixed(part.width))
        return
    for _, node in nodes(block):
        groups = getattr(node, "groups", 1)
        if isinstance(node, Block) and isinstance(groups, int) and groups not in (1, width):
            yield node, width


def _asked(block: Block, width: int) -> int:
    """Return what a place's width must be a multiple of, so that a block's groups divide its channels."""
    ratio = Fraction(getattr(block, "ratio", 1.0)).limit_denominator(FINEST_RATIO)
    whole = Fraction(getattr(block, "groups", 1)) / ratio if ratio else Fraction(1)
    return whole.numerator
