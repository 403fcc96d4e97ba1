"""What the machine lends this process: processors, and the kernel's count of those it killed for their memory."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

from search_spaces.errors import BadInput

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
MOST_WORKERS_A_CPU = 4  # beyond it workers only wait for each other, and each holds the data in memory


def check_workers(workers: int, threads: int, *, cpus: int | None = None) -> None:
    """Refuse, by `BadInput`, workers or threads far beyond the processors that this process may use.

    A few more than there are may be meant, as where trials wait for a GPU or a disk: `crowded` only warns.
    """
    cpus = cpus or usable_cpus()
    for name, asked in (("workers", workers), ("threads", threads)):
        if asked > MOST_WORKERS_A_CPU * cpus:
            raise BadInput(
                f"execution.{name}: got {asked}, expected at most {MOST_WORKERS_A_CPU * cpus}, which is "
                f"{MOST_WORKERS_A_CPU} for each processor this process may use ({cpus}); set execution.{name}={cpus}, "
                "or run where there are more"
            )


def crowded(workers: int, threads: int, *, cpus: int | None = None) -> str | None:
    """Return a warning where workers and their threads outnumber the processors, else None."""
    cpus, workers = cpus or usable_cpus(), max(1, workers)
    if workers * threads <= cpus:
        return None
    fewer = max(1, cpus // threads)
    return (
        f"execution: {workers} x {threads} (workers x threads) share {cpus} processor{'s' if cpus > 1 else ''}, so "
        f"each trial takes longer, and may reach trial_seconds sooner; execution.workers={fewer} "
        f"execution.threads={min(threads, cpus)} would not"
    )


def usable_cpus() -> int:
    """Return how many processors this process may use: those it may run on, or fewer by its cgroups' quota."""
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([own, *(max(1, math.ceil(quota)) for quota in _quotas())])


def oom_kills() -> int:
    """Return how many processes the kernel has killed for memory: in this cgroup where it says, else at all."""
    counters = [
        folder / name for folder in _cgroups("memory") for name in ("memory.events", "memory.oom_control")
    ]
    for path in (*counters, PROC / "vmstat"):
        words = _text(path).split()
        if "oom_kill" in words[:-1]:
            return int(words[words.index("oom_kill") + 1])
    return 0


def _quotas() -> Iterator[float]:
    """Yield the processors that each cgroup around this process may use, where it has a limit."""
    for folder in _cgroups("cpu"):
        both = _text(folder / "cpu.max").split()
        both = both or [_text(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
        if all(text.isdecimal() for text in both) and int(both[1]):  # `max` or `-1` for no limit
            yield int(both[0]) / int(both[1])


def _cgroups(controller: str) -> Iterator[Path]:
    """Yield the folders of the cgroups around this process, the innermost first, of either version."""
    for line in _text(PROC / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = CGROUPS / controller if controllers else CGROUPS
        folder = root / path.strip("/")
        yield from (folder, *(above for above in folder.parents if above.is_relative_to(root)))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
