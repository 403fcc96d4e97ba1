"""The layers every block lowers to, their joins, and the rules that give their output shapes.

A shape is `(channels, *spatial)` without the batch, or `(features,)` once flat. Amounts per axis are
tuples, one entry a spatial axis, so 1-D, 2-D and 3-D differ only in length. Padding is one
`(before, after)` pair an axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from .errors import Unbuildable

Shape = tuple[int, ...]
Axes = tuple[int, ...]
Pads = tuple[tuple[int, int], ...]

ACTIVATIONS = (
    "relu", "relu6", "leaky_relu", "prelu", "elu", "gelu", "silu", "hard_swish", "sigmoid", "hard_sigmoid",
    "tanh",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Convolution:
    """A cross-correlation over 1 to 3 spatial axes; `groups` equal to the channels is depthwise."""

    out: int
    kernel: Axes
    stride: Axes
    dilation: Axes
    padding: Pads
    groups: int = 1
    bias: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalisation:
    """Batch, group, layer (one group over all channels and positions) or instance norm, affine."""

    kind: str
    groups: int = 1
    eps: float = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """A pointwise function; `prelu` learns one slope a channel, `leaky_relu` has slope 0.01."""

    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooling:
    """A max or average over windows; an average counts padding only where `count_padding`."""

    kind: str
    kernel: Axes
    stride: Axes
    padding: Pads
    ceil_mode: bool = False
    count_padding: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptivePooling:
    """A max or average over windows chosen so that the output has the given size."""

    kind: str
    size: Axes


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """A dense layer on `(features,)`."""

    out: int
    bias: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Flatten:
    """All values in one row, channels first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Channels `start` up to, not including, `stop`."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shuffle:
    """Channels interleaved across `groups` (Zhang et al. 2018, ShuffleNet)."""

    groups: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pad:
    """Zeros (or `value`) added around each spatial axis; a negative amount crops."""

    amounts: Pads
    value: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """Every channel moved by `offset` along each axis, zeros entering; the size stays."""

    offset: Axes


