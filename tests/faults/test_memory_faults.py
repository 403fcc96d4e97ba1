"""Fault test 12: a trial that runs out of memory is tried once more with the machine to itself, then told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "contracts"))
from bench import SPACES, again, begin, plan, run
from light_worker import intervals, light_workers, proposal
from test_worker_faults import until_at_work, until_ended

from nas.driver import Ending, StopSign, drive
from nas.evaluation.failures import failed
from nas.execution import process
from nas.execution.base import Notice
from nas.history import Trial
from nas.proposal import Kind, Outcome, Status
from nas.strategies import Random
from nas.study import Study


def driven(study: Study, folder: Path, *plays: str, count: int) -> tuple[Ending, list[tuple[str, int]]]:
    """Drive a study with workers whose trial n does the n-th of `plays`; return how it ended and what was seen."""
    seen: list[tuple[str, int]] = []

    def watch(what: str, of: Trial | Notice | None) -> None:
        if isinstance(of, Trial):
            seen.append((what, of.number))

    executor = light_workers(folder, *plays, count=count)
    return drive(study, executor, watch=watch, stop=StopSign()), seen


def small_plan(trials: int):  # type: ignore[no-untyped-def]
    return plan(Random(), SPACES["tied"](), limits=(), trials=trials)


def overlapping(ran: tuple[int, float, float, int], others: list[tuple[int, float, float, int]]) -> list[int]:
    return [n for n, began, ended, _ in others if began < ran[2] and ran[1] < ended]


def test_the_second_try_after_running_out_of_memory_runs_alone_in_a_process_of_its_own(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "run"
    study = begin(folder, small_plan(8))
    plays = ("slow", "slow", "out_of_memory_once", "slow", "out_of_memory_once", "slow")
    ending, _ = driven(study, folder, *plays, count=3)
    study.journal.close()
    assert ending == "finished"
    ran = intervals(folder)
    assert any(overlapping(one, [other]) for one in ran for other in ran if one is not other)
    for number in (2, 4):
        first, second = [one for one in ran if one[0] == number]
        others = [one for one in ran if one not in (first, second)]
        assert overlapping(second, others) == []
        assert [
            one for one in others if one[3] == second[3]
        ] == []  # memory that others kept is free, its own too
        assert [one for one in others if one[3] == first[3] and one[1] > first[2]] == []
    assert [t.attempts for t in study.history.of(Kind.TRAIN)] == [0, 0, 1, 0, 1, 0, 0, 0]
    assert all(trial.done for trial in study.history.trials.values())


def test_a_trial_that_runs_out_of_memory_twice_is_told_and_the_study_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    study = begin(folder, small_plan(3))
    ending, seen = driven(study, folder, "done", "out_of_memory", "done", count=2)
    study.journal.close()
    assert ending == "finished"
    told = study.history.trials[1]
    assert (told.outcome and told.outcome.status, told.attempts) == (Status.OUT_OF_MEMORY, 1)
    assert [what for what, number in seen if number == 1 and what != "report"] == [
        "asked", "retried", "asked", "told"
    ]  # fmt: skip
    assert sum(trial.done for trial in study.history.of(Kind.TRAIN)) == 2


def test_the_lone_try_is_still_alone_after_a_resume(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    study = begin(folder, small_plan(4))
    for _ in range(2):
        study.ask()
    study.tell(1, 0, Outcome(status=Status.OUT_OF_MEMORY, note="MemoryError"))
    study.journal.close()
    study = again(folder, study.plan)
    assert study.history.trials[1].alone
    driven(study, folder, "slow", count=2)
    study.journal.close()
    ran = intervals(folder)
    [lone] = [one for one in ran if one[0] == 1]
    assert overlapping(lone, [one for one in ran if one is not lone]) == []


def test_a_lone_try_whose_process_dies_is_tried_again_alone(tmp_path: Path) -> None:
    study = begin(tmp_path / "run", small_plan(3))
    study.ask()
    for attempt, status in enumerate((Status.OUT_OF_MEMORY, Status.LOST)):
        study.tell(0, attempt, Outcome(status=status, note="so it went"))
        assert study.history.trials[0].alone
        study.ask()
    study.tell(0, 2, Outcome(status=Status.OUT_OF_MEMORY))
    assert study.history.told == [0]
    run(study)
    study.journal.close()


def test_while_a_trial_waits_to_run_alone_nothing_else_is_taken_on(tmp_path: Path) -> None:
    executor = light_workers(tmp_path, "hang", "done", count=2)
    executor.submit(proposal(0), 0)
    until_at_work(executor)
    executor.submit(proposal(1), 1, alone=True)
    assert executor.free == 0
    assert executor.wait(0.3) == []  # it waits
    os.kill(executor._workers[0].pid, signal.SIGKILL)
    first, second = until_ended(executor, 2)
    assert (first.number, first.outcome.status) == (0, Status.LOST)
    assert (second.number, second.attempt, second.outcome.status) == (1, 1, Status.DONE)
    assert executor.free == 2
    executor.close()


def torch_asks_for_too_much() -> None:
    torch.empty(1 << 55)


def python_asks_for_too_much() -> None:
    bytearray(1 << 60)


def a_file_too_large_to_map() -> None:
    raise OSError(12, os.strerror(12))


def a_gpu_says_so() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def a_library_of_the_gpu_says_so() -> None:
    raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


@pytest.mark.parametrize(
    "short",
    [
        torch_asks_for_too_much, python_asks_for_too_much, a_file_too_large_to_map, a_gpu_says_so,
        a_library_of_the_gpu_says_so,
    ],
)  # fmt: skip
def test_every_way_of_saying_that_memory_ran_out_is_told_as_that(short) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises((MemoryError, RuntimeError, OSError)) as caught:
        short()
    outcome = failed(caught.value, seconds=0.0)
    assert outcome.status is Status.OUT_OF_MEMORY
    assert "Traceback" not in outcome.note


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
from nas.evaluation.failures import failed
kept = []
try:
    while True: kept.append(bytearray(1 << 24))
except MemoryError as error:
    del kept
    print(failed(error, seconds=0.0).status.value)
"""


