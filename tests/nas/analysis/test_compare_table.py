"""The two tables of a comparison, by eye on a small case and by law."""

from math import nan

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.analysis.front import Objective, dominates
from nas.analysis.hypervolume import common_box, hypervolume
from nas.analysis.series import Limit, Series, bound_text, keeps
from nas.analysis.table import comparison_table, write_csv
from search_spaces.errors import BadInput

OBJECTIVES = (Objective.parse("validation_accuracy:max"), Objective.parse("macs:min"))


def point(accuracy, macs, **more):
    return {"validation_accuracy": accuracy, "macs": macs, **more}


EVOLUTION = Series(
    name="evolution",
    points=(point(0.90, 20), point(0.80, 10), point(0.70, 15, latency_ms=3.0), point(nan, 5)),
    keys=("aa", "bb", "cc", "dd"),
)
PUBLISHED = Series(name="published", points=(point(0.92, 18),), kind="baseline")


def test_each_point_has_a_row_with_its_place_on_its_own_and_the_joint_front():
    points = comparison_table([EVOLUTION, PUBLISHED], OBJECTIVES).points
    assert list(points.columns) == [
        "run",
        "kind",
        "key",
        "validation_accuracy",
        "macs",
        "latency_ms",
        "feasible",
        "on_front",
        "on_joint_front",
    ]
    assert list(points["run"]) == ["evolution"] * 4 + ["published"]
    assert list(points["key"]) == ["aa", "bb", "cc", "dd", ""]
    assert list(points["on_front"]) == [True, True, False, False, True]
    assert list(points["on_joint_front"]) == [False, True, False, False, True]
    assert points["validation_accuracy"].isna().tolist() == [False, False, False, True, False]


def test_each_series_has_a_summary_with_the_shared_reference():
    summary = comparison_table([EVOLUTION, PUBLISHED], OBJECTIVES).summary.set_index("run")
    assert list(summary.columns) == [
        "kind",
        "trials",
        "feasible",
        "front_size",
        "joint_front_size",
        "best_validation_accuracy",
        "best_macs",
        "hypervolume",
        "hypervolume_share",
        "ideal_validation_accuracy",
        "ideal_macs",
        "reference_validation_accuracy",
        "reference_macs",
    ]
    assert summary.loc["evolution", ["trials", "front_size", "joint_front_size"]].tolist() == [4, 2, 1]
    assert summary.loc["evolution", ["best_validation_accuracy", "best_macs"]].tolist() == [0.9, 5]
    assert summary["reference_macs"].tolist() == [21, 21]
    box = common_box([EVOLUTION.points, PUBLISHED.points], OBJECTIVES)
    expected = hypervolume(EVOLUTION.points, OBJECTIVES, reference=box.reference)
    assert summary.loc["evolution", "hypervolume"] == expected


def test_a_point_that_breaks_a_limit_is_on_no_front():
    limits = [Limit(metric="macs", at_most=15)]
    table = comparison_table([EVOLUTION, PUBLISHED], OBJECTIVES, limits=limits)
    assert list(table.points["feasible"]) == [False, True, True, True, False]
    assert list(table.points["on_front"]) == [False, True, False, False, False]
    assert table.summary["hypervolume"].tolist()[1] == 0
    assert table.summary["best_validation_accuracy"].isna().tolist() == [False, True]


def test_a_point_without_the_limited_metric_is_not_known_to_keep_the_limit():
    limits = [Limit(metric="latency_ms", at_most=5)]
    assert [keeps(one, limits) for one in EVOLUTION.points] == [False, False, True, False]


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=8), min_size=1, max_size=3)
)
def test_the_joint_front_is_what_no_point_of_any_run_dominates(runs):
    series = [
        Series(name=f"run-{i}", points=tuple(point(*pair) for pair in pairs)) for i, pairs in enumerate(runs)
    ]
    everything = [one for each in series for one in each.points]
    if not everything:
        return
    table = comparison_table(series, OBJECTIVES)
    expected = [not any(dominates(other, one, OBJECTIVES) for other in everything) for one in everything]
    assert list(table.points["on_joint_front"]) == expected
    assert table.summary["joint_front_size"].sum() == sum(expected)
    assert (table.points["on_front"] | ~table.points["on_joint_front"]).all()


def test_a_csv_reads_back_equal_and_is_the_same_each_time(tmp_path):
    table = comparison_table([EVOLUTION, PUBLISHED], OBJECTIVES)
    path = write_csv(table.points, tmp_path / "points.csv")
    first = path.read_bytes()
    back = pd.read_csv(path, keep_default_na=False, na_values={"validation_accuracy": "", "latency_ms": ""})
    pd.testing.assert_frame_equal(back, table.points, check_dtype=False)
    assert write_csv(table.points, path).read_bytes() == first
    assert b"\r" not in first


def test_a_misspelt_metric_is_refused_with_the_nearest_names():
    with pytest.raises(BadInput, match=r"got 'validation_acuracy', .*did you mean 'validation_accuracy'"):
        comparison_table([EVOLUTION], [Objective.parse("validation_acuracy:max")])


def test_a_metric_that_is_never_finite_is_refused():
    series = Series(name="diverged", points=(point(nan, 1), point(None, 2)))
    with pytest.raises(BadInput, match="none of 2 points has a finite validation_accuracy"):
        comparison_table([series], OBJECTIVES)


@pytest.mark.parametrize("series", [[], [Series(name="fresh", points=())]])
def test_nothing_to_compare_is_refused(series):
    with pytest.raises(BadInput, match=r"got no points in .*expected a finished trial"):
        comparison_table(series, OBJECTIVES)


def test_two_series_of_one_name_are_refused():
    with pytest.raises(BadInput, match="got the name 'evolution' twice"):
        comparison_table([EVOLUTION, EVOLUTION], OBJECTIVES)


def test_a_metric_named_like_a_column_is_refused():
    series = Series(name="odd", points=(point(0.5, 1, feasible=1.0),))
    with pytest.raises(BadInput, match="'feasible', which is a column"):
        comparison_table([series], OBJECTIVES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": " ", "points": ()}, "expected some text"),
        ({"name": "a", "points": (), "keys": ("aa",)}, "got 1 keys for 0 points"),
        ({"name": "a", "points": (), "kind": "zoo"}, "got kind 'zoo'"),
    ],
)
def test_a_series_that_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(BadInput, match=message):
        Series(**arguments)


@pytest.mark.parametrize("bounds", [{}, {"at_most": nan}, {"at_least": 2, "at_most": 1}])
def test_a_limit_that_makes_no_sense_is_refused(bounds):
    with pytest.raises(BadInput, match="expected one finite bound or two in ascending order"):
        Limit(metric="macs", **bounds)


def test_the_bounds_of_a_limit_are_drawn_in_words():
    limits = (Limit(metric="macs", at_least=4e6, at_most=2.5e7), Limit(metric="test_accuracy", at_least=0.9))
    words = [bound_text(limit.metric, sign, bound) for limit in limits for sign, bound in limit.bounds]
    assert words == ["MACs ≥ 4M", "MACs ≤ 25M", "test accuracy ≥ 90 %"]
