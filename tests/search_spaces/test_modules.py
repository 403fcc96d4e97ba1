"""Networks as torch modules: every block and layer builds, runs, learns, gives the promised shapes."""

import copy
import gc
import itertools
import pickle
import weakref
from dataclasses import replace

import pytest
import torch
from examples import BLOCKS, around, example
from oracles import layer_outputs
from torch import nn

import search_spaces.modules as modules
from search_spaces import Block, Classifier, Conv, MBConv, Network, Norm, Stage, Unbuildable, lower
from search_spaces.graph import Graph, Node
from search_spaces.layers import ACTIVATIONS, Activation, Convolution, Zeros, parameter_count
from search_spaces.modules import available_bytes, build, build_graph

MAPS = {1: ((9,), (8,)), 2: ((7, 6), (8, 8)), 3: ((5, 4, 6), (4, 4, 4))}
PLACES = [(spatial, stride) for axes in MAPS for spatial in MAPS[axes] for stride in (1, 2)]
SMALL = around(MBConv(), (8, 8), stride=2)
LONE = Graph(((2, 4),), (Node(Activation(kind="relu"), (0,), (2, 4), "act"),), 1)  # its node sits at the root


def runs_and_learns(network: Network) -> None:
    """Check shapes, parameter count and gradients of a network in one forward and backward pass."""
    graph, module = lower(network), build(network)
    x = torch.rand(2, *network.input)
    assert layer_outputs(module, x) == {node.name: node.shape for node in graph.nodes}
    assert sum(p.numel() for p in module.parameters()) == sum(
        parameter_count(node.layer, tuple(map(graph.shape, node.sources))) for node in graph.nodes
    )
    scores = module(x)
    assert scores.shape == (2, *graph.shape(graph.output))
    scores.square().sum().backward()
    live = tuple(f"{name}." for name in reaching_the_output(graph))
    for name, parameter in module.named_parameters():
        assert (parameter.grad is not None) == name.startswith(live), name
        assert parameter.grad is None or parameter.grad.isfinite().all(), name


def reaching_the_output(graph: Graph) -> set[str]:
    """Return the names of the nodes on whose values the output depends; zeros depend on nothing."""
    first, todo, names = len(graph.inputs), [graph.output], set()
    while todo:
        value = todo.pop()
        if value >= first and graph.nodes[value - first].name not in names:
            node = graph.nodes[value - first]
            names.add(node.name)
            todo += () if isinstance(node.layer, Zeros) else node.sources
    return names


@pytest.mark.parametrize(("spatial", "stride"), PLACES)
@pytest.mark.parametrize("name", BLOCKS)
def test_every_block_learns_on_odd_and_even_maps(name: str, spatial: tuple[int, ...], stride: int) -> None:
    runs_and_learns(around(example(name), spatial, stride=stride))


@pytest.mark.parametrize("kernel", [1, 2, 4, 5])
@pytest.mark.parametrize("name", BLOCKS)
def test_every_block_runs_with_every_kernel(name: str, kernel: int) -> None:
    runs_and_learns(around(example(name, kernel=kernel), (9, 8), stride=2))


@pytest.mark.parametrize("kind", ["batch", "group", "layer", "instance", "none"])
@pytest.mark.parametrize("name", BLOCKS)
def test_every_block_runs_with_every_norm(name: str, kind: str) -> None:
    norm = Norm(kind=kind, groups=2)
    runs_and_learns(around(example(name, norm=norm), (6, 5), stride=2, norm=norm))


@pytest.mark.parametrize("act", [*ACTIVATIONS, "none"])
@pytest.mark.parametrize("axes", MAPS)
def test_every_activation_runs_over_every_dimension(act: str, axes: int) -> None:
    for name, norm in itertools.product(("Conv", "MBConv"), ("batch", "layer")):
        runs_and_learns(around(example(name, act=act, norm=Norm(kind=norm)), MAPS[axes][1]))


def test_weights_are_named_after_their_place() -> None:
    names = list(build(SMALL).state_dict())
    assert names[0] == "stem.blocks.0.conv.weight"
    assert "stages.0.blocks.1.depthwise.weight" in names
    assert "stages.0.blocks.1.depthwise_norm.running_mean" in names
    assert names[-2:] == ["head.linear.weight", "head.linear.bias"]


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_equal_seeds_give_equal_weights_and_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    first, second, other = build(SMALL, seed=7), build(SMALL, seed=7), build(SMALL, seed=8)
    given = build(SMALL, seed=torch.Generator().manual_seed(7))
    assert torch.equal(before, torch.get_rng_state())
    assert same(first, second)
    assert same(first, given)
    assert not same(first, other)


