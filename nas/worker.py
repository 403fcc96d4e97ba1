"""A worker process: reads proposals as JSON lines, runs them, writes reports and outcomes as JSON lines.

Started by `nas.execution.local`; ends when its input closes or its driver dies. Trials see an empty standard
input, and what they print goes to the worker's log, never between the messages. Every message about a trial
says `of` which attempt at which proposal it is. Loads torch only for trials that need it.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Protocol, cast

from search_spaces.errors import ArchscaleError, StorageError
from search_spaces.serialise import Json, from_data

from .proposal import LONGEST_NOTE, Kind, Outcome, Proposal, Settings
from .recipe import Candidate

PR_SET_PDEATHSIG = 1  # of Linux's prctl: the signal a process gets when its parent dies
DIES_FIRST = "500"  # of 1000: where memory runs out, the kernel is to choose a worker, never the driver

Setup = Mapping[str, Json]
Report = Callable[[int, Mapping[str, float]], None]


class Bench(Protocol):
    """What runs trials, made once for all the trials of a process."""

    def run(self, proposal: Proposal, report: Report) -> Outcome:
        """Run one trial; what it raises ends the driving, as no trial's fault."""


def main() -> None:
    """Serve one driver until its messages end."""
    serve(bench_of)


def bench_of(setup: Setup) -> Bench:
    """Return what runs the trials of a setup, the modules it names imported; `BadInput` where it cannot be."""
    for module in cast("list[str]", setup["imports"]):
        importlib.import_module(module)
    if "ranks" in setup and "rank" not in setup:
        from .rank_processes import RankProcesses

        return RankProcesses(setup)
    from .workbench import Workbench  # loads torch

    return Workbench.of(setup)


def serve(begin: Callable[[Setup], Bench]) -> None:
    """Answer a driver on standard input and output; `begin` makes the bench of the setup that comes first."""
    _die_with_the_driver()
    source, out = _streams_of_our_own()
    log = os.dup(2)
    bench: Bench | None = None
    for message in _messages(source):
        if "setup" in message:
            bench = _set_up(begin, cast(Setup, message["setup"]), out)
            _say(out, {"ready": True})
            continue
        assert bench is not None, "a driver sends the setup first"
        _print_to(log)
        _try(bench, message, out)


def proposal_of(said: Mapping[str, Json]) -> Proposal:
    """Return the proposal that `nas.execution.local.said` wrote."""
    return Proposal(
        number=cast(int, said["number"]),
        kind=Kind(cast(str, said["kind"])),
        candidate=from_data(Candidate, said["candidate"]),
        epochs=cast(int, said["epochs"]),
        seed=cast(int, said["seed"]),
        parent=cast("int | None", said["parent"]),
        parent_key=cast("str | None", said.get("parent_key")),
        settings=from_data(Settings, said["settings"]) if said.get("settings") else None,
        trained=cast(int, said.get("trained", 0)),
    )


def _set_up(begin: Callable[[Setup], Bench], setup: Setup, out: IO[str]) -> Bench:
    """Return the bench, or tell the driver why there can be none and end: no trial is to blame for it."""
    try:
        return begin(setup)
    except Exception as error:
        known = isinstance(error, ArchscaleError)
        _say(out, {"unusable": str(error) if known else f"{type(error).__name__}: {error}"[:LONGEST_NOTE]})
        raise


def _try(bench: Bench, message: Mapping[str, Json], out: IO[str]) -> None:
    """Run one attempt at a proposal and say what came of it, or why no trial can be run here."""
    proposal = proposal_of(cast("Mapping[str, Json]", message["proposal"]))
    of: dict[str, Json] = {"of": [proposal.number, message["attempt"]]}
    _say(out, {**of, "began": True})
    try:
        outcome = bench.run(
            proposal, lambda epoch, metrics: _say(out, {**of, "epoch": epoch, "metrics": dict(metrics)})
        )
    except ArchscaleError as error:
        _say(out, {**of, "stopped": str(error), "storage": isinstance(error, StorageError)})
        return
    said: dict[str, Json] = {
        "status": outcome.status.value, "metrics": dict(outcome.metrics), "note": outcome.note,
        "seconds": outcome.seconds, "weights": {path: list(v) for path, v in outcome.weights.items()},
    }  # fmt: skip
    _say(out, {**of, **said})


def _say(out: IO[str], message: Mapping[str, Json]) -> None:
    out.write(json.dumps(message) + "\n")
    out.flush()


def _streams_of_our_own() -> tuple[IO[str], IO[str]]:
    """Take standard input and output for the messages; what a trial reads is empty."""
    source = os.fdopen(os.dup(0), "r", encoding="utf-8")
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    os.dup2(2, 1)
    return source, out


def _print_to(log: int) -> None:
    """Let prints and errors go to the log, though an earlier trial may have closed or redirected them."""
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    sys.stdout, sys.stderr = (
        os.fdopen(descriptor, "w", buffering=1, errors="backslashreplace", closefd=False)
        for descriptor in (1, 2)
    )


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
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(DIES_FIRST)


if __name__ == "__main__":
    main()
