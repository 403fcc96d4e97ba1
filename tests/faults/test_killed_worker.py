"""Fault tests 6 and 7 with real training: workers killed in mid-trial, and a search told to stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nas.history import History, history_of
from nas.journal import JOURNAL, read
from nas.model import load
from nas.proposal import Kind, Status

TINY = ["trials=2", "epochs=2", "confirm.top=0", "final.epochs=2", "execution.workers=1"]


def command(results: Path, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "nas", *words, "--results", str(results)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def history(results: Path) -> History:
    return history_of(read(results / "run")) if (results / "run" / JOURNAL).exists() else History()


def until(condition, driver: subprocess.Popen[bytes]) -> None:  # type: ignore[no-untyped-def]
    while not condition():
        assert driver.poll() is None, driver.stderr.read().decode() if driver.stderr else ""
        time.sleep(0.02)


def worker_of(driver: subprocess.Popen[bytes]) -> int:
    children = Path(f"/proc/{driver.pid}/task/{driver.pid}/children").read_text().split()
    return next(int(c) for c in children if b"nas.worker" in Path(f"/proc/{c}/cmdline").read_bytes())


def test_a_killed_worker_costs_one_attempt_and_nothing_else(tmp_path: Path) -> None:
    search = command(tmp_path, "search", "--name", "run", *TINY, "trials=1", "epochs=10")
    until(lambda: any(t.epoch for t in history(tmp_path).trials.values()), search)
    os.kill(worker_of(search), signal.SIGKILL)
    assert search.wait(timeout=120) == 0
    search.communicate()
    found = history(tmp_path)
    assert [t.attempts for t in found.trials.values()] == [1, 0]
    assert "SIGKILL" in found.trials[0].attempt_notes[0]
    assert all(t.done for t in found.trials.values())
    assert len(found.told) == len(set(found.told)) == 2
    assert load(tmp_path / "run" / "best").inputs.shape == (1, 8, 8)  # a worker process keeps all of a model


@pytest.mark.slow
def test_ctrl_c_leaves_within_five_seconds_and_resume_finishes_the_run(tmp_path: Path) -> None:
    search = command(tmp_path, "search", "--name", "run", *TINY, "epochs=10")
    until(lambda: len(history(tmp_path).told) >= 1, search)
    before = history(tmp_path)
    search.send_signal(signal.SIGINT)
    assert search.wait(timeout=5) == 130
    said = b"".join(search.communicate()).decode()
    assert "nas resume run" in said
    resume = command(tmp_path, "resume", "run")
    assert resume.wait(timeout=120) == 0
    resume.communicate()
    after = history(tmp_path)
    assert all(after.trials[n].outcome == before.trials[n].outcome for n in before.told)
    assert len(after.of(Kind.TRAIN)) == 2
    assert len(after.of(Kind.FINAL)) == 1
    assert all(t.outcome and t.outcome.status is Status.DONE for t in after.trials.values())
    assert load(tmp_path / "run" / "best").inputs.shape == (1, 8, 8)
