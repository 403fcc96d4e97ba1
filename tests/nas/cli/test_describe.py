"""The one-line form of a network."""

from __future__ import annotations

import doctest
import random

import nas.cli.describe
import nas.cli.show
from nas.cli.describe import describe
from search_spaces import Classifier, Conv, DepthwiseSeparable, Network, Pool, Regressor, Stage, sample
from search_spaces.presets import PRESETS, preset
from search_spaces.zoo import MODELS, model


def test_the_examples_in_docstrings_hold():
    for module in (nas.cli.describe, nas.cli.show):
        tried = doctest.testmod(module)
        assert tried.attempted
        assert not tried.failed


def test_unlike_blocks_stand_one_after_the_other_and_equal_ones_are_counted():
    network = Network(
        input=(1, 16),
        stages=(
            Stage(blocks=(Conv(kernel=5), Pool(kind="average"), Pool(kind="average")), width=8),
            Stage(blocks=(DepthwiseSeparable(), Conv(groups=2)), width=16, stride=2),
        ),
        head=Regressor(outputs=3, width=32),
    )
    assert describe(network) == "Conv5, 2x AvgPool k3 w8 | Separable k3, Conv3 g2 w16 s2 | w32, 3 outputs"


def test_every_preset_and_published_network_has_one_line():
    rng = random.Random(0)
    members = [sample(preset(name, (3, 32, 32), classes=10), rng) for name in PRESETS]
    for network in [*members, *map(model, MODELS)]:
        text = describe(network)
        assert text.count(" | ") == len(network.stages) + (network.stem is not None)
        assert "\n" not in text
        assert "Choice" not in text


def test_networks_that_differ_in_what_is_shown_read_differently():
    def of(width: int) -> Network:
        return Network(
            input=(1, 8, 8), stages=(Stage(blocks=(Conv(),), width=width),), head=Classifier(classes=2)
        )

    assert describe(of(8)) != describe(of(16))
