"""MobileNetV1 (Howard et al. 2017, table 1) at any width; norm eps is the authors' 1e-3."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..blocks import Conv, DepthwiseSeparable
from ..graph import Norm
from ..heads import Classifier
from ..network import Network, Stage

STEM = 32
STAGES = (
    # width, stride, depth
    (64, 1, 1),
    (128, 2, 2),
    (256, 2, 2),
    (512, 2, 6),
    (1024, 2, 2),
)
LEAST = 8  # channels
NORM = Norm(eps=1e-3)


def mobilenet_v1(*, width: float = 1.0) -> Network:
    """Return MobileNetV1, 4,231,976 parameters and 568,740,352 MACs at width 1; the paper has 0.25 to 1."""

    def thinned(channels: int) -> int:
        return max(LEAST, int(channels * width))

    return Network(
        input=(3, 224, 224),
        stem=Stage(blocks=(Conv(norm=NORM),), width=thinned(STEM), stride=2),
        stages=tuple(
            Stage(blocks=(DepthwiseSeparable(norm=NORM),) * depth, width=thinned(channels), stride=stride)
            for channels, stride, depth in STAGES
        ),
        head=Classifier(classes=1000),
    )


MODELS: Mapping[str, Callable[..., Network]] = {"mobilenet_v1": mobilenet_v1}
