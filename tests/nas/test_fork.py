"""A fork: a new run from another's config, changed, which trains nothing that was trained alike before."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "contracts"))
from bench import done, run

from nas.config import read_config
from nas.launch import create, fork
from nas.proposal import Kind, Proposal

TEXT = """
space: mixed
strategy: {type: evolution, population: 4, contestants: 2}
epochs: 1
trials: 8
confirm: {top: 2, seeds: 1}
"""


def began(results: Path) -> Path:
    study, folder = create(read_config(TEXT, source="test"), name="first", results=results)
    run(study)
    study.journal.close()
    return folder


def trained(results: Path, folder: Path, *changes: str) -> list[Proposal]:
    study, _, _ = fork(folder, changes, name="second", results=results)
    asked = run(study)
    assert study.finished
    study.journal.close()
    return asked


def test_more_trials_train_only_what_is_new(tmp_path: Path) -> None:
    asked = trained(tmp_path, began(tmp_path), "trials=12")
    assert len([p for p in asked if p.kind is Kind.TRAIN]) == 4
    assert len([p for p in asked if p.kind is Kind.FINAL]) == 1


def test_with_another_split_everything_is_trained_anew(tmp_path: Path) -> None:
    asked = trained(tmp_path, began(tmp_path), "data.split_seed=1")
    assert len([p for p in asked if p.kind is Kind.TRAIN]) == 8


def test_with_other_epochs_everything_is_trained_anew(tmp_path: Path) -> None:
    asked = trained(tmp_path, began(tmp_path), "epochs=2")
    assert len([p for p in asked if p.kind is Kind.TRAIN]) == 8


def test_the_first_run_is_left_as_it_was(tmp_path: Path) -> None:
    folder = began(tmp_path)
    before = (folder / "journal.jsonl").read_bytes()
    trained(tmp_path, folder, "seed=1")
    assert (folder / "journal.jsonl").read_bytes() == before


def test_a_fork_that_was_killed_resumes_with_what_it_took_over(tmp_path: Path) -> None:
    from nas.launch import reopen

    folder = began(tmp_path)
    study, _, new = fork(folder, ["trials=12"], name="second", results=tmp_path)
    asked = run(study, 1, outcome=done)
    study.journal.close()
    resumed, _ = reopen(new)
    asked += run(resumed)
    assert len([p for p in asked if p.kind is Kind.TRAIN]) == 4
    resumed.journal.close()
