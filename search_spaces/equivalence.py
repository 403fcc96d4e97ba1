"""Which architectures are twins: networks whose cells differ only in how the same graph is written."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import lru_cache
from typing import cast

from .block import Amount, Block, fixed
from .cell_blocks import Skip, Zero
from .cells import Cell, Edge, resolved
from .choice import layout
from .genotype import PUBLISHED
from .making import rebuilt
from .network import Network, Shared, Stage, Step, placed, steps
from .serialise import key

ZERO = "#"
HOLLOW = (Edge(source=0, op=Skip()),)


def equivalence(network: Network) -> str:
    """Return the name of a resolved network's class of twins: 16 hex digits, its key where it has no cells.

    Cells are alike where their graphs are, by the rule of NATS-Bench (Dong et al. 2021): an edge without
    connection counts as zero and so does an operation on such an edge's node, a skip that changes nothing is no
    operation, and the order of what is summed does not matter. As there, sums are compared as text, by the
    published names of operations, so that some nested sums of equal parts count as different; on NAS-Bench-201
    these are its 6,466 classes.
    Twins may differ in params, MACs and trained accuracy: the class says what need not be asked again, never what
    a network costs or scores.
    """
    places = tuple(placed(network))
    if not any(isinstance(block, Cell) for _, block, *_ in places):
        return key(network)
    text = [str([fixed(n) for n in network.input])]
    cells: dict[tuple[int, bool], str] = {}
    for (name, block, width, stride, _), step in zip(places, steps(_outline(network)), strict=True):
        if isinstance(block, Cell):
            plain = _is_plain(step, width, stride)
            if (id(block), plain) not in cells:  # a shared cell stands at many places
                cells[id(block), plain] = cell_text(block, plain=plain)
            what = cells[id(block), plain]
        else:
            what = _name(block)
        text.append(f"{name} {width} {stride} {what}")
    return hashlib.sha256("\n".join(text).encode()).hexdigest()[:16]


def cell_text(cell: Cell, *, plain: bool) -> str:
    """Return a resolved cell's graph as nested text, equal for twins.

    `plain` says that a skip from an input changes nothing: the cell neither strides nor changes the width.
    """
    values = [str(number) for number in range(cell.inputs)]
    for node in cell.nodes:
        edges = (_edge_text(edge, values, cell, plain=plain) for edge in resolved(node))
        values.append("+".join(sorted(edges)))
    return "|".join(sorted(values[i] for i in cell.outputs()))


def _edge_text(edge: Edge, values: list[str], cell: Cell, *, plain: bool) -> str:
    source, op = fixed(edge.source), fixed(edge.op)
    if isinstance(op, Zero) or values[source] == ZERO:
        return ZERO
    if isinstance(op, Skip) and (plain or source >= cell.inputs):
        return values[source]
    return f"({values[source]})@{_name(op)}"


def _outline(network: Network) -> Network:
    """Return a network of the same shapes whose cells hold nothing: theirs are soon lowered, and kept once."""
    shared = tuple(Shared(name=one.name, block=_hollow(fixed(one.block))) for one in network.shared)
    stages = tuple(_hollow_stage(fixed(stage)) for stage in network.stages)
    names, _ = layout(Network)
    hollow = {"shared": shared, "stages": stages}
    return cast(Network, rebuilt(network, names, [hollow.get(n, getattr(network, n)) for n in names]))


def _hollow_stage(stage: Stage) -> Stage:
    blocks = tuple(_hollow(fixed(block)) for block in stage.blocks) if isinstance(stage.blocks, tuple) else ()
    return replace(stage, blocks=blocks)


def _hollow(block: Block) -> Block:
    if not isinstance(block, Cell):
        return block
    return replace(block, nodes=(HOLLOW,) * len(block.nodes), output=block.outputs())


def _is_plain(step: Step, width: int, stride: Amount) -> bool:
    strides = (stride,) if isinstance(stride, int) else stride
    fits = all(shape[0] == width for shape in step.graph.inputs)
    return set(strides) == {1} and (fits or (isinstance(step.block, Cell) and step.block.preprocess is True))


@lru_cache(maxsize=4096)
def _name(block: Block) -> str:
    return PUBLISHED.get(block) or key(block)
