"""`nas search` and `nas resume`: what they print, what they leave, and how they end."""

from __future__ import annotations

import io
import re
import signal
from pathlib import Path

import pytest
import yaml
from conftest import CONFIG, config_of, document, instant, scored
from rich.console import Console

import nas.cli.running as running
from nas.cli.watch import LiveTable
from nas.config import load_config
from nas.driver import StopSign, drive
from nas.execution.in_process import InProcess
from nas.launch import create
from nas.model import load as load_model
from nas.proposal import Kind, Outcome, Status
from search_spaces.serialise import key, load


def test_the_json_of_a_real_search_keeps_the_contract(searched):
    home, out, err = searched
    said = document(out)
    best = said["best"]
    assert said["run"] == "tiny"
    assert said["trials"] == 2
    assert {"test_accuracy", "params", "macs", "validation_accuracy"} <= set(best["metrics"])
    assert best["confirmation"]["seeds"] == 1
    assert key(load(Path(best["spec"]))) == best["key"]
    assert Path(best["weights"]).is_relative_to(home)
    assert load_model(Path(best["input"]).parent).inputs.shape == (1, 8, 8)
    assert err.count("final training 1/1") == 1  # progress is elsewhere


def test_lines_elsewhere_than_on_a_terminal_are_plain_and_one_a_trial(searched, nas):
    home, _, err = searched
    assert len(re.findall(r"^search \d/2  [0-9a-f]{16}  validation accuracy ", err, re.MULTILINE)) == 2
    assert not set("\x1b\r") & set(err)
    code, out, err = nas("resume", "tiny", "--results", home)
    assert (code, err) == (0, "")
    assert not set("\x1b\r") & set(out)
    assert not re.search(r" +$", out, re.MULTILINE)


def test_the_last_lines_say_what_was_found_and_what_to_do_next(searched, nas):
    home, _, _ = searched
    _, out, _ = nas("resume", "tiny", "--results", home)
    assert re.search(r"^stem Conv3 w\d+ \| .* \| 10 classes$", out, re.MULTILINE)
    for said in (
        r"test accuracy .* the test part read once", r"validation accuracy .* mean over 1 fresh seed",
        r"parameters ", r"MACs .*\(macs <= 1M\)", r"turned away ", r"folder .*tiny$",
        r"spec .*best/spec\.json$", r"weights .*best/weights\.safetensors$",
        r"input .*best/input\.json$",
    ):  # fmt: skip
        assert re.search(f"^{said}", out, re.MULTILINE), said
    assert out.splitlines()[-1] == f"next: nas compare tiny --results {home}"


def test_the_folder_from_the_environment_needs_no_option(searched, nas, monkeypatch):
    home, _, _ = searched
    monkeypatch.setenv("NAS_RESULTS", str(home))
    _, out, _ = nas("resume", "tiny")
    assert out.splitlines()[-1] == "next: nas compare tiny"


def with_trials(monkeypatch, score):
    monkeypatch.setattr(running, "executor_for", lambda *_: InProcess(lambda proposal, _: score(proposal)))


def test_ctrl_c_ends_with_130_and_says_how_to_go_on_which_then_works(nas, tmp_path, monkeypatch):
    def interrupted(proposal):
        if proposal.number == 2:
            signal.raise_signal(signal.SIGINT)
        return scored(proposal)

    with_trials(monkeypatch, interrupted)
    code, out, err = nas("search", "trials=4", "execution.workers=0", "--name", "cut", "--results", tmp_path)
    assert code == 130
    assert "search 2/4" in out  # the trial that was running has no outcome
    assert "search 3/4" not in out
    assert err.endswith(f"Go on with: nas resume cut --results {tmp_path}\n")
    with_trials(monkeypatch, scored)
    code, out, _ = nas("resume", "cut", "--results", tmp_path, "--json")
    assert code == 0
    assert document(out)["trials"] == 4


def test_an_interrupted_search_still_gives_one_document(nas, tmp_path, monkeypatch):
    def interrupted(proposal):
        signal.raise_signal(signal.SIGTERM)
        return scored(proposal)

    with_trials(monkeypatch, interrupted)
    code, out, _ = nas("search", "--name", "cut", "--results", tmp_path, "--json")
    assert code == 130
    assert document(out)["ending"] == "interrupted"


def test_limits_that_nothing_keeps_end_with_3(nas, tmp_path):
    code, out, err = nas("search", 'limits=["macs <= 5k"]', "--results", tmp_path)
    assert (code, out) == (3, "")
    assert "macs <= 5k" in err
    assert not list(tmp_path.iterdir())


def test_limits_that_no_candidate_keeps_end_with_3_and_a_journal(nas, tmp_path):
    limits = 'limits=["macs <= 8k", "params >= 100k"]'  # each alone is kept by some
    code, out, err = nas("search", limits, "--name", "none", "--results", tmp_path, "--json")
    assert code == 3
    assert document(out)["best"] is None
    said = "none of 1,200 members drawn and .* keeps macs <= 8k and params >= 100k; macs <= 8k turned most away, 1,2"
    assert re.search(said, err)
    assert "the closest miss, " in err
    _, out, _ = nas("status", "none", "--results", tmp_path, "--json")
    assert document(out)["trials"]["rejected"] == 1200
    assert document(out)["rejections"][0]["count"] == 1200


