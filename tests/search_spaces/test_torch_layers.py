"""What each layer computes, held against plain loops, torch's own words, and values an eye can check."""

from itertools import product
from math import inf, prod

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.errors import Unbuildable
from search_spaces.graph import Graph, Node
from search_spaces.layers import (
    AdaptivePooling,
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
    Shift,
    Shuffle,
    Slice,
    Sum,
    Upsample,
    out_shape,
)
from search_spaces.modules import build_graph
from search_spaces.torch_parts import Windows


def made(layer: Layer, *values: Tensor) -> nn.Module:
    """Return the module of a layer for values of these shapes."""
    shapes = tuple(tuple(value.shape[1:]) for value in values)
    node = Node(layer, tuple(range(len(shapes))), out_shape(layer, shapes), "layer")
    return build_graph(Graph(shapes, (node,), len(shapes)))


def run(layer: Layer, *values: Tensor) -> Tensor:
    """Return what a layer gives, whose shape must be the promised one."""
    result: Tensor = made(layer, *values)(*values)
    assert tuple(result.shape[1:]) == out_shape(layer, tuple(tuple(v.shape[1:]) for v in values))
    return result


def row(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float32).reshape(1, 1, -1)


def windows(
    layer: Convolution | Pooling, spatial: tuple[int, ...]
) -> list[list[tuple[tuple[int, ...], tuple[int, ...]]]]:
    """Return each output's window as pairs (place in the kernel, position in the input), inside or not."""
    dilation = layer.dilation if isinstance(layer, Convolution) else (1,) * len(spatial)
    sizes = out_shape(layer, ((8, *spatial),))[1:]
    befores = [before for before, _ in layer.padding]
    return [
        [
            (
                at,
                tuple(
                    o * s + a * d - b
                    for o, s, a, d, b in zip(out, layer.stride, at, dilation, befores, strict=True)
                ),
            )
            for at in product(*map(range, layer.kernel))
        ]
        for out in product(*map(range, sizes))
    ]


def pooled_by_loops(layer: Pooling, x: Tensor) -> Tensor:
    """Pool one sample of one channel as the definitions say."""
    spatial = tuple(x.shape[2:])
    inside = lambda at: all(0 <= p < n for p, n in zip(at, spatial, strict=True))  # noqa: E731
    padded = lambda at: all(  # noqa: E731
        -before <= p < n + after for p, n, (before, after) in zip(at, spatial, layer.padding, strict=True)
    )
    outputs = []
    for window in windows(layer, spatial):
        real = [x[(0, 0, *at)].item() for _, at in window if inside(at)]
        counted = sum(padded(at) for _, at in window) if layer.count_padding else len(real)
        outputs.append(max(real, default=-inf) if layer.kind == "max" else sum(real) / max(counted, 1))
    return torch.tensor(outputs).reshape(1, 1, *out_shape(layer, ((1, *spatial),))[1:])


@st.composite
def poolings(draw: st.DrawFn) -> tuple[Pooling, tuple[int, ...]]:
    axes = draw(st.integers(1, 3))
    kernel = tuple(draw(st.integers(1, 4)) for _ in range(axes))
    layer = Pooling(
        kind=draw(st.sampled_from(["max", "average"])),
        kernel=kernel,
        stride=tuple(draw(st.integers(1, 4)) for _ in range(axes)),
        padding=tuple((draw(st.integers(0, k - 1)), draw(st.integers(0, k - 1))) for k in kernel),
        ceil_mode=draw(st.booleans()),
        count_padding=draw(st.booleans()),
    )
    return layer, tuple(draw(st.integers(1, 7 if axes < 3 else 4)) for _ in range(axes))


@given(poolings())
@settings(max_examples=150)
def test_pooling_agrees_with_plain_loops(given_: tuple[Pooling, tuple[int, ...]]) -> None:
    layer, spatial = given_
    try:
        out_shape(layer, ((1, *spatial),))
    except Unbuildable:
        assume(False)
    x = torch.arange(1.0, 1 + prod(spatial)).reshape(1, 1, *spatial)
    expected = pooled_by_loops(layer, x)
    assume(expected.isfinite().all())  # else some window sees padding alone
    assert torch.allclose(run(layer, x), expected, rtol=1e-5)