def test_every_number_a_module_holds_is_initialised(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = nn.Module.to_empty

    def poisoned(self: nn.Module, *, device: str) -> nn.Module:
        module = empty(self, device=device)
        for value in module.state_dict().values():
            value.fill_(torch.nan if value.is_floating_point() else 99)
        return module

    monkeypatch.setattr(nn.Module, "to_empty", poisoned)
    for kind in ("batch", "group", "layer", "instance", "none"):
        module = build(around(example("MBConv", norm=Norm(kind=kind), act="prelu"), (4, 4)))
        for name, value in module.state_dict().items():
            assert value.isfinite().all(), name
            assert value.eq(0).all() or not name.endswith("num_batches_tracked"), name


def test_weights_start_with_the_published_spread() -> None:
    network = around(MBConv(expand=8.0), (8, 8), width=64)
    module = build(network)
    dense = module.get_submodule("stages.0.blocks.1.expand").weight
    depthwise = module.get_submodule("stages.0.blocks.1.depthwise").weight
    head = module.get_submodule("head.linear")
    assert dense.std().item() == pytest.approx((2 / 512) ** 0.5, rel=0.05)
    assert depthwise.std().item() == pytest.approx((2 / 9) ** 0.5, rel=0.05)  # fan_out counts within a group
    assert head.weight.abs().max().item() <= 64**-0.5
    assert not head.bias.any()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])  # noqa: S301
def test_a_copy_is_whole_and_stands_alone(copied) -> None:  # type: ignore[no-untyped-def]
    original, x = build(SMALL).eval(), torch.rand(2, 3, 8, 8)
    expected, twin = original(x), copied(original)
    with torch.no_grad():
        for weight in original.parameters():
            weight.zero_()
    assert torch.equal(twin(x), expected)
    assert not original(x).equal(expected)


def test_a_module_put_in_the_place_of_another_takes_effect() -> None:
    module = build(SMALL)
    module.get_submodule("head").linear = nn.Linear(8, 2)
    assert module(torch.rand(2, 3, 8, 8)).shape == (2, 2)


@pytest.mark.parametrize("graph", [lower(SMALL), LONE])
def test_a_module_is_freed_as_soon_as_it_is_dropped(graph: Graph) -> None:
    gc.collect()
    gc.disable()
    try:
        module = build_graph(graph)
        module(torch.rand(2, *graph.inputs[0]))
        gone = weakref.ref(module)
        del module
        assert gone() is None
    finally:
        gc.enable()


def test_a_module_runs_on_other_sizes_than_it_was_made_for() -> None:
    assert build(SMALL)(torch.rand(2, 3, 13, 20)).shape == (2, 5)


def test_channels_last_changes_the_layout_alone() -> None:
    module, x = build(SMALL).eval(), torch.rand(2, 3, 8, 8)
    expected = module(x)
    module.to(memory_format=torch.channels_last)
    assert torch.allclose(module(x.to(memory_format=torch.channels_last)), expected, atol=1e-5)


def test_a_module_exports_and_compiles_as_one_graph() -> None:
    module, x = build(SMALL).eval(), torch.rand(2, 3, 8, 8)
    exported = torch.export.export(module, (x,))
    assert torch.equal(exported.module()(x), module(x))
    assert set(exported.state_dict) == set(module.state_dict())
    assert torch.equal(torch.compile(module, backend="eager", fullgraph=True)(x), module(x))


def wide(width: int, blocks: int = 1) -> Network:
    layers: tuple[Block, ...] = (Conv(),) * blocks
    return Network(input=(3, 8, 8), stages=(Stage(blocks=layers, width=width),), head=Classifier(classes=10))


@pytest.mark.parametrize("width", [10**9, 2**31])
def test_what_no_memory_holds_is_refused_by_formula(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> nn.Module:
        raise AssertionError("a layer was made")

    monkeypatch.setattr(modules, "layer_module", never)
    with pytest.raises(Unbuildable, match=r"^stages\.0\.blocks\.1\.conv: got .* GiB, expected at most"):
        build(wide(width, blocks=2))


def test_a_million_layers_are_refused_for_the_modules_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modules, "available_bytes", lambda: 2**20)
    with pytest.raises(Unbuildable, match="got 303 layers"):
        build(wide(1, blocks=100))


def test_memory_that_can_be_had_is_less_than_the_machine_has() -> None:
    import os

    assert 2**20 < available_bytes() <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("name", ["a.type", "forward", "a..b", ""])
def test_a_name_that_torch_has_taken_is_refused(name: str) -> None:
    graph = lower(wide(4))
    nodes = (replace(graph.nodes[0], name=name), *graph.nodes[1:])
    with pytest.raises(Unbuildable, match="rename it"):
        build_graph(Graph(graph.inputs, nodes, graph.output))


def test_a_value_nobody_reads_does_no_harm() -> None:
    point = Convolution(out=2, kernel=(1,), stride=(1,), dilation=(1,), padding=((0, 0),))
    nodes = (Node(point, (0,), (2, 4), "unread"), Node(Activation(kind="relu"), (0,), (3, 4), "act"))
    assert build_graph(Graph(((3, 4),), nodes, 2))(torch.ones(1, 3, 4)).equal(torch.ones(1, 3, 4))