def test_a_search_in_which_everything_fails_ends_with_1(nas, tmp_path, monkeypatch):
    with_trials(monkeypatch, lambda _: Outcome(status=Status.DIVERGED, note="nan"))
    code, out, err = nas("search", "trials=3", "--name", "bad", "--results", tmp_path)
    assert code == 1
    assert "diverged: nan" in out
    assert "no trial of bad ended well" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nope.yaml"], "nope.yaml"),
        (["mixed"], "space=mixed"),
        (["one.yaml", "two.yaml"], "'one.yaml' and 'two.yaml'"),
        (["trials", "=3"], "no spaces"),
        (["trails=3"], "'trials'"),
        (["trials=many"], "whole number|integer"),
        (["strategy=evolutoin"], "evolution"),
        (["strategy.populaton=3"], "'population'"),
        (['limits=["macz <= 1M"]'], "'macs'"),
        (['limits=["latncy_ms <= 1"]'], "did you mean 'latency_ms'"),
        (['objectives=["latncy_ms:min"]'], "did you mean 'latency_ms'"),
        (["execution.gpu_hours=2"], "gpu_hours: got 2 where no trial asks for a GPU"),
        (['limits=["macs < 1M"]'], "macs <= 5M"),
        (['objectives=["validation_acuracy:max"]'], "'validation_accuracy'"),
        (["--name", "../up"], "name"),
    ],
)
def test_what_cannot_be_used_ends_with_2_and_one_message(arguments, says, nas, tmp_path):
    code, out, err = nas("search", *arguments, "--results", tmp_path)
    assert (code, out) == (2, "")
    assert re.search(says, err)
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_taken_ends_with_2(results, nas):
    code, _, err = nas("search", "--name", "first", "--results", results)
    assert code == 2
    assert "resume it" in err


def test_resume_refuses_what_a_run_did_not_begin_with(results, nas):
    code, _, err = nas("resume", "first", "epochs=3", "--results", results)
    assert code == 2
    assert "epochs" in err


def test_resume_says_when_more_trials_come_too_late(results, nas, monkeypatch):
    with_trials(monkeypatch, scored)
    _, _, err = nas("resume", "first", "trials=9", "--results", results)
    assert err.startswith("nas: trials=9 changes nothing")


def test_the_printed_example_is_the_example_with_its_comments(nas):
    code, out, _ = nas("search", "--print-config")
    assert code == 0
    assert out == CONFIG.read_text(encoding="utf-8")


def test_a_printed_config_reads_back_as_the_same_config(nas, tmp_path):
    overrides = ["trials=3", "strategy.population=5", 'limits=["params <= 20k"]']
    _, out, _ = nas("search", "--print-config", *overrides)
    assert yaml.safe_load(out)["trials"] == 3
    (tmp_path / "mine.yaml").write_text(out)
    assert load_config(tmp_path / "mine.yaml") == load_config(CONFIG, overrides)


def test_the_live_table_shows_each_phase_the_best_so_far_and_the_last_trials(tmp_path):
    study, _ = create(config_of("trials=12"), name="live", results=tmp_path)
    paper = io.StringIO()
    terminal = Console(file=paper, force_terminal=True, width=80, color_system=None)
    live = LiveTable(study, "live")
    seen: dict[Kind, str] = {}

    def watch(what, trial):
        live(what, trial)
        paper.seek(0)
        paper.truncate()
        terminal.print(live.render())
        if what == "told" or trial.kind is Kind.FINAL:
            seen[trial.kind] = paper.getvalue()

    with study.journal:
        drive(study, InProcess(lambda proposal, _: scored(proposal)), watch=watch, stop=StopSign())
    for kind, phase in (
        (Kind.TRAIN, "search"),
        (Kind.CONFIRM, "confirmation"),
        (Kind.FINAL, "final training"),
    ):
        assert f"live   {phase}" in seen[kind]
        assert "best  validation accuracy" in seen[kind]
    assert "12 of 12" in seen[Kind.TRAIN]
    assert "left" in seen[Kind.CONFIRM]
    assert max(map(len, seen[Kind.CONFIRM].splitlines())) <= 80
    assert len(seen[Kind.CONFIRM].splitlines()) < 20


def test_a_run_that_was_killed_goes_on_by_resume(tmp_path, nas, monkeypatch):
    instant(tmp_path, "killed", most=4)
    with_trials(monkeypatch, scored)
    code, out, _ = nas("resume", "killed", "--results", tmp_path)
    assert code == 0
    assert "4 of its jobs are done already" in out
    assert "search 8/8" in out


def test_a_printed_config_is_one_json_document_where_asked(nas):
    _, out, _ = nas("search", "--print-config", "trials=3", "--json")
    assert document(out)["config"]["trials"] == 3


def test_other_data_leaves_the_examples_limit_out(nas):
    def limits(*settings):
        said = document(nas("search", "--print-config", "--json", *settings)[1])
        return said["config"].get("limits", [])

    assert limits("data.limit=100") == ["macs <= 1M"]
    assert limits("data.source=npz", "data.path=x.npz") == []
    assert limits("data=fashion_mnist", 'limits=["params <= 1M"]') == ["params <= 1M"]
