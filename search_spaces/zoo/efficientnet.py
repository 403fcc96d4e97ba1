"""EfficientNet-B0 to B7 (Tan & Le 2019, table 1, and the scaling table of the authors' code).

Norm eps is the authors' 1e-3. Their stochastic depth acts in training only and is left to the recipe.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import ceil

from ..blocks import Conv, MBConv
from ..graph import Norm
from ..heads import Classifier
from ..network import Network, Stage

BASE = (
    # expand, width, kernel, stride, depth
    (1.0, 16, 3, 1, 1),
    (6.0, 24, 3, 2, 2),
    (6.0, 40, 5, 2, 2),
    (6.0, 80, 3, 2, 3),
    (6.0, 112, 5, 1, 3),
    (6.0, 192, 5, 2, 4),
    (6.0, 320, 3, 1, 1),
)
STEM, HEAD = 32, 1280
SCALING = {
    # width, depth, resolution, dropout
    "efficientnet_b0": (1.0, 1.0, 224, 0.2),
    "efficientnet_b1": (1.0, 1.1, 240, 0.2),
    "efficientnet_b2": (1.1, 1.2, 260, 0.3),
    "efficientnet_b3": (1.2, 1.4, 300, 0.3),
    "efficientnet_b4": (1.4, 1.8, 380, 0.4),
    "efficientnet_b5": (1.6, 2.2, 456, 0.4),
    "efficientnet_b6": (1.8, 2.6, 528, 0.5),
    "efficientnet_b7": (2.0, 3.1, 600, 0.5),
}
NORM = Norm(eps=1e-3)


def efficientnet(width: float, depth: float, *, resolution: int, dropout: float) -> Network:
    """Return the published B0 with its channels and layers multiplied, for square images of a resolution."""
    return Network(
        input=(3, resolution, resolution),
        stem=Stage(blocks=(Conv(act="silu", norm=NORM),), width=rounded(STEM * width), stride=2),
        stages=tuple(
            Stage(
                blocks=(MBConv(kernel=kernel, expand=expand, norm=NORM),) * ceil(layers * depth),
                width=rounded(channels * width),
                stride=stride,
            )
            for expand, channels, kernel, stride, layers in BASE
        ),
        head=Classifier(classes=1000, width=rounded(HEAD * width), dropout=dropout, act="silu", norm=NORM),
    )


def rounded(channels: float, divisor: int = 8) -> int:
    """Round to the nearest multiple of the divisor, at least one of it, never below 0.9 of what was asked.

    >>> rounded(32 * 1.1), rounded(11)
    (32, 16)
    """
    nearest = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return nearest if nearest >= 0.9 * channels else nearest + divisor


def _published(name: str) -> Network:
    width, depth, resolution, dropout = SCALING[name]
    return efficientnet(width, depth, resolution=resolution, dropout=dropout)


MODELS: Mapping[str, Callable[[], Network]] = {name: partial(_published, name) for name in SCALING}