def pool(kind: str, kernel: int, stride: int, padding: tuple[int, int], **given: bool) -> Pooling:
    return Pooling(kind=kind, kernel=(kernel,), stride=(stride,), padding=(padding,), **given)


def test_an_average_over_uneven_padding_divides_by_the_real_positions() -> None:
    x = row(1, 2, 3)
    assert run(pool("average", 2, 1, (0, 1)), x).equal(row(1.5, 2.5, 3))
    assert run(pool("average", 2, 1, (0, 1), count_padding=True), x).equal(row(1.5, 2.5, 1.5))
    assert run(pool("average", 2, 2, (0, 1)), x).equal(row(1.5, 3))
    assert run(pool("max", 2, 1, (0, 1)), -x).equal(row(-1, -2, -3))


def test_pooling_of_even_kernels_needs_no_padded_copy_where_windows_only_run_over_the_edge() -> None:
    cut, padded = pool("average", 2, 2, (0, 1)), pool("average", 2, 1, (0, 1))
    assert isinstance(made(cut, row(1, 2, 3)).layer, nn.AvgPool1d)
    assert isinstance(made(padded, row(1, 2, 3)).layer, Windows)


def test_padding_of_a_whole_kernel_is_refused() -> None:
    with pytest.raises(Unbuildable, match="less than kernel"):
        made(pool("max", 2, 1, (2, 0)), row(1, 2, 3))


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Convolution, tuple[int, ...]]:
    axes, groups = draw(st.integers(1, 3)), draw(st.sampled_from([1, 2, 4]))
    several = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(axes))  # noqa: E731
    layer = Convolution(
        out=4 * draw(st.integers(1, 2)),
        kernel=several(1, 3),
        stride=several(1, 3),
        dilation=several(1, 2),
        padding=tuple(zip(several(0, 2), several(0, 2), strict=True)),
        groups=groups,
        bias=draw(st.booleans()),
    )
    return layer, (4, *several(1, 5 if axes < 3 else 3))


@given(convolutions())
@settings(max_examples=60)
def test_convolution_agrees_with_plain_loops(given_: tuple[Convolution, tuple[int, ...]]) -> None:
    layer, shape = given_
    try:
        size = out_shape(layer, (shape,))
    except Unbuildable:
        assume(False)
    x = torch.rand(1, *shape)
    module = made(layer, x)
    weight, bias = module.layer.weight, module.layer.bias
    within, each = shape[0] // layer.groups, layer.out // layer.groups
    columns = []
    for window in windows(layer, shape[1:]):
        total = torch.zeros(layer.out) if bias is None else bias.detach().clone()
        for at, position in window:
            if all(0 <= p < n for p, n in zip(position, shape[1:], strict=True)):
                groups = x[(0, slice(None), *position)].reshape(layer.groups, within)
                total += (
                    weight[(..., *at)].reshape(layer.groups, each, within) @ groups[..., None]
                ).flatten()
        columns.append(total)
    assert torch.allclose(module(x)[0], torch.stack(columns, dim=1).reshape(size), atol=1e-5)


@pytest.mark.parametrize("shape", [(4,), (4, 6), (4, 3, 5), (4, 3, 2, 3)])
def test_norms_are_what_they_are_called(shape: tuple[int, ...]) -> None:
    x = 3 + 2 * torch.rand(5, *shape)
    norm = lambda kind, groups=1: run(Normalisation(kind=kind, groups=groups, eps=1e-3), x)  # noqa: E731
    assert torch.allclose(norm("layer"), F.layer_norm(x, shape, eps=1e-3), atol=1e-5)
    assert torch.allclose(norm("group", 2), F.group_norm(x, 2, eps=1e-3), atol=1e-5)
    over = [0, *range(2, x.dim())]
    scale = (x.var(dim=over, keepdim=True, unbiased=False) + 1e-3).sqrt()
    assert torch.allclose(norm("batch"), (x - x.mean(dim=over, keepdim=True)) / scale, atol=1e-5)
    if len(shape) > 1:
        assert torch.allclose(norm("instance"), F.instance_norm(x, eps=1e-3), atol=1e-5)


def test_a_norm_over_one_value_gives_the_bias() -> None:
    assert torch.allclose(
        run(Normalisation(kind="instance"), torch.rand(1, 4, 1, 1)), torch.zeros(1), atol=1e-4
    )


