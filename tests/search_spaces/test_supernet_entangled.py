"""Entangled supernets: every member is a part of the largest weights, and the same function when it is lifted out."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache

import pytest
import torch
from generated import networks
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from search_spaces import (
    ActConv,
    ActSeparable,
    Branches,
    Cell,
    Choice,
    Classifier,
    Conv,
    DenseClassifier,
    Edge,
    Identity,
    MBConv,
    Network,
    NeverFalls,
    OutOfSpace,
    Part,
    Repeat,
    Shared,
    Skip,
    Stage,
    Unbuildable,
    Use,
    Zero,
    count,
    decisions,
    lower,
    sample,
)
from search_spaces import supernet_entangled as entangled
from search_spaces.extremes import extreme
from search_spaces.largest import largest
from search_spaces.layers import Convolution, parameter_count
from search_spaces.making import from_decisions
from search_spaces.marks import marked
from search_spaces.modules import build
from search_spaces.presets import PRESETS
from search_spaces.supernet_entangled import Entangled, lift, recalibrate

SHAPES = {"mobile": (1, 8, 8), "mixed": (1, 8, 8), "darts": (3, 8, 8), "nasbench201": (3, 8, 8)}
SETTINGS = {"darts": {"width": 4, "cells": 3}}
SEEDS = st.integers(0, 2**32)


@cache
def supernet(name: str) -> Entangled:
    return Entangled(PRESETS[name](SHAPES[name], 10, **SETTINGS.get(name, {})))


def batch(network: Network, n: int = 4, seed: int = 0) -> Tensor:
    return torch.randn(n, *network.input, generator=torch.Generator().manual_seed(seed))  # type: ignore[arg-type]


def run(module: nn.Module, *inputs: object, **named: object) -> Tensor:
    torch.manual_seed(7)  # dropout
    output: Tensor = module(*inputs, **named)
    return output


def check_lifted(net: Entangled, member: Network) -> None:
    """Check outputs in both modes, and that a step reaches the same gradients."""
    alone, x = lift(net, member), batch(member)
    net.train(), alone.train()
    ours, theirs = run(net, x, member), run(alone, x)
    assert torch.equal(ours, theirs)
    net.zero_grad()
    for outputs in (ours, theirs):
        if outputs.requires_grad:
            outputs.square().sum().backward()
    for step in net.path(member).runs:
        for weight in step.weights:
            own = alone.get_parameter(f"{step.name}.{weight.own}").grad
            shared = net.get_parameter(weight.shared).grad
            if own is not None:
                assert shared is not None
                torch.testing.assert_close(shared if weight.cut is None else weight.cut.of(shared), own)
    recalibrate(alone, [batch(member, seed=1), batch(member, seed=2)])
    assert torch.equal(net.eval()(x, member, statistics=dict(alone.named_buffers())), alone(x))


@pytest.mark.parametrize("name", SHAPES)
def test_a_lifted_member_of_a_preset_gives_identical_outputs_in_both_modes(name: str) -> None:
    net, rng = supernet(name), random.Random(0)
    for _ in range(2):
        check_lifted(net, sample(net.space, rng))


@settings(deadline=None)
@given(space=networks().filter(lambda space: count(space) > 1), seed=SEEDS)
def test_a_lifted_member_of_any_space_gives_identical_outputs(space: Network, seed: int) -> None:
    net, rng = Entangled(space), random.Random(seed)
    for _ in range(3):
        check_lifted(net, sample(space, rng))


@pytest.mark.parametrize("name", SHAPES)
def test_marked_members_lower_to_the_layers_of_plain_ones(name: str) -> None:
    space, rng = supernet(name).space, random.Random(1)
    for _ in range(5):
        member = sample(space, rng)
        plain, named = lower(member), lower(marked(space, member))
        assert [(n.layer, n.sources, n.shape) for n in plain.nodes] == [
            (n.layer, n.sources, n.shape) for n in named.nodes
        ]
        assert len({n.name for n in named.nodes}) == len(named.nodes)


def one_stage(block: object, **given: object) -> Network:
    stage = {"blocks": (block,), "width": 8, **given}
    return Network(input=(4, 6, 6), stages=(Stage(**stage),), head=Classifier(classes=3))  # type: ignore[arg-type]


def member(space: Network, **chosen: int) -> Network:
    """Return the member that takes the options given by the ends of paths, and else the first ones."""
    first = decisions(space, sample(space, random.Random(0)))
    return from_decisions(
        space,
        {path: next((i for end, i in chosen.items() if path.endswith(end)), 0) for path in first},
    )


def used(net: Entangled, member: Network, layer: str) -> tuple[Tensor, Tensor]:
    """Return a layer's weight as a member uses it, and the whole one."""
    step = next(step for step in net.path(member).runs if step.name.endswith(layer))
    weight = next(weight for weight in step.weights if weight.own == "weight")
    whole = net.get_parameter(weight.shared)
    return (whole if weight.cut is None else weight.cut.of(whole)), whole


