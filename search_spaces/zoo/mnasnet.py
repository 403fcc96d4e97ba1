"""MnasNet-B1, the one without squeeze-excite (Tan et al. 2019), at the widths that torchvision has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from ..blocks import Conv, MBConv
from ..heads import Classifier
from ..network import Network, Stage
from .efficientnet import rounded

STEM, HEAD = 32, 1280
STAGES = (
    # expand, width, kernel, stride, depth
    (1.0, 16, 3, 1, 1),
    (3.0, 24, 3, 2, 3),
    (3.0, 40, 5, 2, 3),
    (6.0, 80, 5, 2, 3),
    (6.0, 96, 3, 1, 2),
    (6.0, 192, 5, 2, 4),
    (6.0, 320, 3, 1, 1),
)
WIDTHS = {"mnasnet0_5": 0.5, "mnasnet0_75": 0.75, "mnasnet1_0": 1.0, "mnasnet1_3": 1.3}


def mnasnet(width: float) -> Network:
    """Return the network with all channels but the head's multiplied."""
    return Network(
        input=(3, 224, 224),
        stem=Stage(blocks=(Conv(),), width=rounded(STEM * width), stride=2),
        stages=tuple(
            Stage(
                blocks=(MBConv(kernel=kernel, expand=expand, se=0.0, act="relu"),) * depth,
                width=rounded(channels * width),
                stride=stride,
            )
            for expand, channels, kernel, stride, depth in STAGES
        ),
        head=Classifier(classes=1000, width=HEAD, dropout=0.2),
    )


MODELS: Mapping[str, Callable[[], Network]] = {
    name: partial(mnasnet, width) for name, width in WIDTHS.items()
}
