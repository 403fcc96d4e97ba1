"""The bytes that a step saves for its backward pass: the formula against what autograd is seen to save."""

from __future__ import annotations

import random
from collections.abc import Callable
from math import prod

import pytest
import torch
from examples import BLOCKS, around, example
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from scaling.saved import kept_by, saved_bytes, step_bytes
from search_spaces import Network, lower, sample
from search_spaces.layers import (
    ACTIVATIONS,
    Activation,
    AdaptivePooling,
    Convolution,
    Dropout,
    Layer,
    Linear,
    Normalisation,
    Pooling,
    Shape,
)
from search_spaces.modules import build
from search_spaces.presets import PRESETS
from search_spaces.supernet_entangled import Entangled
from search_spaces.torch_layers import layer_module

BATCH = 8


def seen(forward: Callable[[], Tensor]) -> int:
    """Return the bytes of what autograd saves meanwhile, each store counted once."""
    kept: list[Tensor] = []  # so that no memory is handed out twice

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        output = forward()
    stores = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in kept}
    del output
    return sum(stores.values())


def images(network: Network) -> Tensor:
    return torch.rand(BATCH, *network.input)  # type: ignore[arg-type]  # resolved


@pytest.mark.parametrize("name", ["mobile", "mixed", "darts", "nasbench201"])
def test_a_supernets_step_saves_what_the_formula_says_within_15_percent(name: str) -> None:
    shape = (1, 8, 8) if name == "mobile" else (3, 16, 16)
    space, rng = PRESETS[name](shape, 10), random.Random(0)
    net = Entangled(space)
    for _ in range(3):
        member = sample(space, rng)
        found = seen(lambda member=member: net(images(member), member))  # type: ignore[misc]
        assert saved_bytes(lower(member), BATCH) == pytest.approx(found, rel=0.15)


@pytest.mark.parametrize("act", ["relu", "silu", "hard_swish", "prelu"])
@pytest.mark.parametrize("name", BLOCKS)
def test_every_block_saves_what_the_formula_says_within_15_percent(name: str, act: str) -> None:
    network = around(example(name, act=act), (12, 12), stride=2, width=16)
    found = seen(lambda: build(network)(images(network)))
    assert saved_bytes(lower(network), BATCH) == pytest.approx(found, rel=0.15)


LAYERS: tuple[tuple[Layer, Shape], ...] = (
    *((Activation(kind=kind), (4, 6, 6)) for kind in ACTIVATIONS),
    (Convolution(out=8, kernel=(3, 3), stride=(1, 1), dilation=(1, 1), padding=((1, 1), (1, 1))), (4, 6, 6)),
    (Convolution(out=8, kernel=(3, 3), stride=(2, 2), dilation=(1, 1), padding=((0, 1), (0, 1))), (4, 6, 6)),
    (Linear(out=5), (16,)),
    (Normalisation(kind="batch"), (4, 6, 6)),
    (Normalisation(kind="group", groups=2), (4, 6, 6)),
    (Normalisation(kind="layer"), (4, 6, 6)),
    (Normalisation(kind="instance"), (4, 6, 6)),
    (Pooling(kind="max", kernel=(2, 2), stride=(2, 2), padding=((0, 0), (0, 0))), (4, 6, 6)),
    (Pooling(kind="max", kernel=(3, 3), stride=(1, 1), padding=((2, 0), (2, 0))), (4, 6, 6)),
    (Pooling(kind="max", kernel=(3, 3), stride=(2, 2), padding=((2, 0), (2, 0)), ceil_mode=True), (4, 6, 6)),
    (Pooling(kind="average", kernel=(2, 2), stride=(2, 2), padding=((0, 0), (0, 0))), (4, 6, 6)),
    (Pooling(kind="average", kernel=(3, 3), stride=(1, 1), padding=((2, 0), (2, 0)), count_padding=True), (4, 6, 6)),
    (AdaptivePooling(kind="average", size=(1, 1)), (4, 6, 6)),
    (AdaptivePooling(kind="average", size=(2, 2)), (4, 6, 6)),
    (AdaptivePooling(kind="max", size=(2, 2)), (4, 6, 6)),
    (Dropout(rate=0.5, of="value"), (4, 6, 6)),
    (Dropout(rate=0.5, of="channel"), (4, 6, 6)),
    (Dropout(rate=0.5, of="sample"), (4, 6, 6)),
)  # fmt: skip


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=lambda value: str(value)[:60])
def test_each_kind_of_layer_saves_exactly_what_its_rule_says(layer: Layer, shape: Shape) -> None:
    module = layer_module(layer, (shape,)).to_empty(device="cpu")
    own = {weight.untyped_storage().data_ptr() for weight in (*module.parameters(), *module.buffers())}
    x = torch.rand(BATCH, *shape, requires_grad=True)
    kept: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        y = module(x)
    sizes = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in kept}
    found = sum(size for store, size in sizes.items() if store not in own)
    rule = kept_by(layer, (shape,), tuple(y.shape[1:]))
    maps = 4 * BATCH * (prod(shape) * rule.sources + prod(y.shape[1:]) * rule.result)
    assert maps + BATCH * rule.own + rule.fixed == found


def test_a_step_holds_weights_gradients_and_what_the_optimiser_keeps() -> None:
    assert step_bytes(weights=10, saved=7, optimiser="sgd") == 4 * 10 * 3 + 7
    assert step_bytes(weights=10, saved=7, optimiser="adamw") == 4 * 10 * 4 + 7
