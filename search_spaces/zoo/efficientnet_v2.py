"""EfficientNetV2 S, M and L (Tan & Le 2021, table 4, and the authors' code), at the size they are evaluated.

Norm eps is the authors' 1e-3. Their stochastic depth acts in training only and is left to the recipe.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from ..blocks import Conv, FusedMBConv, MBConv
from ..graph import Norm
from ..heads import Classifier
from ..network import Network, Stage

Row = tuple[type[FusedMBConv | MBConv], float, int, int, int]
TABLES: Mapping[str, tuple[Row, ...]] = {
    "efficientnet_v2_s": (
        # block, expand, width, stride, depth; the kernel is 3
        (FusedMBConv, 1.0, 24, 1, 2),
        (FusedMBConv, 4.0, 48, 2, 4),
        (FusedMBConv, 4.0, 64, 2, 4),
        (MBConv, 4.0, 128, 2, 6),
        (MBConv, 6.0, 160, 1, 9),
        (MBConv, 6.0, 256, 2, 15),
    ),
    "efficientnet_v2_m": (
        (FusedMBConv, 1.0, 24, 1, 3),
        (FusedMBConv, 4.0, 48, 2, 5),
        (FusedMBConv, 4.0, 80, 2, 5),
        (MBConv, 4.0, 160, 2, 7),
        (MBConv, 6.0, 176, 1, 14),
        (MBConv, 6.0, 304, 2, 18),
        (MBConv, 6.0, 512, 1, 5),
    ),
    "efficientnet_v2_l": (
        (FusedMBConv, 1.0, 32, 1, 4),
        (FusedMBConv, 4.0, 64, 2, 7),
        (FusedMBConv, 4.0, 96, 2, 7),
        (MBConv, 4.0, 192, 2, 10),
        (MBConv, 6.0, 224, 1, 19),
        (MBConv, 6.0, 384, 2, 25),
        (MBConv, 6.0, 640, 1, 7),
    ),
}
SIZES = {
    # resolution, dropout
    "efficientnet_v2_s": (384, 0.2),
    "efficientnet_v2_m": (480, 0.3),
    "efficientnet_v2_l": (480, 0.4),
}
HEAD = 1280
NORM = Norm(eps=1e-3)


def efficientnet_v2(rows: tuple[Row, ...], *, resolution: int, dropout: float) -> Network:
    """Return the rows of a table as stages; the stem is as wide as the first."""
    return Network(
        input=(3, resolution, resolution),
        stem=Stage(blocks=(Conv(act="silu", norm=NORM),), width=rows[0][2], stride=2),
        stages=tuple(
            Stage(blocks=(block(expand=expand, norm=NORM),) * depth, width=width, stride=stride)
            for block, expand, width, stride, depth in rows
        ),
        head=Classifier(classes=1000, width=HEAD, dropout=dropout, act="silu", norm=NORM),
    )


def _published(name: str) -> Network:
    resolution, dropout = SIZES[name]
    return efficientnet_v2(TABLES[name], resolution=resolution, dropout=dropout)


MODELS: Mapping[str, Callable[[], Network]] = {name: partial(_published, name) for name in TABLES}
