"""DARTS_V2, the second-order cells of DARTS, on its two skeletons (Liu et al. 2019)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..genotype import from_genotype
from ..network import Network
from ..presets.darts import darts

DARTS_V2 = (
    "Genotype("
    "normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], "
    "normal_concat=[2, 3, 4, 5], "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), "
    "('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], "
    "reduce_concat=[2, 3, 4, 5])"
)


def darts_v2_cifar() -> Network:
    """Return the network for CIFAR-10, 20 cells of width 36: 3.35 M params, 528 M MACs."""
    return from_genotype(darts((3, 32, 32), 10, width=36, cells=20), DARTS_V2)


def darts_v2_imagenet() -> Network:
    """Return the network for ImageNet, 14 cells of width 48: 4.72 M params, 530 M MACs."""
    return from_genotype(darts((3, 224, 224), 1000, width=48, cells=14), DARTS_V2)


MODELS: Mapping[str, Callable[[], Network]] = {
    "darts_v2_cifar": darts_v2_cifar,
    "darts_v2_imagenet": darts_v2_imagenet,
}
