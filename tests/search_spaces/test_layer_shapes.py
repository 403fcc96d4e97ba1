"""The shape rules against PyTorch itself, in 1-D to 3-D, and what does not fit."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from search_spaces import Unbuildable
from search_spaces.layers import (
    Activation,
    AdaptivePooling,
    Concat,
    Convolution,
    Dropout,
    Flatten,
    Linear,
    Normalisation,
    Pad,
    Pooling,
    Product,
    Shift,
    Shuffle,
    Slice,
    Sum,
    Upsample,
    out_shape,
)

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
POOLS = {
    "max": {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d},
    "average": {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d},
}
MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}


@st.composite
def windows(draw, *, most_padding=None):
    """Return (sizes, kernel, stride, dilation, padding), one entry an axis."""
    axes = draw(st.integers(1, 3))

    def each(least, most):
        return draw(st.tuples(*[st.integers(least, most)] * axes))

    kernel = each(1, 4)
    padding = tuple(draw(st.integers(0, k // 2 if most_padding else 3)) for k in kernel)
    return each(1, 9), kernel, each(1, 3), each(1, 3), padding


def shape_by_torch(module, sizes, channels=2):
    """Return the shape that a module gives, or None where torch refuses the input."""
    try:
        return tuple(module(torch.zeros(1, channels, *sizes)).shape[1:])
    except RuntimeError:
        return None


def shape_by_rule(layer, *shapes):
    try:
        return out_shape(layer, shapes)
    except Unbuildable:
        return None


@given(windows())
@settings(max_examples=150)
def test_convolutions_give_the_shapes_that_torch_gives(window):
    sizes, kernel, stride, dilation, padding = window
    module = CONVOLUTIONS[len(sizes)](2, 4, kernel, stride, padding, dilation)
    layer = Convolution(
        out=4, kernel=kernel, stride=stride, dilation=dilation, padding=tuple((p, p) for p in padding)
    )
    assert shape_by_rule(layer, (2, *sizes)) == shape_by_torch(module, sizes)


@given(windows(most_padding="half"), st.sampled_from(["max", "average"]), st.booleans())
@settings(max_examples=250)
def test_pools_give_the_shapes_that_torch_gives(window, kind, ceil_mode):
    sizes, kernel, stride, _, padding = window
    if kind == "average" and len(sizes) == 3:  # AvgPool3d alone wants the kernel within the unpadded input
        assume(all(k <= n for k, n in zip(kernel, sizes, strict=True)))
    module = POOLS[kind][len(sizes)](kernel, stride, padding, ceil_mode=ceil_mode)
    pads = tuple((p, p) for p in padding)
    layer = Pooling(kind=kind, kernel=kernel, stride=stride, padding=pads, ceil_mode=ceil_mode)
    assert shape_by_rule(layer, (2, *sizes)) == shape_by_torch(module, sizes)


@given(windows(), st.data())
@settings(max_examples=60)
def test_uneven_padding_gives_the_shapes_of_padding_first(window, data):
    sizes, kernel, stride, dilation, before = window
    after = data.draw(st.tuples(*[st.integers(0, 3)] * len(sizes)))
    pads = tuple(zip(before, after, strict=True))
    flat = [amount for pair in reversed(pads) for amount in pair]
    padder = {1: nn.ConstantPad1d, 2: nn.ConstantPad2d, 3: nn.ConstantPad3d}[len(sizes)](flat, 0.0)
    module = nn.Sequential(padder, CONVOLUTIONS[len(sizes)](2, 4, kernel, stride, 0, dilation))
    layer = Convolution(out=4, kernel=kernel, stride=stride, dilation=dilation, padding=pads)
    assert shape_by_rule(layer, (2, *sizes)) == shape_by_torch(module, sizes)


@given(st.lists(st.integers(1, 7), min_size=1, max_size=3), st.data())
@settings(max_examples=50)
def test_resizing_gives_the_shapes_that_torch_gives(sizes, data):
    goal = data.draw(st.tuples(*[st.integers(1, 6)] * len(sizes)))
    x = torch.zeros(1, 2, *sizes)
    pooled = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}[len(sizes)](goal)(x)
    assert out_shape(AdaptivePooling(kind="average", size=goal), ((2, *sizes),)) == tuple(pooled.shape[1:])
    mode = data.draw(st.sampled_from(["nearest", MODES[len(sizes)]]))
    grown = nn.functional.interpolate(x, goal, mode=mode)
    assert out_shape(Upsample(size=goal), ((2, *sizes),)) == tuple(grown.shape[1:])


@given(st.lists(st.integers(1, 6), min_size=1, max_size=3), st.data())
@settings(max_examples=50)
def test_padding_and_cropping_give_the_shapes_that_torch_gives(sizes, data):
    pads = data.draw(st.tuples(*[st.tuples(st.integers(-2, 3), st.integers(-2, 3))] * len(sizes)))
    assume(all(n + min(a, 0) + min(b, 0) > 0 for n, (a, b) in zip(sizes, pads, strict=True)))
    flat = [amount for pair in reversed(pads) for amount in pair]
    expected = tuple(nn.functional.pad(torch.zeros(1, 2, *sizes), flat).shape[1:])
    assert out_shape(Pad(amounts=pads), ((2, *sizes),)) == expected


def test_the_worked_example_eleven_by_eleven():
    layer = Convolution(out=1, kernel=(3, 3), stride=(2, 2), dilation=(1, 1), padding=((2, 2), (2, 2)))
    assert out_shape(layer, ((1, 11, 11),)) == (1, 7, 7)


@pytest.mark.parametrize(
    ("layer", "shapes", "expected"),
    [
        (Flatten(), [(3, 4, 5)], (60,)),
        (Linear(out=7), [(60,)], (7,)),
        (Slice(start=1, stop=3), [(4, 8)], (2, 8)),
        (Shuffle(groups=2), [(4, 8)], (4, 8)),
        (Shift(offset=(1,)), [(4, 8)], (4, 8)),
        (Normalisation(kind="group", groups=2), [(4, 8)], (4, 8)),
        (Activation(kind="relu"), [(4, 8)], (4, 8)),
        (Dropout(rate=0.1), [(4,)], (4,)),
        (Sum(), [(4, 8), (4, 8), (4, 8)], (4, 8)),
        (Concat(), [(4, 8), (2, 8)], (6, 8)),
        (Product(), [(4, 8), (4, 8)], (4, 8)),
        (Product(), [(4, 1), (4, 8)], (4, 8)),
        (Product(), [(4, 8, 8), (4, 1, 1)], (4, 8, 8)),
    ],
)
def test_other_layers_by_hand(layer, shapes, expected):
    assert out_shape(layer, tuple(shapes)) == expected


ONE = {"kernel": (3,), "stride": (1,), "dilation": (1,), "padding": ((0, 0),)}


@pytest.mark.parametrize(
    ("layer", "shapes", "message"),
    [
        (
            Convolution(out=4, **ONE),
            [(2, 2)],
            "got an output size of 0 on an input of 2, expected",
        ),
        (Convolution(out=4, **ONE), [(2,)], "got a flat input, expected one with spatial axes"),
        (Convolution(out=4, **ONE), [(2, 8, 8)], "1 entries for 2 spatial axes"),
        (
            Convolution(out=4, **{**ONE, "padding": ((0, 0), (0, 0))}),
            [(2, 8)],
            "2 entries for 1 spatial axes",
        ),
        (Convolution(out=4, **{**ONE, "stride": (1, 1)}), [(2, 8)], "2 entries for 1 spatial axes"),
        (Convolution(out=0, **ONE), [(2, 8)], "got 0 output channels, expected at least 1"),
        (
            Convolution(out=4, groups=3, **ONE),
            [(2, 8)],
            "got 3 groups for 2 channels, expected a divisor",
        ),
        (Convolution(out=4, groups=0, **ONE), [(2, 8)], "got 0 groups"),
        (Convolution(out=3, groups=2, **ONE), [(2, 8)], "got 2 groups for 3 channels"),
        (Linear(out=3), [(2, 8)], "expected \\(features,\\); flatten first"),
        (Slice(start=1, stop=5), [(4, 8)], "got channels 1 to 5, expected some of 4"),
        (Slice(start=2, stop=2), [(4, 8)], "got channels 2 to 2"),
        (Shuffle(groups=3), [(4, 8)], "got 3 groups"),
        (Pad(amounts=((-4, -4),)), [(4, 8)], "got an output size of 0"),
        (AdaptivePooling(kind="max", size=(0,)), [(4, 8)], "got an output size of 0"),
        (Sum(), [(4, 8), (2, 8)], "expected equal shapes"),
        (Concat(), [(4, 8), (4, 7)], "expected equal sizes along the spatial axes"),
        (Product(), [(4, 8), (2, 8)], "expected equal shapes, or one entry a channel"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(layer, shapes, message):
    with pytest.raises(Unbuildable, match=f"^{type(layer).__name__}: .*{message}"):
        out_shape(layer, tuple(shapes))
