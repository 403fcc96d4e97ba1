"""Blocks made of blocks, shuffled halves, and what heads and convolutions were taught for published networks."""

from __future__ import annotations

import pytest

from search_spaces import (
    ActAxial,
    ActSeparable,
    BadSpec,
    Block,
    Branches,
    Cell,
    Chain,
    Choice,
    Classifier,
    Conv,
    ConvClassifier,
    DenseClassifier,
    Drop,
    Edge,
    Graph,
    Head,
    MBConv,
    Merge,
    Network,
    Part,
    Pool,
    ShuffleUnit,
    Skip,
    Stage,
    Unbuildable,
    count,
    from_text,
    lower,
    to_yaml,
)
from search_spaces.layers import Convolution, Dropout, Linear, Slice
from search_spaces.network import block_graph

POINT = Conv(kernel=1)
REDUCED = Chain(parts=(Part(block=POINT, width=16), Part(block=Conv(), width=64)))
INCEPTION = Branches(
    parts=(Part(block=POINT, width=32), Part(block=REDUCED, width=64), Part(block=Pool(), width=32))
)


def single(block: Block, *, shape: tuple[int, ...] = (8, 9, 9), width: int = 8, stride: int = 1) -> Graph:
    """Return the graph of one block at a place."""
    return block_graph(block, (shape,), width, stride)


def net(*stages: Stage, head: Head | None = None) -> Network:
    return Network(input=(3, 16, 16), stages=stages, head=head or Classifier(classes=2))


def convolutions(graph: Graph) -> list[tuple[str, int, tuple[int, ...]]]:
    """Return (name, width, stride) of each convolution."""
    return [(n.name, n.layer.out, n.layer.stride) for n in graph.nodes if isinstance(n.layer, Convolution)]


def test_an_inception_has_the_widths_that_its_parts_say() -> None:
    assert convolutions(single(INCEPTION, width=128, stride=2)) == [
        ("branch0.conv", 32, (2, 2)),
        ("branch1.part0.conv", 16, (2, 2)),
        ("branch1.part1.conv", 64, (1, 1)),
        ("branch2.project", 32, (1, 1)),
    ]


def test_at_another_width_all_parts_are_in_proportion() -> None:
    assert [out for _, out, _ in convolutions(single(INCEPTION, width=64))] == [16, 8, 32, 16]
    graph = single(INCEPTION, width=67)
    assert graph.shape(graph.output)[0] == 67


def test_a_chain_strides_where_it_says() -> None:
    chain = Chain(parts=(Part(block=POINT, width=1), Part(block=Conv(), width=4)), strided=1)
    assert convolutions(single(chain, stride=2)) == [("part0.conv", 2, (1, 1)), ("part1.conv", 8, (2, 2))]
    with pytest.raises(BadSpec, match=r"strided: got block 2, expected 0 to 1"):
        net(Stage(blocks=(Chain(parts=chain.parts, strided=2),), width=8))


def test_branches_that_would_be_left_without_channels_are_refused() -> None:
    with pytest.raises(Unbuildable, match=r"got a width of 2 for branches of 32, 64, 32 channels"):
        single(INCEPTION, width=2)


def test_parts_read_earlier_stages_and_the_newest_two_maps() -> None:
    cell = Cell(nodes=((Edge(source=0, op=Skip()), Edge(source=1, op=Skip())),))
    merged = Branches(parts=(Part(block=Merge(tap="stages.0"), width=4), Part(block=cell, width=4)))
    assert (merged.reads(), merged.memory()) == (("stages.0",), 2)
    later = Chain(parts=(Part(block=Conv(), width=4), Part(block=cell, width=8)))
    assert later.memory() == 1  # the chain's own input and what its first block gives
    graph = lower(net(Stage(blocks=(Conv(), Conv()), width=6), Stage(blocks=(merged, later), width=8)))
    assert graph.shape(graph.output) == (2,)


def test_parts_are_searched_and_written_like_any_field() -> None:
    block = Branches(
        parts=(
            Part(block=Choice(Conv(kernel=Choice(1, 3)), Pool()), width=Choice(2, 4)),
            Part(block=Chain(parts=(Part(block=MBConv(), width=4),)), width=4),
        )
    )
    space = net(Stage(blocks=(block,), width=8))
    assert count(space) == 6
    assert from_text(to_yaml(space)) == space


def test_a_shuffle_unit_keeps_half_of_its_input_and_makes_both_where_it_strides() -> None:
    kept, made = single(ShuffleUnit()), single(ShuffleUnit(), width=12, stride=2)
    assert [n.layer for n in kept.nodes if isinstance(n.layer, Slice)] == [
        Slice(start=0, stop=4),
        Slice(start=4, stop=8),
    ]
    assert [name for name, *_ in convolutions(kept)] == ["mix", "filter", "remix"]
    assert convolutions(made) == [
        ("kept", 8, (2, 2)), ("kept_mix", 6, (1, 1)), ("mix", 6, (1, 1)), ("filter", 6, (2, 2)), ("remix", 6, (1, 1)),
    ]  # fmt: skip


