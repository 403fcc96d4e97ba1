"""A worker process: reads proposals as JSON lines, runs them, writes reports and outcomes as JSON lines.

Started by `nas.execution.local`; ends when its input closes or its driver dies. What a trial prints goes to the
worker's log, never between the messages.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import IO, cast

import torch

from search_spaces.errors import ArchscaleError, BadInput
from search_spaces.serialise import Json, from_data

from .data import DataSpec
from .data.device import DevicePart, OnDevice, held_out_to_device, to_device
from .data.load import load_search_data, load_test
from .evaluation import Workspace, run
from .proposal import LONGEST_NOTE, Kind, Outcome, Proposal
from .recipe import Candidate
from .storage import inside

PR_SET_PDEATHSIG = 1  # of Linux's prctl: the signal a process gets when its parent dies


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The data, in memory on its device, and where trials keep their files: what every trial here shares."""

    spec: DataSpec
    data: OnDevice
    device: str
    folder: Path
    trial_seconds: float | None

    @classmethod
    def of(cls, setup: Mapping[str, Json]) -> Bench:
        """Load the data that a setup names; `BadInput` where it is not what the run began with."""
        for module in cast("list[str]", setup["imports"]):
            importlib.import_module(module)
        torch.set_num_threads(cast(int, setup["threads"]))
        spec = from_data(DataSpec, setup["data"])
        loaded = load_search_data(spec)
        if loaded.fingerprint != setup["fingerprint"]:
            raise BadInput(
                f"data: {loaded.name} has fingerprint {loaded.fingerprint}, expected {setup['fingerprint']} as "
                "when the run began; put the data back, or begin a new run"
            )
        device = device_named(cast(str, setup["device"]))
        return cls(
            spec=spec,
            data=to_device(loaded, device),
            device=device,
            folder=Path(cast(str, setup["folder"])),
            trial_seconds=cast("float | None", setup["trial_seconds"]),
        )

    def run(self, proposal: Proposal, report: Callable[[int, Mapping[str, float]], None]) -> Outcome:
        """Run one trial."""
        final = proposal.kind is Kind.FINAL
        return run(
            proposal,
            Workspace(
                folder=inside(self.folder, "best" if final else f"trials/{proposal.key}/{proposal.number}"),
                data=self.data,
                held_out=self._test_part,
                device=self.device,
                report=report,
                deadline=None if final or not self.trial_seconds else time.monotonic() + self.trial_seconds,
            ),
        )

    def _test_part(self) -> DevicePart:
        return held_out_to_device(load_test(self.spec), self.device)


def device_named(name: str) -> str:
    """Return the device that `auto` stands for here; `BadInput` where the named one is not there."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise BadInput(
            f"execution.device: got {name}, expected a device of this machine: cpu; set execution.device=cpu"
        )
    return name


def main() -> None:
    """Serve one driver until its messages end."""
    _die_with_the_driver()
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    bench: Bench | None = None
    for message in _messages(sys.stdin):
        if "setup" in message:
            bench = _set_up(cast("Mapping[str, Json]", message["setup"]), out)
            continue
        assert bench is not None, "a driver sends the setup first"
        _say(out, {"began": True})
        outcome = bench.run(proposal_of(cast("Mapping[str, Json]", message["proposal"])), _reporter(out))
        _say(
            out,
            {
                "status": outcome.status.value, "metrics": dict(outcome.metrics), "note": outcome.note,
                "seconds": outcome.seconds,
            },
        )  # fmt: skip


def _set_up(setup: Mapping[str, Json], out: IO[str]) -> Bench:
    """Return the bench, or tell the driver why there can be none and end: no trial is to blame for it."""
    try:
        return Bench.of(setup)
    except Exception as error:
        known = isinstance(error, ArchscaleError)
        _say(out, {"unusable": str(error) if known else f"{type(error).__name__}: {error}"[:LONGEST_NOTE]})
        raise


def proposal_of(said: Mapping[str, Json]) -> Proposal:
    """Return the proposal that `nas.execution.local.said` wrote."""
    return Proposal(
        number=cast(int, said["number"]),
        kind=Kind(cast(str, said["kind"])),
        candidate=from_data(Candidate, said["candidate"]),
        epochs=cast(int, said["epochs"]),
        seed=cast(int, said["seed"]),
        parent=cast("int | None", said["parent"]),
    )


def _reporter(out: IO[str]) -> Callable[[int, Mapping[str, float]], None]:
    return lambda epoch, metrics: _say(out, {"epoch": epoch, "metrics": dict(metrics)})


def _say(out: IO[str], message: Mapping[str, Json]) -> None:
    out.write(json.dumps(message) + "\n")
    out.flush()


def _messages(source: IO[str]) -> Iterator[Mapping[str, Json]]:
    """Yield messages as they come; when the input closes, the process ends even in mid-trial."""
    queue: SimpleQueue[str] = SimpleQueue()

    def listen() -> None:
        for line in source:
            queue.put(line)
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        yield json.loads(queue.get())


def _die_with_the_driver() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
