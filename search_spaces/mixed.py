"""The block that holds a slot's options side by side, and the weighted sum that joins them."""

from __future__ import annotations

from dataclasses import dataclass

from .block import Block
from .blocks import Pool
from .cell_blocks import Zero
from .errors import BadSpec
from .graph import BATCH_NORM, Feature, Place, concat
from .layers import Sum

AUXILIARY = "auxiliary"  # the vector, of one number, that weighs every auxiliary skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix(Sum):
    """A weighted sum: value i is weighed by number `entries[i]` of the slot's vector."""

    slot: str
    entries: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixed(Block):
    """The options of a slot, or those of them that read one source, side by side."""

    slot: str
    options: tuple[tuple[int, Block], ...]  # the vector's entries, and what they weigh
    edge: tuple[str, int] | None = None  # the vector over a node's edges, and this one's entry
    partial: int = 1
    pool_norm: bool = True
    auxiliary: Block | None = None  # a branch of its own beside the options, which skips (DARTS-)

    def memory(self) -> int:
        return max(block.memory() for _, block in self.options)

    def reads(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(tap for _, block in self.options for tap in block.reads()))

    def lower(self, place: Place) -> Feature:
        mixed = self._partly(place) if self._is_partial(place) else self._mixed(place)
        if self.edge is None:
            return mixed
        slot, entry = self.edge
        return place.input.tracer.add(Mix(slot=slot, entries=(entry,)), (mixed,), "weighed")

    def _is_partial(self, place: Place) -> bool:
        return self.partial > 1 and place.input.channels == place.width and self.memory() == 1

    def _partly(self, place: Place) -> Feature:
        """Mix the first channels, pass the others by (pooled where the place strides), shuffle them together."""
        x, width = place.input, place.width // self.partial
        if place.width % self.partial:
            raise BadSpec(
                f"{self.slot}: got {place.width} channels for partial={self.partial}, expected a multiple; change the "
                "width or set partial=1"
            )
        within = Place(inputs=(x.slice(0, width, name="part"),), width=width, stride=place.stride)
        rest = x.slice(width, place.width, name="rest")
        if place.strides:
            rest = rest.pool("max", place.stride, stride=place.stride, name="rest_pool")
        return concat(self._mixed(within), rest, name="joined").shuffle(self.partial)

    def _mixed(self, place: Place) -> Feature:
        live = [(entry, block) for entry, block in self.options if not isinstance(block, Zero)]
        if not live:
            return place.input.zeros(place.width, place.stride)
        parts = [self._branch(f"option{entry}", block, place) for entry, block in live]
        shapes = {part.shape for part in parts}
        if len(shapes) > 1:
            raise BadSpec(
                f"{self.slot}: got options whose outputs have the shapes {', '.join(map(str, sorted(shapes)))}, "
                f'expected one shape, or they cannot be summed; settle it: fix=["{self.slot} = option 0"]'
            )
        layer = Mix(slot=self.slot, entries=tuple(entry for entry, _ in live))
        mixed = place.input.tracer.add(layer, parts, "mix")
        if self.auxiliary is None:
            return mixed
        beside = self._branch("auxiliary", self.auxiliary, place)
        weighed = place.input.tracer.add(Mix(slot=AUXILIARY, entries=(0,)), (beside,), "faded")
        return place.input.tracer.add(Sum(), (mixed, weighed), "helped")

    def _branch(self, name: str, block: Block, place: Place) -> Feature:
        taps = {name: place.taps[name] for name in block.reads()}
        own = Place(inputs=place.inputs[: block.memory()], width=place.width, stride=place.stride, taps=taps)
        with place.input.tracer.within(name):
            y = block.lower(own)
            bare = (
                isinstance(block, Pool) and place.input.channels == place.width
            )  # else a projection has a norm
            return y.norm(BATCH_NORM, name="pool_norm") if self.pool_norm and bare else y
