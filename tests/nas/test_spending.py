"""What a run spends: GPU-hours of all attempts, and the cap on them, after which no trial is begun."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "contracts"))
from bench import ACCURACY, done, plan, tiny_space

from nas.config import Execution
from nas.history import history_of
from nas.journal import Journal, read
from nas.proposal import Kind, Outcome, Proposal, Status
from nas.spending import Capacity, gpu_hours
from nas.strategies import Random
from nas.study import Study
from search_spaces.errors import BadInput

SHARED = Capacity(workers=4, gpus=0.5, gpus_alone=8.0)


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def begun(folder: Path, clock: Callable[[], float], **changes: object) -> Study:
    a_plan = plan(Random(), tiny_space(), **{"limits": (), "objectives": ACCURACY, **changes})
    opened = Journal.open if (folder / "journal.jsonl").exists() else None
    journal = opened(folder, clock=clock) if opened else Journal.create(folder, {}, clock=clock)
    return Study(a_plan, journal, clock=clock)


def asked(study: Study) -> Proposal:
    question = study.ask()
    assert question is not None
    return question[0]


def after(hours: float, status: Status = Status.DONE) -> Outcome:
    metrics = {"validation_accuracy": 0.5} if status is Status.DONE else {}
    return Outcome(status=status, metrics=metrics, seconds=3600 * hours)


def test_every_attempt_costs_its_hours_times_its_gpus_whatever_came_of_it(tmp_path: Path) -> None:
    clock = Clock()
    study = begun(tmp_path / "run", clock)
    study.placed(SHARED)
    for _ in range(3):
        asked(study)
    study.tell(0, 0, after(1))
    study.tell(1, 0, after(2, Status.LOST))
    study.tell(1, 1, after(3, Status.DIVERGED))
    study.tell(2, 0, after(1, Status.OUT_OF_MEMORY))
    assert gpu_hours(study.history, clock()) == pytest.approx(0.5 * (1 + 2 + 3 + 1))
    study.tell(2, 1, after(1, Status.OUT_OF_MEMORY))  # alone: it had a whole node
    assert gpu_hours(study.history, clock()) == pytest.approx(3.5 + 8)
    assert gpu_hours(history_of(read(tmp_path / "run"))) == pytest.approx(11.5)


def test_what_runs_costs_what_it_has_taken_so_far_and_what_died_with_its_driver_too(tmp_path: Path) -> None:
    clock = Clock()
    study = begun(tmp_path / "run", clock)
    study.placed(SHARED)
    asked(study)
    clock.now += 3600
    study.report(0, 1, {})
    clock.now += 3600
    assert gpu_hours(study.history, clock()) == pytest.approx(1.0)
    study.journal.close()  # killed; the last that it wrote was the report
    clock.now += 36_000
    resumed = begun(tmp_path / "run", clock)
    assert gpu_hours(resumed.history, clock()) == pytest.approx(0.5)
    resumed.ask()
    clock.now += 3600
    resumed.report(0, 2, {})  # it runs again
    clock.now += 3600
    assert gpu_hours(resumed.history, clock()) == pytest.approx(1.0)
    resumed.tell(0, 0, after(2))
    assert gpu_hours(resumed.history, clock()) == pytest.approx(1.5)


def test_no_trial_begins_once_the_gpu_hours_are_used_and_what_is_owed_is_still_done(tmp_path: Path) -> None:
    clock = Clock()
    study = begun(tmp_path / "run", clock, gpu_hours=1.0, confirm_top=1, confirm_seeds=1)
    study.placed(SHARED)
    first, second = asked(study), asked(study)
    study.tell(first.number, 0, after(1.0))
    third = asked(study)
    study.tell(second.number, 0, after(1.5))
    assert study.ask() is None  # 1.25 of 1 are used; the third goes on
    study.tell(third.number, 0, done(third))
    confirmation = asked(study)
    assert confirmation.kind is Kind.CONFIRM
    study.tell(confirmation.number, 0, after(1))
    assert asked(study).kind is Kind.FINAL


def test_what_runs_counts_for_the_cap(tmp_path: Path) -> None:
    clock = Clock()
    study = begun(tmp_path / "run", clock, gpu_hours=1.0)
    study.placed(SHARED)
    asked(study)
    clock.now += 3600 * 1.9
    asked(study)
    clock.now += 3600 * 0.2
    assert study.ask() is None


def test_a_capacity_is_recorded_when_it_changes_and_counts_from_then_on(tmp_path: Path) -> None:
    study = begun(tmp_path / "run", Clock())
    for capacity in (SHARED, SHARED, Capacity(workers=5, gpus=1.0, gpus_alone=8.0)):
        study.placed(capacity)
        asked(study)
    said = [e.payload["workers"] for e in study.journal.events if e.type == "capacity"]
    assert said == [4, 5]
    study.tell(0, 0, after(1))
    assert study.history.gpu_seconds == 3600


def test_a_journal_that_says_nothing_of_gpus_has_used_none(tmp_path: Path) -> None:
    clock = Clock()
    study = begun(tmp_path / "run", clock)
    asked(study)
    study.tell(0, 0, after(5))
    assert gpu_hours(study.history, clock()) == 0


def test_what_another_run_was_told_costs_nothing_here(tmp_path: Path) -> None:
    clock = Clock()
    other = begun(tmp_path / "other", clock)
    asked(other)
    other.tell(0, 0, after(5))
    study = begun(tmp_path / "run", clock)
    study.placed(SHARED)
    study.carry(other.history.trials[0], "other")
    assert asked(study).number == 1  # the first was told at once
    assert study.history.told == [0]
    assert study.history.gpu_seconds == 0


@pytest.mark.parametrize("asks", [{}, {"device": "cpu"}, {"cluster": "auto"}])
def test_a_cap_on_gpu_hours_that_never_binds_is_refused(asks: dict[str, str]) -> None:
    with pytest.raises(
        BadInput, match=r"gpu_hours: got 5 where no trial asks for a GPU.* set (gpus: 1|device: cuda)"
    ):
        Execution(gpu_hours=5.0, **asks)  # type: ignore[arg-type]


def test_a_cap_on_gpu_hours_is_for_a_clusters_gpus_or_this_machines() -> None:
    assert Execution(gpu_hours=5.0, cluster="auto", gpus=0.25).gpus_here == 0
    assert Execution(gpu_hours=5.0, device="cuda:1").gpus_here == 1
