"""Unlike blocks side by side: dense, separable, inverted, dilated and pooling ones, layer by layer."""

from __future__ import annotations

from ..block import Block
from ..blocks import Conv, DepthwiseSeparable, DilatedConv, MBConv, Pool
from ..choice import Choice, Repeat
from ..conditions import NeverFalls
from ..heads import Classifier
from ..layers import Shape
from ..network import Network, Stage

WIDTHS = ((8, 16, 24), (16, 24, 40), (24, 40, 64), (48, 80, 112), (80, 128, 192))  # one row a stage
SMALLEST_MAP = 2
SMALLEST_WITH_STRIDED_STEM = 64


def mixed(shape: Shape, classes: int) -> Network:
    """Return the space whose layers each choose their block, for signals, images and volumes of any size.

    A layer is one of 16: convolution (kernel 3, 5), depthwise separable (3, 5), MBConv (kernel 3, 5,
    expansion 3, 6, squeeze-excite 0, 0.25), dilated convolution (dilation 2, 3) or pooling (max, average).
    That layers choose their block on their own is FBNet's idea (Wu et al. 2019); dilation is Yu & Koltun's
    (2016). An identity is left out, for depth says the same. A stage chooses its width, never below the one
    before, and its depth (1 to 3). The first stage keeps the size, each further one halves it: three stages
    at 8 positions an axis, four from 16 and five from 32 on.

    Size: 3,500,234,809,344 members (about 2^42) for (1, 8, 8), 457,936,896,185,371,459,584 (2^69) for
    (3, 224, 224).
    """
    smallest = min(shape[1:])
    stages = max(1, smallest // SMALLEST_MAP).bit_length()
    stem_stride = 2 if smallest >= SMALLEST_WITH_STRIDED_STEM else 1
    return Network(
        input=shape,
        stem=Stage(blocks=(Conv(),), width=Choice(8, 16), stride=stem_stride),
        stages=tuple(
            Stage(
                blocks=Repeat(_layer(), Choice(1, 2, 3), independent=True),
                width=Choice(*widths),
                stride=2 if i else 1,
            )
            for i, widths in enumerate(WIDTHS[:stages])
        ),
        head=Classifier(classes=classes),
        conditions=(NeverFalls(of="stages.width"),),
    )


def _layer() -> Choice[Block]:
    return Choice(
        Conv(kernel=Choice(3, 5)),
        DepthwiseSeparable(kernel=Choice(3, 5)),
        MBConv(kernel=Choice(3, 5), expand=Choice(3.0, 6.0), se=Choice(0.0, 0.25), act="relu"),
        DilatedConv(dilation=Choice(2, 3)),
        Pool(kind=Choice("max", "average")),
    )
