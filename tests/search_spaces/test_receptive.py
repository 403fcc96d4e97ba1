"""Receptive fields: the worked examples, and a brute-force witness that follows every index."""

from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import Classifier, Conv, DilatedConv, MBConv, Network, Stage, lower, total
from search_spaces.graph import Tracer
from search_spaces.layers import AdaptivePooling, Convolution, Flatten, Linear, Pad, Pooling, Upsample
from search_spaces.receptive import receptive_fields


def traced(write, *shapes):
    """Return the graph that `write(*features)` writes."""
    tracer = Tracer(shapes)
    return tracer.finish(write(*tracer.features()))


@pytest.mark.parametrize(("dilation", "expected"), [(1, 3), (2, 5), (3, 7), (4, 9)])
def test_three_by_three_with_dilation(dilation, expected):
    graph = traced(lambda x: x.conv(4, 3, dilation=dilation), (1, 32, 32))
    assert receptive_fields(graph) == ((expected, expected),)


def test_stacked_dilations():
    graph = traced(lambda x: x.conv(4, 3, dilation=1).conv(4, 3, dilation=2).conv(4, 3, dilation=4), (1, 64))
    assert receptive_fields(graph) == ((3,), (7,), (15,))


def test_strides_make_later_kernels_see_further():
    graph = traced(lambda x: x.conv(4, 3, stride=2).pool("max", 2, stride=2).conv(4, (3, 1)), (1, 64, 64))
    assert receptive_fields(graph) == ((3, 3), (5, 5), (13, 5))


def test_a_published_stem_and_stage():
    """ResNet-18 to the end of its first stage: 7x7 /2, pool 3x3 /2, four 3x3: 7, 11, 19, 27, 35, 43."""

    def write(x):
        x = x.conv(8, 7, stride=2).pool("max", 3, stride=2)
        for _ in range(2):
            x = x.conv(8, 3).conv(8, 3) + x
        return x

    sizes = [size[0] for size in receptive_fields(traced(write, (3, 224, 224)))]
    assert sizes == [7, 11, 19, 27, 27, 35, 43, 43]


def test_joins_see_all_that_their_inputs_see():
    graph = traced(lambda x: total(x.conv(4, 1), x.conv(4, 5), x.conv(4, 3, dilation=4)), (1, 64))
    assert receptive_fields(graph)[-1] == (9,)
    shifted = traced(lambda x: x + x.shift((3,)), (1, 64))
    assert receptive_fields(shifted) == ((1,), (4,))
    halves = traced(lambda x: x.conv(2, 1, stride=2) + x.pad(((-1, 1),)).conv(2, 1, stride=2), (1, 64))
    assert receptive_fields(halves)[-1] == (2,)


def test_global_pooling_flattening_and_squeeze_excite_see_the_whole_input():
    pooled = traced(lambda x: x.conv(4, 3).adaptive_pool().flatten().linear(3), (1, 40, 30))
    assert receptive_fields(pooled) == ((3, 3), (40, 30), (40, 30), (40, 30))
    flat = traced(lambda x: x.conv(4, 3, stride=4).flatten(), (1, 40))
    assert receptive_fields(flat)[-1] == (39,)  # positions 0, 4 .. 36 with one to each side, the padding too
    squeezed = Network(
        input=(3, 32, 32), stages=(Stage(blocks=(MBConv(),), width=8),), head=Classifier(classes=2)
    )
    assert receptive_fields(lower(squeezed))[-1] == (32, 32)
    assert max(receptive_fields(lower(squeezed))) == (32, 32)


def test_adaptive_pooling_to_several_positions_reads_shares():
    graph = traced(lambda x: x.adaptive_pool(size=4), (1, 16))
    assert receptive_fields(graph) == ((4,),)
    assert receptive_fields(traced(lambda x: x.adaptive_pool(size=3), (1, 7))) == ((3,),)


def test_upsampling_halves_what_later_kernels_add():
    graph = traced(lambda x: x.pool("max", 2, stride=2).upsample((32,)).conv(4, 3), (1, 32))
    assert receptive_fields(graph) == ((2,), (2,), (4,))
    linear = traced(lambda x: x.upsample((64,), kind="linear"), (1, 32))
    assert receptive_fields(linear) == ((2,),)


def test_a_whole_network_has_one_entry_a_node():
    network = Network(
        input=(1, 128),
        stages=(Stage(blocks=(Conv(), DilatedConv(dilation=4)), width=8, stride=2),),
        head=Classifier(classes=2),
    )
    graph = lower(network)
    fields = receptive_fields(graph)
    assert len(fields) == len(graph.nodes)
    by_name = {node.name: size for node, size in zip(graph.nodes, fields, strict=True)}
    assert by_name["stages.0.blocks.0.conv"] == (3,)
    assert by_name["stages.0.blocks.1.conv"] == (19,)


def seen_by_hand(graph, size):
    """Follow every index through a 1-D chain: the width of what the middle position sees."""
    sets = [{i} for i in range(size)]
    for node in graph.nodes:
        layer, n = node.layer, len(sets)
        match layer:
            case Convolution() | Pooling():
                k, s, (before, _) = layer.kernel[0], layer.stride[0], layer.padding[0]
                d = layer.dilation[0] if isinstance(layer, Convolution) else 1
                reads = [[i * s - before + j * d for j in range(k)] for i in range(node.shape[1])]
            case Pad():
                reads = [[i - layer.amounts[0][0]] for i in range(node.shape[1])]
            case Upsample():
                reads = [[i * n // layer.size[0]] for i in range(layer.size[0])]
            case AdaptivePooling():
                m = layer.size[0]
                reads = [list(range(i * n // m, ceil((i + 1) * n / m))) for i in range(m)]
            case Flatten() | Linear():
                reads = [list(range(n))]
        sets = [set().union(*(sets[r] for r in read if 0 <= r < n)) for read in reads]
    return max(max(s) - min(s) + 1 for s in sets if s)


STEPS = st.one_of(
    st.tuples(st.just("conv"), st.integers(1, 4), st.integers(1, 2), st.integers(1, 3)),
    st.tuples(st.just("pool"), st.integers(1, 3), st.integers(1, 3), st.just(1)),
    st.tuples(st.just("pad"), st.integers(-1, 2), st.integers(0, 2), st.just(1)),
)


@given(st.lists(STEPS, min_size=1, max_size=5))
@settings(max_examples=60)
def test_chains_agree_with_following_every_index(steps):
    """The input is long enough for its middle to meet no border."""

    def write(x):
        for kind, k, s, d in steps:
            if kind == "conv":
                x = x.conv(1, k, stride=s, dilation=d)
            elif kind == "pool":
                x = x.pool("max", k, stride=s)
            else:
                x = x.pad(((k, s),))
        return x

    graph = traced(write, (1, 700))
    assert receptive_fields(graph)[-1] == (seen_by_hand(graph, 700),)


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5))
@settings(max_examples=30)
def test_upsampled_chains_are_bounded(stride, factor, kernel):
    def write(x):
        x = x.conv(1, 3, stride=stride)
        return x.upsample((x.shape[1] * factor,)).conv(1, kernel)

    graph = traced(write, (1, 120))
    exact = seen_by_hand(graph, 120)
    assert exact - stride <= receptive_fields(graph)[-1][0] <= exact + stride
