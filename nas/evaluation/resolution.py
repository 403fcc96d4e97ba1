"""Batches at the size that a network reads, where the resolution is searched with it."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from search_spaces.block import fixed
from search_spaces.layers import Axes
from search_spaces.network import Network

MODES = ("linear", "bilinear", "trilinear")  # by spatial axes, from one


def resized(x: Tensor, size: Axes) -> Tensor:
    """Return a batch (N, C, *spatial) at another size, smoothed first where it is a smaller image."""
    if tuple(x.shape[2:]) == size:
        return x
    return F.interpolate(x, size, mode=MODES[len(size) - 1], align_corners=False, antialias=len(size) == 2)


def size_of(member: Network) -> Axes:
    """Return the sizes along the spatial axes that a resolved network reads."""
    return tuple(fixed(n) for n in member.input[1:])