def test_a_smaller_kernel_is_the_centre_and_a_smaller_width_the_first_channels() -> None:
    space = one_stage(Conv(kernel=Choice(3, 5)), width=Choice(4, 8))
    net = Entangled(space)
    part, whole = used(net, member(space, kernel=0, width=0), "blocks.0.conv")
    assert whole.shape == (8, 4, 5, 5)
    assert torch.equal(part, whole[:4, :, 1:4, 1:4])
    part, whole = used(net, member(space, kernel=1, width=1), "blocks.0.conv")
    assert part is whole


@pytest.mark.parametrize(("small", "large"), [(1, 2), (2, 3), (2, 4), (3, 4), (1, 5), (4, 7)])
def test_even_kernels_share_the_position_that_reads_the_point_itself(small: int, large: int) -> None:
    space = one_stage(Conv(kernel=Choice(small, large), act="none"))
    net = Entangled(space).eval()
    whole = net.get_parameter(next(name for name, _ in net.named_parameters() if "conv/weight" in name))
    with torch.no_grad():
        whole.zero_()
        whole[:, :, (large - 1) // 2, (large - 1) // 2] = 1.0  # the identity, summed over channels
    x = batch(space)
    assert torch.equal(run(net, x, member(space, kernel=0)), run(net, x, member(space, kernel=1)))


def test_expansion_and_squeeze_are_the_first_channels() -> None:
    space = one_stage(MBConv(expand=Choice(2.0, 3.0), se=Choice(0.25, 0.5)))
    net, small = Entangled(space), member(space)
    for layer, shape, of in (
        ("expand", (8, 4), (12, 4)),
        ("project", (8, 8), (8, 12)),
        ("se_reduce", (1, 8), (2, 12)),
    ):
        part, whole = used(net, small, layer)
        assert part.shape[:2] == shape
        assert torch.equal(part, whole[: shape[0], : shape[1]])
        assert whole.shape[:2] == of


def test_a_shallower_stage_uses_the_first_layers() -> None:
    space = replace(one_stage(Conv()), stages=(Stage(blocks=Repeat(Conv(), Choice(1, 3)), width=4),))
    net = Entangled(space)
    shallow, deep = (net.path(member(space, count=i)).reads for i in (0, 1))
    assert shallow < deep


def test_options_that_are_blocks_have_weights_of_their_own_and_ties_do_not_share_across_layers() -> None:
    kernel = Choice(3, 5, name="kernel")
    space = replace(
        one_stage(Conv()),
        stages=(
            Stage(blocks=Repeat(Choice(Conv(kernel=kernel), MBConv(kernel=kernel), Identity()), 2), width=8),
        ),
    )
    net = Entangled(space)
    first, second, third = (
        net.path(from_decisions(space, {"stages[0].blocks.item": i, "@kernel": 0})).reads for i in range(3)
    )
    body = [{name for name in reads if "head" not in name} for reads in (first, second, third)]
    assert not body[0] & body[1]
    assert not body[1] & body[2]
    assert len({name for name in body[0] if name.endswith("conv/weight")}) == 2  # one a layer


def test_a_cells_edge_has_one_weight_wherever_its_operation_stands_among_the_live_edges() -> None:
    ops = Choice(Zero(), Skip(), ActConv(), ActSeparable())
    cell = Cell(inputs=1, preprocess=False, nodes=((Edge(source=0, op=ops), Edge(source=0, op=ops)),))
    space = Network(
        input=(4, 6, 6), stages=(Stage(blocks=(Use(name="cell"),) * 2, width=4),), head=Classifier(classes=3),
        shared=(Shared(name="cell", block=cell),),
    )  # fmt: skip
    net = Entangled(space)
    path = "shared[0].block.nodes[0][{}].op"
    alone, both = (
        net.path(from_decisions(space, {path.format(0): i, path.format(1): 2})).reads for i in (0, 2)
    )
    assert {name for name in alone if "op{2}" in name} < {name for name in both if "op{2}" in name}
    assert len([name for name in alone if name.endswith("conv/weight")]) == 2  # each place its own


def test_finer_groups_are_the_diagonal_blocks_of_coarser_ones() -> None:
    space = one_stage(Conv(groups=Choice(1, 2, 4)))
    net = Entangled(space)
    _, whole = used(net, member(space, groups=0), "blocks.0.conv")
    part, _ = used(net, member(space, groups=1), "blocks.0.conv")
    assert torch.equal(part, torch.cat([whole[:4, :2], whole[4:, 2:]]))
    for i in range(3):
        check_lifted(net, member(space, groups=i))


def test_the_held_weights_are_those_of_the_largest_member_where_all_sizes_are_numbers() -> None:
    space = PRESETS["mobile"]((3, 32, 32), 10)
    held = sum(parameter_count(one.layer, (one.shape,)) for one in largest(space).values())
    whole = extreme(space, "largest", random.Random(0))
    assert held == sum(weight.numel() for weight in build(whole).parameters())


def test_a_preset_with_a_searched_resolution_shares_all_weights_over_it() -> None:
    space = PRESETS["mobile"]((3, 96, 96), 10)
    fixed = replace(space, input=(3, 96, 96))
    assert {k: v.shape for k, v in largest(space).items()} == {k: v.shape for k, v in largest(fixed).items()}


def test_conditions_keep_members_buildable_and_shared() -> None:
    space = replace(
        one_stage(Conv()),
        stages=tuple(Stage(blocks=(Identity(),), width=Choice(4, 8, 16)) for _ in range(2)),
        conditions=(NeverFalls(),),
    )
    net, rng = Entangled(space), random.Random(0)
    for _ in range(5):
        check_lifted(net, sample(space, rng))


def test_equal_seeds_give_equal_weights_and_convolutions_start_as_alone() -> None:
    space = one_stage(Conv(kernel=Choice(3, 5)), width=Choice(32, 64))
    first, second, other = Entangled(space, seed=1), Entangled(space, seed=1), Entangled(space, seed=2)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))
    _, whole = used(first, member(space, kernel=1, width=1), "blocks.0.conv")
    assert whole.std().item() == pytest.approx((2 / (64 * 25)) ** 0.5, rel=0.05)


