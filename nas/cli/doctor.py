"""`nas doctor`: whether this machine can run a search, found out by trying."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType
from rich.text import Text

from search_spaces.errors import ArchscaleError, BadInput, ClusterError, StorageError

from ..cluster import needs_of
from ..config import StudyConfig, config_from_data
from ..driver import drive, stop_on_signals
from ..launch import create, executor_for
from ..proposal import Kind
from ..storage import Lock, replace_file, storage_errors
from .options import RESULTS, AsJson, Cluster, Results, on_cluster
from .search import config_from, split
from .show import console, duration, emit, facts, many, say

if TYPE_CHECKING:
    from ..execution.ray_preflight import Needs

PACKAGES = (
    "torch", "numpy", "pandas", "matplotlib", "scikit-learn", "pydantic", "safetensors", "optuna", "ray",
    "typer", "rich",
)  # fmt: skip
FSYNCS = 5
WIDEST = 9  # characters of a check's name
LITTLE_ROOM = 1e9  # bytes
HEALTHY, UNWELL = 0, 1
ON_A_CLUSTER = ("cluster", "requests", "token", "nodes", "shared", "code", "data")
NOTHING_AFTER = ("cluster",)  # what cannot be joined cannot be looked at
SMOKE = {
    "space": "mixed", "data": {"source": "digits", "limit": 300}, "strategy": {"type": "Random"},
    "limits": ["macs <= 1M"], "epochs": 2, "trials": 2, "confirm": {"top": 1, "seeds": 1},
    "final": {"epochs": 10},
    "execution": {"workers": 1, "trial_seconds": 120.0},
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was tried, whether it went well, and what is worth knowing of it."""

    name: str
    ok: bool
    says: str


def doctor(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CONFIG KEY=VALUE", help="A study that the cluster is to run.", show_default=False
        ),
    ] = None,
    cluster: Cluster = None,
    results: Results = RESULTS,
    as_json: AsJson = False,
) -> int:
    """Check this machine: versions, devices, storage, and a whole search of about ten seconds.

    The search runs in a temporary folder. With --cluster, the cluster is checked as well, as before every search
    there: requests against nodes, versions, shared storage, tokens; with CONFIG, for what that study asks.
    Exit code 0 where all is well, 4 where the results folder cannot be written safely, 5 where the cluster cannot
    serve, 1 where anything else fails.

    nas doctor
    nas doctor --results /mnt/shared/results
    nas doctor mine.yaml --cluster 10.0.0.5 --results /mnt/shared/results
    """
    config_file, overrides = split(arguments or [])
    if cluster is None and (config_file or overrides):
        raise BadInput(
            "got a study without a cluster, expected --cluster with it; `nas space` says what it searches"
        )
    to, done = console(stderr=as_json), []
    for name, look in _looks(results):
        done.append(_checked(name, look))
        say(line(done[-1]), to=to)
    if cluster is not None:
        config = config_from(config_file, on_cluster(overrides, cluster))
        for one in on_a_cluster(cluster, needs_of(config, results)):
            done.append(one)
            say(line(one), to=to)
    if as_json:
        emit({"ok": all(c.ok for c in done), "checks": [asdict(c) for c in done], "versions": versions()})
    else:
        say(*verdict(done), to=to)
    if any(not c.ok for c in done if c.name == "storage"):
        return StorageError.exit_code
    if any(not c.ok for c in done if c.name in ON_A_CLUSTER):
        return ClusterError.exit_code
    return HEALTHY if all(c.ok for c in done) else UNWELL


def on_a_cluster(cluster: str, needs: Needs) -> Iterator[Check]:
    """Yield what was found of a cluster; nothing more where it cannot be joined."""
    from ..execution.ray_cluster import leave  # which loads Ray
    from ..execution.ray_preflight import Preflight

    looking = Preflight(cluster, needs)
    try:
        for name, look in looking.looks():
            found = _checked(name, look)
            yield found
            if not found.ok and name in NOTHING_AFTER:
                return
    finally:
        looking.close()
        leave()


