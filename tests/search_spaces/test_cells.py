"""Cells: the graph that a spec says, laid against plain torch, on even and odd maps of every dimension."""

from __future__ import annotations

import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from scaling.cost import cost, graph_cost
from search_spaces import (
    ActConv,
    ActSeparable,
    BadSpec,
    Cell,
    Choice,
    Classifier,
    Conv,
    Edge,
    Identity,
    Network,
    Norm,
    Pick,
    Pool,
    Repeat,
    Shared,
    Skip,
    Stage,
    Unbuildable,
    Use,
    Zero,
    count,
    decisions,
    enumerate_members,
    key,
    lower,
    mutate,
    neighbours,
    sample,
    steps,
)
from search_spaces.graph import Graph
from search_spaces.modules import build
from search_spaces.network import block_graph
from search_spaces.presets import preset
from search_spaces.presets.darts import darts
from search_spaces.presets.nasbench201 import nasbench201
from search_spaces.receptive import receptive_fields
from search_spaces.serialise import from_text, to_json, to_yaml

BARE = Norm(kind="none")
SMALL = darts((1, 9, 7), 3, width=4, cells=5)
BENCH = nasbench201((1, 9, 7), 3, width=4, cells=1)
SEEDS = st.integers(0, 2**32)


def with_cell(cell: Cell, *, shape: tuple[int, ...] = (2, 6, 6), width: int = 2, stride: int = 1) -> Network:
    return Network(
        input=shape,
        stages=(Stage(blocks=(cell,), width=width, stride=stride),),
        head=Classifier(classes=2),
    )


def layers_of(graph: Graph) -> list[str]:
    return [node.name for node in graph.nodes]


def test_a_node_sums_its_edges_and_the_output_is_side_by_side() -> None:
    cell = Cell(
        inputs=1,
        preprocess=False,
        nodes=(
            (Edge(source=0, op=Skip()),),
            (Edge(source=0, op=Skip()), Edge(source=1, op=Pool(kind="average", kernel=3))),
        ),
        output=(1, 2),
    )
    module = build(with_cell(cell))
    module.get_submodule("head").pool = nn.Identity()  # type: ignore[assignment]
    x = torch.rand(1, 2, 6, 6)
    seen: list[Tensor] = []
    module.get_submodule("stages.0.blocks.0.concat").register_forward_hook(lambda *a: seen.append(a[2]))
    with pytest.raises(RuntimeError):  # the head was taken out; what comes before has run
        module(x)
    pooled = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
    assert torch.allclose(seen[0], torch.cat([x, x + pooled], 1))


def test_the_halving_along_two_paths_reads_every_position() -> None:
    """Against the published module, whose second path is `x[:, :, 1:, 1:]`, on the even maps that it takes."""
    graph = block_graph(Skip(act="none", norm=BARE), ((2, 6, 8),), 4, 2)
    network = Network(
        input=(2, 6, 8),
        stages=(Stage(blocks=(Skip(act="none", norm=BARE),), width=4, stride=2),),
        head=Classifier(classes=2),
    )
    module = build(network).get_submodule("stages.0.blocks.0")
    x = torch.rand(1, 2, 6, 8)
    first, second = module.get_submodule("reduce1"), module.get_submodule("reduce2")
    ours = second(module.get_submodule("reduce_move")(x))
    assert graph.shape(graph.output) == (4, 3, 4)
    assert torch.equal(ours, second(x[:, :, 1:, 1:]))
    assert first(x).shape == ours.shape


