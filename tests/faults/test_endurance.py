"""Fault test 21: a long study whose driver is killed again and again holds no more than its history.

The figures, ask + tell at trial 10,000 among them, are `benchmarks/endurance.py`'s; here only laws, no times.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from endurance import Life, endure

from nas.history import history_of
from nas.journal import read

BYTES_A_TRIAL = 64 << 10  # of memory at most: an event or two, a record, and the strategy's own


def check_flat(lives: list[Life]) -> None:
    assert len({count for life in lives for count in life.descriptors}) == 1
    assert len({count for life in lives for count in life.threads}) == 1
    for life in lives:
        assert life.bytes_a_trial < BYTES_A_TRIAL
    first, last = lives[0], lives[-1]
    grown = last.resident_bytes[1] - first.resident_bytes[1]
    assert grown < BYTES_A_TRIAL * (last.told - first.told)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads what a process holds from /proc")
def test_two_hundred_trials_and_a_kill_leave_descriptors_threads_and_memory_flat(tmp_path: Path) -> None:
    lives = endure(tmp_path / "run", trials=200, every=100)
    check_flat(lives)
    assert [life.told for life in lives] == [100, 200]
    assert len(history_of(read(tmp_path / "run")).told) >= 200


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads what a process holds from /proc")
def test_ten_thousand_trials_with_a_kill_each_five_hundred_leave_them_flat(tmp_path: Path) -> None:
    check_flat(endure(tmp_path / "run", trials=10_000, every=500))