def versions() -> dict[str, str | None]:
    """Return the versions of ourselves and what we stand on; None where a package is missing."""
    return {"archscale": _installed("archscale"), "python": platform.python_version()} | {
        name: _installed(name) for name in PACKAGES
    }


def line(one: Check) -> RenderableType:
    """Return what people see of one check."""
    mark = ("ok  ", "green") if one.ok else ("no  ", "bold red")
    return facts([(f"{one.name:<{WIDEST}}", Text.assemble(mark, one.says))])


def verdict(done: list[Check]) -> Iterator[RenderableType]:
    """Yield what people see at the end."""
    yield Text()
    bad = [c.name for c in done if not c.ok]
    yield Text(f"not well: {', '.join(bad)}", "red") if bad else Text("all is well; begin with: nas search")


def _looks(results: Path) -> list[tuple[str, Callable[[], str]]]:
    return [
        ("versions", _versions),
        ("processor", _processor),
        ("devices", _devices),
        ("storage", lambda: _storage(results)),
        ("search", _smoke),
    ]


def _checked(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name=name, ok=True, says=look())
    except ArchscaleError as error:
        return Check(name=name, ok=False, says=str(error))
    except (OSError, ImportError, RuntimeError) as error:
        return Check(name=name, ok=False, says=f"{type(error).__name__}: {error}")


def _versions() -> str:
    found = versions()
    missing = [name for name, number in found.items() if number is None and name != "archscale"]
    if missing:
        raise ArchscaleError(f"missing: {', '.join(missing)}; install archscale again with its dependencies")
    return ", ".join(f"{name} {number or 'from its sources'}" for name, number in found.items())


def _processor() -> str:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    return f"{platform.machine()}, {many(usable or 1, 'core')} for us, {memory:.1f} GB of memory"


def _devices() -> str:
    import torch  # takes seconds

    threads = f"{many(torch.get_num_threads(), 'thread')} in torch unless execution.threads says otherwise"
    if not torch.cuda.is_available():
        return f"cpu alone, {threads}"
    names = [f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())]
    return f"cpu, {', '.join(names)}; {threads}"


def _storage(results: Path) -> str:
    home = next(folder for folder in (results.absolute(), *results.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(home).free
    with storage_errors(home, doing="writing there"), _temporary(home) as folder:
        Lock.take(Path(folder) / "lock").release()
        began = time.perf_counter()
        for i in range(FSYNCS):
            replace_file(Path(folder) / f"{i}", b"what was told is on disk")
        written_ms = 1000 * (time.perf_counter() - began) / FSYNCS
    if free < LITTLE_ROOM:
        raise StorageError(f"{home}: {free / 1e9:.2f} GB are free, expected 1 GB or more; free some space")
    return f"{home} can be written, locked and synced ({written_ms:.1f} ms a file), {free / 1e9:.0f} GB free"


def _temporary(home: Path) -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix=".doctor-", dir=home)


def _smoke() -> str:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="nas-doctor-") as folder:
        accuracy = _searched(config_from_data(SMOKE), Path(folder))
    return (
        f"a whole search in {duration(time.monotonic() - began)}: two trials, confirmation, final training, "
        f"test accuracy {100 * accuracy:.0f} % after 10 epochs on few digits"
    )


def _searched(config: StudyConfig, results: Path) -> float:
    study, folder = create(config, name="smoke", results=results)
    with study.journal, stop_on_signals() as stop:
        ending = drive(
            study, executor_for(config, folder, study.journal.header), watch=lambda *_: None, stop=stop
        )
    if ending == "interrupted":
        raise KeyboardInterrupt
    finals = study.history.of(Kind.FINAL)
    if not finals or not finals[0].done:
        ended = [t.outcome for t in study.history.trials.values() if t.outcome is not None]
        notes = [outcome.note for outcome in ended if outcome.note]
        raise ArchscaleError(
            f"the search found nothing; its last trial said: {notes[-1] if notes else 'nothing'}"
        )
    return finals[0].metrics["test_accuracy"]


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
