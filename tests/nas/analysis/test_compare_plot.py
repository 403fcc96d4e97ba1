"""Pictures, looked at through their artists; laws of staircases and texts."""

import random
from math import nan
from pathlib import Path

import matplotlib as mpl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.text import Text

from nas.analysis import canvas
from nas.analysis.clouds import cloud, named, staircase, tag
from nas.analysis.front import Objective
from nas.analysis.hypervolume import common_box
from nas.analysis.metrics import bare, engineering, shown
from nas.analysis.plot import (
    History,
    best_so_far,
    fronts_figure,
    history_figure,
    plot_fronts,
    plot_history,
)
from nas.analysis.series import Limit, Series
from search_spaces.errors import BadInput

X = Objective.parse("macs:min")
Y = Objective.parse("validation_accuracy:max")


def point(macs, accuracy):
    return {"macs": macs, "validation_accuracy": accuracy}


def small(name="small", **more):
    """Three on the front, then one that is beaten."""
    points = (point(10e6, 0.80), point(20e6, 0.90), point(40e6, 0.92), point(30e6, 0.85))
    return Series(name=name, points=points, keys=tuple(f"{i}" * 12 for i in "abcd"), **more)


def scattered(name, *, count=60, seed=0):
    rng = random.Random(seed)
    points = [point(int(10 ** rng.uniform(6, 8)), rng.uniform(0.6, 0.95)) for _ in range(count)]
    return Series(name=name, points=tuple(points), keys=tuple(f"{rng.getrandbits(64):016x}" for _ in points))


def parts(figure: Figure, kind: str):
    """The corners of each line whose gid begins so, by the rest of the gid."""
    lines = figure.axes[0].get_lines()
    found = {line.get_gid(): line for line in lines if str(line.get_gid()).startswith(f"{kind}:")}
    return {
        gid.split(":", 1)[1]: list(zip(line.get_xdata(), line.get_ydata(), strict=True))
        for gid, line in found.items()
    }


def legend_texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def tick_texts(figure: Figure) -> list[str]:
    figure.draw_without_rendering()
    return [text.get_text() for text in figure.axes[0].get_xticklabels()]


def test_the_front_is_joined_by_stairs_and_the_rest_is_faded():
    figure = fronts_figure([small()], x=X, y=Y)
    front = [(10e6, 0.80), (20e6, 0.90), (40e6, 0.92)]
    assert parts(figure, "front") == {"small": front}
    assert parts(figure, "beaten") == {"small": [(30e6, 0.85)]}
    corners = [front[0], (20e6, 0.80), front[1], (40e6, 0.90), front[2]]
    assert parts(figure, "staircase") == {"small": corners}
    [beaten] = [line for line in figure.axes[0].get_lines() if line.get_gid() == "beaten:small"]
    assert beaten.get_alpha() == 0.25
    assert beaten.get_markeredgewidth() == 0


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=20),
    st.sampled_from(("min", "max")),
    st.sampled_from(("min", "max")),
)
def test_no_corner_of_a_staircase_claims_what_no_point_attains(pairs, across, up):
    x, y = Objective(metric="a", direction=across), Objective(metric="b", direction=up)
    series = Series(name="s", points=tuple({"a": a, "b": b} for a, b in pairs))
    seen = cloud(series, x=x, y=y, limits=(), box=common_box([series.points], (x, y)))
    for corner in staircase(seen.front, x=x):
        assert any(
            (a <= corner[0] if across == "min" else a >= corner[0])
            and (b <= corner[1] if up == "min" else b >= corner[1])
            for a, b in pairs
        )
    assert set(seen.front) <= set(staircase(seen.front, x=x))


def test_a_limit_is_a_named_line_and_what_breaks_it_is_crossed_and_hatched():
    limits = [Limit(metric="macs", at_most=25e6), Limit(metric="validation_accuracy", at_least=0.85)]
    figure = fronts_figure([small()], x=X, y=Y, limits=limits)
    assert parts(figure, "front") == {"small": [(20e6, 0.90)]}
    assert set(parts(figure, "broken")["small"]) == {(10e6, 0.80), (40e6, 0.92), (30e6, 0.85)}
    assert set(parts(figure, "limit")) == {"MACs ≤ 25M", "validation accuracy ≥ 85 %"}
    hatched = [patch for patch in figure.axes[0].patches if patch.get_gid() == "cut off"]
    assert [patch.get_hatch() for patch in hatched] == ["////", "////"]
    assert hatched[0].get_x() == 25e6
    assert hatched[1].get_y() + hatched[1].get_height() == 0.85
    assert "breaks a limit" in legend_texts(figure)


