"""`nas bench`: its JSON, what people read, the files, and a table of one's own."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from conftest import document

from nas.bench.identity import members
from nas.cli import bench as command
from nas.strategies import StrategyConfig
from search_spaces import Choice, Classifier, Conv, Network, Stage, key, to_yaml
from search_spaces.data import REGISTER

QUICK = ("--seeds", "3", "--workers", "1")


@pytest.fixture
def own(tmp_path) -> tuple[Path, Path]:
    """Return a table of 27 members and its space: accuracy rises with the number, macs with it."""
    space = Network(
        input=(1, 8, 8),
        stages=tuple(
            Stage(blocks=(Conv(kernel=Choice(1, 3, 5)),), width=8 if first else Choice(4, 8, 16))
            for first in (True, False)
        ),
        head=Classifier(classes=2),
    )
    there = tmp_path / "mine.csv", tmp_path / "space.yaml"
    rows = (f"{key(m)},{50 + i},{1000 + i},{10 + i % 3}" for i, (_, m) in enumerate(members(space)))
    there[0].write_text("\n".join(["key,accuracy,macs,seconds", *rows]))
    there[1].write_text(to_yaml(space))
    return there


def test_rows_are_a_contract_and_random_search_runs_beside(tmp_path, nas):
    code, out, err = nas("bench", *QUICK, "--protocol", "B", "--budget", "20", "--budget", "40",
                         "--strategy", "evolution population=5", "--out", tmp_path, "--json")  # fmt: skip
    said = document(out)
    assert code == 0
    assert [(r["strategy"], r["protocol"], r["dataset"], r["budget"]) for r in said["rows"]] == [
        (strategy, "B", dataset, budget)
        for strategy in ("random", "evolution population=5")
        for dataset in ("cifar10", "cifar100")
        for budget in (20, 40)
    ]
    for row in said["rows"]:
        assert set(row) == {
            "strategy", "protocol", "dataset", "budget", "mean", "sd", "error", "seeds", "gain", "p"
        }  # fmt: skip
        assert row["seeds"] == 3
        assert (row["p"] is None) == (row["strategy"] == "random")
    assert (said["table"], said["members"], said["baseline"]) == ("nasbench201", 15_625, "random")
    assert {Path(f).name for f in said["files"]} == {
        "summary.csv", "scores.csv", "B-cifar10.png", "B-cifar100.png"
    }  # fmt: skip
    assert all(Path(f).stat().st_size for f in said["files"])
    assert "evolution population=5, B cifar100: 3 runs" in err
    check_tables(tmp_path, said["rows"])


def check_tables(folder: Path, rows: list[dict[str, object]]) -> None:
    """The CSV files hold the rows and the scores that they are made of."""
    with (folder / "summary.csv").open() as file:
        kept = list(csv.DictReader(file))
    assert [(r["strategy"], float(r["mean"])) for r in kept] == [(r["strategy"], r["mean"]) for r in rows]
    with (folder / "scores.csv").open() as file:
        scores = list(csv.DictReader(file))
    assert len(scores) == 3 * len(rows)
    for row in rows:
        same = [s for s in scores if all(s[k] == row[k] for k in ("strategy", "dataset"))]
        mine = [float(s["score"]) for s in same if float(s["budget"]) == row["budget"]]
        assert sum(mine) / 3 == pytest.approx(row["mean"])


def test_people_read_a_table_a_task_and_how_to_get_more(own, tmp_path, nas):
    code, out, err = nas("bench", *QUICK, *of(own), "--budget", "5", "--results", tmp_path)
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "random, evolution, local_search on mine: 3 seeds, 1 worker"
    assert "table  mine  accuracy:max; best accuracy by queries" in out
    assert re.search(r"^evolution +\d\d\.\d+ ± \d+\.\d+ +[\d.e-]+$", out, re.MULTILINE)
    assert "more seeds tell smaller differences apart: --seeds 400" in out
    assert out.rstrip().endswith("table-mine.png")
    assert (tmp_path / "bench" / "table-mine.png").is_file()


def test_settings_under_limits_are_one_table_with_their_means(tmp_path, nas, monkeypatch):
    monkeypatch.setattr("nas.bench.files.write_pictures", lambda *_: [])  # twelve of them
    code, out, err = nas("bench", "--seeds", "2", "--workers", "1", "--protocol", "limited", "--budget", "10",
                         "--strategy", "local_search", "--out", tmp_path)  # fmt: skip
    assert (code, err) == (0, "")
    rows = re.findall(r"^(\w+_ms-\d\d|all) +([\d.]+ ± [\d.]+)[ *]+([\d.]+ ± [\d.]+)", out, re.MULTILINE)
    assert [row[0] for row in rows] == [
        *(f"{d}_ms-{p}" for d in ("raspi4", "eyeriss", "titanx_256", "gold6226") for p in (10, 25, 50)), "all"
    ]  # fmt: skip
    assert "limited  CIFAR-10 test accuracy short of the best within the limit (points)" in out
    assert re.search(r"^p +[\d.e-]+", out, re.MULTILINE)
    assert out.rstrip().endswith("scores.csv")


def of(own: tuple[Path, Path]) -> list[str]:
    """Return the options that name a table of one's own."""
    return ["--table", str(own[0]), "--space", str(own[1]), "--objective", "accuracy:max"]


