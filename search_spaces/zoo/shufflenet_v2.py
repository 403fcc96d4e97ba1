"""ShuffleNetV2 (Ma et al. 2018, table 5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from ..blocks import Conv, Pool
from ..branch_blocks import ShuffleUnit
from ..heads import Classifier
from ..network import Network, Stage

STEM = 24
DEPTHS = (4, 8, 4)
WIDTHS = {
    # three stages, head
    "shufflenet_v2_x0_5": ((48, 96, 192), 1024),
    "shufflenet_v2_x1_0": ((116, 232, 464), 1024),
    "shufflenet_v2_x1_5": ((176, 352, 704), 1024),
    "shufflenet_v2_x2_0": ((244, 488, 976), 2048),
}


def shufflenet_v2(widths: tuple[int, ...], head: int) -> Network:
    """Return three stages of shuffle units behind a stem that quarters the image."""
    return Network(
        input=(3, 224, 224),
        stem=Stage(blocks=(Conv(), Pool(kernel=3, stride=2)), width=STEM, stride=2),
        stages=tuple(
            Stage(blocks=(ShuffleUnit(),) * depth, width=width, stride=2)
            for width, depth in zip(widths, DEPTHS, strict=True)
        ),
        head=Classifier(classes=1000, width=head),
    )


MODELS: Mapping[str, Callable[[], Network]] = {
    name: partial(shufflenet_v2, *row) for name, row in WIDTHS.items()
}
