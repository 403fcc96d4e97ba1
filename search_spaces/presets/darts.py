"""The cells of DARTS: two inputs, four nodes of two edges each, seven operations (Liu et al. 2019)."""

from __future__ import annotations

from itertools import pairwise

from ..block import Block
from ..blocks import Conv, Pool
from ..cell_blocks import ActConv, ActSeparable, Skip
from ..cells import Cell, Edge
from ..choice import Choice, Pick
from ..heads import Classifier
from ..layers import Shape
from ..network import Network, Shared, Stage, Use

OPERATIONS: dict[str, Block] = {  # by their published names; `none` never stands in a derived cell
    "max_pool_3x3": Pool(kind="max", kernel=3),
    "avg_pool_3x3": Pool(kind="average", kernel=3),
    "skip_connect": Skip(),
    "sep_conv_3x3": ActSeparable(kernel=3),
    "sep_conv_5x5": ActSeparable(kernel=5),
    "dil_conv_3x3": ActSeparable(kernel=3, dilation=2, repeats=1),
    "dil_conv_5x5": ActSeparable(kernel=5, dilation=2, repeats=1),
}
INPUTS, NODES = 2, 4
STEM_MULTIPLE = 3  # of the width, in the skeleton for small images
LARGE = 64  # positions an axis; from here on the skeleton for ImageNet, whose stem halves the map three times


def darts(shape: Shape, classes: int, *, width: int = 16, cells: int = 8) -> Network:
    """Return the space of DARTS: a normal and a reduction cell, each the same wherever it stands.

    `cells` in a row, those at a third and at two thirds of them reduction cells, which halve the map and double
    the width. Each of a cell's four nodes sums two of its possible edges, each with one of seven operations; the
    nodes' channels side by side are its output. `width` and `cells` are those of the paper's search on CIFAR-10;
    its final networks have 36 and 20 there, 48 and 14 on ImageNet. Inputs of 64 positions an axis and more get
    the paper's ImageNet stem.

    Size: 1,076,746,950,455,072,400 members (about 10^18) for any input shape: for each of two cells
    (1 * 3 * 6 * 10) pairs of edges times 7^8 operations.
    """
    large = min(shape[1:]) >= LARGE
    return Network(
        input=shape,
        stem=Stage(blocks=(Conv(),), width=width // 2, stride=2)
        if large
        else Stage(blocks=(Conv(act="none"),), width=STEM_MULTIPLE * width),
        stages=(*(_large_stem(width) if large else ()), *_stages(width, cells)),
        head=Classifier(classes=classes),
        shared=(Shared(name="normal", block=_cell()), Shared(name="reduce", block=_cell())),
    )


def _large_stem(width: int) -> tuple[Stage, ...]:
    return (
        Stage(blocks=(Conv(act="none"),), width=width, stride=2),
        Stage(blocks=(ActConv(),), width=width, stride=2),
    )


def _stages(width: int, cells: int) -> tuple[Stage, ...]:
    """Return three stages of cells; all but the first begin with a reduction cell."""
    ends = (cells // 3, 2 * cells // 3, cells)
    normal, reduce = Use(name="normal"), Use(name="reduce")
    first = Stage(blocks=(normal,) * ends[0], width=width)
    return first, *(
        Stage(blocks=(reduce,) + (normal,) * (end - begin - 1), width=width * 2**i, stride=2)
        for i, (begin, end) in enumerate(pairwise(ends), start=1)
    )


def _cell() -> Cell:
    return Cell(nodes=tuple(Pick(2, *_edges(INPUTS + node)) for node in range(NODES)), output=(2, 3, 4, 5))


def _edges(sources: int) -> tuple[Edge, ...]:
    return tuple(Edge(source=source, op=Choice(*OPERATIONS.values())) for source in range(sources))
