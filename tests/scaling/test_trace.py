"""Two independent counters agree with the formulas, say what else they count, and own up to what they do not know."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from examples import BLOCKS, around, example
from torch import Tensor, nn

from scaling.cost import cost, layer_costs
from scaling.module_cost import module_cost
from scaling.trace import by_flop_counter, by_fvcore, witnesses
from search_spaces import BadInput, Network, Norm, Stage, Use, lower, sample
from search_spaces.modules import BuiltNetwork, build
from search_spaces.presets import PRESETS, preset
from search_spaces.zoo import MODELS, model

FEW_CELLS = {"darts": "darts(width=4, cells=3)", "nasbench201": "nasbench201(width=4, cells=1)"}
SMALL = {  # inputs that are enough for the strides of these; others take 3x32x32
    "lenet5": (1, 28, 28),
    "squeezenet1_1": (3, 33, 33),
}
SHALLOW = (
    "lenet5", "alexnet", "vgg11", "nin_imagenet", "resnet18", "squeezenet1_1", "mobilenet_v1", "mobilenet_v3_small",
    "efficientnet_b0",
)  # fmt: skip


def without_weights(network: Network) -> BuiltNetwork:
    """Return the module on the meta device, where nothing is computed."""
    return BuiltNetwork(lower(network))


def unfilled(network: Network) -> nn.Module:
    """Return the module with weights that nobody has drawn; a count does not depend on them."""
    return without_weights(network).to_empty(device="cpu")


def agree(network: Network) -> None:
    one = by_flop_counter(without_weights(network), network.input)
    assert (one.macs, one.beyond, one.doubtful, one.failure) == (cost(network).macs, {}, (), None)
    other = by_fvcore(unfilled(network), network.input)
    unread = sum(layer.macs for layer in layer_costs(network) if layer.name in other.uncalled)
    assert (other.macs + unread, other.failure) == (cost(network).macs, None)


@pytest.mark.parametrize("name", BLOCKS)
def test_both_count_every_block_as_the_formula_does(name: str) -> None:
    agree(around(example(name), (8, 7), stride=2))


@pytest.mark.parametrize("spatial", [(19,), (8, 9, 10)])
def test_both_count_all_blocks_in_one_and_three_dimensions(spatial: tuple[int, ...]) -> None:
    stages = tuple(Stage(blocks=(example(name), example(name)), width=8) for name in BLOCKS)
    agree(replace(around(Use(name="shared"), spatial), stages=stages))


@pytest.mark.slow
@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("spatial", [(9,), (8, 7), (4, 5, 6)])
@pytest.mark.parametrize("stride", [1, 2])
def test_both_count_every_block_in_every_dimension(name: str, spatial: tuple[int, ...], stride: int) -> None:
    agree(around(example(name), spatial, stride=stride))
    agree(around(example(name, kernel=5, norm=Norm(kind="group"), act="prelu"), spatial, stride=stride))


@pytest.mark.parametrize("name", PRESETS)
def test_both_count_members_of_every_preset_as_the_formula_does(name: str) -> None:
    space = preset(FEW_CELLS.get(name, name), (3, 32, 32), classes=10)
    agree(sample(space, random.Random(0)))


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("seed", range(25))
def test_both_count_many_members_of_every_preset(name: str, seed: int) -> None:
    agree(sample(preset(name, (3, 32, 32), classes=10), random.Random(seed)))


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(2, 40), (1, 12, 10, 8)])
@pytest.mark.parametrize("name", ["mixed", "mobile"])
@pytest.mark.parametrize("seed", range(10))
def test_both_count_members_in_one_and_three_dimensions(name: str, shape: tuple[int, ...], seed: int) -> None:
    agree(sample(preset(name, shape, classes=3), random.Random(seed)))


@pytest.mark.parametrize("name", SHALLOW)
def test_flop_counter_mode_counts_published_networks_as_the_formula_does(name: str) -> None:
    network = model(name)
    assert by_flop_counter(without_weights(network), network.input).macs == cost(network).macs


@pytest.mark.parametrize(
    "name", ["lenet5", "resnet18", "squeezenet1_1", "mobilenet_v3_small", "efficientnet_b0"]
)
def test_fvcore_counts_published_networks_as_the_formula_does(name: str) -> None:
    network = replace(model(name), input=SMALL.get(name, (3, 32, 32)))
    assert by_fvcore(unfilled(network), network.input).macs == cost(network).macs


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_both_count_every_published_network_at_its_own_input(name: str) -> None:
    agree(model(name))


def test_flop_counter_mode_counts_convolutions_and_dense_layers_and_nothing_else() -> None:
    network = model("lenet5")
    told = by_flop_counter(build(network), network.input)
    assert told.operators == {"aten.convolution": 117_600 + 240_000, "aten.addmm": 48_000 + 10_080 + 840}
    assert told.beyond == {}
    assert told.unknown == {"aten.tanh": 4, "aten.avg_pool2d": 2, "aten.view": 1, "aten.t": 3}


def test_fvcore_counts_norms_pools_and_upsamplings_too() -> None:
    told = by_fvcore(Mixed(), (4, 6, 5))
    assert told.macs == 8 * 4 * 30 + 8 * 3
    assert told.beyond == {
        "batch_norm": 2 * 8 * 30,  # for each value, in evaluation mode
        "group_norm": 5 * 8 * 30,
        "upsample_nearest2d": 8 * 120,  # for each value put out
        "adaptive_avg_pool2d": 8 * 120,  # for each value read
    }
    assert told.unknown == {"aten::silu": 1}  # relu, flatten and dropout it takes for free


class Mixed(nn.Module):
    """A layer of each kind that fvcore counts."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(4, 8, 1), nn.BatchNorm2d(8), nn.SiLU(), nn.GroupNorm(2, 8), nn.ReLU(), nn.Dropout(),
            nn.Upsample(scale_factor=2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class Odd(nn.Module):
    """Layers in disguise: a product with a weight, attention, a fused recurrence; and a layer that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent = nn.LSTM(4, 5, batch_first=True)
        self.weight = nn.Parameter(torch.zeros(5, 6))
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.forgotten = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y = self.recurrent(x)[0] @ self.weight
        y = self.attention(y, y, y, need_weights=False)[0]
        return {"pairs": torch.einsum("nij,nkj->nik", y, y)}


def test_products_of_two_activations_are_kept_apart_and_products_with_weights_are_layers() -> None:
    ours, fvcore = witnesses(Odd(), (7, 4))
    dense = 7 * 5 * 6 + 7 * 6 * 18 + 7 * 6 * 6
    assert ours.macs == fvcore.macs == dense
    assert ours.beyond == {"aten.bmm": 7 * 7 * 6}
    assert fvcore.beyond == {"einsum": 7 * 7 * 6}


def test_what_a_witness_does_not_know_is_said_and_weights_among_it_stand_out() -> None:
    ours, fvcore = witnesses(Odd(), (7, 4))
    assert ours.doubtful == ("aten.mkldnn_rnn_layer",)
    assert ours.unknown["aten._scaled_dot_product_flash_attention_for_cpu"] == 1
    assert fvcore.unknown["aten::lstm"] == fvcore.unknown["aten::scaled_dot_product_attention"] == 1
    assert fvcore.uncalled == ("attention.out_proj", "forgotten")


class Untraceable(nn.Module):
    """Gives what no trace can hold."""

    def forward(self, x: Tensor) -> object:
        return object()


def test_a_module_that_cannot_be_traced_makes_a_witness_that_says_so() -> None:
    ours, fvcore = witnesses(Untraceable(), (3, 4, 4))
    assert (ours.failure, ours.macs) == (None, 0)
    assert fvcore.failure
    assert fvcore.operators == {}


class Fickle(nn.Module):
    """Changes itself as it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))
        self.register_buffer("calls", torch.zeros(()))
        self.seen: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.seen.append(len(x))
        return self.body(x).mean((2, 3))


