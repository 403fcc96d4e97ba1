"""A worker that is one rank of several: `nas.worker`'s own, with checkpoints after every epoch, and bad days on order.

What a file `misbehave` in the run's folder names happens to rank 1 at its next loss. Begun as a script.
"""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path

from torch import Tensor

from nas import workbench, worker
from nas.evaluation import Workspace, ranks, training
from nas.evaluation.scoring import training_loss
from search_spaces.serialise import Json


def bench_of(setup: worker.Setup) -> worker.Bench:
    order = Path(str(setup["folder"])) / "misbehave"
    workbench.Workspace = partial(Workspace, checkpoint_seconds=0.0)  # type: ignore[assignment,misc]
    ranks.LONGEST_SILENCE = 20.0
    training.training_loss = partial(loss, order if setup["rank"] == 1 else None)
    return worker.bench_of(setup)


def loss(order: Path | None, output: Tensor, y: object, **given: Json) -> Tensor:
    if order is not None and order.exists():
        play = order.read_text()
        order.unlink()
        if play == "raise":
            raise ValueError("what rank 1 alone knows")
        if play == "out of memory":
            raise MemoryError("of rank 1")
        if play == "hang":
            time.sleep(600)
        if play == "leave":
            os._exit(3)
        if play == "diverge":
            return output.sum() * float("nan")
        os.kill(os.getpid(), signal.SIGKILL)
    return training_loss(output, y, **given)  # type: ignore[arg-type]


if __name__ == "__main__":
    worker.serve(bench_of)
