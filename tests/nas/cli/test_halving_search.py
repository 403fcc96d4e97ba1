"""Successive halving from the command line: real trainings on 8x8 digits, and whose scores are shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Nas, document, instant

from nas.history import history_of
from nas.journal import read
from nas.proposal import Kind, Outcome, Proposal, Status

SMALL = (
    "strategy={type: halving, search: random, reduction: 2, best: 1}", "epochs=4", "trials=6", "confirm={top: 0}",
    "data={source: digits, limit: 60, validation: 0.1, test: 0.1}", "space=mixed",
)  # fmt: skip


def lucky_early(proposal: Proposal) -> Outcome:
    """A made-up outcome: every rung scores more than any training in full."""
    accuracy = int(proposal.key[:4], 16) / 2**17 + (0.5 if proposal.kind is Kind.RUNG else 0.0)
    name = "test_accuracy" if proposal.kind is Kind.FINAL else "validation_accuracy"
    return Outcome(status=Status.DONE, metrics={name: accuracy}, seconds=1.0)


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_promotions_go_on_from_their_rungs_and_leave_no_checkpoint(
    nas: Nas, tmp_path: Path, workers: int
) -> None:
    """With two workers a promotion may run in another process than its rung."""
    place = ("--name", "one", "--results", tmp_path)
    code, out, shown = nas("search", *SMALL, f"execution.workers={workers}", *place, "--json")
    assert code == 0
    said = document(out)
    assert said["trials"] == 6
    assert "done after 1 of 4 epochs" in shown
    history = history_of(read(tmp_path / "one"))
    promoted = [t for t in history.trials.values() if history.rung_below(t)]
    assert {t.identity.epochs for t in promoted} == {2, 4}
    for trial in promoted:
        assert trial.outcome is not None
        assert trial.outcome.note == f"continued after epoch {history.trained(trial)}"
    assert not list((tmp_path / "one").rglob("checkpoint-*"))
    rungs = document(nas("status", "one", "--results", tmp_path, "--json")[1])["rungs"]
    assert [one["epochs"] for one in rungs] == [1, 2, 4]
    assert rungs[0] == {"epochs": 1, "done": 6, "running": 0, "failed": 0}
    assert "6 of 1, " in nas("status", "one", "--results", tmp_path)[1]


def test_a_score_of_a_rung_is_on_no_front_and_in_no_comparison(nas: Nas, tmp_path: Path) -> None:
    folder = instant(tmp_path, "lucky", *SMALL, "execution.workers=0", "trials=12", score=lucky_early)
    history = history_of(read(folder))
    full = {t.number: t for t in history.of(Kind.TRAIN)}
    assert len(history.begun) == 12
    said = document(nas("status", "lucky", "--results", tmp_path, "--json")[1])
    assert said["trials"]["done"] == 12
    assert {point["trial"] for point in said["front"]} <= set(full)
    best = max(t.metrics["validation_accuracy"] for t in full.values())
    assert said["best"]["metrics"]["validation_accuracy"] == best < 0.5
    assert said["seconds_left"] == 0
    code, out, _ = nas("compare", "lucky", "--results", tmp_path, "--json", "--out", tmp_path / "pictures")
    assert code == 0
    assert {point["key"] for point in document(out)["runs"][0]["front"]} <= {t.key for t in full.values()}


def test_time_left_counts_what_a_candidate_is_trained_in_the_mean(nas: Nas, tmp_path: Path) -> None:
    instant(
        tmp_path,
        "half",
        *SMALL,
        "execution.workers=0",
        "final.epochs=4",
        "trials=40",
        score=lucky_early,
        most=10,
    )
    said = document(nas("status", "half", "--results", tmp_path, "--json")[1])
    # A candidate is trained for 1 + 1/2 + 2/4 epochs in the mean, and never for all 4 of 40 trials.
    history = history_of(read(tmp_path / "half"))
    epochs = sum(t.identity.epochs - history.trained(t) for t in history.trials.values() if t.done)
    a_second = 10 / epochs
    assert said["seconds_left"] == pytest.approx((40 * 2 - epochs) * a_second + 4 * a_second, abs=0.1)
