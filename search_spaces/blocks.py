"""The blocks: each is its fields and how it lowers to layers.

In each `lower`, x is the input (C_in, *spatial), w the width the place demands, s its stride.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from .block import ActivationName, Amount, Block, Ratio, Whole, fixed
from .choice import Searchable
from .data import register
from .graph import BATCH_NORM, Feature, Norm, Padding, Place, concat
from .parts import conv_norm, conv_norm_act, projected, scaled, squeeze_excite, with_residual

Rates = Annotated[tuple[Whole, ...], Field(min_length=1)]


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Conv(Block):
    """Convolution, norm, activation; with `bias`, the convolution has one beside the norm too."""

    kernel: Searchable[Amount] = 3
    groups: Searchable[Whole] = 1
    padding: Searchable[Padding] = "same"
    bias: Searchable[bool] = False
    act: Searchable[ActivationName] = "relu"
    norm: Searchable[Norm] = BATCH_NORM

    def lower(self, place: Place) -> Feature:
        return conv_norm_act(
            self, place.input, place.width, self.kernel,
            stride=place.stride, groups=self.groups, padding=self.padding, bias=self.bias,
        )  # fmt: skip


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class DepthwiseSeparable(Block):
    """Depthwise, then pointwise convolution, each with norm and activation (Howard et al. 2017)."""

    kernel: Searchable[Amount] = 3
    act: Searchable[ActivationName] = "relu"
    norm: Searchable[Norm] = BATCH_NORM

    def lower(self, place: Place) -> Feature:
        x = place.input
        x = conv_norm_act(
            self, x, x.channels, self.kernel, stride=place.stride, groups=x.channels, name="depthwise"
        )
        return conv_norm_act(self, x, place.width, 1, name="pointwise")


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class MBConv(Block):
    """Inverted residual with squeeze-excite (Sandler et al. 2018; Tan & Le 2019).

    Expands to `expand * C_in`, filters depthwise, squeezes to `se * C_in` (0: no squeeze-excite), projects;
    adds the input where shapes agree. The squeeze's own activation is `se_act`, by default `act`, and `gate`.
    """

    kernel: Searchable[Amount] = 3
    expand: Searchable[Ratio] = 6.0
    se: Searchable[Ratio] = 0.25
    se_act: Searchable[ActivationName | None] = None
    gate: Searchable[ActivationName] = "sigmoid"
    act: Searchable[ActivationName] = "silu"
    norm: Searchable[Norm] = BATCH_NORM

    def lower(self, place: Place) -> Feature:
        x = place.input
        hidden = scaled(x.channels, self.expand)
        y = conv_norm_act(self, x, hidden, 1, name="expand") if hidden != x.channels else x
        y = conv_norm_act(self, y, hidden, self.kernel, stride=place.stride, groups=hidden, name="depthwise")
        if fixed(self.se):
            inner = fixed(self.se_act) or self.act
            y = squeeze_excite(y, scaled(x.channels, self.se), inner, gate=self.gate)
        return with_residual(x, conv_norm(self, y, place.width, 1, name="project"))


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class FusedMBConv(Block):
    """MBConv whose expansion and depthwise convolution are one dense convolution (Tan & Le 2021)."""

    kernel: Searchable[Amount] = 3
    expand: Searchable[Ratio] = 4.0
    se: Searchable[Ratio] = 0.0
    act: Searchable[ActivationName] = "silu"
    norm: Searchable[Norm] = BATCH_NORM

    def lower(self, place: Place) -> Feature:
        x = place.input
        hidden = scaled(x.channels, self.expand)
        alone = hidden == x.channels  # nothing is expanded: one convolution does it all
        out = place.width if alone else hidden
        y = conv_norm_act(self, x, out, self.kernel, stride=place.stride, name="fused")
        y = squeeze_excite(y, scaled(x.channels, self.se), self.act) if fixed(self.se) else y
        return with_residual(x, y if alone else conv_norm(self, y, place.width, 1, name="project"))


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class DilatedConv(Block):
    """Convolution with holes (Yu & Koltun 2016); a kernel of 3 with dilation 2 covers 5 positions."""

    kernel: Searchable[Amount] = 3
    dilation: Searchable[Amount] = 2
    act: Searchable[ActivationName] = "relu"
    norm: Searchable[Norm] = BATCH_NORM

    def lower(self, place: Place) -> Feature:
        return conv_norm_act(
            self, place.input, place.width, self.kernel, stride=place.stride, dilation=self.dilation
        )


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class DilatedSeparable(Block):
    """Depthwise separable convolution with holes in the depthwise part (Chen et al. 2018, DeepLabv3+)."""

    kernel: Searchable[Amount] = 3
    dilation: Searchable[Amount] = 2
    act: Searchable[ActivationName] = "relu"
    norm: Searchable[Norm] = BATCH_NORM

    def lower(self, place: Place) -> Feature:
        x = place.input
        x = conv_norm_act(
            self, x, x.channels, self.kernel,
            stride=place.stride, dilation=self.dilation, groups=x.channels, name="depthwise",
        )  # fmt: skip
        return conv_norm_act(self, x, place.width, 1, name="pointwise")


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class HybridDilated(Block):
    """Convolutions of rising dilation with no common factor, so that none of the grid is missed.

    Equal rates in a row read only every r-th position ("gridding"); rates such as 1, 2, 5 cover all
    (Wang et al. 2018, Hybrid Dilated Convolution). Adds the input where shapes agree.
    """

    kernel: Searchable[Amount] = 3
    rates: Searchable[Rates] = (1, 2, 5)
    act: Searchable[ActivationName] = "relu"
    norm: Searchable[Norm] = BATCH_NORM

    def lower(self, place: Place) -> Feature:
        x = y = place.input
        for i, rate in enumerate(fixed(self.rates)):
            stride = place.stride if i == 0 else 1
            y = conv_norm_act(
                self, y, place.width, self.kernel, stride=stride, dilation=rate, name=f"rate{rate}"
            )
        return with_residual(x, y)


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualBasic(Block):
    """Two convolutions and a shortcut (He et al. 2016), a 1x1 convolution where shapes differ."""

    kernel: Searchable[Amount] = 3
    act: Searchable[ActivationName] = "relu"
    norm: Searchable[Norm] = BATCH_NORM

    def lower(self, place: Place) -> Feature:
        x = place.input
        y = conv_norm_act(self, x, place.width, self.kernel, stride=place.stride, name="conv1")
        y = conv_norm(self, y, place.width, self.kernel, name="conv2")
        return (y + projected(self, x, place)).act(fixed(self.act))


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualBottleneck(Block):
    """1x1, kxk, 1x1 convolutions and a shortcut (He et al. 2016); the middle has `width * ratio` channels.

    The stride sits on the kxk convolution, as in the variant usually called 1.5.
    """

    kernel: Searchable[Amount] = 3
    ratio: Searchable[Ratio] = 0.25
    groups: Searchable[Whole] = 1
    act: Searchable[ActivationName] = "relu"
    norm: Searchable[Norm] = BATCH_NORM

    def lower(self, place: Place) -> Feature:
        x, hidden = place.input, scaled(place.width, self.ratio)
        y = conv_norm_act(self, x, hidden, 1, name="reduce")
        y = conv_norm_act(
            self, y, hidden, self.kernel, stride=place.stride, groups=self.groups, name="filter"
        )
        y = conv_norm(self, y, place.width, 1, name="widen")
        return (y + projected(self, x, place)).act(fixed(self.act))


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Pool(Block):
    """Max or average pooling; a 1x1 convolution follows only where the width must change.

    `stride` is the pool's own, used where the place demands none.
    """

    kind: Searchable[Literal["max", "average"]] = "max"
    kernel: Searchable[Amount] = 3
    stride: Searchable[Amount] = 1
    padding: Searchable[Padding] = "same"
    ceil_mode: Searchable[bool] = False
    act: Searchable[ActivationName] = "relu"
    norm: Searchable[Norm] = BATCH_NORM

    def lower(self, place: Place) -> Feature:
        stride = place.stride if place.strides else fixed(self.stride)
        x = place.input.pool(
            fixed(self.kind),
            fixed(self.kernel),
            stride=stride,
            padding=fixed(self.padding),
            ceil_mode=fixed(self.ceil_mode),
        )
        return x if x.channels == place.width else conv_norm_act(self, x, place.width, 1, name="project")


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Identity(Block):
    """Nothing; a strided 1x1 convolution and norm where the place demands another shape."""

    norm: Searchable[Norm] = BATCH_NORM

    def lower(self, place: Place) -> Feature:
        return projected(self, place.input, place)


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Merge(Block):
    """The newest feature joined with an earlier one, then a 1x1 convolution: a skip or a decoder's step.

    `tap` names the end of an earlier stage (`stem`, `stages.0`, ...); the smaller map is upsampled to the
    larger. Before a sum or a product the tap is projected to the newest feature's channels.
    """

    tap: Searchable[str]
    join: Searchable[Literal["concat", "sum", "product"]] = "concat"
    act: Searchable[ActivationName] = "relu"
    norm: Searchable[Norm] = BATCH_NORM

    def reads(self) -> tuple[str, ...]:
        return (fixed(self.tap),)

    def lower(self, place: Place) -> Feature:
        x, tap = place.input, place.taps[fixed(self.tap)]
        size = max(x.spatial, tap.spatial)
        x, tap = (f if f.spatial == size else f.upsample(size) for f in (x, tap))
        if fixed(self.join) != "concat" and tap.channels != x.channels:
            tap = conv_norm(self, tap, x.channels, 1, name="tap")
        joined = {"concat": lambda: concat(x, tap), "sum": lambda: x + tap, "product": lambda: x * tap}
        return conv_norm_act(
            self, joined[fixed(self.join)](), place.width, 1, stride=place.stride, name="mix"
        )
