"""MobileNetV2 (Sandler et al. 2018, table 2) at any width; below 1 the head keeps its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..blocks import Conv, MBConv
from ..heads import Classifier
from ..network import Network, Stage
from .efficientnet import rounded

STEM, HEAD = 32, 1280
STAGES = (
    # expand, width, depth, stride
    (1.0, 16, 1, 1),
    (6.0, 24, 2, 2),
    (6.0, 32, 3, 2),
    (6.0, 64, 4, 2),
    (6.0, 96, 3, 1),
    (6.0, 160, 3, 2),
    (6.0, 320, 1, 1),
)


def mobilenet_v2(*, width: float = 1.0) -> Network:
    """Return MobileNetV2, 3,504,872 parameters and 300,774,272 MACs at width 1; the paper has 0.35 to 1.4."""
    return Network(
        input=(3, 224, 224),
        stem=Stage(blocks=(Conv(act="relu6"),), width=rounded(STEM * width), stride=2),
        stages=tuple(
            Stage(
                blocks=(MBConv(expand=expand, se=0.0, act="relu6"),) * depth,
                width=rounded(channels * width),
                stride=stride,
            )
            for expand, channels, depth, stride in STAGES
        ),
        head=Classifier(classes=1000, width=rounded(HEAD * max(1.0, width)), dropout=0.2, act="relu6"),
    )


MODELS: Mapping[str, Callable[..., Network]] = {"mobilenet_v2": mobilenet_v2}
