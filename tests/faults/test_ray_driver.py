"""Fault tests 6, 7, 8, 9 and 20 on a Ray cluster: drivers killed or told to stop, heads gone, checkpoints damaged."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import eager_worker
import pytest
import ray
import ray_driven  # which knows where `bench` is
from bench import begin
from clusters import PATIENCE, cluster, heard, of, small
from test_worker_faults import gone

from nas.data import DataSpec
from nas.data.load import load_search_data
from nas.execution.base import Ended, Report
from nas.execution.ray_tune import RayTune, Wanted
from nas.history import History, history_of
from nas.journal import JOURNAL, read
from nas.proposal import Outcome, Proposal, Status, weights_from
from nas.study import Study
from search_spaces import Conv, Stage
from search_spaces.serialise import to_data

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore")]  # Ray's own

TRIALS = 24
FEW = 16  # threads and connections that Ray opens and closes as it likes
BYTES_A_TRIAL = 64 << 10  # of memory at most, Tune's own record of a trial with ours


def driver_of(folder: Path, at: str, play: str, trials: int = TRIALS) -> subprocess.Popen[str]:
    words = [sys.executable, ray_driven.__file__, str(folder), at, str(trials), play]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def history(folder: Path) -> History:
    return history_of(read(folder)) if (folder / JOURNAL).exists() else History()


def until(condition, driver: subprocess.Popen[str]) -> None:  # type: ignore[no-untyped-def]
    latest = time.monotonic() + PATIENCE
    while not condition():
        assert driver.poll() is None, driver.communicate()
        assert time.monotonic() < latest
        time.sleep(0.02)


def descendants(process: int) -> dict[int, bytes]:
    """Return what a process has started, with all that they have started, and their command lines."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
    found = [process]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return {one: cmdline(one) for one in found[1:]}


def left(processes: dict[int, bytes]) -> list[bytes]:
    """Return the command lines of what does not end: actors and workers, and Ray but for its agents, which linger."""
    names = (b"RayTrial", b"_worker.py", b"/raylet/raylet", b"/gcs_server")
    watched = {process: line for process, line in processes.items() if any(name in line for name in names)}
    assert len(watched) >= len(names)
    return [line for process, line in watched.items() if not gone(process)]


def told(folder: Path) -> dict[int, Outcome | None]:
    now = history(folder)
    return {number: now.trials[number].outcome for number in now.told}


def check_asked_in_turn(folder: Path, scratch: Path) -> None:
    """Hold what a journal asked against a study that was never interrupted and was told the same in the same order."""
    unbroken: Study = begin(scratch, ray_driven.the_plan(TRIALS))
    for event in read(folder):
        said = event.payload
        if event.type == "ask":
            asked = next(a for a in iter(unbroken.ask, None) if a is None or a[0].number == said["number"])
            assert (
                unbroken.history.trials[asked[0].number].code == history(folder).trials[asked[0].number].code
            )
        elif event.type in ("tell", "retry"):
            unbroken.tell(said["number"], said["attempt"], outcome_of(said))  # type: ignore[arg-type]
    assert unbroken.ask() is None
    unbroken.journal.close()


def outcome_of(said) -> Outcome:  # type: ignore[no-untyped-def]
    return Outcome(
        status=Status(said["status"]), metrics=said["metrics"], note=said["note"], seconds=said["seconds"],
        weights=weights_from(said.get("weights", {})),
    )  # fmt: skip


