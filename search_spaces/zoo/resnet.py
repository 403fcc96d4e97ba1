"""ResNet (He et al. 2016, table 1), ResNeXt (Xie et al. 2017) and wide ResNet (Zagoruyko & Komodakis 2016).

The bottleneck strides on its 3x3 convolution, as everybody's code does; the paper strides on the first 1x1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from ..block import Block
from ..blocks import Conv, Pool, ResidualBasic, ResidualBottleneck
from ..heads import Classifier
from ..network import Network, Stage

BASIC = (64, 128, 256, 512)
BOTTLENECK = (256, 512, 1024, 2048)
PUBLISHED: Mapping[str, tuple[Block, tuple[int, ...], tuple[int, ...]]] = {
    # block, widths, depths
    "resnet18": (ResidualBasic(), BASIC, (2, 2, 2, 2)),
    "resnet34": (ResidualBasic(), BASIC, (3, 4, 6, 3)),
    "resnet50": (ResidualBottleneck(), BOTTLENECK, (3, 4, 6, 3)),
    "resnet101": (ResidualBottleneck(), BOTTLENECK, (3, 4, 23, 3)),
    "resnet152": (ResidualBottleneck(), BOTTLENECK, (3, 8, 36, 3)),
    "resnext50_32x4d": (ResidualBottleneck(ratio=0.5, groups=32), BOTTLENECK, (3, 4, 6, 3)),
    "resnext101_32x8d": (ResidualBottleneck(ratio=1.0, groups=32), BOTTLENECK, (3, 4, 23, 3)),
    "resnext101_64x4d": (ResidualBottleneck(ratio=1.0, groups=64), BOTTLENECK, (3, 4, 23, 3)),
    "wide_resnet50_2": (ResidualBottleneck(ratio=0.5), BOTTLENECK, (3, 4, 6, 3)),
    "wide_resnet101_2": (ResidualBottleneck(ratio=0.5), BOTTLENECK, (3, 4, 23, 3)),
}


def resnet(block: Block, widths: tuple[int, ...], depths: tuple[int, ...]) -> Network:
    """Return four stages of one residual block behind a stem that quarters the image."""
    return Network(
        input=(3, 224, 224),
        stem=Stage(blocks=(Conv(kernel=7), Pool(kernel=3, stride=2)), width=64, stride=2),
        stages=tuple(
            Stage(blocks=(block,) * depth, width=width, stride=2 if i else 1)
            for i, (width, depth) in enumerate(zip(widths, depths, strict=True))
        ),
        head=Classifier(classes=1000),
    )


MODELS: Mapping[str, Callable[[], Network]] = {name: partial(resnet, *row) for name, row in PUBLISHED.items()}
