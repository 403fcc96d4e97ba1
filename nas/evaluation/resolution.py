"""Batches at the size that a member reads, where a supernet's members differ in resolution."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.block import fixed
from search_spaces.layers import Axes
from search_spaces.network import Network

MODES = ("linear", "bilinear", "trilinear")  # by spatial axes, from one


def resized(x: Tensor, size: Axes) -> Tensor:
    """Return a batch (N, C, *spatial) at another size, smoothed first where it is a smaller image."""
    if tuple(x.shape[2:]) == size:
        return x
    return F.interpolate(x, size, mode=MODES[len(size) - 1], antialias=len(size) == 2)


def size_of(member: Network) -> Axes:
    """Return the sizes along the spatial axes that a resolved network reads."""
    return tuple(fixed(n) for n in member.input[1:])


class AtItsSize(nn.Module):
    """A network that is given batches of any size."""

    def __init__(self, network: nn.Module, size: Axes) -> None:
        super().__init__()
        self.network, self.size = network, size

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.network(resized(x, self.size)))