def test_axial_convolutions_stride_along_their_own_axis() -> None:
    layers = [n.layer for n in single(ActAxial(), stride=2).nodes if isinstance(n.layer, Convolution)]
    assert [(layer.kernel, layer.stride) for layer in layers] == [((1, 7), (1, 2)), ((7, 1), (2, 1))]


def test_a_separable_convolution_widens_first_or_last() -> None:
    for widen, widths in (("last", [8, 8, 8, 12]), ("first", [8, 12, 12, 12])):
        assert [out for _, out, _ in convolutions(single(ActSeparable(widen=widen), width=12))] == widths


def test_padding_may_be_a_number_for_all_axes_or_one_an_axis() -> None:
    assert single(Conv(padding=2), shape=(3, 11, 11), stride=2).nodes[0].shape == (8, 7, 7)
    assert single(Pool(padding=(1, 0)), shape=(8, 9, 9)).nodes[0].shape == (8, 9, 7)
    with pytest.raises(Unbuildable, match="for 2 spatial axes"):
        single(Conv(padding=(1, 1, 1)))


def test_a_convolution_keeps_its_bias_beside_a_norm_where_asked() -> None:
    biases = [single(Conv(bias=bias)).nodes[0].layer.bias for bias in (False, True)]  # type: ignore[union-attr]
    assert biases == [False, True]


def test_dropout_stands_where_a_head_says() -> None:
    head = DenseClassifier(classes=2, size=2, hidden=(5, 4), dropout=(0.5, 0.0, 0.1))
    layers = [n.layer for n in lower(net(Stage(blocks=(Conv(),), width=8), head=head)).nodes[-6:]]
    seen = [layer.rate if isinstance(layer, Dropout) else type(layer).__name__ for layer in layers]
    assert seen == ["Linear", "Activation", "Linear", "Activation", 0.1, "Linear"]
    with pytest.raises(Unbuildable, match=r"dropout: got 1 rates for 3 dense layers"):
        lower(
            net(
                Stage(blocks=(Conv(),), width=8),
                head=DenseClassifier(classes=2, hidden=(5, 4), dropout=(0.5,)),
            )
        )


def test_a_head_that_averages_positions_does_not_grow_with_the_input() -> None:
    head = DenseClassifier(classes=2, size=(2, 3), hidden=(5,))
    graph = lower(net(Stage(blocks=(Conv(),), width=8), head=head))
    flat = next(n for n in graph.nodes if n.name == "head.flatten")
    assert flat.shape == (8 * 2 * 3,)


def test_a_hidden_layer_stands_between_pooling_and_scores() -> None:
    head = Classifier(classes=2, width=6, hidden=(5,), dropout=0.2)
    graph = lower(net(Stage(blocks=(Conv(),), width=8), head=head))
    assert [n.name for n in graph.nodes[-6:]] == [
        "head.pool", "head.flatten", "head.hidden", "head.hidden_act", "head.dropout", "head.linear",
    ]  # fmt: skip


def test_a_convolution_to_the_classes_needs_no_dense_layer() -> None:
    graph = lower(net(Stage(blocks=(Conv(), Drop()), width=8), head=ConvClassifier(classes=2, dropout=0.5)))
    assert [n.name for n in graph.nodes[-6:]] == [
        "stages.0.blocks.1.dropout", "head.dropout", "head.conv", "head.act", "head.pool", "head.flatten",
    ]  # fmt: skip
    assert not any(isinstance(n.layer, Linear) for n in graph.nodes)
    assert graph.shape(graph.output) == (2,)


def test_squeeze_and_excitation_may_have_activations_of_its_own() -> None:
    graph = single(MBConv(act="hard_swish", se_act="relu", gate="hard_sigmoid"))
    acts = {n.name: n.layer.kind for n in graph.nodes if n.name.endswith(("act", "gate"))}  # type: ignore[union-attr]
    assert (acts["se_act"], acts["se_gate"], acts["depthwise_act"]) == ("relu", "hard_sigmoid", "hard_swish")


def test_a_cell_may_leave_its_older_input_as_it_is() -> None:
    nodes = ((Edge(source=0, op=Pool(act="none")), Edge(source=1, op=Skip())),)
    cell = Cell(nodes=nodes, output=(0, 2), preprocess="newer")
    graph = block_graph(cell, ((6, 9, 9), (6, 9, 9)), 8, 1)
    assert [name for name, *_ in convolutions(graph)] == ["input1.conv", "node2.edge0.project", "output"]
    assert graph.shape(graph.output)[0] == 16
