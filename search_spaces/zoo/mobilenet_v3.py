"""MobileNetV3 large and small (Howard et al. 2019, tables 1 and 2); norm eps is 1e-3.

The squeeze of squeeze-excite is a quarter of the expanded channels, rounded to eights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import groupby

from ..blocks import Conv, MBConv
from ..graph import Norm
from ..heads import Classifier
from ..network import Network, Stage
from .efficientnet import rounded

Row = tuple[int, int, int, bool, str, int]
RE, HS = "relu", "hard_swish"
LARGE: tuple[Row, ...] = (
    # kernel, expanded, width, squeeze-excite, activation, stride
    (3, 16, 16, False, RE, 1),
    (3, 64, 24, False, RE, 2),
    (3, 72, 24, False, RE, 1),
    (5, 72, 40, True, RE, 2),
    (5, 120, 40, True, RE, 1),
    (5, 120, 40, True, RE, 1),
    (3, 240, 80, False, HS, 2),
    (3, 200, 80, False, HS, 1),
    (3, 184, 80, False, HS, 1),
    (3, 184, 80, False, HS, 1),
    (3, 480, 112, True, HS, 1),
    (3, 672, 112, True, HS, 1),
    (5, 672, 160, True, HS, 2),
    (5, 960, 160, True, HS, 1),
    (5, 960, 160, True, HS, 1),
)
SMALL: tuple[Row, ...] = (
    (3, 16, 16, True, RE, 2),
    (3, 72, 24, False, RE, 2),
    (3, 88, 24, False, RE, 1),
    (5, 96, 40, True, HS, 2),
    (5, 240, 40, True, HS, 1),
    (5, 240, 40, True, HS, 1),
    (5, 120, 48, True, HS, 1),
    (5, 144, 48, True, HS, 1),
    (5, 288, 96, True, HS, 2),
    (5, 576, 96, True, HS, 1),
    (5, 576, 96, True, HS, 1),
)
PUBLISHED = {
    # rows, head's convolution, its dense layer
    "mobilenet_v3_large": (LARGE, 960, 1280),
    "mobilenet_v3_small": (SMALL, 576, 1024),
}
STEM = 16
NORM = Norm(eps=1e-3)


def mobilenet_v3(rows: tuple[Row, ...], *, head: int, hidden: int) -> Network:
    """Return the rows of a table as stages, one a width, and a head with a hidden dense layer."""
    return Network(
        input=(3, 224, 224),
        stem=Stage(blocks=(Conv(act=HS, norm=NORM),), width=STEM, stride=2),
        stages=tuple(_stages(rows)),
        head=Classifier(classes=1000, width=head, hidden=(hidden,), dropout=0.2, act=HS, norm=NORM),
    )


def _stages(rows: tuple[Row, ...]) -> Iterator[Stage]:
    """Yield runs of rows of one width, of which the first strides."""
    channels = STEM
    for width, run in groupby(rows, key=lambda row: row[2]):
        blocks, strides = [], []
        for kernel, expanded, _, se, act, stride in run:
            blocks.append(_block(kernel, expanded, channels, se=se, act=act))
            strides.append(stride)
            channels = width
        yield Stage(blocks=tuple(blocks), width=width, stride=strides[0])


def _block(kernel: int, expanded: int, channels: int, *, se: bool, act: str) -> MBConv:
    block = MBConv(kernel=kernel, expand=expanded / channels, se=0.0, act=act, norm=NORM)
    if not se:
        return block
    return replace(block, se=rounded(expanded // 4) / channels, se_act="relu", gate="hard_sigmoid")


def _published(name: str) -> Network:
    rows, head, hidden = PUBLISHED[name]
    return mobilenet_v3(rows, head=head, hidden=hidden)


MODELS: Mapping[str, Callable[[], Network]] = {name: partial(_published, name) for name in PUBLISHED}
