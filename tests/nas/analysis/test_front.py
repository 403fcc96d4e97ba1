"""Laws of dominance, fronts, ranks and crowding, held against their definitions and against pymoo."""

import subprocess
import sys
from math import inf, isinf, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from nas.analysis.front import (
    Objective,
    Point,
    costs,
    crowding_distance,
    dominates,
    finite,
    front,
    nondominated_sort,
)
from search_spaces.errors import BadInput

ACCURACY_MACS = (Objective.parse("accuracy:max"), Objective.parse("macs:min"))


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[Point], tuple[Objective, ...]]:
    """Points on a coarse grid, so that ties and duplicates are common; some lack a value."""
    count = draw(st.integers(1, 4))
    objectives = tuple(
        Objective(metric=f"m{i}", direction=draw(st.sampled_from(("min", "max")))) for i in range(count)
    )
    value = st.integers(-4, 4) | st.floats(-4, 4) | st.sampled_from((None, nan, inf, -inf, "text", True))
    point = st.fixed_dictionaries({}, optional={objective.metric: value for objective in objectives})
    return draw(st.lists(point, max_size=30)), objectives


@given(problems())
def test_the_front_is_exactly_the_usable_points_that_none_dominates(problem):
    points, objectives = problem
    expected = tuple(
        i
        for i, point in enumerate(points)
        if costs(point, objectives) is not None
        and not any(dominates(other, point, objectives) for other in points)
    )
    assert front(points, objectives) == expected


@given(problems())
def test_every_usable_point_off_the_front_is_dominated_by_one_on_it(problem):
    points, objectives = problem
    best = front(points, objectives)
    for i, point in enumerate(points):
        if i not in best and costs(point, objectives) is not None:
            assert any(dominates(points[j], point, objectives) for j in best)


@given(problems())
def test_ranks_are_the_front_then_the_front_of_the_rest(problem):
    points, objectives = problem
    left = list(range(len(points)))
    for rank in nondominated_sort(points, objectives):
        best = front([points[i] for i in left], objectives)
        assert rank == tuple(left[i] for i in best)
        left = [i for i in left if i not in rank]
    assert all(costs(points[i], objectives) is None for i in left)


@given(st.integers(2, 4), st.integers(0, 40), st.randoms(use_true_random=False))
def test_ranks_equal_those_of_pymoo(count, size, rng):
    objectives = [Objective(metric=f"m{i}", direction="min") for i in range(count)]
    rows = [[rng.randint(0, 6) for _ in objectives] for _ in range(size)]
    points = [{f"m{i}": value for i, value in enumerate(row)} for row in rows]
    expected = NonDominatedSorting().do(np.array(rows, dtype=float)) if rows else []
    assert nondominated_sort(points, objectives) == tuple(tuple(sorted(map(int, rank))) for rank in expected)


def test_equal_points_stay_on_the_front_together():
    points = [{"accuracy": 0.9, "macs": 5}, {"accuracy": 0.8, "macs": 9}, {"accuracy": 0.9, "macs": 5.0}]
    assert front(points, ACCURACY_MACS) == (0, 2)


@pytest.mark.parametrize("bad", [None, nan, inf, -inf, "0.99", True, 10**400])
def test_a_value_that_is_no_finite_number_is_never_on_the_front(bad):
    points = [{"accuracy": bad, "macs": 1}, {"accuracy": 0.5, "macs": 2}, {"macs": 1}]
    assert front(points, ACCURACY_MACS) == (1,)
    assert nondominated_sort(points, ACCURACY_MACS) == ((1,),)
    assert crowding_distance(points, ACCURACY_MACS) == (0.0, inf, 0.0)
    assert not dominates(points[0], points[1], ACCURACY_MACS)
    assert not dominates(points[1], points[0], ACCURACY_MACS)


def test_numbers_of_numpy_count_as_numbers():
    assert finite({"macs": np.int64(7)}, "macs") == 7
    assert finite({"macs": np.float32(0.5)}, "macs") == 0.5
    assert finite({"macs": np.bool_(True)}, "macs") is None


def test_negative_zero_equals_zero():
    points = [{"accuracy": 0.0, "macs": -0.0}, {"accuracy": -0.0, "macs": 0}]
    assert front(points, ACCURACY_MACS) == (0, 1)


def test_nothing_has_an_empty_front():
    assert front([], ACCURACY_MACS) == ()
    assert nondominated_sort([], ACCURACY_MACS) == ()
    assert crowding_distance([], ACCURACY_MACS) == ()


@pytest.mark.parametrize("function", [front, nondominated_sort])
def test_no_objectives_are_refused(function):
    with pytest.raises(BadInput, match="expected at least one"):
        function([], [])


def test_crowding_is_the_perimeter_of_the_neighbours_box_in_ranges():
    points = [{"accuracy": a, "macs": m} for a, m in ((0.0, 0), (0.2, 1), (0.6, 4), (1.0, 8))]
    assert crowding_distance(points, ACCURACY_MACS) == pytest.approx((inf, 0.6 + 0.5, 0.8 + 0.875, inf))


@given(problems())
def test_crowding_is_never_negative_nor_nan_and_the_ends_are_infinite(problem):
    points, objectives = problem
    room = crowding_distance(points, objectives)
    assert all(value >= 0 for value in room)
    assert any(map(isinf, room)) == any(costs(point, objectives) is not None for point in points)


def test_crowding_survives_the_largest_numbers():
    points = [{"accuracy": a, "macs": 0} for a in (-1.7e308, 0.0, 1.7e308)]
    assert crowding_distance(points, ACCURACY_MACS) == pytest.approx((inf, 1.0, inf))


@given(st.text(min_size=1).map(str.strip).filter(bool), st.sampled_from(("min", "max")))
def test_an_objective_reads_back_what_it_writes(metric, direction):
    objective = Objective(metric=metric, direction=direction)
    assert Objective.parse(str(objective)) == objective


@pytest.mark.parametrize("text", ["", "macs", ":min", "macs:", "macs:down", "macs min"])
def test_an_objective_that_says_no_direction_is_refused(text):
    with pytest.raises(BadInput, match="expected metric:min or metric:max"):
        Objective.parse(text)


def test_fronts_and_hypervolumes_need_no_numpy():
    script = (
        "import sys; seen = set(sys.modules);"
        "import nas.analysis.hypervolume, nas.analysis.front, nas.analysis.series, nas.analysis.clouds;"
        "print(sorted({m.split('.')[0] for m in set(sys.modules) - seen} "
        "& {'numpy', 'pandas', 'torch', 'matplotlib'}))"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "[]\n"