def test_a_driver_killed_twice_and_resumed_on_new_clusters_loses_nothing_and_asks_what_it_would_have_asked(
    tmp_path: Path,
) -> None:
    folder, kept = tmp_path / "run", {}
    for enough in (6, 14):
        driver = driver_of(folder, "local:2", "slowly_scored")
        until(lambda enough=enough: len(told(folder)) >= enough, driver)
        started = descendants(driver.pid)
        driver.kill()
        driver.communicate()
        now = told(folder)
        assert {number: now[number] for number in kept} == kept
        kept = now
        assert left(started) == []
    driver = driver_of(folder, "local:2", "slowly_scored")
    said = driver.communicate(timeout=PATIENCE)
    assert driver.returncode == 0, said
    now = told(folder)
    assert {number: now[number] for number in kept} == kept
    assert len(now) == TRIALS
    assert set(Counter(e.payload["number"] for e in read(folder) if e.type == "tell").values()) == {1}
    check_asked_in_turn(folder, tmp_path / "unbroken")


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT, signal.SIGINT]])
def test_a_driver_told_to_stop_leaves_in_time_and_leaves_nothing_running(
    signals: list[signal.Signals], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    driver = driver_of(folder, "local:1", "hang")
    until(lambda: any(trial.epoch for trial in history(folder).trials.values()), driver)
    started = descendants(driver.pid)
    began = time.monotonic()
    for number in signals:
        driver.send_signal(number)
        time.sleep(0.1)
    assert driver.wait(timeout=10) == 130
    assert time.monotonic() - began < (5 if len(signals) == 1 else 1)
    driver.communicate()
    assert left(started) == []
    ends = [event.payload["reason"] for event in read(folder) if event.type == "end"]
    assert ends == (["interrupted"] if len(signals) == 1 else [])
    resumed = driver_of(folder, "local:2", "scored", trials=4)
    said = resumed.communicate(timeout=PATIENCE)
    assert resumed.returncode == 0, said
    assert len(told(folder)) == 4


@pytest.mark.slow  # Ray itself is waited for
def test_a_head_that_is_gone_ends_the_driver_with_one_message_and_the_run_goes_on_on_another(
    tmp_path: Path,
) -> None:
    words = ["trials=2", "epochs=60", "confirm.top=0", "final.of=none"]
    with cluster() as made:
        made.add_node(**small(num_cpus=1))
        command = [sys.executable, "-m", "nas", "search", "--name", "run", "--results", str(tmp_path)]
        driver = subprocess.Popen(
            [*command, *words, f"execution.cluster={made.address}"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        until(lambda: any(trial.epoch for trial in history(tmp_path / "run").trials.values()), driver)
        made.head_node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)
        _, complaint = driver.communicate(timeout=60)
    assert driver.returncode == 5, complaint
    assert "nothing is lost" in complaint
    assert "Traceback" not in complaint
    words = ["resume", "run", "execution.cluster=local:1", "--results", str(tmp_path)]
    done = subprocess.run([*command[:3], *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(told(tmp_path / "run")) == 2


class Bomb:
    """Leaves a file where somebody loads it as code."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


def test_a_training_whose_actor_was_killed_goes_on_from_a_checkpoint_that_is_whole_and_tensors_alone(
    tmp_path: Path,
) -> None:
    from test_checkpoint_faults import PROPOSAL

    data = DataSpec(limit=100)
    setup = {
        "data": to_data(data), "device": "cpu", "folder": str(tmp_path), "imports": [],
        "fingerprint": load_search_data(data).fingerprint, "threads": 1, "trial_seconds": None,
    }  # fmt: skip
    executor = RayTune(
        setup=setup, folder=tmp_path, wanted=Wanted(cluster="local:1"),
        program=(sys.executable, "-P", eager_worker.__file__),
    )  # fmt: skip
    proposal: Proposal = replace(PROPOSAL, epochs=60)
    files = tmp_path / "trials" / proposal.key / str(proposal.number)
    try:
        executor.submit(proposal, 0)
        kill_at_work(executor)
        for path in files.glob("checkpoint-*.pt"):
            path.unlink()
        first = next(iter(of(Report, heard(executor, lambda happened: of(Report, happened)))))
        assert first.epoch == 1  # nothing was left to go on from
        kill_at_work(executor)
        newest = max(files.glob("checkpoint-*.pt"))
        newest.write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
        happened = heard(executor, lambda happened: of(Ended, happened))
        [one] = of(Ended, happened)
        assert (one.attempt, one.outcome.status) == (2, Status.DONE)
        assert f"{newest.name} was not used" in one.outcome.note
        epoch = of(Report, happened)[0].epoch
        assert epoch > 1
        assert f"continued after epoch {epoch - 1}" in one.outcome.note
        assert not (tmp_path / "ran").exists()
        for number, damage in enumerate((cut, flipped), start=1):
            check_the_earlier_one_is_used(executor, replace(proposal, number=number), tmp_path, damage)
        check_it_is_refused_by_formula(executor, replace(PROPOSAL, number=3))
    finally:
        executor.close()


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    return content[:-100] + bytes([content[-100] ^ 1]) + content[-99:]


def check_the_earlier_one_is_used(
    executor: RayTune, proposal: Proposal, folder: Path, damage: Callable[[bytes], bytes]
) -> None:
    """Kill the actor of a training, damage its newest checkpoint, and hold that the one before is gone on from."""
    executor.submit(proposal, 0)
    kill_at_work(executor)
    newest = max((folder / "trials" / proposal.key / str(proposal.number)).glob("checkpoint-*.pt"))
    newest.write_bytes(damage(newest.read_bytes()))
    happened = heard(executor, lambda happened: of(Ended, happened))
    [one] = of(Ended, happened)
    assert (one.attempt, one.outcome.status) == (1, Status.DONE)
    assert f"{newest.name} was not used" in one.outcome.note
    assert "continued after epoch" in one.outcome.note


def check_it_is_refused_by_formula(executor: RayTune, proposal: Proposal) -> None:
    """Hold that a network of trillions of weights is no more than an outcome with a message."""
    stages = (Stage(blocks=(Conv(kernel=7), Conv(kernel=7)), width=400_000),)
    candidate = replace(proposal.candidate, network=replace(proposal.candidate.network, stages=stages))
    executor.submit(replace(proposal, candidate=candidate), 0)
    [one] = of(Ended, heard(executor, lambda happened: of(Ended, happened)))
    assert one.outcome.status is Status.BUG
    assert "weights, 29,206.6 GiB, expected at most" in one.outcome.note


def kill_at_work(executor: RayTune) -> None:
    """Kill the actor of a training that has come some epochs further, and wait until that is known."""
    heard(executor, lambda happened: len(of(Report, happened)) >= 4)
    [flight] = executor._flights.values()  # the test needs what users must not see
    worker = next(p for p, line in descendants(os.getpid()).items() if b"eager_worker" in line)
    ray.kill(flight.actor)
    assert gone(worker)
    lost = heard(executor, lambda happened: of(Ended, happened))
    assert of(Ended, lost)[0].outcome.status is Status.LOST


def cmdline(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.slow
def test_a_long_study_with_a_kill_each_three_hundred_trials_holds_no_more_than_its_history(
    tmp_path: Path,
) -> None:
    """Fault test 21: what the driver holds is looked at after 100 and after 300 trials of each of its lives."""
    folder, lives = tmp_path / "run", 5
    for life in range(lives):
        driver = driver_of(folder, "local:2", "done", trials=1500)
        looks = []
        for more in (100, 300):
            until(lambda enough=300 * life + more: journalled(folder) >= enough, driver)
            looks.append(held(driver.pid))
        driver.kill()
        driver.communicate()
        early, late = looks
        assert late.descriptors - early.descriptors <= FEW
        assert late.threads - early.threads <= FEW
        assert late.resident - early.resident < BYTES_A_TRIAL * 200
    tells = Counter(e.payload["number"] for e in read(folder) if e.type == "tell")
    assert len(tells) >= 300 * lives
    assert set(tells.values()) == {1}


def journalled(folder: Path) -> int:
    """Return how many outcomes a journal holds, without checking it."""
    path = folder / JOURNAL
    return path.read_bytes().count(b'"tell"') if path.exists() else 0


def held(process: int) -> Held:
    """Return what a process holds now."""
    proc = Path("/proc") / str(process)
    pages = int((proc / "statm").read_text().split()[1])
    return Held(
        descriptors=len(list((proc / "fd").iterdir())), threads=len(list((proc / "task").iterdir())),
        resident=pages * os.sysconf("SC_PAGE_SIZE"),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a process holds: open files, threads, bytes of memory."""

    descriptors: int
    threads: int
    resident: int