@pytest.mark.parametrize("count", [by_flop_counter, by_fvcore, lambda m, shape: module_cost("m", m, shape)])
def test_a_module_is_left_as_it_was(count: Callable[[nn.Module, tuple[int, ...]], object]) -> None:
    module = Fickle()
    module.body[1].eval()
    module(torch.ones(2, 3, 5, 5)).sum().backward()
    weights = {name: (value, value.clone()) for name, value in module.state_dict(keep_vars=True).items()}
    grads = {name: p.grad.clone() for name, p in module.named_parameters()}
    modes, noise = [part.training for part in module.modules()], torch.get_rng_state()
    count(module, (3, 5, 5))
    assert [part.training for part in module.modules()] == modes
    assert module.seen == [2]
    assert torch.equal(torch.get_rng_state(), noise)
    for name, value in module.state_dict(keep_vars=True).items():
        assert value is weights[name][0]
        assert torch.equal(value, weights[name][1])
    for name, p in module.named_parameters():
        assert torch.equal(p.grad, grads[name])
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())


def test_parts_add_up_to_the_network_and_to_the_formula() -> None:
    network = around(example("MBConv"), (8, 7))
    found, own = module_cost("it", build(network), network.input), cost(network)
    assert (found.params, found.macs, found.activations) == (own.params, own.macs, own.activations)
    formula = {row.name: row for row in layer_costs(network)}
    assert {row.name: row.macs for row in found.layers} == {name: row.macs for name, row in formula.items()}
    assert {row.name: row.shape for row in found.layers} == {name: row.shape for name, row in formula.items()}


def test_what_a_module_computes_itself_is_its_own_and_what_never_ran_still_holds_weights() -> None:
    found = module_cost("odd", Odd(), (7, 4))
    rows = {row.name: row for row in found.layers}
    assert rows["Odd"].macs == 7 * 5 * 6
    assert rows["attention"].macs == 7 * 6 * 18 + 7 * 6 * 6  # its own projection and the one it never calls
    assert found.idle == ("attention.out_proj", "forgotten")
    assert (rows["forgotten"].params, rows["forgotten"].shape) == (12, ())
    assert (
        found.params == sum(p.numel() for p in Odd().parameters()) == sum(row.params for row in found.layers)
    )


def test_a_layer_that_runs_twice_is_counted_twice_and_holds_its_weights_once() -> None:
    layer = nn.Linear(4, 4)
    tied = nn.Linear(4, 4)
    tied.weight = layer.weight
    found = module_cost("twice", nn.Sequential(layer, nn.ReLU(), layer, tied), (4,))
    assert found.macs == 3 * 16
    assert found.params == 16 + 4 + 4
    assert [(row.name, row.macs) for row in found.layers] == [("0", 32), ("1", 0), ("3", 16)]


def test_a_module_that_cannot_take_the_input_is_refused_with_its_part() -> None:
    with pytest.raises(BadInput, match=r"^mine: body\.0 \(Conv2d\) cannot take an input of \(1, 5, 4, 4\)"):
        module_cost("mine", Mixed(), (5, 4, 4))
    with pytest.raises(BadInput, match="no shape yet"):
        module_cost("mine", nn.LazyLinear(3), (4,))
