"""A network lowers to one sound graph: wiring, names, taps, two inputs, users' blocks, and the register."""

from dataclasses import dataclass

import pytest
from generated import FEW, networks
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import (
    BadSpec,
    Block,
    Classifier,
    Conv,
    Feature,
    Identity,
    MBConv,
    Merge,
    Network,
    Place,
    Stage,
    Unbuildable,
    concat,
    lower,
    register,
    sample,
    steps,
)
from search_spaces.data import Data
from search_spaces.graph import Tracer, pads, per_axis
from search_spaces.layers import Concat, out_shape


def net(*stages, shape=(3, 16, 16)):
    return Network(input=shape, stages=stages, head=Classifier(classes=2))


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class NewestTwo(Block):
    """A cell that reads the two newest features."""

    def memory(self) -> int:
        return 2

    def lower(self, place: Place) -> Feature:
        newest, before = place.inputs
        return concat(newest.conv(place.width), before.conv(place.width))


@given(networks(), st.randoms())
@FEW
def test_a_lowered_member_is_a_sound_graph(space, rng):
    graph = lower(sample(space, rng))
    assert len({node.name for node in graph.nodes}) == len(graph.nodes)
    for number, node in enumerate(graph.nodes):
        assert all(source < len(graph.inputs) + number for source in node.sources)
        assert out_shape(node.layer, tuple(map(graph.shape, node.sources))) == node.shape
    assert graph.shape(graph.output) == (2,)


def test_names_say_where_a_layer_stands():
    graph = lower(net(Stage(blocks=(Conv(), MBConv(se=0)), width=8)))
    assert [node.name for node in graph.nodes] == [
        "stages.0.blocks.0.conv", "stages.0.blocks.0.conv_norm", "stages.0.blocks.0.conv_act",
        "stages.0.blocks.1.expand", "stages.0.blocks.1.expand_norm", "stages.0.blocks.1.expand_act",
        "stages.0.blocks.1.depthwise", "stages.0.blocks.1.depthwise_norm", "stages.0.blocks.1.depthwise_act",
        "stages.0.blocks.1.project", "stages.0.blocks.1.project_norm", "stages.0.blocks.1.sum",
        "head.pool", "head.flatten", "head.linear",
    ]  # fmt: skip


def test_only_the_first_block_of_a_stage_strides():
    done = steps(
        net(
            Stage(blocks=(Conv(), Conv()), width=8, stride=2), Stage(blocks=(Conv(),), width=4, stride=(2, 1))
        )
    )
    assert [step.graph.shape(step.graph.output) for step in done] == [(8, 8, 8), (8, 8, 8), (4, 4, 8), (2,)]


def test_a_block_that_adds_nothing_hands_its_input_on():
    graph = lower(net(Stage(blocks=(Identity(), Identity()), width=3)))
    assert [node.name for node in graph.nodes] == ["head.pool", "head.flatten", "head.linear"]
    assert graph.nodes[0].sources == (0,)


def test_a_tap_reads_the_end_of_an_earlier_stage():
    graph = lower(
        net(
            Stage(blocks=(Conv(), Conv()), width=8),
            Stage(blocks=(Conv(),), width=16, stride=2),
            Stage(blocks=(Merge(tap="stages.0"),), width=8),
        )
    )
    joined = next(node for node in graph.nodes if isinstance(node.layer, Concat))
    assert joined.shape == (24, 16, 16)
    assert [graph.nodes[s - 1].name for s in joined.sources] == [
        "stages.2.blocks.0.upsample", "stages.0.blocks.1.conv_act",
    ]  # fmt: skip


@pytest.mark.parametrize("tap", ["stages.1", "stages.7", "stem", "nowhere"])
def test_a_tap_that_is_not_there_yet_is_refused(tap):
    network = net(Stage(blocks=(Conv(),), width=8), Stage(blocks=(Merge(tap=tap),), width=8))
    with pytest.raises(Unbuildable, match=rf"^stages\.1\.blocks\.0: got tap '{tap}', .*: stages\.0$"):
        lower(network)


def test_a_cell_reads_the_two_newest_features_and_at_the_start_the_input_twice():
    done = steps(net(Stage(blocks=(NewestTwo(), NewestTwo(), NewestTwo()), width=4)))
    assert [step.sources for step in done] == [(-1, -1), (0, -1), (1, 0), (2,)]
    graph = lower(net(Stage(blocks=(NewestTwo(),), width=4)))
    assert [node.sources for node in graph.nodes[:2]] == [(0,), (0,)]


@pytest.mark.parametrize("shape", [(1, 17), (3, 9, 13), (2, 5, 6, 7)])
def test_odd_maps_in_one_to_three_dimensions(shape):
    graph = lower(net(Stage(blocks=(Conv(), MBConv()), width=8, stride=2), shape=shape))
    halved = tuple(-(-n // 2) for n in shape[1:])
    assert graph.nodes[0].shape == (8, *halved)
    assert graph.shape(graph.output) == (2,)


@given(st.integers(1, 30), st.integers(1, 6), st.integers(1, 4), st.integers(1, 4))
def test_same_padding_gives_the_size_over_the_stride_rounded_up(size, kernel, stride, dilation):
    tracer = Tracer(((1, size),))
    (x,) = tracer.features()
    assert x.conv(1, kernel, stride=stride, dilation=dilation).spatial == (-(-size // stride),)
    ((before, after),) = pads("same", (kernel,), (dilation,))
    assert 0 <= after - before <= 1


def test_amounts_are_spread_or_checked():
    assert per_axis(2, 3) == (2, 2, 2)
    assert per_axis((1, 2), 2) == (1, 2)
    with pytest.raises(Unbuildable, match=r"got \(1, 2\), 2 entries for 3 spatial axes"):
        per_axis((1, 2), 3)


def test_features_of_two_blocks_do_not_mix():
    (a,), (b,) = Tracer(((1, 8),)).features(), Tracer(((1, 8),)).features()
    with pytest.raises(Unbuildable, match="got a feature of another block"):
        _ = a + b


def test_a_block_needs_a_frozen_dataclass_and_a_base():
    with pytest.raises(BadSpec, match=r"^Plain: expected a frozen dataclass"):

        @register
        class Plain(Block):
            pass

    with pytest.raises(BadSpec, match=r"^Loose: expected a frozen dataclass"):

        @register
        @dataclass
        class Loose(Block):
            kernel: int = 3

    with pytest.raises(BadSpec, match=r"^Baseless: expected a subclass of Block, Head"):

        @register
        @dataclass(frozen=True)
        class Baseless(Data):
            pass


def test_a_name_of_another_module_is_refused():
    with pytest.raises(BadSpec, match=r"^Conv: the name is taken by search_spaces\.blocks; choose another$"):
        register(dataclass(frozen=True, kw_only=True)(type("Conv", (Block,), {"__module__": "mine"})))
    assert Conv().kernel == 3


def test_names_that_files_reserve_are_refused_as_fields():
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Reserved(Block):
        choice: int = 1

    from search_spaces.serialise import from_data

    with pytest.raises(BadSpec, match=r"^Reserved\.choice: this name has a meaning of its own in files"):
        from_data(Reserved, {})


def test_an_unregistered_block_is_refused_by_name():
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Stranger(Block):
        pass

    with pytest.raises(BadSpec, match=r"^stages\[0\]\.blocks\[0\]: got Stranger, .*; is it registered\?$"):
        net(Stage(blocks=(Stranger(),), width=8))
