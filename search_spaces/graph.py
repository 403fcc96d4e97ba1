"""Small graphs of layers: what a block lowers to, and what every interpreter reads.

A graph is a straight list of nodes, each naming the values it reads: value 0 .. i-1 are the inputs,
value i + j is the output of node j. Blocks write one through `Feature`s, which know their shape.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Annotated, Literal

from pydantic import Field

from .data import ByKind, Data
from .errors import Unbuildable
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
    Pads,
    Pooling,
    Product,
    Shape,
    Shift,
    Shuffle,
    Slice,
    Sum,
    Upsample,
    Zeros,
    out_shape,
)

PerAxis = int | tuple[int, ...]
Beside = Annotated[int, Field(ge=0, le=2**16)]  # positions added on either side of an axis
Padding = Annotated[Literal["same", "valid"] | Beside | tuple[Beside, ...], ByKind()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Norm(Data):
    """A norm as a block's field: `batch`, `group`, `layer`, `instance` or `none`."""

    kind: Literal["batch", "group", "layer", "instance", "none"] = "batch"
    groups: Annotated[int, Field(ge=1, le=65536)] = (
        8  # of a group norm; fewer where the channels do not divide
    )
    eps: Annotated[float, Field(gt=0, lt=1)] = 1e-5


BATCH_NORM = Norm()
NO_NORM = Norm(kind="none")


@dataclass(frozen=True, slots=True)
class Node:
    """One layer, the values it reads, the shape it gives and a name that is unique in its graph."""

    layer: Layer
    sources: tuple[int, ...]
    shape: Shape
    name: str


@dataclass(frozen=True, slots=True)
class Graph:
    """Layers in an order in which they can run; `output` is the value handed on."""

    inputs: tuple[Shape, ...]
    nodes: tuple[Node, ...]
    output: int

    def shape(self, value: int) -> Shape:
        """Return the shape of a value, input or node output."""
        return self.inputs[value] if value < len(self.inputs) else self.nodes[value - len(self.inputs)].shape


@dataclass(slots=True)
class Tracer:
    """Collects the nodes a block writes; `finish` freezes them."""

    inputs: tuple[Shape, ...]
    nodes: list[Node] = field(default_factory=list)
    names: set[str] = field(default_factory=set)  # taken
    prefix: str = ""  # of the names given now

    @contextmanager
    def within(self, part: str) -> Iterator[None]:
        """Put `part.` before the names of the layers that are written meanwhile."""
        outer, self.prefix = self.prefix, f"{self.prefix}{part}."
        try:
            yield
        finally:
            self.prefix = outer

    def features(self) -> tuple[Feature, ...]:
        """Return the inputs as features."""
        return tuple(Feature(self, i, shape) for i, shape in enumerate(self.inputs))

    def add(self, layer: Layer, sources: Sequence[Feature], name: str) -> Feature:
        """Append a layer and return its output; a name already taken gets a number."""
        if any(source.tracer is not self for source in sources):
            raise Unbuildable(
                f"{name}: got a feature of another block, expected one that this block's place gives"
            )
        try:
            shape = out_shape(layer, tuple(source.shape for source in sources))
        except Unbuildable as error:
            raise Unbuildable(f"{name}: {error}") from None
        unique = next(n for n in _numbered(self.prefix + name) if n not in self.names)
        self.names.add(unique)
        self.nodes.append(Node(layer, tuple(source.value for source in sources), shape, unique))
        return Feature(self, len(self.inputs) + len(self.nodes) - 1, shape)

    def finish(self, output: Feature) -> Graph:
        """Return the graph that hands on `output`."""
        return Graph(self.inputs, tuple(self.nodes), output.value)


