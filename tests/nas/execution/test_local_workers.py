"""Worker processes: killed, stopped, too slow, or left behind by their driver (fault tests 7 and 11, local form)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from nas.config import read_config
from nas.execution.base import Ended, Executor, Report
from nas.execution.local import LocalWorkers
from nas.launch import describe_data, executor_for
from nas.proposal import Kind, Proposal, Status
from nas.recipe import Candidate
from search_spaces import Classifier, Conv, Network, Stage
from search_spaces.errors import BadInput

NETWORK = Network(
    input=(1, 8, 8), stages=(Stage(blocks=(Conv(),), width=8, stride=2),), head=Classifier(classes=10)
)
LONG = 100_000  # epochs; nobody waits for them


def proposal(number: int, epochs: int = 1) -> Proposal:
    return Proposal(
        number=number, kind=Kind.TRAIN, candidate=Candidate(network=NETWORK), epochs=epochs, seed=0
    )


def workers(folder: Path, seconds: float | None = None, count: int = 1) -> LocalWorkers:
    overrides = [f"execution.workers={count}", f"execution.trial_seconds={seconds or 'null'}"]
    config = read_config("space: mixed", overrides, source="test")
    executor = executor_for(config, folder, {"data": describe_data(config)})
    assert isinstance(executor, LocalWorkers)
    return executor


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def until_ended(executor: Executor, seconds: float = 60) -> tuple[Ended, list[Report]]:
    reports, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        for happened in executor.wait(0.2):
            if isinstance(happened, Ended):
                return happened, reports
            reports.append(happened)
    raise AssertionError(f"nothing ended within {seconds} s")


def until_training(executor: LocalWorkers) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for happened in executor.wait(0.2):
            assert isinstance(happened, Report), happened
            return
    raise AssertionError("no report within 60 s")


def process_of(executor: LocalWorkers) -> int:
    return executor._workers[0].process.pid  # the test needs what users must not see


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"


def test_a_killed_worker_is_lost_and_the_next_trial_runs_in_a_new_one(folder: Path) -> None:
    executor = workers(folder)
    executor.submit(proposal(0, LONG), 0)
    until_training(executor)
    os.kill(process_of(executor), signal.SIGKILL)
    ended, _ = until_ended(executor)
    assert (ended.number, ended.attempt, ended.outcome.status) == (0, 0, Status.LOST)
    assert "SIGKILL" in ended.outcome.note
    executor.submit(proposal(1), 0)
    ended, reports = until_ended(executor)
    assert ended.outcome.status is Status.DONE
    assert [report.epoch for report in reports] == [1]
    executor.close()


def test_a_trial_that_stops_answering_is_killed_within_five_seconds_of_its_limit(folder: Path) -> None:
    executor = workers(folder, seconds=4)
    executor.submit(proposal(0, LONG), 0)
    until_training(executor)
    process = process_of(executor)
    os.kill(process, signal.SIGSTOP)  # deaf to everything but SIGKILL, like a loop in C
    ended, _ = until_ended(executor, seconds=9)
    assert ended.outcome.status is Status.TIMED_OUT
    assert not alive(process)
    executor.close()


def test_a_trial_over_its_limit_ends_by_itself_and_its_worker_lives_on(folder: Path) -> None:
    executor = workers(folder, seconds=1)
    executor.submit(proposal(0, LONG), 0)
    process = process_of(executor)
    ended, _ = until_ended(executor)
    assert ended.outcome.status is Status.TIMED_OUT
    assert alive(process)
    executor.submit(proposal(1), 0)
    assert until_ended(executor)[0].outcome.status is Status.DONE
    assert process_of(executor) == process
    executor.close()


def test_closing_kills_what_runs(folder: Path) -> None:
    executor = workers(folder)
    executor.submit(proposal(0, LONG), 0)
    until_training(executor)
    process = process_of(executor)
    executor.close()
    assert not alive(process)


def test_a_worker_dies_with_its_driver(folder: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path\n"
        "import test_local_workers as t\n"
        "executor = t.workers(Path(sys.argv[2])); executor.submit(t.proposal(0, t.LONG), 0)\n"
        "t.until_training(executor); print(t.process_of(executor), flush=True)\n"
        "while True: executor.wait(1)"
    )
    driver = subprocess.Popen(
        [sys.executable, "-c", script, str(Path(__file__).parent), str(folder)], stdout=subprocess.PIPE
    )
    assert driver.stdout is not None
    process = int(driver.stdout.readline())
    assert alive(process)
    driver.kill()
    driver.wait()
    driver.stdout.close()
    until = time.monotonic() + 5
    while alive(process) and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive(process)


def test_a_worker_that_cannot_begin_ends_the_driving_with_its_message_and_blames_no_trial(
    folder: Path,
) -> None:
    config = read_config("space: mixed", source="test")
    executor = executor_for(config, folder, {"data": {**describe_data(config), "fingerprint": "another"}})
    executor.submit(proposal(0), 0)
    with pytest.raises(BadInput, match=r"data: digits has fingerprint .*expected another.*worker-0\.log"):
        until_ended(executor)
    executor.close()


def test_a_device_that_is_not_there_is_said_by_the_worker(folder: Path) -> None:
    config = read_config("space: mixed", ["execution.device=cuda:99"], source="test")
    executor = executor_for(config, folder, {"data": describe_data(config)})
    executor.submit(proposal(0), 0)
    with pytest.raises(BadInput, match=r"cuda:99"):
        until_ended(executor)
    executor.close()


def test_a_worker_killed_before_its_trial_began_is_replaced_and_the_trial_is_none_the_wiser(
    folder: Path,
) -> None:
    executor = workers(folder)
    executor.submit(proposal(0), 0)
    os.kill(process_of(executor), signal.SIGKILL)
    ended, _ = until_ended(executor)
    executor.close()
    assert (ended.attempt, ended.outcome.status) == (0, Status.DONE)


def test_workers_that_never_begin_are_not_started_for_ever(folder: Path) -> None:
    executor = workers(folder)
    executor.submit(proposal(0), 0)
    for _ in range(2):
        os.kill(process_of(executor), signal.SIGKILL)
        assert executor.wait(10) == []
    os.kill(process_of(executor), signal.SIGKILL)
    with pytest.raises(BadInput, match=r"3 workers in a row .* before a trial began, .* SIGKILL"):
        executor.wait(10)
    executor.close()


def test_the_final_training_has_no_time_limit(folder: Path) -> None:
    executor = workers(folder, seconds=0.01)
    executor.submit(replace(proposal(0, epochs=3), kind=Kind.FINAL), 0)
    ended, _ = until_ended(executor)
    executor.close()
    assert ended.outcome.status is Status.DONE
