"""Costs: published examples, the fold over blocks against the whole graph, formulas against built modules."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod

import pytest
from examples import BLOCKS, around, example
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import hooked_costs, measured_peak_bytes

from scaling.cost import Cost, LayerCost, cost, graph_cost, layer_costs, macs
from scaling.memory import graph_peak
from scaling.trace import by_fvcore
from search_spaces import (
    BadSpec,
    Block,
    Choice,
    Classifier,
    Conv,
    DepthwiseSeparable,
    Feature,
    Graph,
    Identity,
    MBConv,
    Merge,
    Network,
    Norm,
    Place,
    Pool,
    ResidualBasic,
    Stage,
    Unbuildable,
    concat,
    lower,
    register,
    sample,
)
from search_spaces.graph import Tracer
from search_spaces.layers import Dropout, Flatten, Slice
from search_spaces.modules import build
from search_spaces.presets import mixed, mobile

SEEDS = st.integers(0, 2**32)
SPACES = (mobile((3, 64, 64), 7), mixed((2, 24), 3), mixed((1, 9, 8), 3), mixed((1, 8, 6, 8), 3))


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class TwoInputs(Block):
    """Reads the two newest features, the older one late, and strides and widens both alike."""

    def memory(self) -> int:
        return 2

    def lower(self, place: Place) -> Feature:
        x, older = place.inputs
        a = x.conv(place.width, 3, stride=place.stride).act("relu").act("relu")
        b = older.adaptive_pool("average", a.spatial).conv(place.width)
        return a + b


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class HalfOfIt(Block):
    """Gives a view of a map twice as wide."""

    def lower(self, place: Place) -> Feature:
        return place.input.conv(2 * place.width, 1, stride=place.stride).slice(0, place.width)


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ViewOfIt(Block):
    """Gives its input, seen through a dropout; fits only where the shape stays."""

    def lower(self, place: Place) -> Feature:
        return place.input.dropout(0.5)


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class MadeEarly(Block):
    """Makes its output before its last layer, whose result nobody reads."""

    def lower(self, place: Place) -> Feature:
        out = place.input.conv(place.width, 1, stride=place.stride)
        concat(place.input.act("relu"), place.input)
        return out


CHAIN = (
    Conv(act="prelu"),
    MBConv(expand=2.0),
    ResidualBasic(),
    Pool(),
    DepthwiseSeparable(norm=Norm(kind="group")),
)
ODD = (Identity(), TwoInputs(), HalfOfIt(), MadeEarly())
BLOCK = st.sampled_from(CHAIN + ODD)


@st.composite
def networks(draw: st.DrawFn, blocks: st.SearchStrategy[Block] = BLOCK) -> Network:
    """Draw small networks of all kinds of lifetimes: chains, views, two inputs, taps of earlier stages."""
    n = draw(st.integers(1, 4))
    stages = []
    for i in range(n):
        body = [draw(blocks) for _ in range(draw(st.integers(1, 3)))]
        width = draw(st.sampled_from((4, 6)))
        if draw(st.booleans()):
            body.append(ViewOfIt())
        if i and draw(st.booleans()):
            tap = draw(st.sampled_from(("stem", *(f"stages.{j}" for j in range(i)))))
            body.append(Merge(tap=tap, join=draw(st.sampled_from(("concat", "sum", "product")))))
        stages.append(Stage(blocks=tuple(body), width=width, stride=draw(st.sampled_from((1, 2)))))
    stem = Stage(blocks=(draw(blocks),), width=4)
    return Network(input=(3, 9, 12), stem=stem, stages=tuple(stages), head=Classifier(classes=5, dropout=0.1))


@given(networks())
def test_the_fold_over_blocks_equals_the_whole_graph(network: Network) -> None:
    assert cost(network) == graph_cost(lower(network))


@given(SEEDS, st.sampled_from(SPACES))
def test_members_of_the_presets_cost_what_their_whole_graph_does(seed: int, space: Network) -> None:
    member = sample(space, random.Random(seed))
    assert cost(member) == graph_cost(lower(member))


@given(networks())
def test_peak_memory_is_the_largest_sum_at_any_moment(network: Network) -> None:
    graph = lower(network)
    assert graph_peak(graph) == max(live_at_each_node(graph))


def live_at_each_node(graph: Graph) -> Iterator[int]:
    """Yield the live bytes at every node, each moment worked out afresh from the definition."""

    def source_of(value: int) -> int:
        node = graph.nodes[value - 1] if value else None
        view = node is not None and isinstance(node.layer, Flatten | Slice | Dropout)
        return source_of(node.sources[0]) if node is not None and view else value

    maps = {source_of(value) for value in range(len(graph.nodes) + 1)}
    for now in range(1, len(graph.nodes) + 1):
        later = [s for node in graph.nodes[now - 1 :] for s in node.sources] + [graph.output, now]
        needed = {source_of(value) for value in later}
        yield sum(4 * prod(graph.shape(m)) for m in maps if m <= now and m in needed)


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("spatial", [(9,), (8, 7), (4, 5, 6)])
def test_formulas_agree_with_what_a_built_module_does(name: str, spatial: tuple[int, ...]) -> None:
    network = around(example(name, act="prelu"), spatial, stride=2)
    module, own = build(network), cost(network)
    assert (own.params, own.macs, own.activations) == hooked_costs(module, network.input)
    assert own.peak_bytes == measured_peak_bytes(module, network.input)


@settings(max_examples=20)
@given(networks(st.sampled_from((*CHAIN, Identity(), TwoInputs()))))
def test_multiply_adds_agree_with_fvcore(network: Network) -> None:
    assert cost(network).macs == by_fvcore(build(network), network.input).macs


def test_a_dense_convolution_costs_what_the_books_say() -> None:
    graph = single(lambda x: x.conv(128, 3), (64, 56, 56))
    assert graph_cost(graph).macs == 231_211_008


def test_a_depthwise_separable_convolution_costs_what_the_books_say() -> None:
    graph = single(lambda x: x.conv(64, 3, groups=64).conv(128, 1), (64, 56, 56))
    rows = [macs(node.layer, tuple(map(graph.shape, node.sources)), node.shape) for node in graph.nodes]
    assert rows == [1_806_336, 25_690_112]
    assert graph_cost(graph).macs == 27_496_448


def test_peak_memory_of_a_residual_holds_the_input_through_the_block() -> None:
    graph = single(lambda x: x + x.conv(4).conv(4), (4, 5, 5))  # at the second convolution and at the sum
    assert graph_peak(graph) == 3 * 4 * 100


def test_views_cost_no_memory_but_keep_their_source() -> None:
    graph = single(lambda x: x.slice(0, 1).dropout(0.5).act("relu"), (10, 2, 2))
    assert graph_peak(graph) == 4 * (10 * 4 + 4)


def test_activations_count_what_convolutions_and_dense_layers_put_out() -> None:
    graph = single(lambda x: x.conv(6).norm(Norm()).adaptive_pool().flatten().linear(7), (3, 4, 4))
    assert graph_cost(graph).activations == 6 * 16 + 7


def test_parameters_count_norms_biases_and_slopes_but_no_statistics() -> None:
    graph = single(lambda x: x.conv(6, bias=True).norm(Norm()).act("prelu"), (3, 4, 4))
    assert graph_cost(graph).params == (3 * 6 + 6) + 2 * 6 + 6


def test_layers_sum_to_the_network() -> None:
    network = around(MBConv(), (8, 8))
    rows, whole = layer_costs(network), cost(network)
    sums = [sum(column) for column in zip(*((r.params, r.macs, r.activations) for r in rows), strict=True)]
    assert sums == [whole.params, whole.macs, whole.activations]
    assert rows[0] == LayerCost("stem.blocks.0.conv", "Convolution", (4, 8, 8), 108, 6912, 256)
    assert rows[-1].shape == (5,)


def test_a_block_that_does_not_fit_is_named() -> None:
    network = around(ViewOfIt(), (8, 8))
    wrong = Network(
        input=(3, 8, 8),
        stages=(*network.stages, Stage(blocks=(Conv(groups=7),), width=14)),
        head=network.head,
    )
    with pytest.raises(Unbuildable, match=r"stages\.1\.blocks\.0 \(Conv\)"):
        cost(wrong)


def test_a_choice_left_open_is_named() -> None:
    with pytest.raises(BadSpec, match=r"stages\[0\]\.blocks\[0\]\.kernel"):
        cost(around(MBConv(kernel=Choice(3, 5)), (8, 8)))


def test_a_small_network_costs_what_one_adds_up_by_hand() -> None:
    params = (3 * 4 * 9 + 8) + (4 * 8 * 9 + 16) + (8 * 8 * 9 + 16) + (8 * 5 + 5)
    multiply_adds = 16 * (3 * 4 * 9 + 4 * 8 * 9 + 8 * 8 * 9) + 8 * 5
    activations = 16 * (4 + 8 + 8) + 5
    expected = Cost(params=params, macs=multiply_adds, activations=activations, peak_bytes=4 * 16 * (8 + 8))
    assert cost(around(Conv(), (4, 4))) == expected


def single(write: Callable[[Feature], Feature], shape: tuple[int, ...]) -> Graph:
    """Return the graph that a function of one input writes."""
    tracer = Tracer((shape,))
    return tracer.finish(write(*tracer.features()))
