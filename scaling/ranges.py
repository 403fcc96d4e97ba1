"""What costs a space can reach: exact ranges by dynamic programming over its stages.

After each stage stand the shapes that some member can have there, each with the least and the most cost on
any way to it. Sums take least plus least; peak memory is the largest of its blocks' peaks, so that least and
most work there too. Conditions and ties between stages are left out, which can only widen a range; the
input's own ties (one resolution for all axes) are kept. Spaces with shared blocks, cells above all, go by
`shared_ranges`; their peak memory is sampled.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Literal, NamedTuple

from search_spaces.automaton import automaton
from search_spaces.block import Amount, Block, fixed
from search_spaces.check import combinators
from search_spaces.choice import Choice, Repeat, Same, Searchable, options
from search_spaces.errors import BadInput, Infeasible, Unbuildable
from search_spaces.layers import Shape
from search_spaces.moves import sample
from search_spaces.names import nearest
from search_spaces.network import Network, Stage

from .cost import Cost, block_cost, cost
from .shared_ranges import shared_reach
from .spans import NotSeparableError, variants

Known = Literal["exact", "outer", "sampled"]
METRICS = ("params", "macs", "activations", "peak_bytes")
SAMPLES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The least and the most that members of a space cost, and how that is known.

    `exact`: some members cost just that. `outer`: no member lies outside, but conditions or ties may keep all
    members further inside. `sampled`: seen among random members, so that others may lie outside.
    """

    low: float
    high: float
    known: Known

    @property
    def exact(self) -> bool:
        """Whether some members cost just that."""
        return self.known == "exact"


def bounds(space: Network, metric: str) -> Range:
    """Return the range of a metric of `Cost` over the members that can be built.

    `BadInput` where the metric is not one that a formula gives, `Infeasible` where no member can be built.
    """
    if metric not in METRICS:
        raise BadInput(
            f"metric: got {metric!r}, expected one of {', '.join(METRICS)}{nearest(metric, METRICS)}"
        )
    key = Same(space)
    found = _by_stages(key)
    if found is None and space.shared and metric != "peak_bytes":
        found = _by_sums(key)
    return (found or _by_samples(key))[METRICS.index(metric)]


class Spent(NamedTuple):
    """Costs so far, in the order of `METRICS`."""

    params: int
    macs: int
    activations: int
    peak_bytes: int

    def then(self, other: Spent) -> Spent:
        """Return the cost of one thing after another."""
        return Spent(
            self.params + other.params,
            self.macs + other.macs,
            self.activations + other.activations,
            max(self.peak_bytes, other.peak_bytes),
        )


class Span(NamedTuple):
    """The least and the most of each metric, on whatever ways."""

    low: Spent
    high: Spent

    def then(self, other: Span) -> Span:
        """Return the span of one thing after another."""
        return Span(self.low.then(other.low), self.high.then(other.high))

    def either(self, other: Span) -> Span:
        """Return the span of one thing or another."""
        return Span(Spent(*map(min, self.low, other.low)), Spent(*map(max, self.high, other.high)))


Reached = Mapping[Shape, Span]  # the shapes that some member can have at a point


@lru_cache(maxsize=32)
def _by_stages(key: Same) -> tuple[Range, ...] | None:
    space = key.node
    assert isinstance(space, Network)
    try:
        span = _whole(space)
    except NotSeparableError:
        return None
    return _ranges(span.low, span.high, _exactness(space))


@lru_cache(maxsize=32)
def _by_sums(key: Same) -> tuple[Range, ...] | None:
    space = key.node
    assert isinstance(space, Network)
    try:
        reach = shared_reach(space)
    except NotSeparableError:
        return None
    return _ranges(reach.low, reach.high, _exactness(space))


@lru_cache(maxsize=32)
def _by_samples(key: Same) -> tuple[Range, ...]:
    assert isinstance(key.node, Network)
    span = _sampled(key.node)
    return _ranges(span.low, span.high, "sampled")


def _ranges(low: Sequence[int], high: Sequence[int], known: Known) -> tuple[Range, ...]:
    return tuple(Range(low=least, high=most, known=known) for least, most in zip(low, high, strict=True))


def _exactness(space: Network) -> Known:
    return "outer" if automaton(space).conditions or _tied(space) else "exact"