@pytest.mark.slow
def test_a_process_at_its_limit_still_says_what_happened() -> None:
    said = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, check=False)
    if "MemoryError" in said.stderr or "failed to map" in said.stderr:
        pytest.skip("loading torch takes more than this test allows")
    assert said.stdout.strip() == "out_of_memory", said.stderr


@pytest.mark.parametrize(("kernel", "status"), [(True, Status.OUT_OF_MEMORY), (False, Status.LOST)])
def test_a_kill_by_the_kernel_for_memory_is_told_apart_from_anybody_elses(
    kernel: bool, status: Status, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills = 3
    monkeypatch.setattr(process, "oom_kills", lambda: kills)
    executor = light_workers(tmp_path, "hang")
    executor.submit(proposal(0), 0)
    until_at_work(executor)
    kills += kernel
    os.kill(executor._workers[0].pid, signal.SIGKILL)
    [ended] = until_ended(executor)
    executor.close()
    assert ended.outcome.status is status
    assert ("memory had run out" in ended.outcome.note) is kernel


def test_the_kernel_would_choose_a_worker_before_its_driver(tmp_path: Path) -> None:
    if not Path("/proc/self/oom_score_adj").exists():
        pytest.skip("this system has no such score")
    executor = light_workers(tmp_path, "hang")
    executor.submit(proposal(0), 0)
    until_at_work(executor)
    score = int(Path(f"/proc/{executor._workers[0].pid}/oom_score_adj").read_text())
    executor.close()
    assert score > int(Path("/proc/self/oom_score_adj").read_text())


@pytest.fixture
def little_memory() -> Iterator[Path]:
    """Return the file that puts a process into a cgroup of 200 MB, where this machine lets us make one."""
    for root, limit, swap in (
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.swappiness"),
        ("/sys/fs/cgroup", "memory.max", "memory.swap.max"),
    ):
        group = Path(root) / f"archscale-test-{os.getpid()}"
        try:
            group.mkdir()
            (group / limit).write_text(str(200 << 20))
            (group / swap).write_text("0")
        except OSError:
            if group.is_dir():
                group.rmdir()
            continue
        yield group / "cgroup.procs"
        group.rmdir()
        return
    pytest.skip("no cgroup can be made here")


IN_GROUP = (
    'import os, sys; open(sys.argv[1], "w").write(str(os.getpid())); os.execv(sys.executable, sys.argv[2:])'
)


@pytest.mark.slow
def test_a_trial_that_the_kernel_really_kills_for_memory_is_told_as_that(
    little_memory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = light_workers(tmp_path, "eat_all_memory", "done")
    inner = executor._program
    executor._program = (sys.executable, "-c", IN_GROUP, str(little_memory), *inner)
    events = little_memory.parent / "memory.events"
    counter = events if events.exists() else little_memory.parent / "memory.oom_control"
    monkeypatch.setattr(
        process, "oom_kills", lambda: int(counter.read_text().split("oom_kill ")[1].split()[0])
    )
    executor.submit(proposal(0), 0)
    [ended] = until_ended(executor, seconds=60)
    assert ended.outcome.status is Status.OUT_OF_MEMORY
    executor.submit(proposal(1), 0)
    assert until_ended(executor)[0].outcome.status is Status.DONE
    executor.close()
