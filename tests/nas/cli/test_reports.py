"""`nas status`, `space`, `profile`, `compare` and `doctor`: their JSON, and what people read."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from conftest import config_of, diverging, document, instant

import nas.cli.doctor as doctor
from nas.journal import Journal
from nas.launch import create
from nas.proposal import Outcome, Status
from nas.spending import Capacity
from search_spaces import Choice, Classifier, Conv, Network, Stage, to_json
from search_spaces.errors import StorageError
from search_spaces.zoo import model

DOCS = Path(__file__).parents[3] / "docs" / "cli.md"


def test_status_counts_trials_and_shows_the_front(results, nas):
    code, out, err = nas("status", "first", "--results", results, "--json")
    said = document(out)
    assert (code, err) == (0, "")
    assert said["trials"] | {"rejected": 0} == {
        "done": 8, "running": 0, "interrupted": 0, "failed": 0, "planned": 8, "rejected": 0,
    }  # fmt: skip
    assert said["state"] == "finished"
    scores = [(p["metrics"]["validation_accuracy"], p["metrics"]["macs"]) for p in said["front"]]
    assert scores == sorted(scores, reverse=True)
    assert 0 < said["hypervolume_share"] <= 1
    assert said["hypervolume"] > 0


def test_status_says_which_limit_turned_candidates_away_and_by_how_much(results, nas):
    _, out, _ = nas("status", "second", "--results", results, "--json")
    (group,) = document(out)["rejections"]
    assert (group["metric"], group["bound"]) == ("macs", 600_000)
    assert 600_000 < group["nearest"] <= group["median"] <= group["farthest"]
    assert group["count"] == group["kept"] == document(out)["trials"]["rejected"]
    assert group["limit"] == "macs <= 600k"
    assert group["median_excess"] == pytest.approx(group["median"] / 600_000 - 1)
    _, out, _ = nas("status", "second", "--results", results)
    assert re.search(r"\d+ with MACs above 600k: \S+ to \S+, median \S+, [\d,]+ % off", out)


def test_status_names_failures_with_the_last_note(results, nas):
    _, out, _ = nas("status", "failing", "--results", results, "--json")
    said = document(out)
    assert said["trials"]["failed"] == 2
    assert said["failures"]["diverged"] == {
        "count": 2, "last_trial": 5, "last_note": "train_loss is nan in trial 5",
    }  # fmt: skip
    _, out, _ = nas("status", "failing", "--results", results)
    assert "2 diverged; the last, trial 5: train_loss is nan" in out


def test_status_counts_failures_by_kind_workers_and_gpu_hours_while_a_run_is_driven(tmp_path, nas):
    asks = "execution={device: cuda, gpu_hours: 3}"
    a_config = config_of("trials=6", "confirm.top=0", "final.of=none", asks)
    study, _ = create(a_config, name="mixed", results=tmp_path)
    with study.journal:
        study.placed(Capacity(workers=3, gpus=0.5, gpus_alone=4.0))
        for _ in range(5):
            study.ask()
        for number, status in enumerate((Status.DONE, Status.OUT_OF_MEMORY, Status.LOST, Status.TIMED_OUT)):
            metrics = {"validation_accuracy": 0.7} if status is Status.DONE else {}
            study.tell(number, 0, Outcome(status=status, metrics=metrics, seconds=3600.0))
        said = document(nas("status", "mixed", "--results", tmp_path, "--json")[1])
        text = nas("status", "mixed", "--results", tmp_path)[1]
    assert said["trials"] | {"rejected": 0} == {
        "done": 1, "running": 3, "interrupted": 0, "failed": 1, "planned": 6, "rejected": 0,
    }  # fmt: skip
    assert said["failed_by_kind"] == {"lost": 0, "out_of_memory": 0, "diverged": 0, "timed_out": 1, "bug": 0}
    assert said["retried_by_kind"] == {"lost": 1, "out_of_memory": 1, "diverged": 0, "timed_out": 0, "bug": 0}
    assert said["workers"] == {"at_work": 3, "of": 3}
    assert said["gpu_hours"] == pytest.approx(4 * 0.5, abs=0.01)
    assert said["seconds_left"] == pytest.approx((3 - 2) * 3600 / (0.5 * 3), rel=0.02)  # the cap comes first
    assert re.search(r"trials +1 of 6 done, 3 running, 1 failed \(1 timed out\)", text)
    assert re.search(r"tried again +1 lost, 1 out of memory", text)
    assert re.search(r"workers +3 of 3 at work", text)
    assert re.search(r"GPU-hours +2\.00 of 3", text)
    said = document(nas("status", "mixed", "--results", tmp_path, "--json")[1])
    assert said["workers"] == {"at_work": 0, "of": 3}  # nobody drives it


def test_status_without_gpus_has_no_gpu_hours(results, nas):
    said = document(nas("status", "first", "--results", results, "--json")[1])
    assert (said["gpu_hours"], said["workers"]) == (None, {"at_work": 0, "of": 1})
    assert "GPU" not in nas("status", "first", "--results", results)[1]


def test_status_of_a_run_that_died_says_so_and_what_is_left(results, nas):
    _, out, _ = nas("status", "stopped", "--results", results, "--json")
    said = document(out)
    assert (said["state"], said["driver"], said["phase"]) == ("interrupted", None, "search")
    assert said["seconds_left"] > 0
    _, out, _ = nas("status", "stopped", "--results", results)
    assert out.splitlines()[-1] == f"next: nas resume stopped --results {results}"


def test_status_works_while_a_driver_holds_the_run(tmp_path, nas):
    folder = instant(tmp_path, "busy", most=3)
    with Journal.open(folder) as journal:
        said = document(nas("status", "busy", "--results", tmp_path, "--json")[1])
        assert said["state"] == "running"
        assert said["driver"].startswith("process ")
        journal.append("start", {})  # the driver was not disturbed
    assert document(nas("status", folder, "--json")[1])["state"] == "interrupted"


def test_status_of_a_run_without_a_finished_trial_has_no_front(tmp_path, nas):
    instant(tmp_path, "young", most=0)
    said = document(nas("status", "young", "--results", tmp_path, "--json")[1])
    assert (said["front"], said["hypervolume"], said["best"], said["seconds_left"]) == ([], None, None, None)
    assert nas("status", "young", "--results", tmp_path)[0] == 0


def test_an_unknown_run_is_refused_with_the_known_ones(results, nas):
    for command in ("status", "resume", "compare"):
        code, _, err = nas(command, "nope", "--results", results)
        assert code == 2
        assert "failing, first, second, stopped" in err


def test_a_damaged_journal_ends_with_4(tmp_path, nas):
    folder = instant(tmp_path, "hurt", most=2)
    journal = folder / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"ask"', b'"aks"', 1))
    code, out, err = nas("status", "hurt", "--results", tmp_path, "--json")
    assert (code, out) == (4, "")
    assert "line 4" in err


def test_space_gives_size_ranges_and_share(nas):
    code, out, _ = nas(
        "space", "mixed", "--input", "1,8,8", "--limit", "macs<=1M", "--samples", "200", "--json"
    )
    said = document(out)
    assert code == 0
    assert said["size"] == 3_500_234_809_344
    low, high = said["feasible_interval"]
    assert 0 < low < said["feasible_share"] < high < 1
    assert said["macs"]["low"] < 1_000_000 < said["macs"]["high"]
    assert all(member["macs"] <= 1_000_000 for member in said["members"])
    assert len(said["members"]) == 3


def test_space_says_the_share_of_each_limit_and_of_all_together(nas):
    limits = ("--limit", "200k <= macs <= 1M", "--limit", "params >= 30k")
    _, out, _ = nas("space", "mixed", "--input", "1,8,8", *limits, "--samples", "300", "--json")
    said = document(out)
    assert [one["limit"] for one in said["shares"]] == ["200k <= macs <= 1M", "params >= 30k"]
    for one in said["shares"]:
        low, high = one["interval"]
        assert low <= one["share"] <= high
        assert one["share"] >= said["feasible_share"] > 0
    _, out, _ = nas("space", "mixed", "--input", "1,8,8", *limits, "--samples", "50")
    assert re.search(
        r"^keep all limits +\S+ % \(95 % interval: \S+ to \S+ %\) of 50 members", out, re.MULTILINE
    )


def test_space_draws_any_metric(nas):
    _, out, _ = nas("space", "mixed", "--input", "1,8,8", "--metric", "params", "--samples", "80", "--json")
    drawn = document(out)["histogram"]
    assert (drawn["metric"], len(drawn["edges"]), sum(drawn["counts"])) == ("params", 11, 80)
    assert min(drawn["counts"]) >= 0
    assert drawn["edges"] == sorted(drawn["edges"])
    _, out, _ = nas("space", "mixed", "--input", "1,8,8", "--metric", "params", "--samples", "20")
    assert "parameters of 20 members" in out


def test_space_of_a_study_on_a_table_has_its_columns(tmp_path, nas):
    study = "space: nasbench201\ntable: nasbench201\nobjectives: ['cifar10_val_12ep:max']\nlimits: ['raspi4_ms <= 9']\n"
    (tmp_path / "study.yaml").write_text(study)
    code, out, err = nas(
        "space", tmp_path / "study.yaml", "--metric", "gold6226_ms", "--samples", "40", "--json"
    )
    assert (code, err) == (0, "")
    said = document(out)
    assert said["raspi4_ms"] == {"low": 0.011, "high": 98.888, "known": "exact"}
    assert said["limits"] == ["raspi4_ms <= 9"]
    assert said["histogram"]["metric"] == "gold6226_ms"
    assert said["macs"]["known"] == "exact"


def test_space_for_people_has_a_histogram_over_all_members_drawn(nas):
    _, out, _ = nas("space", "mixed", "--input", "1,8,8", "--samples", "100")
    bars = re.findall(r"^ +\S+ to +\S+ .* (\d+)$", out, re.MULTILINE)
    assert len(bars) == 10
    assert sum(map(int, bars)) == 100


def test_space_reads_configs_space_files_and_runs(tmp_path, results, nas):
    space = Network(
        input=(1, 8, 8), stages=(Stage(blocks=(Conv(),), width=Choice(4, 8)),), head=Classifier(classes=10)
    )
    (tmp_path / "space.json").write_text(to_json(space))
    (tmp_path / "study.yaml").write_text("space: mixed\nlimits: ['macs <= 1M']\n")
    sizes = {
        "space.json": 2,
        "study.yaml": 3_500_234_809_344,
    }
    for name, size in sizes.items():
        said = document(nas("space", tmp_path / name, "--samples", "20", "--json")[1])
        assert said["size"] == size
    said = document(nas("space", "second", "--results", results, "--samples", "20", "--json")[1])
    assert said["limits"] == ["macs <= 600k"]


def test_a_limit_that_no_member_keeps_shows_the_space_and_ends_with_3(nas):
    code, out, err = nas("space", "mixed", "--limit", "macs<=1", "--samples", "20", "--json")
    assert code == 3
    assert document(out)["feasible_share"] == 0
    assert "macs" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["mixde"],
        ["mixed", "--limit", "macz<=1"],
        ["mixed", "--metric", "raspi4_ms"],
        ["mixed", "--limit", "x"],
        ["mixed", "--input", "3"],
    ],
)
def test_space_refuses_what_it_cannot_use(arguments, nas):
    code, out, err = nas("space", *arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1


def test_profile_adds_up_to_the_published_totals(nas):
    said = document(nas("profile", "efficientnet_b0", "--json")[1])
    assert (said["params"], said["macs"]) == (5_288_548, 385_814_752)
    for name in ("params", "macs", "activations"):
        assert sum(layer[name] for layer in said["layers"]) == said[name]
    assert said["layers"][0]["shape"] == [32, 112, 112]
    assert said["layers"][0]["receptive_field"] == [3, 3]


def test_profile_takes_files_other_inputs_and_a_runs_trials(tmp_path, results, nas):
    (tmp_path / "b0.json").write_text(to_json(model("efficientnet_b0")))
    small = document(nas("profile", tmp_path / "b0.json", "--input", "3,32,32", "--json")[1])
    assert small["input"] == [3, 32, 32]
    assert small["macs"] < 385_814_752 / 20
    best = document(nas("status", "first", "--results", results, "--json")[1])["best"]
    for name in ("best", best["key"], best["key"][:6]):
        said = document(nas("profile", f"first#{name}", "--results", results, "--json")[1])
        assert said["key"] == best["key"]
        assert said["macs"] == best["metrics"]["macs"]


def test_profile_by_block_has_a_row_a_block(nas):
    _, out, _ = nas("profile", "efficientnet_b0", "--by", "block")
    assert len(re.findall(r"^(?:stem|stages)\S*\.blocks\.\d+ ", out, re.MULTILINE)) == 17
    assert "385,814,752" in out


@pytest.mark.parametrize("name", ["efficientnet_b9", "nope.json", "nope#best", "first#", "first#zz"])
def test_profile_refuses_what_is_no_model(name, results, nas):
    code, out, err = nas("profile", name, "--results", results)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1


def test_profile_refuses_a_space_and_says_what_to_type(tmp_path, nas):
    space = Network(
        input=(1, 8, 8), stages=(Stage(blocks=(Conv(),), width=Choice(4, 8)),), head=Classifier(classes=10)
    )
    (tmp_path / "space.json").write_text(to_json(space))
    code, _, err = nas("profile", tmp_path / "space.json")
    assert code == 2
    assert "nas space" in err


def test_compare_writes_pictures_and_tables_with_one_reference(results, tmp_path, nas):
    code, out, _ = nas(
        "compare", "first", "second", "--results", results, "--out", tmp_path / "out", "--json"
    )
    said = document(out)
    assert code == 0
    assert [Path(f).name for f in said["files"]] == ["front.png", "history.png", "trials.csv", "summary.csv"]
    assert all(Path(f).read_bytes() for f in said["files"])
    assert (tmp_path / "out" / "front.png").read_bytes().startswith(b"\x89PNG")
    assert [r["run"] for r in said["runs"]] == ["first", "second"]
    assert all(0 < r["hypervolume_share"] <= 1 and r["front"] for r in said["runs"])
    with (tmp_path / "out" / "trials.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 16
    assert said["limits"] == []  # the runs have different ones


def test_a_run_compared_with_itself_alone_has_the_front_that_status_shows(results, tmp_path, nas):
    (one,) = document(nas("compare", "first", "--results", results, "--out", tmp_path, "--json")[1])["runs"]
    status = document(nas("status", "first", "--results", results, "--json")[1])
    assert {p["key"] for p in one["front"]} == {p["key"] for p in status["front"]}
    assert one["hypervolume"] == pytest.approx(status["hypervolume"])


def test_compare_takes_any_two_metrics_and_says_where_the_files_are(results, tmp_path, nas):
    code, out, _ = nas(
        "compare",
        "first",
        "--results",
        results,
        "--x",
        "params",
        "--y",
        "validation_accuracy",
        "--out",
        tmp_path,
    )
    assert code == 0
    assert str(tmp_path / "front.png") in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["first", "first"], "twice"),
        (["first", "--x", "validation_accuracy"], "two metrics"),
        (["first", "--x", "latency"], "latency"),
        (["first", "--y", "macs:up"], "min or"),
    ],
)
def test_compare_refuses_what_cannot_be_drawn(arguments, says, results, tmp_path, nas):
    code, out, err = nas("compare", *arguments, "--results", results, "--out", tmp_path / "none")
    assert (code, out) == (2, "")
    assert says in err


def test_doctor_tells_what_is_well_and_what_is_not(tmp_path, nas, monkeypatch):
    monkeypatch.setattr(doctor, "_smoke", lambda: "a search of no time")
    code, out, _ = nas("doctor", "--results", tmp_path / "new", "--json")
    said = document(out)
    assert code == 0
    assert said["ok"] is True
    assert [c["name"] for c in said["checks"]] == ["versions", "processor", "devices", "storage", "search"]
    assert said["versions"]["torch"]
    assert not list(tmp_path.iterdir())


def test_doctor_ends_with_4_where_results_cannot_be_written(tmp_path, nas, monkeypatch):
    def full(*_: object) -> None:
        raise StorageError("disk: no space left; free some space")

    monkeypatch.setattr(doctor, "_smoke", lambda: "fine")
    monkeypatch.setattr(doctor, "replace_file", full)
    code, out, _ = nas("doctor", "--results", tmp_path)
    assert code == 4
    assert re.search(r"^storage +no +disk: no space left", out, re.MULTILINE)


@pytest.mark.slow
def test_doctor_searches_for_real(tmp_path, nas):
    code, out, _ = nas("doctor", "--results", tmp_path)
    assert code == 0
    assert "a whole search in" in out


def examples() -> dict[str, dict[str, object]]:
    """Return the JSON that docs/cli.md shows, by command."""
    found = re.findall(
        r"^### `nas (\w+) --json`.*?```json\n(.*?)```", DOCS.read_text(), re.MULTILINE | re.DOTALL
    )
    return {command: json.loads(text) for command, text in found}


def test_the_documented_json_has_the_keys_that_are_printed(searched, tmp_path, nas, monkeypatch):
    monkeypatch.setattr(doctor, "_smoke", lambda: "a search of no time")
    instant(tmp_path, "both", 'limits=["macs <= 600k"]', score=diverging)
    printed = {
        "search": searched[1],
        "status": nas("status", "both", "--results", tmp_path, "--json")[1],
        "space": nas("space", "mixed", "--input=1,8,8", "--samples=20", "--limit=macs<=1M", "--json")[1],
        "profile": nas("profile", "lenet5", "--json")[1],
        "scale": nas(
            "scale", "lenet5", "--fix=resolution", "--target=macs<=1M", "--results", tmp_path, "--json"
        )[1],
        "compare": nas("compare", "both", "--results", tmp_path, "--out", tmp_path / "c", "--json")[1],
        "bench": nas(
            "bench", "--seeds=2", "--protocol=A", "--budget=1500", "--out", tmp_path / "b", "--json"
        )[1],
        "latency": nas("latency", "lenet5", "--seconds", "0.2", "--json")[1],
        "doctor": nas("doctor", "--results", tmp_path, "--json")[1],
    }
    shown = examples()
    elsewhere = {"fit", "submit"}  # held in the tests of these commands
    assert set(shown) - elsewhere == set(printed)
    for command, text in printed.items():
        assert _shape(shown[command]) <= _shape(document(text)), command


def _shape(node: object, path: str = "") -> set[str]:
    """Return the paths of all keys; the items of a list share theirs."""
    if isinstance(node, dict):
        return {p for k, v in node.items() for p in {f"{path}.{k}", *_shape(v, f"{path}.{k}")}}
    if isinstance(node, list):
        return {p for item in node for p in _shape(item, f"{path}[]")}
    return set()


def test_what_the_docs_show_is_all_that_is_printed_at_the_top(searched):
    assert set(examples()["search"]) == set(document(searched[1]))
