"""What several blocks are made of; also for blocks of your own."""

from __future__ import annotations

from typing import Protocol

from .block import Amount, fixed
from .choice import Searchable
from .graph import Feature, Norm, Padding, Place, concat, per_axis


class Styled(Protocol):
    """A block that says which norm it uses."""

    @property
    def norm(self) -> Searchable[Norm]: ...


class Activated(Styled, Protocol):
    """A block that says which norm and activation it uses."""

    @property
    def act(self) -> Searchable[str]: ...


def conv_norm(
    block: Styled,
    x: Feature,
    out: int,
    kernel: Searchable[Amount],
    *,
    stride: Amount = 1,
    dilation: Searchable[Amount] = 1,
    groups: Searchable[int] = 1,
    padding: Searchable[Padding] = "same",
    bias: Searchable[bool] = False,
    name: str = "conv",
) -> Feature:
    """Convolve and normalise; without `bias`, the convolution has one only where no norm follows."""
    norm = fixed(block.norm)
    y = x.conv(
        out,
        fixed(kernel),
        stride=stride,
        dilation=fixed(dilation),
        groups=fixed(groups),
        padding=fixed(padding),
        bias=fixed(bias) or norm.kind == "none",
        name=name,
    )
    return y.norm(norm, name=f"{name}_norm")


def conv_norm_act(
    block: Activated,
    x: Feature,
    out: int,
    kernel: Searchable[Amount],
    *,
    stride: Amount = 1,
    dilation: Searchable[Amount] = 1,
    groups: Searchable[int] = 1,
    padding: Searchable[Padding] = "same",
    bias: Searchable[bool] = False,
    name: str = "conv",
) -> Feature:
    """Convolve, normalise, activate."""
    y = conv_norm(
        block, x, out, kernel,
        stride=stride, dilation=dilation, groups=groups, padding=padding, bias=bias, name=name,
    )  # fmt: skip
    return y.act(fixed(block.act), name=f"{name}_act")


def act_conv_norm(
    block: Activated,
    x: Feature,
    out: int,
    kernel: Searchable[Amount],
    *,
    stride: Amount = 1,
    name: str = "conv",
) -> Feature:
    """Activate, convolve, normalise: the order inside cells."""
    y = x.act(fixed(block.act), name=f"{name}_act")
    return conv_norm(block, y, out, kernel, stride=stride, name=name)


def reduced(block: Activated, x: Feature, out: int, stride: Amount, *, name: str = "reduce") -> Feature:
    """Return a smaller map along two paths, one of which reads what the other passes over (Liu et al. 2019).

    Activation, two strided 1x1 convolutions to half of the channels each, the second on the map moved by one
    position, their channels side by side, norm. A map of n positions gives ceil(n / stride), odd ones too.
    """
    x = x.act(fixed(block.act), name=f"{name}_act")
    strides = per_axis(stride, len(x.spatial))
    moved = x.pad(tuple((-1, 1) if s > 1 else (0, 0) for s in strides), name=f"{name}_move")
    norm = fixed(block.norm)
    paths = [
        y.conv(width, 1, stride=stride, bias=norm.kind == "none", name=f"{name}{i}")
        for i, (y, width) in enumerate(((x, out - out // 2), (moved, out // 2)), start=1)
        if width
    ]
    return concat(*paths, name=f"{name}_concat").norm(norm, name=f"{name}_norm")


def squeeze_excite(
    x: Feature, squeezed: int, act: Searchable[str], *, gate: Searchable[str] = "sigmoid"
) -> Feature:
    """Weigh each channel by what the whole map holds (Hu et al. 2018)."""
    y = x.adaptive_pool(name="se_pool")
    y = y.conv(squeezed, bias=True, name="se_reduce").act(fixed(act), name="se_act")
    return x * y.conv(x.channels, bias=True, name="se_expand").act(fixed(gate), name="se_gate")


def with_residual(x: Feature, y: Feature) -> Feature:
    """Add the input where shapes agree."""
    return x + y if x.shape == y.shape else y


def projected(block: Styled, x: Feature, place: Place) -> Feature:
    """Return the input, through a strided 1x1 convolution where the place demands another shape."""
    if x.channels == place.width and not place.strides:
        return x
    return conv_norm(block, x, place.width, 1, stride=place.stride, name="shortcut")


def pooled_scores(
    block: Activated,
    place: Place,
    outputs: Searchable[int],
    *,
    width: Searchable[int | None],
    hidden: Searchable[tuple[int, ...]],
    dropout: Searchable[float],
) -> Feature:
    """Widen where asked, pool over all positions, pass hidden dense layers, drop, and weigh densely."""
    x, wide = place.input, fixed(width)
    x = x if wide is None else conv_norm_act(block, x, wide, 1, name="widen")
    x = x.adaptive_pool().flatten()
    for features in fixed(hidden):
        x = x.linear(features, name="hidden").act(fixed(block.act), name="hidden_act")
    return x.dropout(fixed(dropout)).linear(fixed(outputs))


def scaled(channels: int, ratio: Searchable[float]) -> int:
    """Return `channels * ratio` rounded down, at least 1."""
    return max(1, int(channels * fixed(ratio)))