def test_a_limit_far_outside_is_written_in_the_legend_and_squeezes_nothing():
    figure = fronts_figure([small()], x=X, y=Y, limits=[Limit(metric="macs", at_most=6e11)])
    assert figure.axes[0].get_xlim()[1] < 50e6
    assert parts(figure, "limit") == {}
    assert "MACs ≤ 600G\n(beyond the axis)" in legend_texts(figure)


def test_a_limit_on_another_metric_still_decides_who_is_on_the_front():
    series = Series(name="timed", points=tuple({**p, "latency_ms": i} for i, p in enumerate(small().points)))
    figure = fronts_figure([series], x=X, y=Y, limits=[Limit(metric="latency_ms", at_most=0.5)])
    assert parts(figure, "front") == {"timed": [(10e6, 0.80)]}
    assert "latency ≤ 0.5 ms\n(on neither axis)" in legend_texts(figure)


def test_when_nothing_is_feasible_there_is_no_front_and_the_legend_says_so():
    figure = fronts_figure([small()], x=X, y=Y, limits=[Limit(metric="macs", at_most=5e6)])
    assert parts(figure, "front") == {"small": []}
    assert "small\nnone of 4 keeps the limits" in legend_texts(figure)


def test_a_few_failures_do_not_squeeze_the_front_and_are_counted():
    failed = tuple(point(20e6, 0.1) for _ in range(2))
    points = tuple(point(i * 1e6, 0.8 + i / 1000) for i in range(10, 30))
    figure = fronts_figure([Series(name="run", points=points + failed)], x=X, y=Y)
    assert figure.axes[0].get_ylim()[0] > 0.7
    assert "2 worse, beyond the axes" in legend_texts(figure)


def test_every_point_of_every_front_lies_within_the_axes():
    series = [scattered("a", seed=1), scattered("b", seed=2), small("c")]
    figure = fronts_figure(series, x=X, y=Y)
    (left, right), (bottom, top) = figure.axes[0].get_xlim(), figure.axes[0].get_ylim()
    for front in parts(figure, "front").values():
        assert all(left < x < right and bottom < y < top for x, y in front)


def test_the_legend_has_the_hypervolume_and_the_foot_its_reference():
    figure = fronts_figure([small()], x=X, y=Y)
    assert legend_texts(figure)[0].startswith("small\nHV 0.")
    assert "front 3 of 4" in legend_texts(figure)[0]
    assert "reference (MACs 43M, validation accuracy 78.8 %)" in figure.get_supxlabel()


def test_an_axis_is_logarithmic_when_values_span_more_than_five():
    narrow, wide = small(), Series(name="wide", points=(point(1e6, 0.5), point(6e6, 0.6)))
    assert fronts_figure([narrow], x=X, y=Y).axes[0].get_xscale() == "linear"
    assert fronts_figure([wide], x=X, y=Y).axes[0].get_xscale() == "log"
    assert fronts_figure([wide], x=X, y=Y).axes[0].get_yscale() == "linear"


@pytest.mark.parametrize("factor", [1.0, 1.0001, 1.5, 6, 30, 1e3, 1e12])
def test_ticks_are_several_and_differ(factor):
    series = Series(name="s", points=(point(3e6, 0.5), point(3e6 * factor, 0.6)))
    texts = tick_texts(fronts_figure([series], x=X, y=Y))
    assert len(texts) >= 3
    assert len(set(texts)) == len(texts)


def test_axes_are_named_in_words_with_units():
    axes = fronts_figure([small()], x=X, y=Y).axes[0]
    assert axes.get_xlabel() == "MACs (multiply-adds, conv + linear)"
    assert axes.get_ylabel() == "Validation accuracy (%)"


def test_an_unknown_metric_goes_by_its_own_name():
    series = Series(name="s", points=({"score": 1.0, "noise_db": 3.0},))
    figure = fronts_figure([series], x=Objective.parse("noise_db:min"), y=Objective.parse("score:max"))
    assert figure.axes[0].get_xlabel() == "noise_db"


