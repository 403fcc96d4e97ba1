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
    "relu", "relu6", "leaky_relu", "prelu", "elu", "gelu", "silu", "hard_swish", "sigmoid", "hard_sigmoid", "tanh",
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
    """Zeros at random in training: single values, whole `channel`s, or the whole `sample` (stochastic depth)."""

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


Join = Sum | Concat | Product
Layer = (
    Convolution | Normalisation | Activation | Pooling | AdaptivePooling | Linear | Flatten | Slice | Shuffle
    | Pad | Shift | Upsample | Dropout | Join
)  # fmt: skip


def out_shape(layer: Layer, shapes: tuple[Shape, ...]) -> Shape:
    """Return a layer's output shape from its inputs' shapes, or raise `Unbuildable` saying what does not fit."""
    shape = shapes[0]
    match layer:
        case Convolution():
            return _convolution_shape(layer, shape)
        case Pooling():
            return (shape[0], *_window_sizes(layer, shape))
        case AdaptivePooling() | Upsample():
            return (shape[0], *_as_many(layer.size, shape, layer))
        case Linear():
            if len(shape) != 1:
                raise Unbuildable(f"Linear: got an input of shape {shape}, expected (features,); flatten first")
            return (layer.out,)
        case Flatten():
            return (prod(shape),)
        case Slice():
            if not 0 <= layer.start < layer.stop <= shape[0]:
                raise Unbuildable(f"Slice: got channels {layer.start} to {layer.stop} of {shape[0]}")
            return (layer.stop - layer.start, *shape[1:])
        case Pad():
            amounts = _as_many(layer.amounts, shape, layer)
            return (shape[0], *_positive(tuple(n + a + b for n, (a, b) in zip(shape[1:], amounts, strict=True)), layer))
        case Normalisation() | Shuffle():
            _check_divides(type(layer).__name__, layer.groups, shape[0])
            return shape
        case Sum() | Concat() | Product():
            return _join_shape(layer, shapes)
        case Activation() | Dropout():
            return shape
        case Shift():
            _as_many(layer.offset, shape, layer)
            return shape


def _convolution_shape(layer: Convolution, shape: Shape) -> Shape:
    _check_divides("Convolution", layer.groups, shape[0])
    _check_divides("Convolution", layer.groups, layer.out)
    return (layer.out, *_window_sizes(layer, shape))


def _window_sizes(layer: Convolution | Pooling, shape: Shape) -> Axes:
    dilation = layer.dilation if isinstance(layer, Convolution) else (1,) * len(layer.kernel)
    _as_many(layer.kernel, shape, layer)
    sizes = []
    for n, k, s, d, (before, after) in zip(
        shape[1:], layer.kernel, layer.stride, dilation, layer.padding, strict=True
    ):
        room = n + before + after - d * (k - 1) - 1
        size = room // s + 1
        if isinstance(layer, Pooling) and layer.ceil_mode:
            size = -(-room // s) + 1
            size -= (size - 1) * s >= n + before  # no window may start in the padding after
        sizes.append(size if room >= 0 else 0)
    return _positive(tuple(sizes), layer, shape)


def _positive(sizes: Axes, layer: Layer, shape: Shape | None = None) -> Axes:
    if min(sizes) < 1:
        given = f" on an input of {'x'.join(map(str, shape[1:]))}" if shape else ""
        raise Unbuildable(
            f"{type(layer).__name__}: got an output size of {'x'.join(map(str, sizes))}{given}, expected at least 1 "
            "along each axis; use a smaller kernel, dilation or stride, or a larger input"
        )
    return sizes


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
    raise Unbuildable(f"{type(layer).__name__}: got inputs of shapes {', '.join(map(str, shapes))}, which do not fit")


def _as_many(amounts: tuple[object, ...], shape: Shape, layer: Layer) -> tuple:  # type: ignore[type-arg]
    if len(amounts) != len(shape) - 1:
        raise Unbuildable(
            f"{type(layer).__name__}: got {len(amounts)} axes for an input with {len(shape) - 1} spatial axes"
        )
    return amounts


def _check_divides(name: str, groups: int, channels: int) -> None:
    if channels % groups:
        raise Unbuildable(f"{name}: got {groups} groups for {channels} channels, expected a divisor of {channels}")
