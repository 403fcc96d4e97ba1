"""Ranges of what blocks shared by name cost, such as the cells of a cell-based network: exact, without samples.

What stands around them, the skeleton, is gone through member by member. In one skeleton every place that uses a shared
block has fixed inputs, and a cell hands on one shape whatever its edges hold: that is checked, not assumed. So the cost
of an edge depends on nothing but its own operation and source. Over all places of the cell it is a sum, a node is the
sum of its edges, a cell the sum of its nodes: least and most are sums of least and most edges, and a node that picks k
edges takes the k least or the k most. Peak memory is no such sum.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import reduce
from itertools import product
from typing import NamedTuple, TypeVar

from search_spaces.automaton import count
from search_spaces.block import Amount, Block, fixed
from search_spaces.cells import Cell, Edge, resolved
from search_spaces.choice import Choice, Pick, Searchable, options
from search_spaces.errors import Unbuildable
from search_spaces.graph import Graph
from search_spaces.layers import Shape
from search_spaces.making import resolve
from search_spaces.moves import enumerate_members
from search_spaces.network import Network, Shared, Use, block_graph, placed, steps

from .cost import block_cost, graph_cost
from .spans import NotSeparableError, Sums, times, total, variants

T = TypeVar("T")
MOST_SKELETONS = 64


class Reach(NamedTuple):
    """The least and the most of params, MACs and activations, each on its own."""

    low: Sums
    high: Sums

    def then(self, other: Reach) -> Reach:
        """Return the reach of one thing and another, independent of each other."""
        return Reach(total((self.low, other.low)), total((self.high, other.high)))


class Spot(NamedTuple):
    """Where a shared block stands: the shapes it may read, newest first, what it hands on, how many are like it."""

    shapes: tuple[Shape, ...]
    width: int
    stride: Amount
    out: Shape
    times: int


def shared_reach(space: Network) -> Reach:
    """Return the reach of a space with shared blocks; `NotSeparableError` where its parts are not independent.

    Conditions and ties are left out, which can only widen it.
    """
    plain = tuple(Shared(name=one.name, block=_taking(one.block, 0)) for one in space.shared)
    skeletons = replace(space, shared=plain, conditions=())
    if count(skeletons) > MOST_SKELETONS:
        raise NotSeparableError
    return _either([_of_skeleton(one, space.shared) for one in enumerate_members(skeletons)])


def _of_skeleton(skeleton: Network, shared: Sequence[Shared]) -> Reach:
    around: list[Sums] = []
    spots: dict[str, Counter[Spot]] = {one.name: Counter() for one in shared}
    try:
        for name, (_, _, width, stride, _), step in zip(
            _names(skeleton), placed(skeleton), steps(skeleton), strict=True
        ):
            if name is None:
                around.append(_sums(step.graph))
            else:
                spots[name][Spot(step.graph.inputs, width, stride, _out(step.graph), 1)] += 1
    except Unbuildable:  # what else a shared block can be might fit
        raise NotSeparableError from None
    reach = Reach(total(around), total(around))
    for one in shared:
        found = [spot._replace(times=n) for spot, n in spots[one.name].items()]
        reach = reach.then(_either([_of_block(block, found) for block in options(one.block)]))
    return reach


def _of_block(block: Block, spots: Sequence[Spot]) -> Reach:
    if type(block) is not Cell:
        return _span([_over_spots(variant, spots) for variant in variants(block)])
    made = product(options(block.act), options(block.norm))
    return _either([_of_cell(replace(block, act=act, norm=norm), spots) for act, norm in made])


def _of_cell(cell: Cell, spots: Sequence[Spot]) -> Reach:
    if cell.output == "loose" and not _is_wired(cell):  # then its width depends on what is read
        raise NotSeparableError
    values = [_inputs(cell, spot) for spot in spots]
    reaches = [_of_node(cell, node, spots, values) for node in cell.nodes]
    first, last = _beside_edges(cell, 0, spots, values), _beside_edges(cell, -1, spots, values)
    if first != last:
        raise NotSeparableError
    return reduce(Reach.then, reaches, Reach(first, first))


def _of_node(
    cell: Cell,
    node: tuple[Searchable[Edge], ...] | Pick[Edge],
    spots: Sequence[Spot],
    values: Sequence[list[Shape]],
) -> Reach:
    """Return the reach of a node's edges, and append the node's shape at each spot to the values there."""
    shapes: list[set[Shape]] = [set() for _ in spots]
    edges: list[Reach] = []
    for edge in node.options if isinstance(node, Pick) else node:
        found = []
        for one in _edges(edge):
            try:
                found.append(_of_edge(cell, one, spots, values, shapes))
            except Unbuildable:  # nor can any cell that has it
                continue
        if found:
            edges.append(_span(found))
        elif not isinstance(node, Pick):
            raise NotSeparableError
    if any(len(seen) != 1 for seen in shapes):
        raise NotSeparableError
    for known, seen in zip(values, shapes, strict=True):
        known.append(*seen)
    return _picked(edges, node.k if isinstance(node, Pick) else len(edges))


def _of_edge(
    cell: Cell,
    edge: Edge,
    spots: Sequence[Spot],
    values: Sequence[list[Shape]],
    shapes: Sequence[set[Shape]] = (),
) -> Sums:
    """Return what a resolved edge costs at all spots together, and note the shapes it gives."""
    op, source = fixed(edge.op), fixed(edge.source)
    if op.memory() != 1 or op.reads():
        raise NotSeparableError
    found = [
        block_cost(op, known[source], spot.width, spot.stride if source < cell.inputs else 1)
        for spot, known in zip(spots, values, strict=True)
    ]
    for seen, own in zip(shapes, found, strict=False):
        seen.add(own.shape)
    return total(
        times((own.params, own.macs, own.activations), spot.times)
        for spot, own in zip(spots, found, strict=True)
    )


def _beside_edges(cell: Cell, option: int, spots: Sequence[Spot], values: Sequence[list[Shape]]) -> Sums:
    """Return what a cell costs beside its edges, told by the member that takes this option everywhere."""
    member = _taking(cell, option)
    edges = [_of_edge(cell, edge, spots, values) for node in member.nodes for edge in resolved(node)]
    return total([_over_spots(member, spots), *(times(own, -1) for own in edges)])


def _over_spots(block: Block, spots: Sequence[Spot]) -> Sums:
    """Return what a resolved block costs at all spots; it must hand on what the skeleton was worked out with."""
    found = []
    for spot in spots:
        try:
            graph = block_graph(block, spot.shapes, spot.width, spot.stride)
        except Unbuildable:
            raise NotSeparableError from None
        if _out(graph) != spot.out:
            raise NotSeparableError
        found.append(times(_sums(graph), spot.times))
    return total(found)


def _inputs(cell: Cell, spot: Spot) -> list[Shape]:
    """Return the shapes of a cell's inputs, older first, as its nodes read them."""
    older_first = list(reversed(spot.shapes))
    if not cell.preprocess:
        return older_first
    made = (spot.width, *spot.shapes[0][1:])
    return [
        shape if cell.preprocess == "newer" and number < cell.inputs - 1 else made
        for number, shape in enumerate(older_first)
    ]


