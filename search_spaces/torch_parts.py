"""The layers that torch lacks, or refuses to run where ours must.

x is (N, C, *spatial), or (N, features) once flat.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.conv import _ConvNd

from .layers import Axes, Pads, Pooling, Shape, out_shape

PLAIN_POOLS: dict[str, tuple[Callable[[Tensor, Axes, Axes], Tensor], ...]] = {  # by spatial axes, from one
    "max": (torch.max_pool1d, torch.max_pool2d, torch.max_pool3d),
    "average": (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d),
}


def torch_pads(pads: Pads) -> tuple[int, ...]:
    """Return padding in the order of `torch.nn.functional.pad`: the last axis first."""
    return tuple(chain.from_iterable(reversed(pads)))


class PadThenConvolve(_ConvNd):
    """A convolution padded more on one side than on the other; `pads` is in torch's order."""

    pads: tuple[int, ...] = ()

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(F.pad(x, self.pads), self.weight, self.bias)


class PadConv1d(PadThenConvolve, nn.Conv1d):
    """`torch.nn.Conv1d` with its own padding on each side."""


class PadConv2d(PadThenConvolve, nn.Conv2d):
    """`torch.nn.Conv2d` with its own padding on each side."""


class PadConv3d(PadThenConvolve, nn.Conv3d):
    """`torch.nn.Conv3d` with its own padding on each side."""


class GroupNorm(nn.GroupNorm):
    """Group norm that also takes a group of one value, which torch's own refuses; it becomes the bias."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


class Windows(nn.Module):
    """Pooling as torch cannot say it: unequal padding on the two sides, or padding above half a kernel.

    An average divides by the positions that count.
    """

    def __init__(self, layer: Pooling) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        pads, rest = torch_pads(self.layer.padding), self._overhang(x)
        outside = -torch.inf if self.layer.kind == "max" else 0.0
        pooled = self._pool(F.pad(F.pad(x, pads, value=outside), rest, value=outside))
        if self.layer.kind == "max":
            return pooled
        counted = F.pad(x.new_ones((1, 1, *x.shape[2:])), pads, value=float(self.layer.count_padding))
        return pooled / self._pool(F.pad(counted, rest))

    def _pool(self, x: Tensor) -> Tensor:
        return PLAIN_POOLS[self.layer.kind][x.dim() - 3](x, self.layer.kernel, self.layer.stride)

    def _overhang(self, x: Tensor) -> tuple[int, ...]:
        """Return how far the last windows reach past the padding; negative where they stop short of it."""
        layer, spatial = self.layer, tuple(x.shape[2:])
        sizes = out_shape(layer, ((1, *spatial),))[1:]
        axes = zip(spatial, sizes, layer.kernel, layer.stride, layer.padding, strict=True)
        return torch_pads(tuple((0, (size - 1) * s + k - n - sum(pads)) for n, size, k, s, pads in axes))

    def extra_repr(self) -> str:
        return f"{self.layer}"


class SampleDropout(nn.Module):
    """Drops whole samples in training and scales the others up (stochastic depth, Huang et al. 2016)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        kept = x.new_empty((x.shape[0],) + (1,) * (x.dim() - 1)).bernoulli_(1 - self.rate)
        return x * kept.div_(1 - self.rate)

    def extra_repr(self) -> str:
        return f"rate={self.rate}"


class Channels(nn.Module):
    """The channels from `start` up to `stop`, as a view."""

    def __init__(self, start: int, stop: int) -> None:
        super().__init__()
        self.start, self.stop = start, stop

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.start : self.stop]

    def extra_repr(self) -> str:
        return f"{self.start}, {self.stop}"


class ShuffleFlat(nn.ChannelShuffle):
    """A channel shuffle of (N, features), which torch's own refuses."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.unsqueeze(-1)).squeeze(-1)


class Padding(nn.Module):
    """A constant around the map; negative amounts crop."""

    def __init__(self, amounts: Pads, value: float) -> None:
        super().__init__()
        self.amounts, self.value = amounts, value

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, torch_pads(self.amounts), value=self.value)

    def extra_repr(self) -> str:
        return f"{self.amounts}, value={self.value}"


class Shifting(nn.Module):
    """The content moved along each axis; what leaves is lost and zeros enter."""

    def __init__(self, offset: Axes) -> None:
        super().__init__()
        self.offset = offset

    def forward(self, x: Tensor) -> Tensor:
        within = [max(-n, min(n, o)) for o, n in zip(self.offset, x.shape[2:], strict=True)]
        return F.pad(x, torch_pads(tuple((o, -o) for o in within)))

    def extra_repr(self) -> str:
        return f"{self.offset}"


class Zeroing(nn.Module):
    """Zeros of a given shape, as many as the input has examples."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return x.new_zeros((len(x), *self.shape))

    def extra_repr(self) -> str:
        return f"shape={self.shape}"


class Summing(nn.Module):
    """The sum of all values."""

    def forward(self, x: Tensor, *others: Tensor) -> Tensor:
        for other in others:
            x = x + other
        return x


class Concatenating(nn.Module):
    """The channels of all values, in order."""

    def forward(self, *values: Tensor) -> Tensor:
        return torch.cat(values, dim=1)


class Multiplying(nn.Module):
    """The product of all values; (N, C) and (N, C, 1, ...) are spread over the positions."""

    def forward(self, *values: Tensor) -> Tensor:
        axes = max(value.dim() for value in values)
        x, *others = (value[(...,) + (None,) * (axes - value.dim())] for value in values)
        for other in others:
            x = x * other
        return x
