"""`nas compare` with families and published networks beside runs."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import document

from nas.cli.published import LINES, published
from nas.family_file import Spread, Trained
from nas.family_folder import read_family, write_family
from scaling.cost import cost
from search_spaces.errors import BadInput
from search_spaces.zoo import FAMILIES, model

SCORES = {"wide": (0.90, 0.93, 0.95), "deep": (0.90, 0.92, 0.96)}


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory, results: Path) -> Path:
    """Return a results folder with runs and three families, two of them with scores."""
    import shutil

    from nas.__main__ import run

    home = tmp_path_factory.mktemp("families")
    for name in ("first", "second"):
        shutil.copytree(results / name, home / name)
    base = ["scale", "first#best", "--results", str(home), "--json", "--overlay=none"]
    for name, rule in (("wide", "width"), ("deep", "compound"), ("plain", "dwr")):
        assert run([*base, "--rule", rule, "--phi=0,1,2", "--name", name]) == 0
    for name, scores in SCORES.items():
        file = read_family(home / name).file
        members = tuple(
            replace(member, trained=Trained(test_accuracy=Spread(mean=mean, sd=0.004, seeds=3)))
            for member, mean in zip(file.members, scores, strict=True)
        )
        write_family(home / name, replace(file, members=members))
    return home


def test_trained_families_are_compared_by_accuracy_and_macs(families, tmp_path, nas):
    code, out, err = nas("compare", "wide", "deep", "--results", families, "--out", tmp_path, "--json")
    said = document(out)
    assert (code, err) == (0, "")
    assert (said["x"], said["y"]) == ("macs:min", "test_accuracy:max")
    assert [(r["run"], r["kind"], r["state"], r["trials"]) for r in said["runs"]] == [
        ("wide", "family", "family", 3),
        ("deep", "family", "family", 3),
    ]
    scores = [[p["metrics"]["test_accuracy"] for p in r["front"]] for r in said["runs"]]
    assert sorted(scores[0]) == [0.90, 0.93, 0.95]
    assert all(r["hypervolume_share"] > 0 for r in said["runs"])
    assert [Path(f).name for f in said["files"]] == ["front.png", "trials.csv", "summary.csv"]


def test_costs_alone_are_drawn_as_lines_and_published_families_stand_beside(families, tmp_path, nas):
    given = (
        "compare",
        "plain",
        "resnet",
        "mobilenet_v2(width=1.4)",
        "--results",
        families,
        "--out",
        tmp_path,
    )
    said = document(nas(*given, "--json")[1])
    assert [r["kind"] for r in said["runs"]] == ["family", "baseline", "baseline"]
    assert [Path(f).name for f in said["files"]] == ["families.png", "trials.csv", "summary.csv"]
    assert (tmp_path / "families.png").read_bytes().startswith(b"\x89PNG")
    with (tmp_path / "trials.csv").open() as file:
        rows = {row["key"]: row for row in csv.DictReader(file)}
    assert int(rows["50"]["macs"]) == 4_089_184_256
    _, out, _ = nas(*given)
    assert "published, at 3x224x224" in out
    assert "1.81G to 11.5G" in out
    assert "hypervolume" not in out


def test_a_run_and_a_family_share_a_metric_or_are_told_which_they_share(families, tmp_path, nas):
    given = ("compare", "first", "wide", "--results", families, "--out", tmp_path)
    code, out, err = nas(*given)
    assert (code, out) == (2, "")
    assert "wide: got no validation_accuracy in it, expected a metric that all have: " in err
    assert "activations, macs, params, peak_bytes; choose with --x and --y" in err
    code, out, _ = nas(*given, "--y", "params", "--json")
    assert code == 0
    assert [r["kind"] for r in document(out)["runs"]] == ["run", "family"]
    assert (tmp_path / "history.png").is_file()


def test_the_base_of_a_family_is_where_its_run_has_it(families, tmp_path, nas):
    said = document(
        nas("compare", "first", "plain", "--y=params", "--results", families, "--out", tmp_path, "--json")[1]
    )
    (winner,) = [m for m in read_family(families / "plain").file.members if m.phi == 0]
    assert said["reference"][0] >= winner.metrics.macs


def test_the_limits_of_runs_hold_for_families_too(families, tmp_path, nas):
    said = document(
        nas("compare", "second", "plain", "--y=params", "--results", families, "--out", tmp_path, "--json")[1]
    )
    assert said["limits"] == ["macs <= 600k"]
    with (tmp_path / "trials.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["run"] == "plain"]
    assert {row["feasible"] for row in rows if float(row["macs"]) > 600_000} == {"False"}


def test_what_is_neither_run_nor_family_is_refused_with_what_there_is(families, nas):
    code, _, err = nas("compare", "thrid", "--results", families)
    assert code == 2
    assert "expected one of: first, second; of the families: deep, plain, wide; or a published" in err


def test_the_picture_of_a_trained_family_goes_by_accuracy(families, tmp_path):
    from nas.analysis.lines import lines_figure
    from nas.cli.scale_picture import height, series_of

    file = read_family(families / "wide").file
    assert (height(file, "macs"), height(read_family(families / "plain").file, "params")) == (
        "test_accuracy",
        "macs",
    )
    figure = lines_figure([series_of(file, "wide")], x="macs", y="test_accuracy")
    axes = figure.axes[0]
    (line,) = [one for one in axes.lines if one.get_gid() == "line:wide"]
    assert list(line.get_ydata()) == list(SCORES["wide"])
    bars = [one for one in axes.lines if one.get_gid() is None]
    assert [round(float(one.get_ydata()[1] - one.get_ydata()[0]), 6) for one in bars] == [0.008] * 3
    low, high = axes.get_ylim()
    assert low < min(SCORES["wide"]) - 0.004
    assert high > max(SCORES["wide"]) + 0.004
    assert {text.get_text() for text in axes.texts} == {"phi 0", "phi 1", "phi 2"}


def test_baselines_far_from_all_families_lie_outside_and_that_is_said(families):
    from nas.analysis.lines import lines_figure
    from nas.analysis.series import Series
    from nas.cli.scale_picture import series_of

    own = series_of(read_family(families / "plain").file, "plain")
    far = published("resnet")
    figure = lines_figure(
        [own, Series(name="resnet", points=far.metrics, keys=far.short, kind="baseline")],
        x="macs",
        y="params",
    )
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[0] == "plain"
    assert legend[1].endswith("(5 of 5 outside)")


@pytest.mark.parametrize("name", sorted({*LINES, *FAMILIES}))
def test_every_published_family_is_a_line_by_rising_macs(name):
    found = published(name)
    macs = [point["macs"] for point in found.metrics]
    assert macs == sorted(macs)
    assert len(set(found.short)) == len(found.short) == len(found.networks)
    assert [cost(model(member)).macs for member in found.members] == macs


def test_a_published_family_that_is_none_is_refused_with_the_nearest():
    with pytest.raises(BadInput, match=r"got 'resent', expected one of .* did you mean 'resnet'"):
        published("resent")
