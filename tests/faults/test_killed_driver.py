"""Fault tests 1 and 6: a driver killed at any moment, or asked to leave, loses nothing and counts nothing twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from nas.history import History, history_of
from nas.journal import JOURNAL, read
from nas.proposal import Kind

SCRIPT = Path(__file__).parent / "driven.py"
TRIALS = 120


def begin_driver(folder: Path, pause: float = 0.002, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(SCRIPT), str(folder), str(TRIALS), str(pause), *words])


def told(folder: Path) -> dict[int, object]:
    if not (folder / JOURNAL).exists():
        return {}
    history = history_of(read(folder))
    return {n: history.trials[n].outcome for n in history.told}


def kill_and_resume(folder: Path, times: int, rng: random.Random) -> History:
    """Kill drivers at random moments `times` times, then let one finish; checks each told outcome after each kill."""
    kept: dict[int, object] = {}
    kills = 0
    while kills < times:
        driver = begin_driver(folder, pause=0.02)
        size = (folder / JOURNAL).stat().st_size if (folder / JOURNAL).exists() else 0
        while driver.poll() is None and (
            not (folder / JOURNAL).exists() or (folder / JOURNAL).stat().st_size == size
        ):
            time.sleep(0.002)  # until it writes: before that there is nothing to lose
        time.sleep(rng.uniform(0, 0.15))
        driver.kill()
        driver.wait()
        kills += 1
        now = told(folder)
        assert {n: now[n] for n in kept} == kept
        kept = now
    assert begin_driver(folder).wait() == 0
    now = told(folder)
    assert {n: now[n] for n in kept} == kept
    return history_of(read(folder))


def check_exact(folder: Path, history: History) -> None:
    assert len(history.of(Kind.TRAIN)) == TRIALS
    assert len(history.of(Kind.CONFIRM)) == 4
    assert len(history.of(Kind.FINAL)) == 1
    assert not history.untold
    tells = Counter(e.payload["number"] for e in read(folder) if e.type == "tell")
    assert set(tells.values()) == {1}
    assert len({t.identity for t in history.trials.values()}) == len(history.trials)


def test_twenty_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    check_exact(folder, kill_and_resume(folder, 20, random.Random(1)))


@pytest.mark.slow
def test_two_hundred_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    for round_number in range(10):
        folder = tmp_path / f"run{round_number}"
        check_exact(folder, kill_and_resume(folder, 20, random.Random(round_number)))


@pytest.mark.skipif("ARCHSCALE_KILLS" not in os.environ, reason="set ARCHSCALE_KILLS=1000 to kill so often")
@pytest.mark.slow
def test_as_many_kills_as_asked_lose_nothing(tmp_path: Path) -> None:
    for round_number in range(int(os.environ["ARCHSCALE_KILLS"]) // 20):
        folder = tmp_path / f"run{round_number}"
        check_exact(folder, kill_and_resume(folder, 20, random.Random(round_number)))


def test_a_killed_run_asks_what_an_unbroken_run_asks(tmp_path: Path) -> None:
    broken = kill_and_resume(tmp_path / "broken", 5, random.Random(2))
    assert begin_driver(tmp_path / "whole").wait() == 0
    whole = history_of(read(tmp_path / "whole"))
    assert [t.identity for t in broken.trials.values()] == [t.identity for t in whole.trials.values()]


def asked(folder: Path) -> bool:
    return (folder / JOURNAL).exists() and any(event.type == "ask" for event in read(folder))


@pytest.mark.parametrize(
    ("number", "pause"), [(signal.SIGINT, 0.05), (signal.SIGTERM, 0.05), (signal.SIGINT, 60)]
)
def test_a_signal_ends_it_cleanly_within_five_seconds_also_in_mid_trial_and_it_resumes(
    number: signal.Signals, pause: float, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    driver = begin_driver(folder, pause=pause)
    while len(told(folder)) < 3 and (pause < 1 or not asked(folder)):
        time.sleep(0.02)
    driver.send_signal(number)
    assert driver.wait(timeout=5) == 130
    events = read(folder)
    assert events[-1].type == "end"
    assert events[-1].payload == {"reason": "interrupted"}
    assert begin_driver(folder).wait() == 0
    check_exact(folder, history_of(read(folder)))


def test_a_second_signal_ends_it_at_once_and_it_resumes(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    driver = begin_driver(folder, 30, "deaf")
    while not asked(folder):
        time.sleep(0.02)
    time.sleep(0.3)  # it was asked; a moment later it runs
    driver.send_signal(signal.SIGINT)
    time.sleep(0.1)
    # This executor's trial cannot be killed: one that hears nothing is waited for.
    assert driver.poll() is None
    driver.send_signal(signal.SIGINT)
    assert driver.wait(timeout=1) == 130
    assert begin_driver(folder).wait() == 0
    check_exact(folder, history_of(read(folder)))