def test_layers_that_rearrange() -> None:
    x = row(1, 2, 3)
    channels = torch.arange(6.0).reshape(1, 6, 1)
    assert run(Pad(amounts=((1, -1),), value=7.0), x).equal(row(7, 1, 2))
    assert run(Shift(offset=(1,)), x).equal(row(0, 1, 2))
    assert run(Shift(offset=(-2,)), x).equal(row(3, 0, 0))
    assert run(Shift(offset=(5,)), x).equal(row(0, 0, 0))
    assert run(Slice(start=1, stop=3), channels).flatten().tolist() == [1, 2]
    assert run(Shuffle(groups=2), channels).flatten().tolist() == [0, 3, 1, 4, 2, 5]
    assert run(Shuffle(groups=3), channels[..., 0]).flatten().tolist() == [0, 2, 4, 1, 3, 5]
    assert run(Upsample(size=(6,)), x).equal(row(1, 1, 2, 2, 3, 3))
    assert run(Upsample(size=(6,), kind="linear"), x).equal(row(1, 1.25, 1.75, 2.25, 2.75, 3))


def test_shift_and_pad_keep_the_axes_apart() -> None:
    x = torch.tensor([[1.0, 2], [3, 4]]).reshape(1, 1, 2, 2)
    assert run(Shift(offset=(1, 0)), x).flatten().tolist() == [0, 0, 1, 2]
    assert run(Shift(offset=(0, 1)), x).flatten().tolist() == [0, 1, 0, 3]
    assert run(Pad(amounts=((1, 0), (-1, 0))), x).flatten().tolist() == [0, 2, 4]


@pytest.mark.parametrize("spatial", [(5,), (5, 4), (5, 4, 3)])
def test_layers_run_over_every_dimension(spatial: tuple[int, ...]) -> None:
    x, half = torch.rand(2, 4, *spatial), tuple(n // 2 for n in spatial)
    for kind in ("max", "average"):
        run(AdaptivePooling(kind=kind, size=half), x)
    assert torch.allclose(
        run(AdaptivePooling(kind="average", size=(1,) * len(spatial)), x).flatten(1), x.flatten(2).mean(2)
    )
    for kind in ("nearest", "linear"):
        run(Upsample(size=tuple(2 * n for n in spatial), kind=kind), x)
    run(Shuffle(groups=2), x)
    assert run(Linear(out=3), run(Flatten(), x)).shape == (2, 3)


def test_joins_join() -> None:
    x, y, z = torch.rand(3, 2, 4, 3, 3).unbind()
    assert torch.allclose(run(Sum(), x, y, z), x + y + z)
    assert run(Concat(), x, y, z).equal(torch.cat([x, y, z], dim=1))
    gates, flat = torch.rand(2, 4, 1, 1), torch.rand(2, 4)
    expected = x * gates * flat[..., None, None]
    assert torch.allclose(run(Product(), x, gates, flat), expected)
    assert torch.allclose(run(Product(), flat, gates, x), expected)


@pytest.mark.parametrize("shape", [(6,), (6, 5), (6, 5, 4), (6, 3, 4, 3)])
@pytest.mark.parametrize("of", ["value", "channel", "sample"])
def test_dropout_drops_what_it_says_and_keeps_the_mean(of: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x = torch.ones(400, *shape)
    module = made(Dropout(rate=0.25, of=of), x)
    y = module(x)
    assert torch.allclose(y[y != 0], torch.tensor(4 / 3))
    assert y.mean().item() == pytest.approx(1, abs=0.1)
    together = {"value": y.reshape(-1, 1), "channel": y.reshape(400 * 6, -1), "sample": y.reshape(400, -1)}[
        of
    ]
    assert (together == together[:, :1]).all()  # all or nothing
    assert module.eval()(x).equal(x)


def test_torch_order_of_padding_is_last_axis_first() -> None:
    from search_spaces.torch_parts import torch_pads

    pads: Pads = ((1, 2), (3, 4))
    assert torch_pads(pads) == (3, 4, 1, 2)


def test_a_volume_smaller_than_the_kernel_is_averaged_over_what_is_there() -> None:
    layer = Pooling(kind="average", kernel=(3,) * 3, stride=(1,) * 3, padding=((1, 1),) * 3)
    assert torch.allclose(run(layer, torch.ones(1, 2, 2, 3, 2)), torch.ones(1))
