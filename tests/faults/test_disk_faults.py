"""Fault test 15 through the whole of `nas search`: a disk that refuses, is full, read-only or gone."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from test_journal_faults import Refusing

from nas.__main__ import run
from nas.evaluation import job
from nas.history import History, history_of
from nas.journal import JOURNAL, read
from nas.proposal import Kind
from nas.storage import DISK

TINY = (
    "trials=2", "epochs=1", "data.limit=60", "confirm.top=0", "final.epochs=1", "execution.workers=0",
)  # fmt: skip
CALLS = ("write", "fsync", "ftruncate", "replace")
Said = pytest.CaptureFixture[str]


def search(results: Path) -> int:
    return run(["search", *TINY, "--name", "run", "--results", str(results), "--json"])


def go_on(results: Path) -> int:
    """Resume the run, or begin it where it never came to be."""
    if not (results / "run" / JOURNAL).exists():
        return search(results)
    return run(["resume", "run", "--results", str(results), "--json"])


def recorded(results: Path) -> History:
    path = results / "run"
    return history_of(read(path)) if (path / JOURNAL).exists() else History()


def timeless(history: History) -> list[tuple[object, object]]:
    """Return who was asked and what was told, but for how long it took."""
    return [
        (t.identity, {n: v for n, v in t.metrics.items() if n != "train_seconds"})
        for t in history.trials.values()
    ]


@contextmanager
def disk(refusing: Refusing) -> Iterator[None]:
    """Let every write of ours go through a disk that refuses."""
    before = {name: getattr(DISK, name) for name in CALLS}
    for name in CALLS:
        object.__setattr__(DISK, name, getattr(refusing.disk, name))
    try:
        yield
    finally:
        for name, call in before.items():
            object.__setattr__(DISK, name, call)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, list[tuple[object, object]]]:
    """Return how often an unbroken search calls the disk, and what it found."""
    results = tmp_path_factory.mktemp("unbroken")
    never = Refusing(fails_at=10**9, number=errno.ENOSPC, once=False)
    with disk(never):
        assert search(results) == 0
    return never.calls, timeless(recorded(results))


def check_stopped_and_whole(results: Path, said: Said, unbroken: list[tuple[object, object]]) -> None:
    """Check that the driver left with one message, that nothing told is lost, and that the rest follows."""
    _, err = said.readouterr()
    last = err.splitlines()[-1]
    assert "Traceback" not in err
    assert last.startswith("nas: "), err
    assert str(results) in last
    before = recorded(results)
    assert go_on(results) == 0
    said.readouterr()
    after = recorded(results)
    assert all(after.trials[n].outcome == before.trials[n].outcome for n in before.told)
    assert timeless(after) == unbroken
    assert (results / "run" / "best" / "weights.safetensors").exists()


def refuse(
    results: Path, at: int, number: int, *, once: bool, said: Said, unbroken: list[tuple[object, object]]
) -> None:
    with disk(Refusing(fails_at=at, number=number, once=once)):
        assert search(results) == 4
    check_stopped_and_whole(results, said, unbroken)


@pytest.mark.parametrize("share", [0.1, 0.4, 0.75, 1.0])
def test_a_disk_that_is_full_from_some_call_on_ends_the_search_with_4_and_resume_loses_nothing(
    share: float, unbroken: tuple[int, list[tuple[object, object]]], tmp_path: Path, capsys: Said
) -> None:
    calls, found = unbroken
    refuse(tmp_path, int((calls - 1) * share), errno.ENOSPC, once=False, said=capsys, unbroken=found)


@pytest.mark.slow
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("once", [True, False])
def test_a_disk_that_refuses_any_one_call_ends_the_search_with_4_and_resume_loses_nothing(
    number: int, once: bool, unbroken: tuple[int, list[tuple[object, object]]], tmp_path: Path, capsys: Said
) -> None:
    calls, found = unbroken
    for at in range(calls):
        refuse(tmp_path / str(at), at, number, once=once, said=capsys, unbroken=found)


def test_a_full_disk_in_the_final_training_leaves_it_to_be_done_again(
    unbroken: tuple[int, list[tuple[object, object]]],
    tmp_path: Path,
    capsys: Said,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def keep(*given: object) -> None:
        with disk(Refusing(fails_at=0, number=errno.ENOSPC, once=False)):
            real(*given)  # type: ignore[arg-type]

    real = job._keep
    monkeypatch.setattr(job, "_keep", keep)
    assert search(tmp_path) == 4
    [final] = recorded(tmp_path).of(Kind.FINAL)
    assert final.outcome is None
    monkeypatch.setattr(job, "_keep", real)
    check_stopped_and_whole(tmp_path, capsys, unbroken[1])


def test_a_folder_that_is_taken_away_ends_the_search_with_4_and_back_again_it_goes_on(
    unbroken: tuple[int, list[tuple[object, object]]],
    tmp_path: Path,
    capsys: Said,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    results, elsewhere = tmp_path / "results", tmp_path / "elsewhere"
    train = job.JOBS[Kind.TRAIN]

    def take_away(*given):  # type: ignore[no-untyped-def]
        if recorded(results).told:
            (results / "run").rename(elsewhere)
        return train(*given)

    monkeypatch.setitem(job.JOBS, Kind.TRAIN, take_away)  # type: ignore[arg-type]
    assert search(results) == 4
    assert "lock: No such file" in capsys.readouterr().err
    assert not (results / "run" / JOURNAL).exists()
    monkeypatch.setitem(job.JOBS, Kind.TRAIN, train)  # type: ignore[arg-type]
    shutil.rmtree(results / "run", ignore_errors=True)
    elsewhere.rename(results / "run")
    assert go_on(results) == 0
    assert timeless(recorded(results)) == unbroken[1]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, Callable[[str], None]]]:
    """Return a file system of 40 kB and a way to mount it anew, where this machine lets us."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(*options: str) -> None:
        done = subprocess.run(["mount", *options, str(folder)], capture_output=True, check=False)
        if done.returncode:
            pytest.skip("nothing can be mounted here")

    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("nothing can be mounted here")
    mount("-t", "tmpfs", "-o", "size=40k", "tmpfs")
    try:
        yield folder, lambda options: mount("-o", f"remount,{options}")
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_really_full_or_read_only_ends_with_4_and_more_room_lets_it_go_on(
    small_disk: tuple[Path, Callable[[str], None]],
    unbroken: tuple[int, list[tuple[object, object]]],
    capsys: Said,
) -> None:
    results, mount = small_disk
    assert search(results) == 4
    assert "No space left on device" in capsys.readouterr().err
    mount("ro")
    assert go_on(results) == 4
    assert "make the folder writable" in capsys.readouterr().err
    mount("rw,size=64m")
    assert go_on(results) == 0
    assert timeless(recorded(results)) == unbroken[1]


@pytest.mark.slow
@pytest.mark.parametrize("largest", [1_000, 9_000, 13_000])
def test_files_that_may_grow_no_further_end_a_search_with_workers_with_4_too(
    largest: int, tmp_path: Path
) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

    words = [*TINY, "execution.workers=2", "--name", "run", "--results", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "nas", "search", *words],
        preexec_fn=limit, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stderr
    before = recorded(tmp_path)
    assert go_on(tmp_path) == 0
    after = recorded(tmp_path)
    assert all(after.trials[n].outcome == before.trials[n].outcome for n in before.told)
    assert [t.done for t in after.of(Kind.FINAL)] == [True]