def test_labels_are_beginnings_of_keys_and_cover_neither_each_other_nor_the_front():
    figure = fronts_figure([scattered("a", seed=1), scattered("b", seed=2)], x=X, y=Y)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    boxes = [Text.get_window_extent(text) for text in axes.texts]  # without the line to the point
    assert len(boxes) >= 4
    keys = {key[:6] for one in (scattered("a", seed=1), scattered("b", seed=2)) for key in one.keys}
    assert {text.get_text() for text in axes.texts} <= keys
    for i, box in enumerate(boxes):
        assert box.count_overlaps(boxes[:i] + boxes[i + 1 :]) == 0
    spots = [axes.transData.transform(spot) for front in parts(figure, "front").values() for spot in front]
    assert not any(box.contains(*spot) for box in boxes for spot in spots)


def test_series_differ_in_colour_and_marker_and_baselines_are_hollow():
    runs = [small(f"run-{i}") for i in range(56)]
    figure = fronts_figure([*runs, small("published", kind="baseline")], x=X, y=Y)
    fronts = {line.get_gid(): line for line in figure.axes[0].get_lines() if "front:" in str(line.get_gid())}
    looks = {(line.get_color(), line.get_marker()) for gid, line in fronts.items() if "run" in gid}
    assert len(looks) == 56
    assert fronts["front:published"].get_markerfacecolor() == "white"


def test_equal_points_are_one_spot_with_one_label():
    series = Series(name="same", points=(point(5e6, 0.9),) * 9, keys=tuple(f"{i}0" * 6 for i in range(1, 10)))
    figure = fronts_figure([series], x=X, y=Y)
    assert parts(figure, "front") == {"same": [(5e6, 0.9)] * 9}
    assert len(figure.axes[0].texts) == 1


def test_a_series_without_the_metrics_is_said_to_have_none():
    bare_one = Series(name="untimed", points=({"macs": 1e6},))
    assert "untimed\nno point has both metrics" in legend_texts(fronts_figure([small(), bare_one], x=X, y=Y))


@pytest.mark.parametrize("name", ["$x$ and $y$", "_hidden", "a\nb", "x" * 300, "a-" * 32, "<&>"])
@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_any_name_can_be_drawn(tmp_path, name, suffix):
    path = plot_fronts([small(name)], x=X, y=Y, path=tmp_path / f"a{suffix}", title=name)
    assert path.stat().st_size > 1000


@pytest.mark.parametrize("extreme", [1e308, -1e308, 1e99, 5e-324, 1e-120, 0.0, -3.0])
def test_no_finite_value_breaks_the_picture(tmp_path, extreme):
    series = Series(name="s", points=(*small().points, point(extreme, 0.95), point(2e7, extreme)))
    plot_fronts([series], x=X, y=Y, path=tmp_path / "a.png")


def test_five_hundred_points_take_a_few_seconds_at_most(tmp_path):
    path = plot_fronts([scattered("many", count=500)], x=X, y=Y, path=tmp_path / "a.png")
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_the_same_input_gives_the_same_bytes(tmp_path, suffix):
    limits = [Limit(metric="macs", at_most=25e6)]
    first, second = (
        plot_fronts([small()], x=X, y=Y, limits=limits, path=tmp_path / f"{i}.{suffix}").read_bytes()
        for i in range(2)
    )
    assert first == second
    assert b"atplotlib v" not in first.partition(b"<svg")[0]


def test_a_users_settings_are_neither_used_nor_changed(tmp_path):
    plain = plot_fronts([small()], x=X, y=Y, path=tmp_path / "a.png").read_bytes()
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "lines.linewidth": 9}):
        before = dict(mpl.rcParams)
        assert plot_fronts([small()], x=X, y=Y, path=tmp_path / "b.png").read_bytes() == plain
        assert dict(mpl.rcParams) == before


def test_an_unknown_suffix_is_refused_and_nothing_is_written(tmp_path: Path):
    with pytest.raises(BadInput, match=r"got suffix '\.gif', expected \.png, \.svg, \.pdf"):
        plot_fronts([small()], x=X, y=Y, path=tmp_path / "a.gif")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("series", "x", "message"),
    [
        ([], "macs:min", "got no points in no series"),
        ([Series(name="new", points=())], "macs:min", "got no points in new"),
        ([small()], "mac:min", "did you mean 'macs'"),
        ([small()], "latency_ms:min", "expected one of macs, validation_accuracy"),
        ([Series(name="s", points=(point(nan, 0.5),))], "macs:min", "has a finite macs"),
        ([Series(name="s", points=(point(1e200, 0.5),))], "macs:min", "past 1e100"),
        ([Series(name="s", points=({"macs": 1}, {"validation_accuracy": 1}))], "macs:min", "got none with"),
    ],
)
def test_what_cannot_be_drawn_is_refused(series, x, message):
    with pytest.raises(BadInput, match=message):
        fronts_figure(series, x=Objective.parse(x), y=Y)


