"""A worker with real training whose checkpoints are written after every epoch. Begun as a script."""

from __future__ import annotations

from functools import partial

from nas import workbench
from nas.evaluation import Workspace
from nas.worker import bench_of, serve

if __name__ == "__main__":
    workbench.Workspace = partial(Workspace, checkpoint_seconds=0.0)  # type: ignore[assignment, misc]
    serve(bench_of)
