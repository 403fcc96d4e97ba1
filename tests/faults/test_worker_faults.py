"""Fault tests 10, 11 and 14 on worker processes: trials that hang, leave, garble, or answer twice and late."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from light_worker import intervals, light_workers, proposal

from nas.execution.base import Ended, Executor, Report
from nas.execution.local import LocalWorkers
from nas.proposal import Kind, Status
from search_spaces.errors import BadInput, StorageError

Workers = Callable[..., LocalWorkers]


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    """Return a maker of executors that are closed in the end."""
    made: list[LocalWorkers] = []

    def begin(*plays: str, count: int = 1, seconds: float | None = None, threads: int = 1) -> LocalWorkers:
        made.append(light_workers(tmp_path, *plays, count=count, seconds=seconds, threads=threads))
        return made[-1]

    yield begin
    for executor in made:
        executor.close()


def until_ended(executor: Executor, count: int = 1, seconds: float = 30) -> list[Ended]:
    ended: list[Ended] = []
    until = time.monotonic() + seconds
    while len(ended) < count:
        assert time.monotonic() < until, f"nothing ended within {seconds} s"
        ended += [happened for happened in executor.wait(0.05) if isinstance(happened, Ended)]
    return ended


def until_at_work(executor: Executor, count: int = 1) -> None:
    reports = 0
    while reports < count:
        reports += sum(isinstance(happened, Report) for happened in executor.wait(0.05))


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(process: int, seconds: float = 5) -> bool:
    until = time.monotonic() + seconds
    while alive(process) and time.monotonic() < until:
        time.sleep(0.02)
    return not alive(process)


def pids(executor: LocalWorkers) -> list[int]:
    return [worker.pid for worker in executor._workers]  # the test needs what users must not see


@pytest.mark.parametrize("play", ["hang", "spin_in_c", "hang_with_a_child"])
def test_a_trial_that_nothing_but_a_kill_ends_is_timed_out_in_time_and_its_processor_is_free(
    play: str, workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if play != "hang":
        monkeypatch.setattr("nas.execution.local.GRACE_SECONDS", 0.2)  # the rest of the time is the same
    executor = workers(play, "done", seconds=0.2)
    executor.submit(proposal(0), 0)
    until_at_work(executor)
    began = time.monotonic()
    [process] = pids(executor)
    [ended] = until_ended(executor)
    assert time.monotonic() - began < 0.2 + 5
    assert (ended.outcome.status, ended.outcome.note) == (Status.TIMED_OUT, "killed after its limit of 0.2 s")
    assert gone(process)
    if play == "hang_with_a_child":
        assert gone(int((tmp_path / "child").read_text()))
    executor.submit(proposal(1), 0)
    assert until_ended(executor)[0].outcome.status is Status.DONE


def test_a_stopped_process_is_killed_at_its_limit_too(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.execution.local.GRACE_SECONDS", 0.2)
    executor = workers("hang", seconds=0.2)
    executor.submit(proposal(0), 0)
    until_at_work(executor)
    [process] = pids(executor)
    os.kill(process, signal.SIGSTOP)
    assert until_ended(executor, seconds=0.2 + 5)[0].outcome.status is Status.TIMED_OUT
    assert gone(process)


def test_the_final_training_has_no_time_limit(workers: Workers) -> None:
    executor = workers("slow", seconds=0.01)
    executor.submit(proposal(0, Kind.FINAL), 0)
    assert until_ended(executor)[0].outcome.status is Status.DONE


def test_one_of_two_workers_is_killed_alone(workers: Workers) -> None:
    executor = workers("hang", "hang", "done", count=2)
    for number in (0, 1):
        executor.submit(proposal(number), 0)
    assert executor.free == 0
    until_at_work(executor, 2)
    first, second = pids(executor)
    os.kill(first, signal.SIGKILL)
    [ended] = until_ended(executor)
    assert (ended.number, ended.outcome.status) == (0, Status.LOST)
    assert "SIGKILL" in ended.outcome.note
    assert alive(second)
    executor.submit(proposal(2), 0)
    assert until_ended(executor)[0].number == 2
    assert second in pids(executor)


@pytest.mark.parametrize(
    ("play", "says"),
    [
        ("leave", "ended with exit code 0 in mid-trial"),
        ("leave_a_child_behind", "ended with exit code 0 in mid-trial"),
        ("be_killed", "ended with signal SIGKILL"),
        ("die_of_a_nameless_signal", "ended with signal 35"),
        ("close_everything", "ended with "),
        ("garble", "ended with "),
    ],
)
def test_a_process_that_leaves_or_garbles_its_messages_is_lost_and_nobody_waits_for_it(
    play: str, says: str, workers: Workers, tmp_path: Path
) -> None:
    executor = workers(play, "done")
    executor.submit(proposal(0), 0)
    [ended] = until_ended(executor)
    assert (ended.number, ended.attempt, ended.outcome.status) == (0, 0, Status.LOST)
    assert says in ended.outcome.note
    if (tmp_path / "child").exists():
        assert gone(int((tmp_path / "child").read_text()))
    executor.submit(proposal(1), 0)
    assert until_ended(executor)[0].outcome.status is Status.DONE


def test_what_a_trial_prints_closes_or_reads_disturbs_neither_messages_nor_the_next_trial(
    workers: Workers, tmp_path: Path
) -> None:
    plays = ("print_garbage", "close_the_outputs", "read_the_input", "print_garbage", "done")
    executor = workers(*plays)
    outcomes = []
    for number in range(len(plays)):
        executor.submit(proposal(number), 0)
        outcomes += [ended.outcome for ended in until_ended(executor)]
    assert [outcome.status for outcome in outcomes] == [Status.DONE] * len(plays)
    assert outcomes[2].note == "read ''"
    assert (tmp_path / "worker-0.log").read_bytes().count(b"garbage") == 20_000
    assert len({process for *_, process in intervals(tmp_path)}) == 1  # one worker served them all


# Says each outcome again before and after the next trial has begun, and a report that comes too late.
TWICE = """
import json, sys
def say(**words): print(json.dumps(words), flush=True)
last = None
for line in sys.stdin:
    said = json.loads(line)
    if "proposal" not in said: continue
    of = [said["proposal"]["number"], said["attempt"]]
    done = {"of": of, "status": "done", "metrics": {"validation_accuracy": float(of[0])}, "note": "", "seconds": 1.0}
    say(**(last or done | {"of": [99, 0]}))
    say(of=of, began=True)
    if last: say(**last); say(of=last["of"], epoch=7, metrics={})
    say(**done); say(**done)
    last = done
