"""A base taken apart: which of its numbers scaling may change.

What grows in depth is a stage's layers that compute (have a convolution or dense layer) and can follow themselves:
a copy at stride 1 keeps the shape. Poolings that stride on their own, unpadded convolutions, dropout, a last norm
and decoder steps that read a tap stay one each. A copy of a strided layer stands at stride 1, for only the first
layer of a stage strides. In a network of cells, the strided first layer of a stage reduces and is not repeated:
there depth counts the cells, or blocks, behind it. The stem and the head have no depth to scale (Tan & Le 2019).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import lcm
from typing import NamedTuple

from search_spaces.block import Block, fixed
from search_spaces.cells import Cell
from search_spaces.check import combinators
from search_spaces.choice import Same
from search_spaces.errors import BadSpec, Unbuildable
from search_spaces.graph import Graph
from search_spaces.layers import Convolution, Linear, parameter_count
from search_spaces.network import Network, Stage, Step, block_graph, placed, steps

from .widths import multiples, resized, resized_layers

MOST_COARSE = 64
SMALLEST_PROBE = 16  # positions an axis at which a layer is tried behind itself


class Sizes(NamedTuple):
    """All that scaling decides of a network: it is the same for equal sizes."""

    widths: tuple[int, ...]  # in the order of `Anatomy.widths`
    depths: tuple[int, ...]  # layers that may be repeated, one number a stage
    spatial: tuple[int, ...]
    dropout: float  # added to the head's rates


@dataclass(frozen=True, slots=True, eq=False)
class Anatomy:
    """A base taken apart: what of it scales."""

    base: Network
    widths: Mapping[int, int]  # each width there is -> what it must be a multiple of; equal widths stay equal
    repeats: tuple[tuple[bool, ...], ...]  # one a stage, one a layer: whether it may be repeated
    follows: Mapping[int, int]  # stage -> m: it only passes on, and is m times as wide as the stage before
    rigid: str | None  # the head that fits one size of input only

    @property
    def sizes(self) -> Sizes:
        """The base's own sizes."""
        spatial = tuple(fixed(n) for n in self.base.input[1:])
        return Sizes(tuple(self.widths), tuple(map(sum, self.repeats)), spatial, 0.0)


def anatomy(base: Network) -> Anatomy:
    """Take a resolved network apart; `BadSpec` names a choice left open, `Unbuildable` a block that does not fit."""
    return _anatomy(Same(base))


@lru_cache(maxsize=64)
def _anatomy(key: Same) -> Anatomy:
    base = key.node
    assert isinstance(base, Network)
    opened = next(combinators(base), None)
    if opened is not None:
        path, node = opened
        raise BadSpec(
            f"{path}: got a {type(node).__name__}, a space of networks, expected one network to scale; sample the "
            "space, or name a member of it"
        )
    done = steps(base)
    stages, head = _by_stage(base, done), done[-1]
    follows = _follows(base, stages)
    cells = any(_is_cell(step.block) for run in stages for step in run)
    asked = _multiples(base, done)
    return Anatomy(
        base=base,
        widths={n: asked.get(n, 1) for n in sorted(_widths(base, follows))},
        repeats=tuple(
            tuple(
                _repeats(step, stage) and not (cells and i == 0 and _strides(stage))
                for i, step in enumerate(run)
            )
            for run, stage in zip(stages, _stages(base), strict=True)
        ),
        follows=follows,
        rigid=type(head.block).__name__ if _is_rigid(head) else None,
    )


def _multiples(base: Network, done: Sequence[Step]) -> dict[int, int]:
    """Return what widths must be a multiple of: as groups ask, or as a block shows that takes no other width."""
    found = dict(multiples(base))
    for step, (_, _, width, _, _) in zip(done[:-1], placed(base), strict=False):
        found[width] = lcm(found.get(width, 1), _coarseness(step, width))
    return found


def _coarseness(step: Step, width: int) -> int:
    """Return how much wider a block can be made at least: 2 where it halves its channels; 1 where nothing shows."""
    block, axes = step.block, len(step.graph.shape(step.graph.output)) - 1
    if block.reads() or not _fits(block, width, axes):
        return 1
    return next((n for n in range(1, MOST_COARSE + 1) if width % n == 0 and _fits(block, width + n, axes)), 1)


def _fits(block: Block, width: int, axes: int) -> bool:
    probe = (width, *(SMALLEST_PROBE,) * axes)
    try:
        block_graph(block, (probe,) * block.memory(), width, 1)
    except Unbuildable:
        return False
    return True


def _stages(base: Network) -> list[Stage]:
    return [fixed(stage) for stage in base.stages]


def _by_stage(base: Network, done: Sequence[Step]) -> list[Sequence[Step]]:
    """Return the steps of each stage."""
    stem = fixed(base.stem)
    start = len(stem.blocks) if stem is not None and isinstance(stem.blocks, tuple) else 0
    runs = []
    for stage in _stages(base):
        assert isinstance(stage.blocks, tuple)
        runs.append(done[start : start + len(stage.blocks)])
        start += len(stage.blocks)
    return runs


def _repeats(step: Step, stage: Stage) -> bool:
    """Tell whether a layer computes and can follow itself at stride 1."""
    shape = step.graph.shape(step.graph.output)
    probe = (shape[0], *(max(n, SMALLEST_PROBE) for n in shape[1:]))
    if step.block.reads():
        return False
    try:
        graph = block_graph(step.block, (probe,) * step.block.memory(), fixed(stage.width), 1)
    except Unbuildable:
        return False
    return graph.shape(graph.output) == probe and _computes(graph)


def _computes(graph: Graph) -> bool:
    return any(isinstance(node.layer, Convolution | Linear) for node in graph.nodes)


def _is_cell(block: Block) -> bool:
    return isinstance(block, Cell) or block.memory() > 1


def _strides(stage: Stage) -> bool:
    stride = fixed(stage.stride)
    return max(stride) > 1 if isinstance(stride, tuple) else stride > 1


def _follows(base: Network, runs: Sequence[Sequence[Step]]) -> dict[int, int]:
    """Return the stages that only pass on the several nodes of the cell before them, and how many."""
    found = {}
    widths = [fixed(stage.width) for stage in _stages(base)]
    for i, (before, run) in enumerate(pairwise(runs), start=1):
        graph = before[-1].graph
        m, rest = divmod(widths[i], widths[i - 1])
        passed = graph.shape(graph.output)[0] == widths[i]
        if m > 1 and not rest and passed and not any(_computes(step.graph) for step in run):
            found[i] = m
    return found


def _widths(base: Network, follows: Mapping[int, int]) -> set[int]:
    """Return every width there is in a network."""
    seen: set[int] = set()

    def note(width: int) -> int:
        seen.add(width)
        return width

    stem = fixed(base.stem)
    if stem is not None:
        resized_layers(stem, note(fixed(stem.width)), note, 1)
    for i, stage in enumerate(_stages(base)):
        width = fixed(stage.width)
        resized_layers(stage, width if i in follows else note(width), note, 1)
    for block in (fixed(base.head), *(fixed(one.block) for one in base.shared)):
        resized(block, note, spot=None)
    return seen


def _is_rigid(head: Step) -> bool:
    """Tell whether a head has other weights for a larger map."""
    larger = tuple((shape[0], *(n + 1 for n in shape[1:])) for shape in head.graph.inputs)
    try:
        return _params(block_graph(head.block, larger, 1, 1)) != _params(head.graph)
    except Unbuildable:
        return True


def _params(graph: Graph) -> int:
    return sum(parameter_count(node.layer, tuple(map(graph.shape, node.sources))) for node in graph.nodes)
