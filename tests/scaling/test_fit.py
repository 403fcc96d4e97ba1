"""The grid that compound scaling is fitted on: near the wanted growth, each network once, and an honest verdict."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scaling.compound import Scaling, scale
from scaling.cost import cost
from scaling.fit import EXPECTED, Grid, best_of, grid_of
from scaling.ranges import Range
from scaling.rounding import Rounding
from scaling.rules import Compound, Dimension
from search_spaces import (
    BadInput,
    BadSpec,
    Classifier,
    Conv,
    DenseClassifier,
    Network,
    Stage,
    Unbuildable,
    key,
    sample,
)
from search_spaces.presets import PRESETS
from search_spaces.zoo import model

FINE = Scaling(rounding=Rounding(divisor=1))
SHAPES = ((3, 16, 16), (2, 33), (1, 9, 8, 7))


def base(*spatial: int, head: str = "classifier") -> Network:
    """Return a base whose stages are deep and wide enough to be rounded finely."""
    return Network(
        input=(3, *spatial),
        stem=Stage(blocks=(Conv(),), width=40),
        stages=(Stage(blocks=(Conv(),) * 10, width=40), Stage(blocks=(Conv(),) * 10, width=80, stride=2)),
        head=Classifier(classes=10) if head == "classifier" else DenseClassifier(classes=10),
    )


@settings(max_examples=15)
@given(
    st.sampled_from(sorted(PRESETS)), st.sampled_from(SHAPES), st.integers(0, 10**6),
    st.sampled_from([1.5, 2.0, 3.0]), st.sampled_from([0.05, 0.1, 0.2]),
)  # fmt: skip
def test_every_point_is_near_the_growth_is_there_once_and_is_what_its_rules_come_to(
    name: str, shape: tuple[int, ...], seed: int, growth: float, tolerance: float
) -> None:
    own = sample(PRESETS[name](shape, 10), random.Random(seed))
    grid, axes = Grid(step=0.2, growth=growth, tolerance=tolerance), len(shape) - 1
    try:
        points = grid_of(own, grid).points
    except (BadInput, Unbuildable):
        assume(False)
    keys = [key(point.network) for point in points]
    assert len(set(keys)) == len(keys)
    assert key(own) not in keys
    for point in points:
        assert abs(point.growth / growth - 1) <= tolerance + 1e-9
        assert abs(cost(point.network).macs / cost(own).macs / growth - 1) <= grid.drift
        misses = [abs(rule.alpha * rule.beta**2 * rule.gamma**axes / growth - 1) for rule in point.rules]
        assert misses == sorted(misses)
        assert point.growth == pytest.approx(point.rules[0].factors(1, axes).cost(axes))
        for rule in point.rules:
            assert key(scale(own, 1, scaling=Scaling(rule=rule)).network) == key(point.network)


def coefficients(own: Network, **changes: object) -> set[tuple[float, float, float]]:
    found = grid_of(own, Grid(**changes), scaling=FINE)  # type: ignore[arg-type]
    return {(rule.alpha, rule.beta, rule.gamma) for point in found.points for rule in point.rules}


def test_the_papers_coefficients_are_on_a_grid_of_its_steps() -> None:
    found = grid_of(model("efficientnet_b0"), Grid(step=0.05, tolerance=0.05), scaling=Scaling())
    rules = [rule for point in found.points for rule in point.rules]
    assert Compound(alpha=1.2, beta=1.1, gamma=1.15) in rules


def test_a_coarse_grid_of_images_is_this_one() -> None:
    assert coefficients(base(16, 16), step=0.2, tolerance=0.03) == {
        (1.0, 1.0, 1.4), (1.0, 1.4, 1.0), (1.4, 1.0, 1.2), (1.4, 1.2, 1.0), (2.0, 1.0, 1.0),
    }  # fmt: skip


@pytest.mark.parametrize(("spatial", "gamma"), [((64,), 2.0), ((16, 16), 1.4), ((16, 16, 16), 1.3)])
def test_gamma_counts_once_an_axis(spatial: tuple[int, ...], gamma: float) -> None:
    found = coefficients(base(*spatial), step=0.1, tolerance=0.1)
    largest = max(c for a, b, c in found if a == b == 1.0)
    assert largest == gamma


@pytest.mark.parametrize("fix", ["depth", "width", "resolution"])
def test_what_is_fixed_stays(fix: Dimension) -> None:
    points = grid_of(base(16, 16), scaling=Scaling(rounding=Rounding(divisor=1), fix=(fix,))).points
    place = ("depth", "width", "resolution").index(fix)
    assert len(points) > 1
    assert {(r.alpha, r.beta, r.gamma)[place] for p in points for r in p.rules} == {1.0}


def test_a_base_whose_resolution_cannot_change_fixes_gamma_and_says_so() -> None:
    found = grid_of(base(16, 16, head="dense"), scaling=FINE)
    assert {rule.gamma for point in found.points for rule in point.rules} == {1.0}
    assert any("gamma is fixed at 1" in note and "DenseClassifier" in note for note in found.notes)


def test_a_growth_far_from_2_is_allowed_and_stated() -> None:
    assert any("3" in note and "far from 2" in note for note in grid_of(base(16, 16), Grid(growth=3.0)).notes)
    assert not any("far from 2" in note for note in grid_of(base(16, 16)).notes)


def test_points_whose_rounded_macs_are_far_off_are_left_out_and_counted() -> None:
    narrow = Network(
        input=(3, 16, 16), stages=(Stage(blocks=(Conv(),) * 2, width=8),), head=Classifier(classes=10)
    )
    notes = " ".join(grid_of(narrow).notes)
    assert "MACs, rounded, miss 2 times the base's by more than 35 %" in notes
    assert "round to the base itself" in notes or "left out" in notes


def test_an_empty_grid_says_how_near_it_came_and_what_to_do() -> None:
    with pytest.raises(BadInput, match=r"got no coefficients in steps of 1 up to 2 .*; raise the tolerance"):
        grid_of(base(16, 16), Grid(step=1.0, growth=3.0, tolerance=0.01))


def test_a_grid_that_makes_no_sense_is_refused_by_field() -> None:
    with pytest.raises(BadSpec, match="step"):
        Grid(step=0.0)
    with pytest.raises(BadSpec, match="growth"):
        Grid(growth=1.0)


@dataclass
class Device:
    """A device on which depth costs double: width and resolution are nearly free."""

    metrics: tuple[str, ...] = ("latency_ms",)
    quick: bool = False
    asked: list[str] = field(default_factory=list)

    def of(self, network: Network) -> Mapping[str, float]:
        self.asked.append(key(network))
        depth = sum(len(stage.blocks) for stage in network.stages)  # type: ignore[arg-type, union-attr]
        return {"latency_ms": depth + 0.001 * cost(network).macs ** 0.5}

    def reach(self, space: Network, metric: str) -> Range | None:
        return None


def test_what_doubles_may_be_measured_and_each_network_is_measured_once() -> None:
    own, device = base(16, 16), Device()
    points = grid_of(own, doubles="latency_ms", providers=(device,), scaling=FINE).points
    assert len(device.asked) == len(set(device.asked))
    ms = device.of(own)["latency_ms"]
    assert points
    for point in points:
        assert point.growth == pytest.approx(device.of(point.network)["latency_ms"] / ms)
        assert abs(point.growth / 2 - 1) <= 0.05
        assert point.rules[0].alpha >= 1.7  # on this device only depth doubles it
    costs = [cost(point.network).macs / cost(own).macs for point in points]
    assert max(costs) > 2.5  # what the formula would have left out


def test_a_metric_that_nobody_knows_is_refused() -> None:
    with pytest.raises(BadInput, match="--doubles: got 'latency', expected one of"):
        grid_of(base(16, 16), doubles="latency")
    assert EXPECTED == "expected"


def test_the_highest_mean_is_best_and_its_lead_is_held_against_the_noise() -> None:
    clear = best_of([[0.80, 0.82], [0.90, 0.92], [0.70, 0.72]], costs=[1, 1, 1])
    assert (clear.best, clear.tied) == (1, ())
    assert clear.lead == pytest.approx(0.1)
    assert clear.noise == pytest.approx(2 * 0.02 / 2**0.5)  # sd of each is 0.0141; 2 sd sqrt(1/2 + 1/2)
    noisy = best_of([[0.80, 0.90], [0.82, 0.90], [0.10, 0.12]], costs=[1, 1, 1])
    assert (noisy.best, noisy.tied) == (1, (0,))


def test_equal_means_go_to_the_cheaper_one() -> None:
    assert best_of([[0.5], [0.5]], costs=[2.0, 1.0]).best == 1


def test_without_repetitions_there_is_no_noise_to_tell_by() -> None:
    found = best_of([[0.5], [0.9]], costs=[1, 1])
    assert (found.best, found.tied, found.noise) == (1, (), None)
    assert best_of([[0.5]], costs=[1]).lead is None


@given(st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=4), min_size=1, max_size=6))
def test_the_best_has_the_highest_mean_whatever_the_scores(scores: list[list[float]]) -> None:
    found = best_of(scores, costs=[1.0] * len(scores))
    means = [sum(own) / len(own) for own in scores]
    assert means[found.best] == pytest.approx(max(means))
    assert found.best not in found.tied
