"""GoogLeNet (Szegedy et al. 2015, table 1) as torchvision has it: batch norm, and 3x3 for the paper's 5x5.

The auxiliary heads act in training only and are left out. Norm eps is 1e-3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..block import Block
from ..blocks import Conv, Pool
from ..branch_blocks import Branches, Chain, Part
from ..graph import Norm
from ..heads import Classifier
from ..network import Network, Stage

INCEPTIONS = (
    # 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool; the kernel of the pooling behind it
    ((64, 96, 128, 16, 32, 32), None),  # 3a
    ((128, 128, 192, 32, 96, 64), 3),
    ((192, 96, 208, 16, 48, 64), None),  # 4a
    ((160, 112, 224, 24, 64, 64), None),
    ((128, 128, 256, 24, 64, 64), None),
    ((112, 144, 288, 32, 64, 64), None),
    ((256, 160, 320, 32, 128, 128), 2),
    ((256, 160, 320, 32, 128, 128), None),  # 5a
    ((384, 192, 384, 48, 128, 128), None),
)
NORM = Norm(eps=1e-3)


def googlenet() -> Network:
    """Return GoogLeNet: 6,624,904 parameters, 1,498,376,192 MACs."""
    return Network(
        input=(3, 224, 224),
        stem=Stage(blocks=(_conv(7), _halved(3), _conv(1)), width=64, stride=2),
        stages=(Stage(blocks=(_conv(3), _halved(3)), width=192), *(_stage(*row) for row in INCEPTIONS)),
        head=Classifier(classes=1000, dropout=0.2),
    )


def _stage(widths: tuple[int, ...], pooled: int | None) -> Stage:
    one, three_reduce, three, five_reduce, five, pool = widths
    inception = Branches(
        parts=(
            Part(block=_conv(1), width=one),
            _reduced(three_reduce, three),
            _reduced(five_reduce, five),
            Part(block=Pool(norm=NORM), width=pool),
        )
    )
    blocks: tuple[Block, ...] = (inception,) if pooled is None else (inception, _halved(pooled))
    return Stage(blocks=blocks, width=one + three + five + pool)


def _reduced(reduce: int, width: int) -> Part:
    parts = (Part(block=_conv(1), width=reduce), Part(block=_conv(3), width=width))
    return Part(block=Chain(parts=parts), width=width)


def _conv(kernel: int) -> Conv:
    return Conv(kernel=kernel, norm=NORM)


def _halved(kernel: int) -> Pool:
    return Pool(kernel=kernel, stride=2, padding="valid", ceil_mode=True)


MODELS: Mapping[str, Callable[[], Network]] = {"googlenet": googlenet}
