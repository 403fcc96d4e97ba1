"""What a trial that failed for good leaves in a run's folder; rungs are in strategies/test_halving.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.analysis.front import Objective
from nas.journal import Journal
from nas.plan import Plan
from nas.proposal import Outcome, Proposal, Status
from nas.recipe import Candidate
from nas.strategies import Random
from nas.study import Study
from nas.tidying import Tidying
from search_spaces import Choice, Classifier, Conv, Network, Stage

SPACE = Network(
    input=(1, 8, 8),
    stages=(Stage(blocks=(Conv(kernel=Choice(3, 5)),), width=Choice(4, 8, 12, 16)),),
    head=Classifier(classes=10),
)
PLAN = Plan(
    space=Candidate(network=SPACE), strategy=Random(), epochs=3, trials=3, confirm_top=0, final="none",
    objectives=(Objective.parse("validation_accuracy:max"),),
)  # fmt: skip


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    with Journal.create(tmp_path / "run", {}) as journal:
        yield Study(PLAN, journal)


def begun(study: Study, folder: Path) -> tuple[Proposal, int, Path]:
    """Return what is asked next, its attempt, and the checkpoint that its worker has written."""
    asked = study.ask()
    assert asked is not None
    home = folder / "run" / "trials" / asked[0].key / str(asked[0].number)
    home.mkdir(parents=True, exist_ok=True)
    kept = home / "checkpoint-0123456789abcdef-000001.pt"
    kept.write_bytes(b"weights")
    return *asked, kept


def test_a_trial_that_failed_for_good_leaves_no_checkpoint_and_one_that_is_tried_again_keeps_it(
    study: Study, tmp_path: Path
) -> None:
    tidy = Tidying(study, tmp_path / "run")
    proposal, attempt, kept = begun(study, tmp_path)
    study.tell(proposal.number, attempt, Outcome(status=Status.LOST))
    while (trial := study.history.trials[proposal.number]).outcome is None:
        tidy()
        assert kept.exists()  # the next attempt goes on from it
        study.tell(proposal.number, trial.attempts, Outcome(status=Status.LOST))
    assert trial.attempts > 0
    tidy()
    assert not kept.parent.exists()


def test_what_else_lies_beside_a_failed_trials_checkpoint_stays_and_so_do_those_in_flight(
    study: Study, tmp_path: Path
) -> None:
    failed, attempt, kept = begun(study, tmp_path)
    flying = begun(study, tmp_path)[2]
    other = kept.with_name("supernet.json")
    other.write_bytes(b"{}")
    study.tell(failed.number, attempt, Outcome(status=Status.TIMED_OUT))
    Tidying(study, tmp_path / "run")()
    assert other.exists()
    assert not kept.exists()
    assert flying.exists()
