"""One `torch.nn.Module` for each layer; all are made on the meta device, without storage.

torch's own classes serve wherever they mean the same, so that tools that look for them (hooks, fusion,
synchronised batch norm) find them.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from .layers import (
    Activation,
    AdaptivePooling,
    Axes,
    Concat,
    Convolution,
    Dropout,
    Flatten,
    Layer,
    Linear,
    Normalisation,
    Pad,
    Pooling,
    Product,
    Shape,
    Shift,
    Shuffle,
    Slice,
    Sum,
    Upsample,
    Zeros,
)
from .pooling import needs_windows, only_cuts
from .torch_parts import (
    Channels,
    Concatenating,
    GroupNorm,
    Multiplying,
    PadConv1d,
    PadConv2d,
    PadConv3d,
    Padding,
    PadThenConvolve,
    SampleDropout,
    Shifting,
    ShuffleFlat,
    Summing,
    Windows,
    Zeroing,
    torch_pads,
)

ByAxes = tuple[Callable[..., nn.Module], ...]  # one class for each number of spatial axes: 1, 2, 3
CONVOLUTIONS: ByAxes = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
PAD_CONVOLUTIONS: ByAxes = (PadConv1d, PadConv2d, PadConv3d)
MAX_POOLS: ByAxes = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
AVERAGE_POOLS: ByAxes = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
ADAPTIVE_POOLS: dict[str, ByAxes] = {
    "max": (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
    "average": (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
}
BATCH_NORMS: ByAxes = (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)  # from 0 axes: flat
CHANNEL_DROPOUTS: ByAxes = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)  # from 0 axes: flat
UPSAMPLE_MODES = {"nearest": ("nearest",) * 3, "linear": ("linear", "bilinear", "trilinear")}
PLAIN_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "hard_swish": nn.Hardswish,
    "sigmoid": nn.Sigmoid,
    "hard_sigmoid": nn.Hardsigmoid,
    "tanh": nn.Tanh,
}


def layer_module(layer: Layer, shapes: tuple[Shape, ...]) -> nn.Module:
    """Return the module of a layer that reads values of the given shapes; its weights hold no memory yet.

    Raises `Unbuildable` where a pooling window would see padding alone.
    """
    channels, axes = shapes[0][0], len(shapes[0]) - 1
    match layer:
        case Convolution():
            return _convolution(layer, channels)
        case Normalisation():
            return _normalisation(layer, channels, axes)
        case Activation(kind="prelu"):
            return nn.PReLU(channels, device="meta")
        case Activation():
            return PLAIN_ACTIVATIONS[layer.kind]()
        case Linear():
            return nn.Linear(channels, layer.out, bias=layer.bias, device="meta")
        case Pooling():
            return _pooling(layer, shapes[0][1:])
        case AdaptivePooling():
            return ADAPTIVE_POOLS[layer.kind][axes - 1](layer.size)
        case Dropout():
            return _dropout(layer, axes)
        case Sum():
            return Summing()
        case Concat():
            return Concatenating()
        case Product():
            return Multiplying()
        case _:
            return _rearrangement(layer, axes)


def _rearrangement(layer: Flatten | Slice | Shuffle | Pad | Shift | Upsample | Zeros, axes: int) -> nn.Module:
    match layer:
        case Flatten():
            return nn.Flatten()
        case Slice():
            return Channels(layer.start, layer.stop)
        case Shuffle():
            return nn.ChannelShuffle(layer.groups) if axes else ShuffleFlat(layer.groups)
        case Pad():
            return Padding(layer.amounts, layer.value)
        case Shift():
            return Shifting(layer.offset)
        case Zeros():
            return Zeroing((layer.channels, *layer.size))
        case Upsample():
            return nn.Upsample(layer.size, mode=UPSAMPLE_MODES[layer.kind][axes - 1])


def _convolution(layer: Convolution, channels: int) -> nn.Module:
    even = all(before == after >= 0 for before, after in layer.padding)
    module = (CONVOLUTIONS if even else PAD_CONVOLUTIONS)[len(layer.kernel) - 1](
        channels,
        layer.out,
        layer.kernel,
        stride=layer.stride,
        padding=tuple(before for before, _ in layer.padding) if even else 0,
        dilation=layer.dilation,
        groups=layer.groups,
        bias=layer.bias,
        device="meta",
    )
    if isinstance(module, PadThenConvolve):
        module.pads = torch_pads(layer.padding)
    return module


def _normalisation(layer: Normalisation, channels: int, axes: int) -> nn.Module:
    if layer.kind == "batch":
        return BATCH_NORMS[axes](channels, eps=layer.eps, device="meta")
    groups = {"group": layer.groups, "layer": 1, "instance": channels}[layer.kind]
    return GroupNorm(groups, channels, eps=layer.eps, device="meta")


def _pooling(layer: Pooling, spatial: Axes) -> nn.Module:
    if needs_windows(layer, spatial):
        return Windows(layer)
    pool = (MAX_POOLS if layer.kind == "max" else AVERAGE_POOLS)[len(spatial) - 1]
    padding, ceil = tuple(before for before, _ in layer.padding), only_cuts(layer) or layer.ceil_mode
    if layer.kind == "max":
        return pool(layer.kernel, layer.stride, padding, ceil_mode=ceil)
    return pool(layer.kernel, layer.stride, padding, ceil, layer.count_padding)


def _dropout(layer: Dropout, axes: int) -> nn.Module:
    if layer.of == "sample":
        return SampleDropout(layer.rate)
    return CHANNEL_DROPOUTS[axes](layer.rate) if layer.of == "channel" else nn.Dropout(layer.rate)