def test_switching_members_makes_no_module_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    net, rng = supernet("mixed"), random.Random(5)
    members = [sample(net.space, rng) for _ in range(3)]
    for one in members:
        net(batch(one), one)

    def fail(*_: object) -> nn.Module:
        pytest.fail("a module was made")

    monkeypatch.setattr(entangled, "layer_module", fail)
    for one in members:
        net(batch(one), one)


def test_gradients_of_several_members_are_averaged_over_who_reads_a_weight() -> None:
    space = one_stage(Choice(Conv(), Conv(kernel=5), Conv(kernel=1)))
    net = Entangled(space)
    paths = [net.path(member(space, **{"blocks[0]": i})) for i in (0, 1, 0)]
    for path in paths:
        net(batch(space), path).sum().backward()
    before = {name: weight.grad.clone() for name, weight in net.named_parameters() if weight.grad is not None}
    net.average(paths)
    for name, weight in net.named_parameters():
        n = sum(name in path.reads for path in paths)
        assert n == {"{0}": 2, "{1}": 1, "{2}": 0}.get(
            next((m for m in ("{0}", "{1}", "{2}") if m in name), ""), 3
        )
        assert (weight.grad is None) == (n == 0)
        if weight.grad is not None:
            torch.testing.assert_close(weight.grad, before[name] / n)