"""


def test_an_outcome_delivered_twice_or_late_is_credited_to_no_other_trial(tmp_path: Path) -> None:
    executor = LocalWorkers(
        setup={}, folder=tmp_path, workers=1, threads=1, trial_seconds=None,
        program=(sys.executable, "-c", TWICE),
    )  # fmt: skip
    happened: list[Report | Ended] = []
    for number, attempt in ((0, 0), (1, 0), (1, 1), (2, 0)):
        executor.submit(proposal(number), attempt)
        while not happened or (happened[-1].number, getattr(happened[-1], "attempt", -1)) != (
            number,
            attempt,
        ):
            happened += executor.wait(1)
    happened += executor.wait(0.2)
    executor.close()
    ended = [h for h in happened if isinstance(h, Ended)]
    assert [(e.number, e.attempt, e.outcome.metrics["validation_accuracy"]) for e in ended] == [
        (0, 0, 0.0), (1, 0, 1.0), (1, 1, 1.0), (2, 0, 2.0)
    ]  # fmt: skip
    assert len(happened) == len(ended)


@pytest.mark.parametrize(("storage", "kind"), [(True, StorageError), (False, BadInput)])
def test_a_worker_that_cannot_write_ends_the_driving_and_blames_no_trial(
    storage: bool, kind: type[Exception], tmp_path: Path
) -> None:
    say = f'import json; print(json.dumps({{"of": [0, 0], "stopped": "disk full", "storage": {storage}}}))'
    executor = LocalWorkers(
        setup={}, folder=tmp_path, workers=1, threads=1, trial_seconds=None,
        program=(sys.executable, "-c", f"input(); input(); {say}"),
    )  # fmt: skip
    executor.submit(proposal(0), 0)
    with pytest.raises(kind, match="disk full"):
        until_ended(executor)
    executor.close()


def test_no_two_workers_at_work_share_a_log_even_after_deaths(workers: Workers, tmp_path: Path) -> None:
    executor = workers("hang", count=3)
    for number in range(3):
        executor.submit(proposal(number), 0)
    until_at_work(executor, 3)
    for attempt in range(1, 4):  # killed in turn: the new one always takes the log that no other one has
        victim = pids(executor)[0]
        os.kill(victim, signal.SIGKILL)
        [ended] = until_ended(executor)
        executor.submit(proposal(ended.number), attempt)
        until_at_work(executor)
        logs = [str(Path(f"/proc/{process}/fd/2").readlink()) for process in pids(executor)]
        assert sorted(logs) == [str(tmp_path / f"worker-{slot}.log") for slot in range(3)]
    said = b"".join((tmp_path / f"worker-{slot}.log").read_bytes() for slot in range(3))
    assert said.count(b"begun") == 6


def test_each_worker_is_told_how_many_threads_it_has(workers: Workers) -> None:
    executor = workers("done", threads=3)
    executor.submit(proposal(0), 0)
    metrics = until_ended(executor)[0].outcome.metrics
    assert {metrics[f"{name}_NUM_THREADS"] for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR")} == {3.0}


def test_closing_kills_what_runs_and_what_it_started(workers: Workers, tmp_path: Path) -> None:
    executor = workers("hang_with_a_child")
    executor.submit(proposal(0), 0)
    until_at_work(executor)
    while not (tmp_path / "child").exists() or not (tmp_path / "child").read_text():
        time.sleep(0.01)
    executor.close()
    executor.close()
    assert gone(int((tmp_path / "child").read_text()))


DRIVER = """
import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path
import light_worker as light, test_worker_faults as t
executor = light.light_workers(Path(sys.argv[2]), sys.argv[3])
executor.submit(light.proposal(0), 0)
t.until_at_work(executor); print(*t.pids(executor), flush=True)
while True: executor.wait(1)
"""


@pytest.mark.parametrize("play", ["hang", "spin_in_c"])
def test_a_worker_dies_with_its_driver(play: str, tmp_path: Path) -> None:
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(Path(__file__).parent), str(tmp_path), play],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert driver.stdout is not None
    process = int(driver.stdout.readline())
    assert alive(process)
    driver.kill()
    driver.communicate()
    assert gone(process)


def test_a_worker_killed_before_its_trial_began_is_replaced_and_the_trial_is_none_the_wiser(
    workers: Workers,
) -> None:
    executor = workers("done")
    executor.submit(proposal(0), 0)
    os.kill(pids(executor)[0], signal.SIGKILL)
    [ended] = until_ended(executor)
    assert (ended.attempt, ended.outcome.status) == (0, Status.DONE)


def test_workers_that_never_begin_are_not_started_for_ever(workers: Workers) -> None:
    executor = workers("done")
    executor.submit(proposal(0), 0)
    for _ in range(2):
        os.kill(pids(executor)[0], signal.SIGKILL)
        assert executor.wait(10) == []
    os.kill(pids(executor)[0], signal.SIGKILL)
    with pytest.raises(BadInput, match=r"3 workers in a row that ended before a trial began, .* SIGKILL"):
        executor.wait(10)


def test_a_worker_that_says_nothing_at_all_is_replaced_and_its_trial_not_timed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.execution.local.STARTUP_SECONDS", 0.1)
    executor = LocalWorkers(
        setup={}, folder=tmp_path, workers=1, threads=1, trial_seconds=60, program=("sleep", "1000")
    )
    executor.submit(proposal(0), 0)
    with pytest.raises(BadInput, match=r"3 workers in a row that had not begun a trial within 0\.1 s"):
        until_ended(executor)
    executor.close()