def test_a_history_steps_at_the_very_trial_that_was_better():
    history = History(name="run", trials=((0, 0.5), (1, None), (2, 0.4), (3, 0.7), (4, nan), (5, 0.6)))
    figure = history_figure([history], objective=Y, title="Best so far")
    assert parts(figure, "trials") == {"run": [(0, 0.5), (2, 0.4), (3, 0.7), (5, 0.6)]}
    assert parts(figure, "best")["run"] == [
        (0, 0.5),
        (2, 0.5),
        (2, 0.5),
        (3, 0.5),
        (3, 0.7),
        (5, 0.7),
        (5, 0.7),
    ]
    assert legend_texts(figure)[0] == "run\nbest 70 %, trial 3 of 4"


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(-9, 9))), st.sampled_from((X, Y)))
def test_the_best_so_far_never_gets_worse_and_ends_at_the_best(trials, objective):
    values = [value for _, value in best_so_far(trials, objective)]
    better_last = sorted(values, reverse=objective.direction == "min")
    assert values == better_last
    if trials:
        choose = max if objective.direction == "max" else min
        assert values[-1] == choose(value for _, value in trials)


def test_histories_can_be_written_and_one_may_be_empty(tmp_path):
    histories = [History(name="a", trials=((7, 0.5),)), History(name="b", trials=((0, None),))]
    path = plot_history(histories, objective=Y, path=tmp_path / "a.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert "b\nno finished trial" in legend_texts(history_figure(histories, objective=Y))


@pytest.mark.parametrize("trials", [(), ((0, None), (1, nan), (2, 1e200))])
def test_a_history_without_values_is_refused(trials):
    with pytest.raises(BadInput, match="expected a finished trial"):
        history_figure([History(name="a", trials=trials)], objective=Y)


def test_histories_of_one_name_are_refused():
    with pytest.raises(BadInput, match="twice"):
        history_figure([History(name="a", trials=((0, 1.0),))] * 2, objective=Y)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1k"),
        (999_999, "1M"),
        (25.25e6, "25.2M"),
        (1.5e9, "1.5G"),
        (-2e6, "-2M"),
        (1e20, "1e+20"),
    ],
)
def test_large_numbers_have_prefixes(value, text):
    assert engineering(value, digits=3) == text


@example(105_001.0, 2)
@given(st.floats(min_value=1e-6, max_value=1e17), st.integers(1, 8))
def test_a_prefixed_number_is_right_to_its_digits(value, digits):
    text = engineering(value, digits=digits)
    scale = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}.get(text[-1])
    read = float(text[:-1]) * scale if scale else float(text)
    assert read == pytest.approx(value, rel=0.51 * 10 ** (1 - digits))


def test_units_are_written_once():
    assert shown("peak_bytes", 12_500_000) == "12.5MB"
    assert shown("train_seconds", 90) == "90 s"
    assert bare("test_accuracy", 0.915) == "91.5"


def test_a_tag_is_six_digits_or_a_models_name():
    assert tag("0123456789abcdef") == "012345"
    assert tag("b3") == "b3"
    assert tag("mobilenet_v3_large_minimalistic") == "mobilenet…nimalistic"


def test_a_few_points_are_named_the_best_and_the_cheapest_first():
    series = Series(
        name="s",
        points=tuple(point(i * 1e6, i / 10) for i in range(1, 8)),
        keys=tuple(f"model-{i}" for i in range(1, 8)),
    )
    seen = cloud(series, x=X, y=Y, limits=(), box=common_box([series.points], (X, Y)))
    assert [text for text, _ in named(seen, x=X, at_most=3)] == ["model-7", "model-1", "model-4"]
    assert [text for text, _ in named(seen, x=X, at_most=1)] == ["model-7"]


@given(st.text(), st.integers(5, 40), st.integers(1, 4))
def test_wrapped_text_keeps_to_its_width(text, width, lines):
    rows = canvas.wrapped(text, width=width, lines=lines).split("\n")
    assert all(len(row) <= width for row in rows)
