"""LeNet-5 (LeCun et al. 1998) with every third-layer map reading all second-layer maps, for 28x28 digits."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..blocks import Conv, Pool
from ..graph import NO_NORM
from ..heads import DenseClassifier
from ..network import Network, Stage


def lenet5() -> Network:
    """Return LeNet-5: 61,706 parameters and 416,520 MACs at 28x28 (padded by 2 to the paper's 32x32)."""
    pool = Pool(kind="average", kernel=2, stride=2, padding="valid")
    return Network(
        input=(1, 28, 28),
        stages=(
            Stage(blocks=(Conv(kernel=5, act="tanh", norm=NO_NORM), pool), width=6),
            Stage(blocks=(Conv(kernel=5, padding="valid", act="tanh", norm=NO_NORM), pool), width=16),
        ),
        head=DenseClassifier(classes=10, hidden=(120, 84), act="tanh"),
    )


MODELS: Mapping[str, Callable[[], Network]] = {"lenet5": lenet5}
