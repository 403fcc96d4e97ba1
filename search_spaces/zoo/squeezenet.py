"""SqueezeNet 1.0 (Iandola et al. 2016, table 1) and the authors' 1.1, which pools earlier."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from ..block import Block
from ..blocks import Conv, Pool
from ..branch_blocks import Branches, Chain, Part
from ..graph import NO_NORM
from ..heads import ConvClassifier
from ..network import Network, Stage

FIRES = (
    # squeeze 1x1, expand (1x1 and 3x3 together)
    (16, 128),
    (16, 128),
    (32, 256),
    (32, 256),
    (48, 384),
    (48, 384),
    (64, 512),
    (64, 512),
)
STEMS = {
    # kernel, width, fires with a pooling behind them
    "squeezenet1_0": (7, 96, (3, 7)),
    "squeezenet1_1": (3, 64, (2, 4)),
}
POOL = Pool(kernel=3, stride=2, padding="valid", ceil_mode=True)


def squeezenet(kernel: int, width: int, pooled: tuple[int, ...]) -> Network:
    """Return a strided convolution, eight fire modules and a convolution to the classes."""
    return Network(
        input=(3, 224, 224),
        stem=Stage(blocks=(Conv(kernel=kernel, padding="valid", norm=NO_NORM), POOL), width=width, stride=2),
        stages=tuple(
            Stage(blocks=_fire(squeeze, expand, number in pooled), width=expand)
            for number, (squeeze, expand) in enumerate(FIRES, start=1)
        ),
        head=ConvClassifier(classes=1000, dropout=0.5),
    )


def _fire(squeeze: int, expand: int, pooled: bool) -> tuple[Block, ...]:
    point, spread = Conv(kernel=1, norm=NO_NORM), Conv(norm=NO_NORM)
    expanded = Branches(parts=(Part(block=point, width=expand // 2), Part(block=spread, width=expand // 2)))
    fire = Chain(parts=(Part(block=point, width=squeeze), Part(block=expanded, width=expand)))
    return (fire, POOL) if pooled else (fire,)


MODELS: Mapping[str, Callable[[], Network]] = {
    name: partial(squeezenet, *stem) for name, stem in STEMS.items()
}
