"""The formulas of `scaling.cost` agree, to the last one, with what runs through the built modules."""

import random

import pytest
from examples import BLOCKS, around, example
from oracles import hooked_costs, measured_peak_bytes

from scaling.cost import cost
from search_spaces import Network, Norm, sample
from search_spaces.modules import build
from search_spaces.presets import preset

INPUTS = {1: (2, 33), 2: (3, 16, 13), 3: (1, 8, 9, 8)}
MEMBERS = 6


def agrees(network: Network) -> None:
    own, module = cost(network), build(network)
    shape = tuple(network.input)
    assert (own.params, own.macs, own.activations) == hooked_costs(module, shape)
    assert own.peak_bytes == measured_peak_bytes(module, shape)


@pytest.mark.parametrize("spatial", [(33,), (16, 13), (8, 9, 7)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", BLOCKS)
def test_every_block_costs_what_hooks_count(name: str, spatial: tuple[int, ...], stride: int) -> None:
    agrees(around(example(name), spatial, stride=stride))
    agrees(
        around(
            example(name, kernel=4, norm=Norm(kind="none")), spatial, stride=stride, norm=Norm(kind="none")
        )
    )


@pytest.mark.parametrize("axes", INPUTS)
@pytest.mark.parametrize("name", ["mobile", "mixed"])
def test_members_of_the_presets_cost_what_hooks_count(name: str, axes: int) -> None:
    space, rng = preset(name, INPUTS[axes], classes=10), random.Random(axes)
    for _ in range(MEMBERS):
        agrees(sample(space, rng))
