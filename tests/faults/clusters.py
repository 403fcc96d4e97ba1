"""A Ray cluster of nodes that are processes of this machine, for tests: nodes come and go, resources are made up."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import light_worker
from ray.cluster_utils import Cluster

from nas.execution.base import Ended, Happening, Notice, Report
from nas.execution.ray_trial import Share
from nas.execution.ray_tune import RayTune, Wanted

STORE_BYTES = 80 << 20
T = TypeVar("T", Ended, Notice, Report)
PATIENCE = 120.0  # seconds for what takes 10 on an idle machine


@contextmanager
def cluster(*, system: dict[str, object] | None = None, **head: Any) -> Iterator[Cluster]:
    """Yield a cluster with its head alone, which runs no trials unless it is told to."""
    with tempfile.TemporaryDirectory(
        prefix="r", dir="/tmp", ignore_cleanup_errors=True
    ) as folder:  # a short path
        head = {"num_cpus": 0, "temp_dir": folder, **head}
        made = Cluster(
            initialize_head=True,
            head_node_args=small(_system_config=system, include_dashboard=False, **head),
        )
        try:
            yield made
        finally:
            made.shutdown()


def small(**node: Any) -> dict[str, Any]:
    """Return what a node of a test is begun with."""
    return {"object_store_memory": STORE_BYTES, "num_gpus": 0} | {
        k: v for k, v in node.items() if v is not None
    }


def light(
    at: Cluster,
    folder: Path,
    *plays: str,
    share: Share | None = None,
    workers: int | None = None,
    seconds: float | None = None,
) -> RayTune:
    """Return an executor on a cluster whose trials do what is named, see `light_worker`."""
    folder.mkdir(exist_ok=True)
    return RayTune(
        setup={"folder": str(folder), "plays": list(plays)},
        folder=folder,
        wanted=Wanted(cluster=at.address, share=share or Share(), workers=workers, trial_seconds=seconds),
        program=(sys.executable, "-P", light_worker.__file__),
    )


def heard(executor: RayTune, enough: Callable[[Sequence[Happening]], object]) -> list[Happening]:
    """Return what happened until it is enough."""
    happened: list[Happening] = []
    until = time.monotonic() + PATIENCE
    while not enough(happened):
        assert time.monotonic() < until, f"{PATIENCE:g} s went by; heard {happened}"
        happened += executor.wait(0.1)
    return happened


def ended(executor: RayTune, count: int = 1) -> list[Ended]:
    """Return the next so many attempts that ended."""
    found = heard(executor, lambda happened: len(of(Ended, happened)) >= count)
    return of(Ended, found)


def of(kind: type[T], happened: Sequence[Happening]) -> list[T]:
    """Return what is of a kind."""
    return [one for one in happened if isinstance(one, kind)]


def notices(happened: Sequence[Happening]) -> list[str]:
    """Return what the executor had to say of the cluster."""
    return [notice.text for notice in of(Notice, happened)]
