"""NASNet-A (Zoph et al. 2018, figure 4) for ImageNet on a phone (4 @ 1056) and for CIFAR-10 (6 @ 768).

Skeleton and details are those of the authors' code: separable convolutions widen at once, the older input goes
into the output, the cell behind a reduction cell reads the larger map before it. Its strided layers pad even
maps by one position less before, ours on both sides alike: the same sizes and costs, windows a position apart.
The auxiliary head acts in training only and is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from ..block import Block
from ..blocks import Conv, Pool
from ..branch_blocks import Chain, Part
from ..cell_blocks import ActAxial, ActConv, ActSeparable, NormAct, Skip
from ..cells import Cell, Edge
from ..graph import NO_NORM, Norm
from ..heads import Classifier
from ..network import Network, Shared, Stage, Use

NORM = Norm(eps=1e-3)
CIFAR_NORM = Norm()  # eps 1e-5
CIFAR_STEM = 3  # times the width
Operations = tuple[tuple[str, int], ...]  # of one node: (operation, value that it reads)

NORMAL: tuple[Operations, ...] = (
    # value 0 is the older input, 1 the newer, 2 the first node
    (("sep5", 1), ("sep3", 0)),
    (("sep5", 0), ("sep3", 0)),
    (("avg", 1), ("none", 0)),
    (("avg", 0), ("avg", 0)),
    (("sep3", 1), ("none", 1)),
)
NORMAL_OUTPUT = (0, 2, 3, 4, 5, 6)
REDUCE: tuple[Operations, ...] = (
    (("sep5", 1), ("sep7", 0)),
    (("max", 1), ("sep7", 0)),
    (("avg", 1), ("sep5", 0)),
    (("none", 3), ("avg", 2)),
    (("sep3", 2), ("max", 1)),
)
REDUCE_OUTPUT = (3, 4, 5, 6)


def nasnet_a_mobile() -> Network:
    """Return the network for ImageNet: 5,289,978 parameters, 563,638,816 MACs (the paper: 5.3 M, 564 M)."""
    normal, reduce = cell(NORMAL, NORMAL_OUTPUT, NORM), cell(REDUCE, REDUCE_OUTPUT, NORM)
    return imagenet(normal, reduce, width=44, cells=4)


def nasnet_a_cifar() -> Network:
    """Return the network for CIFAR-10: 3,346,538 parameters (the paper: 3.3 M), 544,333,312 MACs."""
    normal, reduce = cell(NORMAL, NORMAL_OUTPUT, CIFAR_NORM), cell(REDUCE, REDUCE_OUTPUT, CIFAR_NORM)
    stem = Conv(act="none", norm=CIFAR_NORM)
    return Network(
        input=(3, 32, 32),
        stem=Stage(blocks=(stem,), width=CIFAR_STEM * 32),
        stages=_stages(normal, replace(normal, preprocess="newer"), width=32, cells=6),
        head=Classifier(classes=10),
        shared=_shared(normal, reduce),
    )


def imagenet(normal: Cell, reduce: Cell, *, width: int, cells: int) -> Network:
    """Return cells on the skeleton for ImageNet: two reduction cells as a stem, then three runs of `cells`.

    The first cell has no older map and takes the stem's twice, once as it is.
    """
    first = replace(reduce, preprocess="newer")
    return Network(
        input=(3, 224, 224),
        stem=Stage(blocks=(Conv(padding="valid", act="none", norm=NORM),), width=32, stride=2),
        stages=(
            Stage(blocks=(first,), width=width // 4, stride=2),
            Stage(blocks=(Use(name="reduce"),), width=width // 2, stride=2),
            *_stages(normal, Use(name="normal"), width=width, cells=cells),
        ),
        head=Classifier(classes=1000, dropout=0.5),
        shared=_shared(normal, reduce),
    )


def cell(nodes: tuple[Operations, ...], output: tuple[int, ...], norm: Norm) -> Cell:
    """Return the cell of a table; `output` lists the values that are put side by side."""
    operations = _operations(norm)
    return Cell(
        nodes=tuple(
            tuple(Edge(source=source, op=operations[name]) for name, source in node) for node in nodes
        ),
        output=output,
        norm=norm,
    )


def _operations(norm: Norm) -> Mapping[str, Block]:
    """Return the operations by name; where the width must change, pools do it without activation."""
    return {
        "none": Skip(norm=norm),
        "avg": Pool(kind="average", act="none", norm=norm),
        "max": Pool(kind="max", act="none", norm=norm),
        **{f"sep{kernel}": ActSeparable(kernel=kernel, widen="first", norm=norm) for kernel in (3, 5, 7)},
        "1x7_7x1": _axial(norm),
    }


def _axial(norm: Norm) -> Chain:
    """Return 1x7 and 7x1 convolutions at a quarter of the width, between two of 1x1."""
    point = ActConv(kernel=1, norm=norm)
    axial = ActAxial(kernel=7, norm=norm)
    parts = (Part(block=point, width=1), Part(block=axial, width=1), Part(block=point, width=4))
    return Chain(parts=parts, strided=1)


def _stages(normal: Cell, first: Block, *, width: int, cells: int) -> tuple[Stage, ...]:
    """Return three runs of cells, a reduction cell between them doubling the width, and a last activation."""
    again, reduce = Use(name="normal"), Use(name="reduce")
    last = NormAct(norm=NO_NORM)
    return (
        Stage(blocks=(first, *(again,) * (cells - 1)), width=width),
        Stage(blocks=(reduce, *(again,) * cells), width=2 * width, stride=2),
        Stage(blocks=(reduce, *(again,) * cells), width=4 * width, stride=2),
        Stage(blocks=(last,), width=4 * width * len(normal.outputs())),
    )


def _shared(normal: Cell, reduce: Cell) -> tuple[Shared, ...]:
    return Shared(name="normal", block=normal), Shared(name="reduce", block=reduce)


MODELS: Mapping[str, Callable[[], Network]] = {
    "nasnet_a_mobile": nasnet_a_mobile,
    "nasnet_a_cifar": nasnet_a_cifar,
}