def test_every_member_of_a_table_of_ones_own_can_be_found(own, nas, tmp_path):
    code, out, err = nas("bench", *QUICK, *of(own), "--budget", "27", "--out", tmp_path, "--json")
    assert code == 0, err
    assert {(r["protocol"], r["dataset"], r["mean"]) for r in document(out)["rows"]} == {
        ("table", "mine", 76)
    }


def test_several_objectives_and_a_clock_of_ones_own(own, nas, tmp_path):
    code, out, err = nas("bench", *QUICK, *of(own), "--objective", "macs:min", "--clock", "seconds",
                         "--budget", "100", "--budget", "1000", "--out", tmp_path, "--json")  # fmt: skip
    assert code == 0, err
    found = {(r["strategy"], r["budget"]): r["mean"] for r in document(out)["rows"]}
    assert found["evolution", 1000] == 1.0  # all 27 take less, and all are on the front
    assert 0 < found["evolution", 100] < 1


def test_a_strategy_of_ones_own_is_imported(own, tmp_path, nas, monkeypatch):
    monkeypatch.setitem(
        REGISTER, StrategyConfig, dict(REGISTER[StrategyConfig])
    )  # other tests go through all
    (tmp_path / "my_own_strategy.py").write_text(
        "from dataclasses import dataclass\n"
        "from nas.strategies import Random\n"
        "from search_spaces.data import register\n"
        "@register\n"
        "@dataclass(frozen=True, slots=True, kw_only=True)\n"
        "class MyOwn(Random):\n"
        "    '''Random by another name.'''\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    code, out, err = nas("bench", *QUICK, *of(own), "--budget", "12", "--import", "my_own_strategy",
                         "--strategy", "my_own", "--out", tmp_path, "--json")  # fmt: skip
    assert code == 0, err
    random, mine = document(out)["rows"]
    assert (mine["strategy"], mine["mean"], mine["p"]) == ("my_own", random["mean"], 1.0)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--strategy", "evolve"], "strategy: got 'evolve', expected one of .*evolution.*local_search"),
        (["--strategy", "evolution populaton=5"], "--strategy 'evolution populaton=5': .*population"),
        (["--strategy", "evolution 5"], "expected key=value"),
        (["--strategy", "'evolution"], "No closing quotation"),
        (
            ["--import", "no_such_module", "--strategy", "random"],
            "imports: no_such_module cannot be imported",
        ),
        (["--protocol", "C"], "--protocol: got 'C', expected one of A, B, two"),
        (["--budget", "50"], "count in seconds .A. and in queries"),
        (["--protocol", "B", "--budget", "0"], "budget: got 0, expected a whole number of queries"),
        (["--protocol", "A", "--budget", "3"], "budget: got 3 for protocol A, within which no query ends"),
        (["--workers", "100000"], "--workers: got 100000, expected 1 to"),
        (["--space", "mixed"], "--space: got it, expected it only with --table"),
        (["--table", "none.csv"], "--table: got no --space"),
        (["--table", "none.csv", "--space", "nasbench201"], "objective: got none"),
        (
            ["--table", "none.csv", "--space", "mixed", "--objective", "a"],
            "expected metric:min or metric:max",
        ),
        (
            ["--table", "none.csv", "--space", "mixed", "--objective", "a:max"],
            "none.csv.*: there is no such file",
        ),
        (["--table", "none.csv", "--protocol", "A"], "--protocol: got it"),
    ],
)
def test_what_cannot_be_run_is_one_message(arguments, says, nas, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = nas("bench", "--seeds", "1", *arguments, "--json")
    assert (code, out) == (2, "")
    (line,) = [x for x in err.splitlines() if x.startswith("nas: ")]
    assert re.search(says, line)
    assert not any(tmp_path.iterdir())


def test_an_interruption_leaves_with_130_and_no_files(nas, monkeypatch, tmp_path):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command.Bench, "play", interrupted)
    code, out, err = nas("bench", *QUICK, "--out", tmp_path / "out", "--json")
    assert (code, out) == (130, "")
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()
