"""VGG with 11, 13, 16 and 19 layers (Simonyan & Zisserman 2015, table 1, columns A, B, D, E).

The `_bn` ones have batch norm behind each convolution, which keeps its bias, as in torchvision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from ..blocks import Conv, Pool
from ..graph import NO_NORM
from ..heads import DenseClassifier
from ..network import Network, Stage

WIDTHS = (64, 128, 256, 512, 512)
DEPTHS = {
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
PLAIN = Conv(norm=NO_NORM)
NORMED = Conv(bias=True)
POOL = Pool(kernel=2, stride=2, padding="valid")


def vgg(depths: tuple[int, ...], conv: Conv) -> Network:
    """Return five stages of 3x3 convolutions of the given depths, each with a pooling behind it."""
    return Network(
        input=(3, 224, 224),
        stages=tuple(
            Stage(blocks=(*(conv,) * depth, POOL), width=width)
            for width, depth in zip(WIDTHS, depths, strict=True)
        ),
        head=DenseClassifier(classes=1000, size=7, hidden=(4096, 4096), dropout=(0.0, 0.5, 0.5)),
    )


MODELS: Mapping[str, Callable[[], Network]] = {
    name + ending: partial(vgg, depths, conv)
    for name, depths in DEPTHS.items()
    for ending, conv in (("", PLAIN), ("_bn", NORMED))
}