@dataclass(frozen=True, slots=True, kw_only=True)
class Upsample:
    """A resize to the given spatial size, `nearest` or `linear` (bilinear in 2-D, trilinear in 3-D)."""

    size: Axes
    kind: str = "nearest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropout:
    """Zeros at random in training: each `value`, `channel` or `sample` (stochastic depth) as one."""

    rate: float
    of: str = "value"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """Elementwise sum of equal shapes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Concat:
    """Channels of all inputs, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """Elementwise product; a `(channels, 1, ...)` factor is spread over the positions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Zeros:
    """Zeros of the given shape; of the input nothing but the batch size is read."""

    channels: int
    size: Axes


Join = Sum | Concat | Product
Layer = (
    Convolution | Normalisation | Activation | Pooling | AdaptivePooling | Linear | Flatten | Slice | Shuffle
    | Pad | Shift | Upsample | Dropout | Zeros | Join
)  # fmt: skip


def out_shape(layer: Layer, shapes: tuple[Shape, ...]) -> Shape:
    """Return a layer's output shape from its inputs' shapes; `Unbuildable` says what does not fit."""
    shape = shapes[0]
    match layer:
        case Convolution():
            return _convolution_shape(layer, shape)
        case Pooling():
            return (shape[0], *_window_sizes(layer, shape))
        case AdaptivePooling() | Upsample():
            _check_axes(layer, shape, layer.size)
            return (shape[0], *_positive(layer.size, layer, shape))
        case Linear():
            if len(shape) != 1:
                raise Unbuildable(
                    f"Linear: got an input of shape {shape}, expected (features,); flatten first"
                )
            return (_at_least_one(layer.out, layer),)
        case Flatten():
            return (prod(shape),)
        case Slice():
            if not 0 <= layer.start < layer.stop <= shape[0]:
                raise Unbuildable(
                    f"Slice: got channels {layer.start} to {layer.stop}, expected some of {shape[0]}"
                )
            return (layer.stop - layer.start, *shape[1:])
        case Pad():
            _check_axes(layer, shape, layer.amounts)
            sizes = tuple(n + a + b for n, (a, b) in zip(shape[1:], layer.amounts, strict=True))
            return (shape[0], *_positive(sizes, layer, shape))
        case Normalisation() | Shuffle():
            _check_divides(type(layer).__name__, layer.groups, shape[0])
            return shape
        case Sum() | Concat() | Product():
            return _join_shape(layer, shapes)
        case Activation() | Dropout():
            return shape
        case Shift():
            _check_axes(layer, shape, layer.offset)
            return shape
        case Zeros():
            _check_axes(layer, shape, layer.size)
            return (_at_least_one(layer.channels, layer), *_positive(layer.size, layer, shape))


def parameter_count(layer: Layer, shapes: tuple[Shape, ...]) -> int:
    """Return how many numbers a layer learns, from its inputs' shapes; running statistics are not learnt.

    >>> point = Convolution(out=8, kernel=(1, 1), stride=(1, 1), dilation=(1, 1), padding=((0, 0), (0, 0)))
    >>> parameter_count(point, ((3, 32, 32),))
    24
    """
    channels = shapes[0][0]
    match layer:
        case Convolution():
            return layer.out * (channels // layer.groups * prod(layer.kernel) + layer.bias)
        case Linear():
            return layer.out * (channels + layer.bias)
        case Normalisation():
            return 2 * channels
        case Activation(kind="prelu"):
            return channels
        case _:
            return 0


def _convolution_shape(layer: Convolution, shape: Shape) -> Shape:
    _check_divides("Convolution", layer.groups, shape[0])
    _check_divides("Convolution", layer.groups, _at_least_one(layer.out, layer))
    return (layer.out, *_window_sizes(layer, shape))


def _window_sizes(layer: Convolution | Pooling, shape: Shape) -> Axes:
    dilation = layer.dilation if isinstance(layer, Convolution) else (1,) * len(layer.kernel)
    _check_axes(layer, shape, layer.kernel, layer.stride, dilation, layer.padding)
    sizes = []
    for n, k, s, d, (before, after) in zip(
        shape[1:], layer.kernel, layer.stride, dilation, layer.padding, strict=True
    ):
        room = n + before + after - d * (k - 1) - 1
        size = room // s + 1
        if isinstance(layer, Pooling) and layer.ceil_mode:
            size = -(-room // s) + 1
            size -= (size - 1) * s >= n + before  # no window may start in the padding after
        sizes.append(size)
    return _positive(tuple(sizes), layer, shape)


def _positive(sizes: Axes, layer: Layer, shape: Shape) -> Axes:
    if min(sizes) < 1:
        raise Unbuildable(
            f"{type(layer).__name__}: got an output size of {_by(sizes)} on an input of {_by(shape[1:])}, "
            "expected at least 1 along each axis; use a smaller kernel, dilation or stride, or a larger input"
        )
    return sizes


def _by(sizes: Axes) -> str:
    return "x".join(map(str, sizes))


def _at_least_one(channels: int, layer: Layer) -> int:
    if channels < 1:
        raise Unbuildable(f"{type(layer).__name__}: got {channels} output channels, expected at least 1")
    return channels


def _join_shape(layer: Join, shapes: tuple[Shape, ...]) -> Shape:
    spatial = {shape[1:] for shape in shapes}
    channels = [shape[0] for shape in shapes]
    if isinstance(layer, Product):
        widest = max(shapes, key=prod)
        if all(s == widest or (s[0] == widest[0] and set(s[1:]) <= {1}) for s in shapes):
            return widest
    elif isinstance(layer, Concat) and len(spatial) == 1:
        return (sum(channels), *shapes[0][1:])
    elif isinstance(layer, Sum) and len(set(shapes)) == 1:
        return shapes[0]
    expected = {Sum: "equal shapes", Concat: "equal sizes along the spatial axes"}.get(
        type(layer), "equal shapes, or one entry a channel"
    )
    raise Unbuildable(
        f"{type(layer).__name__}: got inputs of shapes {', '.join(map(str, shapes))}, expected {expected}"
    )


def _check_axes(layer: Layer, shape: Shape, *amounts: tuple[object, ...]) -> None:
    axes = len(shape) - 1
    if axes == 0:
        raise Unbuildable(f"{type(layer).__name__}: got a flat input, expected one with spatial axes")
    for amount in amounts:
        if len(amount) != axes:
            raise Unbuildable(
                f"{type(layer).__name__}: got {amount}, {len(amount)} entries for {axes} spatial axes; "
                "give one an axis"
            )


def _check_divides(name: str, groups: int, channels: int) -> None:
    if groups < 1 or channels % groups:
        raise Unbuildable(
            f"{name}: got {groups} groups for {channels} channels, expected a divisor of {channels}"
        )
