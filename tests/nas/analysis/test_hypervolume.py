"""Hypervolumes, exact on small grids, against pymoo, and by their laws."""

from math import inf, isfinite, log, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymoo.indicators.hv import HV

from nas.analysis.front import Objective
from nas.analysis.hypervolume import (
    Box,
    common_box,
    common_reference,
    hypervolume,
    normalised_hypervolume,
)
from search_spaces.errors import BadInput

ACCURACY_MACS = (Objective.parse("accuracy:max"), Objective.parse("macs:min"))


def minimised(count):
    return tuple(Objective(metric=f"m{i}", direction="min") for i in range(count))


def named(rows):
    return [{f"m{i}": value for i, value in enumerate(row)} for row in rows]


GRID = st.integers(0, 12)


def rows(count, *, values=GRID, most=15):
    return st.lists(st.tuples(*[values] * count), max_size=most)


def pymoo_volume(given_rows, reference):
    """pymoo's HV refuses an empty set."""
    return float(HV(ref_point=np.array(reference, dtype=float))(np.array(given_rows, dtype=float)))


@given(st.data(), st.integers(1, 5))
def test_it_equals_pymoo_on_a_grid_to_the_last_digit(data, count):
    points = data.draw(rows(count).filter(bool))
    reference = (10.0,) * count
    assert hypervolume(named(points), minimised(count), reference=reference) == pymoo_volume(
        points, reference
    )


@given(st.data(), st.integers(2, 4))
def test_it_equals_pymoo_on_real_numbers(data, count):
    points = data.draw(rows(count, values=st.floats(-1, 1.2), most=25).filter(bool))
    reference = (1.0,) * count
    ours = hypervolume(named(points), minimised(count), reference=reference)
    assert ours == pytest.approx(pymoo_volume(points, reference), rel=1e-9, abs=1e-12)


@given(rows(3, values=st.integers(0, 4)))
def test_it_counts_the_unit_cubes_that_some_point_covers(points):
    cubes = {(x, y, z) for a, b, c in points for x in range(a, 4) for y in range(b, 4) for z in range(c, 4)}
    assert hypervolume(named(points), minimised(3), reference=(4, 4, 4)) == len(cubes)


@given(st.integers(1, 4).flatmap(lambda count: st.tuples(rows(count), rows(count), st.just(count))))
def test_more_points_never_dominate_less(case):
    some, more, count = case
    reference = (9.0,) * count
    few = hypervolume(named(some), minimised(count), reference=reference)
    assert hypervolume(named(some + more), minimised(count), reference=reference) >= few


@given(rows(2).filter(bool))
def test_turning_a_metric_round_changes_nothing(points):
    flipped = [{"accuracy": -a, "macs": b} for a, b in points]
    straight = hypervolume(named(points), minimised(2), reference=(10, 10))
    assert hypervolume(flipped, ACCURACY_MACS, reference=(-10, 10)) == straight


def test_a_staircase_that_an_eye_can_check():
    points = [{"accuracy": 0.5, "macs": 10}, {"accuracy": 0.75, "macs": 30}]
    # 0.5 high from 10 to 40, and 0.25 more from 30 to 40
    assert hypervolume(points, ACCURACY_MACS, reference=(0.0, 40)) == 0.5 * 30 + 0.25 * 10


def test_points_that_do_not_beat_the_reference_add_nothing():
    points = [{"accuracy": 0.9, "macs": 40}, {"accuracy": 0.0, "macs": 1}, {"accuracy": nan, "macs": 1}, {}]
    assert hypervolume(points, ACCURACY_MACS, reference=(0.0, 40)) == 0


@pytest.mark.parametrize("reference", [(), (1.0,), (1.0, 2.0, 3.0), (nan, 1.0), (1.0, inf)])
def test_a_reference_that_does_not_fit_is_refused(reference):
    with pytest.raises(BadInput, match="reference"):
        hypervolume([], ACCURACY_MACS, reference=reference)


