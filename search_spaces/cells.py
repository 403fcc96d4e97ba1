"""Cells as small graphs: nodes that sum their edges, each edge an operation on an earlier value.

Values are numbered as papers do: the inputs first (with two inputs the older one is 0, the newer 1), then the
nodes. With a `Choice` for an edge's operation or source, or a `Pick` of k edges a node, a cell is a space.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from pydantic import Field

from .block import ActivationName, Block, fixed
from .cell_blocks import Zero
from .choice import Pick, Searchable, options
from .data import ByKind, Data, register
from .errors import BadSpec, Unbuildable
from .graph import BATCH_NORM, Feature, Norm, Place, concat, total
from .parts import act_conv_norm, conv_norm, reduced

T = TypeVar("T")
Index = Annotated[int, Field(ge=0, le=1024)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge(Data):
    """An operation on one earlier value of the cell."""

    source: Searchable[Index]
    op: Searchable[Block]


EdgeTuple = Annotated[tuple[Searchable[Edge], ...], Field(min_length=1, max_length=64)]
Edges = Annotated[EdgeTuple | Pick[Edge], ByKind()]
Preprocess = Annotated[bool | Literal["newer"], ByKind()]
Output = Annotated[Annotated[tuple[Index, ...], Field(min_length=1)] | Literal["loose"], ByKind()]


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Cell(Block):
    """A cell: each node is the sum of its edges, the output the channels of some nodes side by side.

    `inputs` is 1 (NAS-Bench-201; Dong & Yang 2020) or 2, the two newest maps (NASNet, DARTS; Zoph et al. 2018,
    Liu et al. 2019). Where the place strides, the edges from inputs do: this is a reduction cell. `output` lists
    the values to put side by side, or says `loose`: the nodes that no edge reads. With `preprocess`, each input
    first goes through activation, 1x1 convolution and norm to the place's width; an older input that is larger
    than the newer one is halved along two paths instead. `newer` leaves the older input as it is, where there is
    none before the newer one: operations adapt its width themselves, the output by a 1x1 convolution and norm.
    An edge that is `Zero` is left out of its sum.
    """

    nodes: Annotated[tuple[Edges, ...], Field(min_length=1, max_length=64)]
    inputs: Literal[1, 2] = 2
    output: Output = "loose"
    preprocess: Preprocess = True
    act: Searchable[ActivationName] = "relu"
    norm: Searchable[Norm] = BATCH_NORM

    def check(self) -> None:
        """Raise `BadSpec` where an edge or the output reads a value that is not there before it."""
        for number, node in enumerate(self.nodes, start=self.inputs):
            latest = max(source for edge in _every(node) for source in options(edge.source))
            if latest >= number:
                raise BadSpec(
                    f"nodes[{number - self.inputs}]: got an edge from value {latest}, expected an earlier one than "
                    f"{number}, the node's own number (the inputs are numbered first)"
                )
        values = self.inputs + len(self.nodes)
        wrong = [v for v in self.output if v >= values] if isinstance(self.output, tuple) else []
        if wrong:
            raise BadSpec(f"output: got value {wrong[0]}, expected 0 to {values - 1}")

    def memory(self) -> int:
        return self.inputs

    def lower(self, place: Place) -> Feature:
        values = self._inputs(place)
        for number, node in enumerate(self.nodes, start=self.inputs):
            values.append(self._node(number, resolved(node), values, place))
        outputs = [values[i] for i in self.outputs()]
        if self.preprocess == "newer":
            outputs = [
                x if x.channels == place.width else conv_norm(self, x, place.width, 1, name="output")
                for x in outputs
            ]
        return concat(*outputs) if len(outputs) > 1 else outputs[0]

    def outputs(self) -> tuple[int, ...]:
        """Return the numbers of the values that a resolved cell puts side by side."""
        if isinstance(self.output, tuple):
            return self.output
        read = {fixed(edge.source) for node in self.nodes for edge in resolved(node)}
        last = self.inputs + len(self.nodes)
        return tuple(number for number in range(self.inputs, last) if number not in read)

    def _inputs(self, place: Place) -> list[Feature]:
        """Return the inputs, older first, as the nodes read them."""
        newest = place.input
        if not self.preprocess:
            return list(reversed(place.inputs))
        values = []
        for number, x in enumerate(reversed(place.inputs)):
            if self.preprocess == "newer" and number < self.inputs - 1:
                values.append(x)
                continue
            with newest.tracer.within(f"input{number}"):
                if x.spatial == newest.spatial:
                    values.append(act_conv_norm(self, x, place.width, 1))
                else:
                    values.append(reduced(self, x, place.width, _ratio(x, newest)))
        return values

    def _node(self, number: int, edges: Sequence[Edge], values: Sequence[Feature], place: Place) -> Feature:
        parts = []
        live = [edge for edge in edges if not isinstance(edge.op, Zero)] or edges[:1]
        for i, edge in enumerate(live):
            source = fixed(edge.source)
            stride = place.stride if source < self.inputs else (1,) * len(place.stride)
            with place.input.tracer.within(f"node{number}.edge{i}"):
                at = Place(inputs=(values[source],), width=place.width, stride=stride)
                parts.append(fixed(edge.op).lower(at))
        return total(*parts, name=f"node{number}.sum")


def resolved(node: tuple[Searchable[Edge], ...] | Pick[Edge]) -> tuple[Edge, ...]:
    """Return the edges of a resolved cell's node; `BadSpec` where a pick was left open."""
    if isinstance(node, Pick):
        raise BadSpec("got a Pick, expected edges; resolve the space before it is lowered")
    return tuple(map(fixed, node))


def _every(node: tuple[Searchable[Edge], ...] | Pick[Edge]) -> Iterator[Edge]:
    """Yield all edges that a node may have."""
    for edge in node.options if isinstance(node, Pick) else node:
        yield from options(edge)


def _ratio(x: Feature, newest: Feature) -> tuple[int, ...]:
    """Return the stride that brings an older map to the size of the newest."""
    ratio = tuple(-(-n // m) for n, m in zip(x.spatial, newest.spatial, strict=True))
    if tuple(-(-n // r) for n, r in zip(x.spatial, ratio, strict=True)) != newest.spatial:
        raise Unbuildable(
            f"got an older input of {x.spatial} positions beside one of {newest.spatial}, expected one that a whole "
            "stride brings to that size; let the blocks before pad `same`"
        )
    return ratio
