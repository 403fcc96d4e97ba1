"""AlexNet on one device (Krizhevsky 2014, "One weird trick", the widths that torchvision has).

Without the local response normalisation and the two halves of the first paper (Krizhevsky et al. 2012).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..blocks import Conv, Pool
from ..graph import NO_NORM
from ..heads import DenseClassifier
from ..network import Network, Stage

LAYERS = (
    # kernel, width, pooled
    (5, 192, True),
    (3, 384, False),
    (3, 256, False),
    (3, 256, True),
)
POOL = Pool(kernel=3, stride=2, padding="valid")


def alexnet() -> Network:
    """Return AlexNet: 61,100,840 parameters, 714,188,480 MACs."""
    return Network(
        input=(3, 224, 224),
        stem=Stage(blocks=(Conv(kernel=11, padding=2, norm=NO_NORM), POOL), width=64, stride=4),
        stages=tuple(
            Stage(blocks=(Conv(kernel=kernel, norm=NO_NORM), *((POOL,) if pooled else ())), width=width)
            for kernel, width, pooled in LAYERS
        ),
        head=DenseClassifier(classes=1000, size=6, hidden=(4096, 4096), dropout=(0.5, 0.5, 0.0)),
    )


MODELS: Mapping[str, Callable[[], Network]] = {"alexnet": alexnet}
