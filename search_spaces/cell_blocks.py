"""The operations of cells: what stands on a cell's edges, activation first and norm last, and around cells.

In each `lower`, x is the input (C_in, *spatial), w the width the place demands, s its stride.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .block import ActivationName, Amount, Block, Whole, fixed
from .choice import Searchable
from .data import register
from .graph import BATCH_NORM, Feature, Norm, Place, per_axis
from .parts import act_conv_norm, conv_norm, reduced


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ActConv(Block):
    """Activation, convolution, norm: the order of operations in cells (Zoph et al. 2018)."""

    kernel: Searchable[Amount] = 3
    act: Searchable[ActivationName] = "relu"
    norm: Searchable[Norm] = BATCH_NORM

    def lower(self, place: Place) -> Feature:
        return act_conv_norm(self, place.input, place.width, self.kernel, stride=place.stride)


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ActAxial(Block):
    """Activation, convolution along one axis, norm, for each axis in turn from the last on: 1x7, then 7x1.

    Each convolution strides along its own axis (Zoph et al. 2018).
    """

    kernel: Searchable[Amount] = 7
    act: Searchable[ActivationName] = "relu"
    norm: Searchable[Norm] = BATCH_NORM

    def lower(self, place: Place) -> Feature:
        y, axes = place.input, len(place.stride)
        kernel = per_axis(fixed(self.kernel), axes)
        for axis in reversed(range(axes)):
            along, stride = (
                tuple(n if i == axis else 1 for i, n in enumerate(a)) for a in (kernel, place.stride)
            )
            y = act_conv_norm(self, y, place.width, along, stride=stride, name=f"axis{axis}")
        return y


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ActSeparable(Block):
    """Activation, depthwise and pointwise convolution, norm, `repeats` times over; the first one strides.

    Twice it is the separable convolution of NASNet and DARTS, once with dilation 2 their dilated one
    (Zoph et al. 2018; Liu et al. 2019). `widen` says which pointwise convolution gives the place's width: the
    last, as in DARTS, or the first, as in NASNet.
    """

    kernel: Searchable[Amount] = 3
    dilation: Searchable[Amount] = 1
    repeats: Searchable[Whole] = 2
    widen: Searchable[Literal["first", "last"]] = "last"
    act: Searchable[ActivationName] = "relu"
    norm: Searchable[Norm] = BATCH_NORM

    def lower(self, place: Place) -> Feature:
        x, repeats = place.input, fixed(self.repeats)
        widens = 0 if fixed(self.widen) == "first" else repeats - 1
        for i in range(repeats):
            stride, out = (place.stride if i == 0 else 1), (place.width if i >= widens else x.channels)
            y = x.act(fixed(self.act)).conv(
                x.channels, fixed(self.kernel),
                stride=stride, dilation=fixed(self.dilation), groups=x.channels, name="depthwise",
            )  # fmt: skip
            x = conv_norm(self, y, out, 1, name="pointwise")
        return x


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Skip(Block):
    """The input as it is; where the place strides, halved along two paths (Liu et al. 2019).

    Each path is a 1x1 convolution to half of the channels, one of them on the map moved by one position, so
    that no position is left out. Where only the width differs: activation, 1x1 convolution, norm.
    """

    act: Searchable[ActivationName] = "relu"
    norm: Searchable[Norm] = BATCH_NORM

    def lower(self, place: Place) -> Feature:
        x = place.input
        if place.strides:
            return reduced(self, x, place.width, place.stride)
        return x if x.channels == place.width else act_conv_norm(self, x, place.width, 1)


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Zero(Block):
    """No connection: a cell leaves the edge out of its sum, or has zeros where no other edge is left."""

    def lower(self, place: Place) -> Feature:
        return place.input.zeros(place.width, place.stride)


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class NormAct(Block):
    """Norm and activation, such as after the last cell; a 1x1 convolution first where shapes differ."""

    act: Searchable[ActivationName] = "relu"
    norm: Searchable[Norm] = BATCH_NORM

    def lower(self, place: Place) -> Feature:
        x = place.input
        if place.strides or x.channels != place.width:
            x = x.conv(place.width, 1, stride=place.stride)
        return x.norm(fixed(self.norm)).act(fixed(self.act))


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class PooledResidual(Block):
    """Activation, convolution, norm, twice, beside an average pooling and 1x1 convolution.

    What halves the maps between the cells of NAS-Bench-201 (Dong & Yang 2020, figure 1).
    """

    kernel: Searchable[Amount] = 3
    act: Searchable[ActivationName] = "relu"
    norm: Searchable[Norm] = BATCH_NORM

    def lower(self, place: Place) -> Feature:
        x = place.input
        y = act_conv_norm(self, x, place.width, self.kernel, stride=place.stride, name="conv1")
        y = act_conv_norm(self, y, place.width, self.kernel, name="conv2")
        short = (
            x.pool("average", place.stride, stride=place.stride, name="shortcut_pool") if place.strides else x
        )
        return y + short.conv(place.width, 1, name="shortcut")
