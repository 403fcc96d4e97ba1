"""Worker processes with real trainings; what they do on bad days is in tests/faults, without torch."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.config import StudyConfig, read_config
from nas.execution.base import Ended, Executor, Report
from nas.launch import describe_data, executor_for
from nas.proposal import Kind, Proposal, Status
from nas.recipe import Candidate
from nas.workbench import device_named
from search_spaces import Classifier, Conv, Network, Stage
from search_spaces.errors import BadInput
from search_spaces.serialise import Json

NETWORK = Network(
    input=(1, 8, 8), stages=(Stage(blocks=(Conv(),), width=8, stride=2),), head=Classifier(classes=10)
)
LONG = 100_000  # epochs; nobody waits for them


def proposal(number: int, epochs: int = 1) -> Proposal:
    candidate = Candidate(network=NETWORK)
    return Proposal(number=number, kind=Kind.TRAIN, candidate=candidate, epochs=epochs, seed=0)


def config(*overrides: str) -> StudyConfig:
    return read_config("space: mixed", overrides, source="test")


def executor_of(folder: Path, a_config: StudyConfig, **data: Json) -> Executor:
    folder.mkdir(exist_ok=True)
    return executor_for(a_config, folder, {"data": {**describe_data(a_config), **data}})


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Executor]:
    """Return one worker with a limit of 1.5 seconds a trial."""
    folder = tmp_path_factory.mktemp("run")
    executor = executor_of(folder, config("execution.trial_seconds=1.5"))
    yield executor
    executor.close()


def until_ended(executor: Executor, seconds: float = 60) -> tuple[Ended, list[Report]]:
    reports, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        for happened in executor.wait(0.2):
            if isinstance(happened, Ended):
                return happened, reports
            reports.append(happened)
    raise AssertionError(f"nothing ended within {seconds} s")


@pytest.mark.slow
def test_a_trial_over_its_limit_ends_by_itself_and_its_worker_lives_on(patient: Executor) -> None:
    patient.submit(proposal(0, LONG), 0)
    process = patient._workers[0].pid  # type: ignore[attr-defined]  # what users must not see
    ended, reports = until_ended(patient)
    assert (ended.outcome.status, ended.outcome.note) == (
        Status.TIMED_OUT, "stopped by itself at its time limit"
    )  # fmt: skip
    assert reports
    patient.submit(proposal(1), 0)
    ended, reports = until_ended(patient)
    assert ended.outcome.status is Status.DONE
    assert [report.epoch for report in reports] == [1]
    assert patient._workers[0].pid == process  # type: ignore[attr-defined]


def test_a_worker_that_cannot_begin_ends_the_driving_with_its_message_and_blames_no_trial(
    tmp_path: Path,
) -> None:
    executor = executor_of(tmp_path / "run", config(), fingerprint="another")
    executor.submit(proposal(0), 0)
    with pytest.raises(BadInput, match=r"data: digits has fingerprint .*expected another.*worker-0\.log"):
        until_ended(executor)
    executor.close()


def test_a_device_that_is_not_there_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(BadInput, match=r"execution\.device: got cuda:99, .*set execution\.device=cpu"):
        device_named("cuda:99")