def _picked(edges: Sequence[Reach], k: int) -> Reach:
    if len(edges) < k:
        raise NotSeparableError
    lows = [sorted(column)[:k] for column in zip(*(one.low for one in edges), strict=True)]
    highs = [sorted(column)[-k:] for column in zip(*(one.high for one in edges), strict=True)]
    return Reach(_three(map(sum, lows)), _three(map(sum, highs)))


def _either(many: Sequence[Reach]) -> Reach:
    return _span([sums for one in many for sums in one])


def _span(many: Sequence[Sums]) -> Reach:
    columns = list(zip(*many, strict=True))
    return Reach(_three(map(min, columns)), _three(map(max, columns)))


def _three(sums: Iterable[int]) -> Sums:
    params, macs, activations = sums
    return params, macs, activations


def _is_wired(cell: Cell) -> bool:
    """Tell whether a cell's edges have fixed sources, whatever they hold."""
    return not any(
        isinstance(node, Pick)
        or any(isinstance(edge, Choice) or isinstance(edge.source, Choice) for edge in node)
        for node in cell.nodes
    )


def _edges(searched: Searchable[Edge]) -> list[Edge]:
    return [
        Edge(source=source, op=op)
        for edge in options(searched)
        for source in options(edge.source)
        for op in variants(edge.op)
    ]


def _names(skeleton: Network) -> list[str | None]:
    """Return, for each block in order, the name by which it is shared, or None; the head is the last."""
    stem = fixed(skeleton.stem)
    stages = [fixed(stage) for stage in skeleton.stages]
    blocks = [
        fixed(block)
        for stage in ([stem] if stem else []) + stages
        if isinstance(stage.blocks, tuple)
        for block in stage.blocks
    ]
    return [*(block.name if isinstance(block, Use) else None for block in blocks), None]


def _taking(node: T | Choice[T], option: int) -> T:
    """Return the member that takes the option at this position everywhere, such as -1 for the last."""
    return resolve(node, lambda _, among: range(len(among))[option])


def _sums(graph: Graph) -> Sums:
    found = graph_cost(graph)
    return found.params, found.macs, found.activations


def _out(graph: Graph) -> Shape:
    return graph.shape(graph.output)