@pytest.mark.parametrize("spatial", [(7,), (7, 5), (8, 7), (5, 5, 3)])
def test_a_reduction_rounds_odd_maps_up_whatever_the_operation(spatial: tuple[int, ...]) -> None:
    halved = tuple(-(-n // 2) for n in spatial)
    for op in (Skip(), ActSeparable(), ActConv(), Pool(), Zero(), ActSeparable(dilation=2, repeats=1)):
        graph = block_graph(op, ((4, *spatial),), 4, 2)
        assert graph.shape(graph.output) == (4, *halved)


def test_a_separable_convolution_is_the_published_one() -> None:
    names = layers_of(block_graph(ActSeparable(kernel=3), ((4, 8, 8),), 4, 2))
    once = ["act", "depthwise", "pointwise", "pointwise_norm"]
    assert names == once + [f"{name}2" for name in once]


def test_a_zero_edge_is_left_out_and_a_node_of_zeros_is_zero() -> None:
    ops = (Edge(source=0, op=Zero()), Edge(source=1, op=ActConv(kernel=1)))
    cell = Cell(inputs=1, preprocess=False, nodes=((Edge(source=0, op=Skip()),), ops), output=(2,))
    assert not any("zeros" in name for name in layers_of(lower(with_cell(cell))))
    nothing = Cell(inputs=1, preprocess=False, nodes=((Edge(source=0, op=Zero()),),), output=(1,))
    module = build(with_cell(nothing)).eval()
    assert torch.equal(module(torch.rand(2, 2, 6, 6)), module(torch.zeros(2, 2, 6, 6)))
    fields = receptive_fields(lower(with_cell(nothing)))
    assert fields[0] == (0, 0)  # zeros see nothing of the input


def test_what_no_edge_reads_is_the_loose_output() -> None:
    cell = Cell(
        nodes=(
            (Edge(source=0, op=Skip()), Edge(source=1, op=Skip())),
            (Edge(source=1, op=Skip()), Edge(source=1, op=Pool())),  # one value may be read twice
            (Edge(source=2, op=Skip()), Edge(source=0, op=Skip())),
        )
    )
    assert cell.outputs() == (3, 4)
    graph = block_graph(cell, ((3, 8, 8), (5, 8, 8)), 4, 1)
    assert graph.shape(graph.output) == (8, 8, 8)


def test_the_first_cell_reads_the_stem_twice_and_later_ones_the_two_before_them() -> None:
    member = sample(SMALL, random.Random(0))
    done = steps(member)
    cells = [step for step in done if isinstance(step.block, Cell)]
    assert [step.sources for step in cells] == [(0, 0), (1, 0), (2, 1), (3, 2), (4, 3)]


def test_an_older_input_that_is_larger_is_halved() -> None:
    cell = Cell(nodes=((Edge(source=0, op=Skip()), Edge(source=1, op=Skip())),), output=(2,))
    names = layers_of(block_graph(cell, ((8, 4, 4), (4, 7, 8)), 6, 1))
    assert "input0.reduce1" in names
    assert "input1.conv" in names
    with pytest.raises(Unbuildable, match=r"got an older input of \(5, 5\) positions"):
        block_graph(cell, ((8, 4, 4), (4, 5, 5)), 6, 1)


@given(SEEDS)
def test_shared_cells_are_decided_once_and_stand_everywhere(seed: int) -> None:
    member = sample(SMALL, random.Random(seed))
    paths = decisions(SMALL, member)
    assert all(path.startswith("shared[") for path in paths)
    assert len({step.block for step in steps(member) if isinstance(step.block, Cell)}) <= 2
    child = mutate(SMALL, member, random.Random(seed))
    assert key(child) != key(member)
    assert key(from_text(to_json(child))) == key(from_text(to_yaml(child))) == key(child)


@given(SEEDS)
def test_the_cost_of_a_cell_network_is_that_of_its_whole_graph(seed: int) -> None:
    for space in (SMALL, BENCH):
        member = sample(space, random.Random(seed))
        assert cost(member) == graph_cost(lower(member))


def test_a_pick_chooses_edges_of_different_sources() -> None:
    edges = [Edge(source=source, op=Choice(Skip(), Pool())) for source in range(3)]
    space = Cell(
        nodes=((Edge(source=0, op=Skip()),), Pick(2, *edges)),
        output=(2, 3),
    )
    members = list(enumerate_members(space))
    assert len(members) == count(space) == 3 * 2 * 2
    assert all(len({edge.source for edge in member.nodes[1]}) == 2 for member in members)  # type: ignore[union-attr]


def test_neighbours_of_a_benchmark_cell_change_one_edge() -> None:
    member = sample(BENCH, random.Random(1))
    around = list(neighbours(BENCH, member))
    assert len({key(other) for other in around}) == 6 * 4


def test_published_settings_are_arguments_of_the_presets() -> None:
    large = darts((3, 32, 32), 10, width=36, cells=20)
    uses = [len(stage.blocks) for stage in large.stages]  # type: ignore[union-attr, arg-type]
    assert uses == [6, 7, 7]
    assert [stage.width for stage in large.stages] == [36, 72, 144]  # type: ignore[union-attr]
    assert len(steps(sample(preset("darts", (3, 224, 224), classes=10), random.Random(0)))) == 1 + 2 + 8 + 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Cell(nodes=((Edge(source=2, op=Skip()),),)), "from value 2, expected an earlier one than 2"),
        (lambda: Cell(nodes=((Edge(source=Choice(0, 7), op=Skip()),),)), "got an edge from value 7"),
        (lambda: Cell(nodes=((Edge(source=0, op=Skip()),),), output=(3,)), "output: got value 3, expected 0 to 2"),
        (lambda: Cell(nodes=()), "nodes"),
        (lambda: Cell(nodes=((Edge(source=-1, op=Skip()),),)), "source"),
    ],
)  # fmt: skip
def test_a_cell_that_cannot_be_is_refused_with_its_path(wrong, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BadSpec, match=message) as refused:
        with_cell(wrong())
    assert "stages[0].blocks[0]" in str(refused.value)


def test_names_of_shared_blocks_are_checked() -> None:
    def network(*shared: Shared, use: str = "a") -> Network:
        return Network(
            input=(1, 4, 4),
            stages=(Stage(blocks=Repeat(Use(name=use), 2), width=2),),
            head=Classifier(classes=2),
            shared=shared,
        )

    one = Shared(name="a", block=Conv())
    assert [type(step.block) for step in steps(sample(network(one), random.Random(0)))][:2] == [Conv, Conv]
    with pytest.raises(BadSpec, match="'b' is used, expected one of what is shared: a"):
        network(one, use="b")
    with pytest.raises(BadSpec, match="'a' is shared twice"):
        network(one, one)
    with pytest.raises(BadSpec, match="'b' is used inside another block"):
        network(Shared(name="a", block=Use(name="b")), Shared(name="b", block=Identity()))
    inside = Cell(nodes=((Edge(source=0, op=Use(name="a")),),))
    with pytest.raises(BadSpec, match="'a' is used inside another block"):
        Network(
            input=(1, 4, 4),
            stages=(Stage(blocks=(Choice(Conv(), inside), Use(name="a")), width=2),),
            head=Classifier(classes=2),
            shared=(one,),
        )
    with pytest.raises(Unbuildable, match="outside a network"):
        block_graph(Use(name="a"), ((1, 4, 4),), 2, 1)
    with pytest.raises(BadSpec, match="'b' is used"):
        from_text(
            to_yaml(network(one)).replace("repeat: {type: Use, name: a}", "repeat: {type: Use, name: b}")
        )
