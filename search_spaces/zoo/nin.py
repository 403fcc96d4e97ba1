"""Network in Network: each convolution is followed by two of 1x1 (Lin et al. 2014).

The widths are those of the authors' Caffe files for CIFAR-10 and ImageNet; the paper prints none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..blocks import Conv, Pool
from ..branch_blocks import Drop
from ..graph import NO_NORM, Padding
from ..heads import ConvClassifier
from ..network import Network, Stage

POINT = Conv(kernel=1, norm=NO_NORM)
MAX = Pool(kernel=3, stride=2, padding="valid", ceil_mode=True)
AVERAGE = Pool(kind="average", kernel=3, stride=2, padding="valid", ceil_mode=True)


def nin_cifar() -> Network:
    """Return the network for CIFAR-10: 966,986 parameters, 222,486,528 MACs."""
    return Network(
        input=(3, 32, 32),
        stages=(
            Stage(blocks=(_conv(5),), width=192),
            Stage(blocks=(POINT,), width=160),
            Stage(blocks=(POINT, MAX, Drop()), width=96),
            Stage(blocks=(_conv(5), POINT, POINT, AVERAGE, Drop()), width=192),
            Stage(blocks=(_conv(3), POINT), width=192),
        ),
        head=ConvClassifier(classes=10),
    )


def nin_imagenet() -> Network:
    """Return the network for ImageNet: 7,595,176 parameters, 1,100,188,800 MACs."""
    return Network(
        input=(3, 224, 224),
        stages=(
            Stage(blocks=(_conv(11, padding="valid"), POINT, POINT, MAX), width=96, stride=4),
            Stage(blocks=(_conv(5), POINT, POINT, MAX), width=256),
            Stage(blocks=(_conv(3), POINT, POINT, MAX, Drop()), width=384),
            Stage(blocks=(_conv(3), POINT), width=1024),
        ),
        head=ConvClassifier(classes=1000),
    )


def _conv(kernel: int, *, padding: Padding = "same") -> Conv:
    return Conv(kernel=kernel, padding=padding, norm=NO_NORM)


MODELS: Mapping[str, Callable[[], Network]] = {"nin_cifar": nin_cifar, "nin_imagenet": nin_imagenet}
