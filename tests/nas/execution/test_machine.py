"""Processors and the kernel's count of kills for memory, from made-up files; worker counts held to them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from nas.config import Execution, read_config
from nas.execution import machine
from nas.execution.machine import check_workers, crowded, oom_kills, usable_cpus
from nas.launch import create, reopen
from search_spaces.errors import BadInput


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(machine, "PROC", tmp_path / "proc")
    monkeypatch.setattr(machine, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    return tmp_path


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        path = folder / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("texts", "cpus"),
    [
        ({}, 8),
        ({"proc__self__cgroup": "0::/a/b\n", "cgroup__a__b__cpu_DOT_max": "max 100000\n"}, 8),
        ({"proc__self__cgroup": "0::/a/b\n", "cgroup__a__b__cpu_DOT_max": "250000 100000\n"}, 3),
        ({"proc__self__cgroup": "0::/a/b\n", "cgroup__a__cpu_DOT_max": "50000 100000\n"}, 1),
        ({"proc__self__cgroup": "0::/\n", "cgroup__cpu_DOT_max": "1600000 100000\n"}, 8),
        (
            {
                "proc__self__cgroup": "3:cpu,cpuacct:/x\n0::/\n",
                "cgroup__cpu__x__cpu_DOT_cfs_quota_us": "200000\n",
                "cgroup__cpu__x__cpu_DOT_cfs_period_us": "100000\n",
                "cgroup__cpu__cpu_DOT_cfs_quota_us": "-1\n",
                "cgroup__cpu__cpu_DOT_cfs_period_us": "100000\n",
            },
            2,
        ),
    ],
)
def test_the_processors_are_those_it_may_run_on_within_every_quota_around_it(
    texts: dict[str, str], cpus: int, files: Path
) -> None:
    write(files, **texts)
    assert usable_cpus() == cpus


@pytest.mark.parametrize(
    ("texts", "kills"),
    [
        ({}, 0),
        ({"proc__vmstat": "pgfault 12\noom_kill 3\nx 1\n"}, 3),
        (
            {
                "proc__self__cgroup": "0::/a\n",
                "cgroup__a__memory_DOT_events": "oom 9\noom_kill 2\n",
                "proc__vmstat": "oom_kill 7\n",
            },
            2,
        ),
        (
            {
                "proc__self__cgroup": "4:memory:/a\n",
                "cgroup__memory__a__memory_DOT_oom_control": "under_oom 0\noom_kill 5\n",
            },
            5,
        ),
    ],
)
def test_the_kernels_kills_for_memory_are_counted_in_the_cgroup_where_it_says(
    texts: dict[str, str], kills: int, files: Path
) -> None:
    write(files, **texts)
    assert oom_kills() == kills


def test_this_machine_has_a_processor_and_a_count() -> None:
    assert 1 <= usable_cpus() <= (os.cpu_count() or 1)
    assert oom_kills() >= 0


@pytest.mark.parametrize(("workers", "threads"), [(0, 1), (1, 1), (8, 1), (1, 8)])
def test_a_few_more_than_there_are_may_be_meant(workers: int, threads: int) -> None:
    check_workers(workers, threads, cpus=2)


@pytest.mark.parametrize(
    ("workers", "threads", "message"),
    [
        (64, 1, r"execution\.workers: got 64, expected at most 8, .* each processor .*\(2\); set execution\.workers=2"),
        (1, 9, r"execution\.threads: got 9, expected at most 8, .*; set execution\.threads=2"),
    ],
)  # fmt: skip
def test_far_more_than_the_machine_has_is_refused_with_what_to_set(
    workers: int, threads: int, message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        check_workers(workers, threads, cpus=2)


@pytest.mark.parametrize(
    ("workers", "threads", "said"),
    [
        (2, 1, None), (1, 2, None), (0, 2, None),
        (2, 2, r"2 x 2 .* share 2 processors, .*; execution\.workers=1 execution\.threads=2 would not"),
        (0, 4, r"1 x 4 .*; execution\.workers=1 execution\.threads=2 would not"),
        (3, 1, r"3 x 1 .*; execution\.workers=2 execution\.threads=1 would not"),
    ],
)  # fmt: skip
def test_workers_that_share_processors_are_warned_of(workers: int, threads: int, said: str | None) -> None:
    warning = crowded(workers, threads, cpus=2)
    if said is None:
        assert warning is None
    else:
        assert re.search(said, warning or "")


def test_a_search_beyond_the_machine_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    results = tmp_path / "results"
    with pytest.raises(BadInput, match=r"execution\.workers: got 1000, expected at most"):
        create(
            read_config("space: mixed", ["execution.workers=1000"], source="test"), name=None, results=results
        )
    assert not results.exists()


def test_a_run_from_a_larger_machine_is_resumed_with_fewer_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_config = read_config("space: mixed", ["execution.workers=64"], source="test")
    with monkeypatch.context() as larger:
        larger.setattr(machine, "usable_cpus", lambda: 64)
        study, folder = create(a_config, name="run", results=tmp_path)
    study.journal.close()
    monkeypatch.setattr(machine, "usable_cpus", lambda: 2)
    before = (folder / "journal.jsonl").read_bytes()
    with pytest.raises(BadInput, match=r"set execution\.workers=2"):
        reopen(folder)
    assert (folder / "journal.jsonl").read_bytes() == before
    study, amended = reopen(folder, ["execution.workers=2"])
    study.journal.close()
    assert amended.execution == Execution(workers=2)


def test_a_device_whose_name_says_nothing_is_refused_by_its_place_in_python_and_in_files() -> None:
    with pytest.raises(BadInput, match=r"device: got 'gpu', expected auto, cpu, cuda or cuda:0"):
        Execution(device="gpu")
    with pytest.raises(BadInput, match=r"execution: device: got 'gpu', expected auto"):
        read_config("space: mixed", ["execution.device=gpu"], source="test")
