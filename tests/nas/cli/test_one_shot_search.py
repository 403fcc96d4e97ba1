"""One-shot search from the command line: real supernets on 8x8 digits, and how its scores are shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Nas, document, instant

from nas.proposal import Kind, Outcome, Proposal, Status

SMALL = (
    "strategy={type: one_shot, search: random, sampler: uniform, epochs: 1, evaluations: 5, best: 1, others: 1, "
    "calibration: 1}",
    "data={source: digits, limit: 60, validation: 0.05, test: 0.05}", "epochs=1", "confirm={top: 0}",
    "execution.workers=0",
)  # fmt: skip


def ranked_backwards(proposal: Proposal) -> Outcome:
    """A made-up outcome: what inherits well trains badly."""
    if proposal.kind is Kind.SUPERNET:
        return Outcome(status=Status.DONE, metrics={"supernet_train_loss": 1.25}, seconds=9.0)
    accuracy = int(proposal.key[:4], 16) / 2**16
    name = {Kind.INHERIT: "inherited_accuracy", Kind.FINAL: "test_accuracy"}.get(
        proposal.kind, "validation_accuracy"
    )
    return Outcome(
        status=Status.DONE,
        metrics={name: 1 - accuracy if proposal.kind is Kind.INHERIT else accuracy},
        seconds=1.0,
    )


@pytest.mark.parametrize(
    "space",
    [pytest.param("mobile", marks=pytest.mark.slow), "mixed"],  # mobile's smallest member has 17 M MACs
)
def test_a_preset_is_searched_on_shared_weights(space: str, nas: Nas, tmp_path: Path) -> None:
    limit = {"mobile": "macs <= 30M", "mixed": "macs <= 1M"}[space]
    code, out, _ = nas(
        "search",
        *SMALL,
        f"space={space}",
        f'limits=["{limit}"]',
        "--name",
        "one",
        "--results",
        tmp_path,
        "--json",
    )
    assert code == 0
    said = document(out)
    assert said["trials"] == 2
    assert "test_accuracy" in said["best"]["metrics"]
    assert not any(name.startswith("inherited") for name in said["best"]["metrics"])
    [supernet] = said["supernets"]
    assert {"supernet_train_loss", "step_bytes"} <= set(supernet["metrics"])
    _, out, _ = nas("status", "one", "--results", tmp_path, "--json")
    shown = document(out)["inherited"]
    assert (shown["scored"], shown["trained"]) == (5, 2)
    assert (tmp_path / "one" / "best" / "weights.safetensors").is_file()


def test_inherited_scores_are_shown_as_such_and_a_search_they_mislead_is_warned_of(
    nas: Nas, tmp_path: Path
) -> None:
    settings = "strategy={type: one_shot, search: random, evaluations: 20, best: 4, others: 4}"
    instant(tmp_path, "one", "space=mixed", "limits=[]", "confirm={top: 0}", settings, score=ranked_backwards)
    _, out, _ = nas("status", "one", "--results", tmp_path)
    assert (
        "20 members scored with a supernet's weights, 8 of them trained anew; rank correlation -1.00" in out
    )
    assert "no better than chance" in out
    code, out, _ = nas("compare", "one", "--results", tmp_path, "--y", "inherited_accuracy", "--json")
    assert code == 0
    assert document(out)["y"] == "inherited_accuracy:max"
    code, out, _ = nas("resume", "one", "--results", tmp_path)
    assert "no better than chance" in out


def test_a_space_with_nothing_to_share_ends_with_a_message_and_nothing_written(
    nas: Nas, tmp_path: Path
) -> None:
    space = "{input: [1, 8, 8], stages: [{blocks: [{type: Conv}], width: 4}], head: {type: Classifier, classes: 10}}"
    code, _, err = nas(
        "search", f"space={space}", "strategy=one_shot", "limits=[]", "--name", "one", "--results", tmp_path
    )
    assert code == 2
    assert "space: got a single network, expected several members to share weights" in err
    assert not (tmp_path / "one").exists()


def test_an_objective_that_inherited_weights_do_not_have_is_refused(nas: Nas, tmp_path: Path) -> None:
    code, _, err = nas(
        "search",
        *SMALL,
        "space=mixed",
        'objectives=["train_seconds:min"]',
        "--name",
        "one",
        "--results",
        tmp_path,
    )
    assert code == 2
    assert "objectives: got 'train_seconds', expected one of validation_accuracy" in err


def test_limits_that_nothing_satisfies_end_before_the_supernet(nas: Nas, tmp_path: Path) -> None:
    code, _, err = nas(
        "search", *SMALL, "space=mobile", 'limits=["macs <= 1M"]', "--name", "one", "--results", tmp_path
    )
    assert code == 3
    assert "macs <= 1M" in err
    assert not (tmp_path / "one").exists()


def test_a_supernet_that_fails_is_said_to_have_failed_and_no_limit_is_blamed(
    nas: Nas, tmp_path: Path
) -> None:
    instant(
        tmp_path, "one", "space=mixed", "strategy=one_shot",
        score=lambda _: Outcome(status=Status.DIVERGED, note="nan"),
    )  # fmt: skip
    code, _, err = nas("resume", "one", "--results", tmp_path)
    assert code == 1
    assert "no trial of one ended well, the last, of kind supernet, with diverged: nan" in err


def test_supernets_and_scores_are_counted_by_how_many_there_will_be(nas: Nas, tmp_path: Path) -> None:
    _, out, _ = nas("search", *SMALL, "space=mixed", "--name", "one", "--results", tmp_path)
    assert "supernet 1/1" in out
    assert [line.split()[2] for line in out.splitlines() if line.startswith("inherited weights ")] == [
        f"{n}/5" for n in range(1, 6)
    ]
