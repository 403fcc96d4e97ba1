"""What a job is given besides its proposal."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..data.device import DevicePart, OnDevice
from .failures import TimedOut
from .ranks import Ranks

Report = Callable[[int, Mapping[str, float]], None]  # an epoch's number, from 1, and its metrics


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Workspace:
    """Where one trial runs: its data on a device, its own folder, and how it says how far it has come.

    The folder is made when the first file is written. Trainings of one architecture may share it: each names
    its checkpoints by its own identity. `held_out` reads the test part, for a final training alone.
    """

    folder: Path
    device: str  # as torch names it: "cpu", "cuda:0"
    data: OnDevice
    held_out: Callable[[], DevicePart]
    parent: Path | None = None  # the folder of the proposal that this one continues or follows from
    ranks: Ranks = Ranks()  # of those that train together, which one this is
    report: Report = lambda _epoch, _metrics: None
    deadline: float | None = None  # on `clock`; a job looks at it at every step
    checkpoint_seconds: float = 5.0  # between two checkpoints, which are written at the end of epochs
    clock: Callable[[], float] = time.monotonic  # seconds

    def check_time(self) -> None:
        """Raise `TimedOut` once the deadline is past."""
        if self.deadline is not None and self.clock() >= self.deadline:
            raise TimedOut("stopped by itself at its time limit")
