"""The bytes that a step saves for its backward pass: the formula against what autograd is seen to save."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import torch
from examples import BLOCKS, around, example
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from scaling.saved import saved_bytes, step_bytes
from search_spaces import Network, lower, sample
from search_spaces.modules import build
from search_spaces.presets import PRESETS
from search_spaces.supernet_entangled import Entangled

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


def test_a_step_holds_weights_gradients_and_what_the_optimiser_keeps() -> None:
    assert step_bytes(weights=10, saved=7, optimiser="sgd") == 4 * 10 * 3 + 7
    assert step_bytes(weights=10, saved=7, optimiser="adamw") == 4 * 10 * 4 + 7