def _whole(space: Network) -> Span:
    if space.shared:  # what stands at several places cannot be gone through place by place
        raise NotSeparableError
    nothing = Spent(0, 0, 0, 0)
    inputs = [tuple(fixed(n) for n in shape) for shape in variants(space.input)]
    reached: Reached = {shape: Span(nothing, nothing) for shape in inputs}
    for stage in (space.stem, *space.stages):
        kinds: tuple[Stage | None, ...] = stage.options if isinstance(stage, Choice) else (stage,)
        reached = _merged([after for kind in kinds for after in _after_stage(kind, reached)])
    heads = [variant for head in options(space.head) for variant in variants(head)]
    ends = _after_layer(heads, reached, 1, 1)
    if not ends:
        raise Infeasible(
            "space: no member can be built, for its layers do not fit the input; use fewer strides"
        )
    first, *others = ends.values()
    for other in others:
        first = first.either(other)
    return first


def _after_stage(stage: Stage | None, before: Reached) -> Iterator[Reached]:
    """Yield what each of a stage's widths, strides and kinds of blocks reaches; a stem may be None."""
    if stage is None:
        yield before
        return
    strides: tuple[Amount, ...] = options(stage.stride)
    kinds = stage.blocks.options if isinstance(stage.blocks, Choice) else (stage.blocks,)
    for width, stride, blocks in product(options(stage.width), strides, kinds):
        yield from _after_blocks(blocks, before, width, stride)


def _after_blocks(
    blocks: tuple[Searchable[Block], ...] | Repeat[Block], before: Reached, width: int, stride: Amount
) -> Iterator[Reached]:
    if isinstance(blocks, tuple):
        yield _after_layers([variants(block) for block in blocks], before, width, stride)[-1]
        return
    counts = options(blocks.count)
    kinds = variants(blocks.item)
    for alike in [kinds] if blocks.independent else [(kind,) for kind in kinds]:
        depths = _after_layers([alike] * max(counts), before, width, stride)
        yield from (depths[depth - 1] for depth in counts)


def _after_layers(
    layers: Sequence[Sequence[Block]], before: Reached, width: int, stride: Amount
) -> list[Reached]:
    """Return what is reached after each layer, where each is any of its variants."""
    depths: list[Reached] = []
    for i, kinds in enumerate(layers):
        before = _after_layer(kinds, before, width, 1 if i else stride)
        depths.append(before)
    return depths


def _after_layer(variants: Sequence[Block], before: Reached, width: int, stride: Amount) -> Reached:
    return _merged(
        {end: span.then(own) for end, own in _one_layer(variants, shape, width, stride).items()}
        for shape, span in before.items()
    )


def _one_layer(variants: Sequence[Block], shape: Shape, width: int, stride: Amount) -> Reached:
    """Return the shapes and costs that a block's variants give; what cannot be built is left out."""
    return _merged(one for variant in variants if (one := _one_block(variant, shape, width, stride)))


def _one_block(block: Block, shape: Shape, width: int, stride: Amount) -> Reached | None:
    if block.memory() != 1 or block.reads():
        raise NotSeparableError
    try:
        own = block_cost(block, shape, width, stride)
    except Unbuildable:
        return None
    if own.chain_bytes is None:
        raise NotSeparableError
    spent = Spent(own.params, own.macs, own.activations, own.chain_bytes)
    return {own.shape: Span(spent, spent)}


def _merged(many: Iterable[Reached]) -> Reached:
    merged: dict[Shape, Span] = {}
    for reached in many:
        for shape, span in reached.items():
            merged[shape] = merged[shape].either(span) if shape in merged else span
    return merged


def _tied(space: Network) -> bool:
    """Tell whether choices are tied across what is gone through one by one."""
    places: dict[str, list[str]] = {}
    for path, node in combinators(space):
        if isinstance(node, Choice) and node.name is not None:
            places.setdefault(node.name, []).append(path)
    return any(
        not all(path.startswith("input") for path in paths) and (len(paths) > 1 or "[*]" in paths[0])
        for paths in places.values()
    )


def _sampled(space: Network) -> Span:
    rng = random.Random(0)
    seen: list[Cost] = []
    for _ in range(SAMPLES):
        try:
            seen.append(cost(sample(space, rng)))
        except Unbuildable:
            continue
    if not seen:
        raise Infeasible(
            f"space: none of {SAMPLES} random members can be built; use fewer strides or a larger input"
        )
    spent = [Spent(c.params, c.macs, c.activations, c.peak_bytes) for c in seen]
    columns = list(zip(*spent, strict=True))
    return Span(Spent(*map(min, columns)), Spent(*map(max, columns)))
