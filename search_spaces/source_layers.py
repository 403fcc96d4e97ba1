"""How each layer is written in PyTorch: what `__init__` makes, where it holds something, and what `forward` says.

Only what holds weights or drops values is a module; the rest is a function. Numbers are kept apart from the
words around them, as slots, so that layers that differ in numbers alone can share a class.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from math import prod

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
)
from .pooling import needs_windows
from .source_form import Form, Slot, same
from .source_pools import POOLS, pool_slots, windows

ACTIVATIONS = {  # the function, the class
    "relu": ("F.relu", "ReLU"),
    "relu6": ("F.relu6", "ReLU6"),
    "leaky_relu": ("F.leaky_relu", "LeakyReLU"),
    "elu": ("F.elu", "ELU"),
    "gelu": ("F.gelu", "GELU"),
    "silu": ("F.silu", "SiLU"),
    "hard_swish": ("F.hardswish", "Hardswish"),
    "sigmoid": ("torch.sigmoid", "Sigmoid"),
    "hard_sigmoid": ("F.hardsigmoid", "Hardsigmoid"),
    "tanh": ("torch.tanh", "Tanh"),
}
UPSAMPLE_MODES = {"nearest": ("nearest",) * 3, "linear": ("linear", "bilinear", "trilinear")}


@dataclass(frozen=True, slots=True)
class Written:
    """A layer as text: the module that `__init__` makes, if any, and the expression in `forward`."""

    call: Form
    module: Form | None = None
    weights: bool = False  # whether the module holds any


def written(layer: Layer, shapes: tuple[Shape, ...]) -> Written:
    """Return how a layer that reads values of the given shapes is written.

    Raises `Unbuildable` where a pooling window would see padding alone.
    """
    channels, axes = shapes[0][0], len(shapes[0]) - 1
    match layer:
        case Convolution():
            return _convolution(layer, channels)
        case Normalisation():
            return _held(_norm(layer, shapes[0]))
        case Activation(kind="prelu"):
            return _held(Form("nn.PReLU({args})", (_channels(channels, "in"),)))
        case Linear():
            slots = (_channels(channels, "in"), _channels(layer.out, "out"), _bias(layer.bias))
            return _held(Form("nn.Linear({args})", slots))
        case Dropout():
            return _held(_dropout(layer, axes), weights=False)
        case Pooling() if needs_windows(layer, shapes[0][1:]):
            return Written(windows(layer))
        case Sum():
            return Written(Form(" + ".join(_places(shapes))))
        case Concat():
            return Written(Form(f"torch.cat([{', '.join(_places(shapes))}], dim=1)"))
        case Product():
            most = max(map(len, shapes))
            spread = [_spread(most - len(shape)) for shape in shapes]
            return Written(Form(" * ".join(f"{p}{s}" for p, s in zip(_places(shapes), spread, strict=True))))
        case _:
            return Written(_function(layer, shapes[0]))


def lone_module(layer: Layer, shapes: tuple[Shape, ...]) -> Form | None:
    """Return the torch module of a layer without weights, for a place where it stands alone; None: there is none."""
    axes = len(shapes[0]) - 1
    match layer:
        case Pooling() if not needs_windows(layer, shapes[0][1:]):
            return Form(f"nn.{POOLS[layer.kind].capitalize()}Pool{axes}d({{args}})", pool_slots(layer))
        case AdaptivePooling():
            name = f"nn.Adaptive{POOLS[layer.kind].capitalize()}Pool{axes}d"
            return Form(f"{name}({{args}})", (_size(layer.size),))
        case Activation() if layer.kind != "prelu":
            return Form(f"nn.{ACTIVATIONS[layer.kind][1]}()")
        case Dropout():
            return _dropout(layer, axes)
        case Flatten():
            return Form("nn.Flatten()")
        case Shuffle() if axes:
            return Form("nn.ChannelShuffle({args})", (Slot("groups", layer.groups),))
        case _:
            return None


def _convolution(layer: Convolution, channels: int) -> Written:
    even = all(before == after >= 0 for before, after in layer.padding)
    slots = (
        _channels(channels, "in"),
        _channels(layer.out, "out"),
        Slot("kernel", same(layer.kernel)),
        Slot("stride", same(layer.stride), "stride", 1),
        Slot("padding", same(tuple(b for b, _ in layer.padding)) if even else 0, "padding", 0),
        Slot("dilation", same(layer.dilation), "dilation", 1),
        Slot("channels", layer.groups, "groups", 1, "groups"),
        _bias(layer.bias),
    )
    module = Form(f"nn.Conv{len(layer.kernel)}d({{args}})", slots)
    if even:
        return _held(module)
    pads = Slot("pads", _torch_pads(layer.padding))
    return Written(Form("{self}(F.pad({0}, {args}))", (pads,)), module, weights=True)


def _norm(layer: Normalisation, shape: Shape) -> Form:
    eps = Slot("eps", layer.eps, "eps", 1e-5)
    if layer.kind == "batch":
        return Form(f"nn.BatchNorm{max(1, len(shape) - 1)}d({{args}})", (_channels(shape[0], "in"), eps))
    groups = {"group": layer.groups, "layer": 1, "instance": shape[0]}[layer.kind]
    lone = prod(shape) == groups  # groups of one value, which torch's own refuses
    slots = (_channels(groups, "groups"), _channels(shape[0], "in"), eps)
    return Form("GroupNorm({args})" if lone else "nn.GroupNorm({args})", slots)


def _dropout(layer: Dropout, axes: int) -> Form:
    name = {"sample": "SampleDropout", "channel": f"nn.Dropout{axes}d" if axes else "nn.Dropout"}
    return Form(f"{name.get(layer.of, 'nn.Dropout')}({{args}})", (Slot("rate", layer.rate),))


def _function(layer: Layer, shape: Shape) -> Form:
    axes = len(shape) - 1
    match layer:
        case Activation():
            return Form(f"{ACTIVATIONS[layer.kind][0]}({{0}})")
        case Pooling():
            return Form(f"F.{POOLS[layer.kind]}_pool{axes}d({{0}}, {{args}})", pool_slots(layer))
        case AdaptivePooling():
            name = f"F.adaptive_{POOLS[layer.kind]}_pool{axes}d"
            return Form(f"{name}({{0}}, {{args}})", (_size(layer.size),))
        case Flatten():
            return Form("torch.flatten({0}, 1)")
        case Slice():
            ends = (("start", layer.start, 0), ("stop", layer.stop, shape[0]))
            slots = tuple(_channels(count, role) for role, count, usual in ends if count != usual)
            return Form("{0}[:, {span}]", slots)
        case Shuffle():
            flat = "F.channel_shuffle({0}.unsqueeze(-1), {args}).squeeze(-1)"
            pattern = "F.channel_shuffle({0}, {args})" if axes else flat
            return Form(pattern, (Slot("groups", layer.groups),))
        case Pad():
            slots = (Slot("pads", _torch_pads(layer.amounts)), Slot("value", layer.value, "value", 0.0))
            return Form("F.pad({0}, {args})", slots)
        case Shift():
            within = [max(-n, min(n, o)) for o, n in zip(layer.offset, shape[1:], strict=True)]
            pads = _torch_pads(tuple((o, -o) for o in within))
            return Form("F.pad({0}, {args})", (Slot("pads", pads),))
        case Upsample():
            mode = UPSAMPLE_MODES[layer.kind][axes - 1]
            size = Slot("size", same(layer.size), "size")
            return Form(f'F.interpolate({{0}}, {{args}}, mode="{mode}")', (size,))
        case Zeros():
            sizes = tuple(Slot("size", n) for n in layer.size)
            return Form("{0}.new_zeros({0}.shape[0], {args})", (_channels(layer.channels, "out"), *sizes))
    raise NotImplementedError(f"{type(layer).__name__} has no text yet")


def _held(module: Form, *, weights: bool = True) -> Written:
    return Written(Form("{self}({0})"), module, weights)


def _channels(count: int, role: str) -> Slot:
    return Slot("channels", count, role=role)


def _bias(bias: bool) -> Slot:
    return Slot("bias", bias, "bias", True)


def _size(size: Axes) -> Slot:
    return Slot("size", same(size))


def _places(shapes: tuple[Shape, ...]) -> list[str]:
    return [f"{{{i}}}" for i in range(len(shapes))]


def _spread(axes: int) -> str:
    return f"[..., {', '.join(['None'] * axes)}]" if axes else ""


def _torch_pads(pads: Pads) -> tuple[int, ...]:
    """Return padding in the order of `torch.nn.functional.pad`: the last axis first."""
    return tuple(chain.from_iterable(reversed(pads)))