@dataclass(frozen=True, slots=True)
class Feature:
    """A value while a graph is written: its shape is known, and each method adds one layer."""

    tracer: Tracer = field(repr=False)
    value: int
    shape: Shape

    @property
    def channels(self) -> int:
        """Channels, or features once flat."""
        return self.shape[0]

    @property
    def spatial(self) -> Axes:
        """Sizes along the spatial axes."""
        return self.shape[1:]

    def conv(
        self,
        out: int,
        kernel: PerAxis = 1,
        *,
        stride: PerAxis = 1,
        dilation: PerAxis = 1,
        groups: int = 1,
        padding: Pads | Padding = "same",
        bias: bool = False,
        name: str = "conv",
    ) -> Feature:
        """Convolve; padded `same`, the output has `ceil(size / stride)` positions along each axis."""
        n = len(self.spatial)
        kernels, dilations = per_axis(kernel, n), per_axis(dilation, n)
        layer = Convolution(
            out=out,
            kernel=kernels,
            stride=per_axis(stride, n),
            dilation=dilations,
            padding=pads(padding, kernels, dilations),
            groups=groups,
            bias=bias,
        )
        return self.tracer.add(layer, (self,), name)

    def norm(self, norm: Norm, *, name: str = "norm") -> Feature:
        """Normalise; a group norm takes the largest divisor of the channels up to its groups."""
        if norm.kind == "none":
            return self
        most = norm.groups if norm.kind == "group" else 1
        groups = next(g for g in range(most, 0, -1) if self.channels % g == 0)
        return self.tracer.add(Normalisation(kind=norm.kind, groups=groups, eps=norm.eps), (self,), name)

    def act(self, kind: str, *, name: str = "act") -> Feature:
        """Apply an activation; `none` adds nothing."""
        return self if kind == "none" else self.tracer.add(Activation(kind=kind), (self,), name)

    def pool(
        self,
        kind: str,
        kernel: PerAxis,
        *,
        stride: PerAxis = 1,
        padding: Pads | Padding = "same",
        ceil_mode: bool = False,
        count_padding: bool = False,
        name: str = "pool",
    ) -> Feature:
        """Pool over windows, `max` or `average`; padded like `conv`."""
        n = len(self.spatial)
        kernels = per_axis(kernel, n)
        layer = Pooling(
            kind=kind,
            kernel=kernels,
            stride=per_axis(stride, n),
            padding=pads(padding, kernels, (1,) * n),
            ceil_mode=ceil_mode,
            count_padding=count_padding,
        )
        return self.tracer.add(layer, (self,), name)

    def adaptive_pool(self, kind: str = "average", size: PerAxis = 1, *, name: str = "pool") -> Feature:
        """Pool to a given size; 1 is global pooling."""
        layer = AdaptivePooling(kind=kind, size=per_axis(size, len(self.spatial)))
        return self.tracer.add(layer, (self,), name)

    def linear(self, out: int, *, bias: bool = True, name: str = "linear") -> Feature:
        """Apply a dense layer to a flat feature."""
        return self.tracer.add(Linear(out=out, bias=bias), (self,), name)

    def flatten(self, *, name: str = "flatten") -> Feature:
        """Put all values in one row."""
        return self.tracer.add(Flatten(), (self,), name)

    def slice(self, start: int, stop: int, *, name: str = "slice") -> Feature:
        """Take the channels from `start` up to `stop`."""
        return self.tracer.add(Slice(start=start, stop=stop), (self,), name)

    def shuffle(self, groups: int, *, name: str = "shuffle") -> Feature:
        """Interleave the channels of the groups."""
        return self.tracer.add(Shuffle(groups=groups), (self,), name)

    def pad(self, amounts: Pads, *, value: float = 0.0, name: str = "pad") -> Feature:
        """Pad (or crop, where negative) each spatial axis."""
        return self.tracer.add(Pad(amounts=amounts, value=value), (self,), name)

    def shift(self, offset: Axes, *, name: str = "shift") -> Feature:
        """Move the content by `offset` positions, zeros entering."""
        return self.tracer.add(Shift(offset=offset), (self,), name)

    def upsample(self, size: Axes, *, kind: str = "nearest", name: str = "upsample") -> Feature:
        """Resize to a spatial size."""
        return self.tracer.add(Upsample(size=size, kind=kind), (self,), name)

    def zeros(self, channels: int, stride: PerAxis = 1, *, name: str = "zeros") -> Feature:
        """Return zeros in the shape that a convolution of this width and stride, padded `same`, gives."""
        strides = per_axis(stride, len(self.spatial))
        size = tuple(-(-n // s) for n, s in zip(self.spatial, strides, strict=True))
        return self.tracer.add(Zeros(channels=channels, size=size), (self,), name)

    def dropout(self, rate: float, *, of: str = "value", name: str = "dropout") -> Feature:
        """Drop values in training; a rate of 0 adds nothing."""
        return self if rate == 0 else self.tracer.add(Dropout(rate=rate, of=of), (self,), name)

    def __add__(self, other: Feature) -> Feature:
        return self.tracer.add(Sum(), (self, other), "sum")

    def __mul__(self, other: Feature) -> Feature:
        return self.tracer.add(Product(), (self, other), "product")


def concat(*features: Feature, name: str = "concat") -> Feature:
    """Put the channels of several features one after the other."""
    return features[0].tracer.add(Concat(), features, name)


def total(*features: Feature, name: str = "sum") -> Feature:
    """Sum several features of equal shape."""
    return features[0].tracer.add(Sum(), features, name) if len(features) > 1 else features[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a block finds where it stands: features to read, and the width and stride it must give.

    `inputs[0]` is the newest feature, `inputs[1]` the one before it (for cells with two inputs);
    `taps` holds earlier features by name: `stem`, `stages.0`, ...
    """

    inputs: tuple[Feature, ...]
    width: int
    stride: Axes
    taps: Mapping[str, Feature] = field(default_factory=dict)

    @property
    def input(self) -> Feature:
        """The newest feature."""
        return self.inputs[0]

    @property
    def strides(self) -> bool:
        """Whether the place demands a smaller map than it is given."""
        return any(s > 1 for s in self.stride)


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}{i}" for i in count(2))


def per_axis(amount: PerAxis, axes: int) -> Axes:
    """Spread one number over all axes, or check that a tuple has one entry an axis."""
    if isinstance(amount, int):
        return (amount,) * axes
    if len(amount) != axes:
        raise Unbuildable(
            f"got {amount}, {len(amount)} entries for {axes} spatial axes; give one number, or one an axis"
        )
    return amount


def pads(padding: Pads | Padding, kernel: Axes, dilation: Axes) -> Pads:
    """Spell out a padding: none for `valid`; with `same`, stride s gives ceil(size / s) positions.

    An odd total puts the odd one after. A number stands for as many positions on either side of every axis, one
    number an axis for as many on either side of that one.

    >>> pads("same", (4,), (1,)), pads(2, (3, 3), (1, 1))
    (((1, 2),), ((2, 2), (2, 2)))
    """
    if padding == "same":
        totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return tuple((t // 2, t - t // 2) for t in totals)
    sides = 0 if isinstance(padding, str) else padding
    if isinstance(sides, int):
        return ((sides, sides),) * len(kernel)
    return tuple((side, side) if isinstance(side, int) else side for side in sides)