def test_recalibration_takes_plain_means_over_its_batches_and_leaves_the_rest_as_it_was() -> None:
    alone = build(member(one_stage(Conv(kernel=Choice(1, 3))), kernel=0))
    norm = alone.get_submodule("stages.0.blocks.0.conv_norm")
    x, y = batch(one_stage(Conv())), batch(one_stage(Conv()), seed=1)
    weights = [weight.clone() for weight in alone.parameters()]
    recalibrate(alone, [x, y])
    conv = alone.get_submodule("stages.0.blocks.0.conv")
    means = [conv(one).mean((0, 2, 3)) for one in (x, y)]
    torch.testing.assert_close(norm.running_mean, (means[0] + means[1]) / 2)
    assert norm.momentum == 0.1
    assert not alone.training
    assert all(map(torch.equal, weights, alone.parameters()))


@pytest.mark.parametrize(
    ("space", "said"),
    [
        (one_stage(Conv()), "space: got a single network"),
        (one_stage(Conv(groups=Choice(2, 3)), width=12), "groups in different members"),
        (
            replace(one_stage(Conv(), stride=Choice(1, 2)), head=DenseClassifier(classes=3)),
            "head: linear reads 9 and 36 positions",
        ),
    ],
)
def test_what_cannot_share_is_refused_by_its_path(space: Network, said: str) -> None:
    if "groups" in said:
        space = replace(space, input=(12, 6, 6))
    with pytest.raises(Unbuildable, match=said):
        Entangled(space)


def test_dense_heads_share_where_positions_agree() -> None:
    space = replace(
        one_stage(Conv(), width=Choice(4, 8)),
        head=DenseClassifier(classes=3, size=2, hidden=Choice((8,), (16,))),
    )
    net, rng = Entangled(space), random.Random(0)
    for _ in range(4):
        check_lifted(net, sample(space, rng))


def test_a_member_of_another_space_is_refused() -> None:
    net = supernet("mixed")
    with pytest.raises(OutOfSpace):
        net.path(sample(supernet("mobile").space, random.Random(0)))


def test_weights_that_do_not_fit_into_memory_are_refused_before_they_are_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(entangled, "available_bytes", lambda: 1000)
    with pytest.raises(Unbuildable, match="shared weights"):
        Entangled(one_stage(Conv(kernel=Choice(3, 5))))


def test_layers_of_every_member_lie_within_the_largest() -> None:
    for name in SHAPES:
        net, rng = supernet(name), random.Random(2)
        for _ in range(10):
            for node in lower(marked(net.space, sample(net.space, rng))).nodes:
                if isinstance(node.layer, Convolution):
                    held = net.held[node.name].layer
                    assert isinstance(held, Convolution)
                    assert node.layer.out <= held.out
                    assert all(a <= b for a, b in zip(node.layer.kernel, held.kernel, strict=True))


def test_a_branch_that_is_widest_beside_narrow_ones_is_held_whole() -> None:
    part = Part(block=Conv(), width=Choice(8, 16, 24, 32, 64))
    space = one_stage(Branches(parts=(part,) * 4), width=36)  # 625 members: too many to go through
    net, rng = Entangled(space), random.Random(3)
    for _ in range(100):
        net.path(sample(space, rng))  # raises where a layer is larger than what is held


def test_no_cut_of_a_weight_stays_with_a_module() -> None:
    net, rng = supernet("mobile"), random.Random(4)
    for _ in range(2):
        one = sample(net.space, rng)
        net(batch(one), one).sum().backward()
    assert all(own is None for module in net._layers.values() for own in module._parameters.values())
