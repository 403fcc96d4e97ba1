"""The cell of NAS-Bench-201: four nodes, six edges, five operations (Dong & Yang 2020)."""

from __future__ import annotations

from ..block import Block
from ..blocks import Conv, Pool
from ..cell_blocks import ActConv, NormAct, PooledResidual, Skip, Zero
from ..cells import Cell, Edge
from ..choice import Choice, Repeat
from ..heads import Classifier
from ..layers import Shape
from ..network import Network, Shared, Stage, Use

OPERATIONS: dict[str, Block] = {  # by their published names, in the published order
    "none": Zero(),
    "skip_connect": Skip(),
    "nor_conv_1x1": ActConv(kernel=1),
    "nor_conv_3x3": ActConv(kernel=3),
    "avg_pool_3x3": Pool(kind="average", kernel=3),
}
NODES = 3  # beside the input


def nasbench201(shape: Shape, classes: int, *, width: int = 16, cells: int = 5) -> Network:
    """Return the space of NAS-Bench-201: one cell, the same at all places of three stages.

    Each stage has `cells` of them; the second and third begin with a residual block that halves the map and
    doubles the width (`width` in the first stage). Each of the six edges chooses one of five operations.

    Size: 15,625 members (5^6) for any input shape.
    """
    cell = Repeat(Use(name="cell"), cells)
    return Network(
        input=shape,
        stem=Stage(blocks=(Conv(act="none"),), width=width),
        stages=(
            Stage(blocks=cell, width=width),
            *(
                part
                for wider in (2 * width, 4 * width)
                for part in (
                    Stage(blocks=(PooledResidual(),), width=wider, stride=2),
                    Stage(blocks=cell, width=wider),
                )
            ),
            Stage(blocks=(NormAct(),), width=4 * width),
        ),
        head=Classifier(classes=classes),
        shared=(Shared(name="cell", block=_cell()),),
    )


def _cell() -> Cell:
    return Cell(
        inputs=1,
        preprocess=False,
        output=(NODES,),
        nodes=tuple(
            tuple(Edge(source=source, op=Choice(*OPERATIONS.values())) for source in range(node))
            for node in range(1, NODES + 1)
        ),
    )
