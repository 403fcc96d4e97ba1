"""AmoebaNet-A (Real et al. 2019, figure 5) on NASNet's skeleton, the mobile one (N=4, F=50).

The cells are those of the authors' code, which the paper's figure agrees with from its seventh version on.
Those of the earlier figure, which DARTS prints as a genotype, are others: 4.3 M parameters on this skeleton.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..network import Network
from .nasnet import NORM, Operations, cell, imagenet

NORMAL: tuple[Operations, ...] = (
    # value 0 is the older input, 1 the newer, 2 the first node
    (("avg", 1), ("max", 1)),
    (("sep3", 0), ("none", 0)),
    (("none", 1), ("avg", 0)),
    (("sep3", 1), ("sep5", 2)),
    (("avg", 5), ("sep3", 1)),
)
NORMAL_OUTPUT = (0, 3, 4, 6)
REDUCE: tuple[Operations, ...] = (
    (("sep3", 0), ("avg", 1)),
    (("max", 1), ("sep7", 2)),
    (("max", 0), ("max", 1)),
    (("sep3", 4), ("1x7_7x1", 1)),
    (("avg", 0), ("sep7", 1)),
)
REDUCE_OUTPUT = (2, 3, 4, 5, 6)


def amoebanet_a_mobile() -> Network:
    """Return the network for ImageNet: 5,086,930 parameters, 554,687,204 MACs (the paper: 5.1 M, 555 M)."""
    normal, reduce = cell(NORMAL, NORMAL_OUTPUT, NORM), cell(REDUCE, REDUCE_OUTPUT, NORM)
    return imagenet(normal, reduce, width=50, cells=4)


MODELS: Mapping[str, Callable[[], Network]] = {"amoebanet_a_mobile": amoebanet_a_mobile}