def test_the_common_reference_is_a_tenth_of_the_range_beyond_the_worst_of_all_runs():
    first = [{"accuracy": 0.9, "macs": 100}, {"accuracy": nan, "macs": 10**9}]
    second = [{"accuracy": 0.5, "macs": 200}]
    assert common_reference([first, second], ACCURACY_MACS) == pytest.approx((0.46, 210))
    assert common_box([first, second], ACCURACY_MACS).ideal == (0.9, 100)


@pytest.mark.parametrize(("value", "expected"), [(50, 55), (-50, -45), (0, 1)])
def test_a_range_of_zero_still_leaves_room(value, expected):
    assert common_reference([[{"m0": value}, {"m0": value}]], minimised(1)) == pytest.approx((expected,))


def test_no_usable_point_is_refused():
    with pytest.raises(BadInput, match="got none with finite accuracy, macs"):
        common_reference([[{"accuracy": 0.5}], []], ACCURACY_MACS)


@given(st.data(), st.integers(1, 3))
def test_the_share_lies_between_zero_and_one_and_every_set_has_some(data, count):
    numbers = st.floats(allow_nan=False, allow_infinity=False, max_value=1e300, min_value=-1e300)
    sets = [named(data.draw(rows(count, values=numbers).filter(bool))) for _ in range(2)]
    box = common_box(sets, minimised(count))
    assert all(map(isfinite, box.ideal + box.reference))
    for points in sets:
        assert 0 <= normalised_hypervolume(points, minimised(count), box=box) <= 1


@given(rows(2).filter(bool))
def test_the_share_is_the_volume_over_that_of_the_box(points):
    objectives = minimised(2)
    box = common_box([named(points)], objectives)
    whole = (box.reference[0] - box.ideal[0]) * (box.reference[1] - box.ideal[1])
    volume = hypervolume(named(points), objectives, reference=box.reference)
    assert normalised_hypervolume(named(points), objectives, box=box) == pytest.approx(volume / whole)


@given(rows(2).filter(bool), st.sampled_from((0.001, 7, 1e6)))
def test_the_share_does_not_depend_on_units(points, unit):
    objectives = minimised(2)
    scaled = named([(a * unit, b) for a, b in points])
    plain = named(points)
    expected = normalised_hypervolume(plain, objectives, box=common_box([plain], objectives))
    ours = normalised_hypervolume(scaled, objectives, box=common_box([scaled], objectives))
    if len({a for a, _ in points}) > 1 or points[0][0]:  # only a lone zero has a margin in units
        assert ours == pytest.approx(expected)


def test_a_lone_point_has_the_whole_box():
    points = [{"accuracy": 0.9, "macs": 100}]
    assert normalised_hypervolume(points, ACCURACY_MACS, box=common_box([points], ACCURACY_MACS)) == 1


def test_a_logarithmic_metric_weighs_each_doubling_alike():
    box = Box(ideal=(1.0, 1.0), reference=(0.0, 16.0))
    for macs, share in ((1, 1.0), (2, 0.75), (4, 0.5), (8, 0.25), (16, 0.0), (0, 1.0)):
        ours = normalised_hypervolume(
            [{"accuracy": 1.0, "macs": macs}], ACCURACY_MACS, box=box, logarithmic={"macs"}
        )
        assert ours == pytest.approx(share)


def test_a_maximised_metric_may_be_logarithmic_too():
    objectives = (Objective.parse("images_per_second:max"),)
    box = Box(ideal=(100.0,), reference=(10.0,))
    ours = normalised_hypervolume(
        [{"images_per_second": 50}, {"images_per_second": -1}],
        objectives,
        box=box,
        logarithmic={"images_per_second"},
    )
    assert ours == pytest.approx(log(5) / log(10))


def test_a_logarithm_of_zero_is_refused():
    with pytest.raises(BadInput, match="macs reaches 0, expected above zero"):
        normalised_hypervolume(
            [], ACCURACY_MACS, box=Box(ideal=(1.0, 0.0), reference=(0.0, 2.0)), logarithmic={"macs"}
        )


def test_a_box_turned_inside_out_is_refused():
    with pytest.raises(BadInput, match="no better than its reference"):
        normalised_hypervolume([], ACCURACY_MACS, box=Box(ideal=(0.1, 1.0), reference=(0.5, 2.0)))
