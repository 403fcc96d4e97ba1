"""A worker without torch or data whose trials misbehave: `nas.worker`'s own loop, for tests of who drives it.

What proposal n does is entry n of the setup's `plays`, the last one for all beyond. Begun as a script.
"""

from __future__ import annotations

import ctypes
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from nas.execution.local import LocalWorkers
from nas.proposal import Kind, Outcome, Proposal, Status
from nas.recipe import Candidate
from nas.worker import Report, serve
from search_spaces import Classifier, Conv, Network, Stage
from search_spaces.serialise import Json

NETWORK = Network(input=(1, 8, 8), stages=(Stage(blocks=(Conv(),), width=8),), head=Classifier(classes=10))
FOR_EVER = 1000  # seconds


def light_workers(
    folder: Path, *plays: str, count: int = 1, seconds: float | None = None, threads: int = 1
) -> LocalWorkers:
    """Return an executor whose trials do what is named."""
    folder.mkdir(exist_ok=True)
    return LocalWorkers(
        setup={"folder": str(folder), "plays": list(plays)}, folder=folder, workers=count, threads=threads,
        trial_seconds=seconds, program=(sys.executable, "-P", __file__),
    )  # fmt: skip


def proposal(number: int, kind: Kind = Kind.TRAIN) -> Proposal:
    """Return a proposal that nobody trains."""
    return Proposal(number=number, kind=kind, candidate=Candidate(network=NETWORK), epochs=1, seed=0)


def intervals(folder: Path) -> list[tuple[int, float, float, int]]:
    """Return (number, begin, end, process) of the trials that have ended, in the order ended; monotonic seconds."""
    lines = (folder / "intervals").read_text().splitlines() if (folder / "intervals").exists() else []
    return [(int(n), float(a), float(b), int(p)) for n, a, b, p in map(str.split, lines)]


class LightBench:
    """Runs what the setup names, and notes when each trial ran and in which process."""

    def __init__(self, setup: Mapping[str, Json]) -> None:
        self.folder = Path(str(setup["folder"]))
        self.plays = setup["plays"]
        print("begun", os.getpid(), flush=True)

    def run(self, proposal: Proposal, report: Report) -> Outcome:
        assert isinstance(self.plays, list)
        play = str(self.plays[min(proposal.number, len(self.plays) - 1)])
        began = time.monotonic()
        report(1, {"validation_accuracy": 0.1})
        outcome = PLAYS[play](proposal, self.folder)
        with (self.folder / "intervals").open("a") as file:
            file.write(f"{proposal.number} {began} {time.monotonic()} {os.getpid()}\n")
        return outcome


def done(proposal: Proposal, folder: Path) -> Outcome:
    metrics = {"validation_accuracy": 0.5, "pid": float(os.getpid())}
    threads = {name: float(os.environ[name]) for name in os.environ if name.endswith("_NUM_THREADS")}
    return Outcome(status=Status.DONE, metrics={**metrics, **threads}, seconds=0.01)


def scored(proposal: Proposal, folder: Path) -> Outcome:
    """Return what `bench.done` of the contracts does: a score that depends on what is trained alone."""
    drawn = random.Random(f"{proposal.key}{proposal.candidate.recipe.lr}{proposal.seed}").uniform(0.1, 0.99)
    return Outcome(status=Status.DONE, metrics={"validation_accuracy": drawn}, seconds=0.01)


def slowly_scored(proposal: Proposal, folder: Path) -> Outcome:
    time.sleep(0.1 + 0.1 * (proposal.number % 3))
    return scored(proposal, folder)


def slow(proposal: Proposal, folder: Path) -> Outcome:
    time.sleep(0.3)
    return done(proposal, folder)


def hang(proposal: Proposal, folder: Path) -> Outcome:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    time.sleep(FOR_EVER)
    return done(proposal, folder)


def hang_once(proposal: Proposal, folder: Path) -> Outcome:
    first = not (folder / f"hung-{proposal.number}").exists()
    (folder / f"hung-{proposal.number}").touch()
    return (hang if first else done)(proposal, folder)


def spin_in_c(proposal: Proposal, folder: Path) -> Outcome:
    ctypes.PyDLL(None).sleep(
        FOR_EVER
    )  # holds the interpreter's lock: no other thread runs, no handler either
    return done(proposal, folder)


def hang_with_a_child(proposal: Proposal, folder: Path) -> Outcome:
    child = subprocess.Popen(["sleep", str(FOR_EVER)])
    (folder / "child").write_text(str(child.pid))
    return hang(proposal, folder)


def leave(proposal: Proposal, folder: Path) -> Outcome:
    os._exit(0)


def leave_a_child_behind(proposal: Proposal, folder: Path) -> Outcome:
    child = os.fork()  # it holds a copy of every pipe
    if child == 0:
        time.sleep(FOR_EVER)
    (folder / "child").write_text(str(child))
    os._exit(0)


def be_killed(proposal: Proposal, folder: Path) -> Outcome:
    os.kill(os.getpid(), signal.SIGKILL)
    return done(proposal, folder)


def die_of_a_nameless_signal(proposal: Proposal, folder: Path) -> Outcome:
    os.kill(os.getpid(), signal.SIGRTMIN + 1)
    return done(proposal, folder)


def print_garbage(proposal: Proposal, folder: Path) -> Outcome:
    print('{"of": [0, 0], "status": "done"}')
    os.write(1, b"\0\xff garbage\n" * 10_000)
    return done(proposal, folder)


def close_the_outputs(proposal: Proposal, folder: Path) -> Outcome:
    for stream in (sys.stdout, sys.stderr):
        stream.close()
    os.close(1)
    os.close(2)
    return done(proposal, folder)


def close_everything(proposal: Proposal, folder: Path) -> Outcome:
    os.closerange(3, 256)
    return done(proposal, folder)


def garble(proposal: Proposal, folder: Path) -> Outcome:
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, b"what is this\n")
        except OSError:
            continue
    time.sleep(FOR_EVER)
    return done(proposal, folder)


def read_the_input(proposal: Proposal, folder: Path) -> Outcome:
    note = f"read {sys.stdin.read()!r}"
    return Outcome(status=Status.DONE, metrics={"validation_accuracy": 0.5}, note=note)


def out_of_memory(proposal: Proposal, folder: Path) -> Outcome:
    time.sleep(0.1)
    return Outcome(status=Status.OUT_OF_MEMORY, note="MemoryError: ")


def out_of_memory_once(proposal: Proposal, folder: Path) -> Outcome:
    first = not (folder / f"short-{proposal.number}").exists()
    (folder / f"short-{proposal.number}").touch()
    return (out_of_memory if first else slow)(proposal, folder)


def eat_all_memory(proposal: Proposal, folder: Path) -> Outcome:
    kept = [bytes(range(256)) * 4096]  # 1 MiB, every page written
    while True:
        kept.append(bytearray(kept[0]))


def caught(fail: Callable[[], object]) -> Outcome:
    """Return what a real job makes of what its code raises."""
    from nas.evaluation.failures import failed  # loads torch

    try:
        fail()
    except BaseException as error:  # noqa: BLE001 - as a job does
        return failed(error, seconds=0.0)
    raise AssertionError("nothing was raised")


def exit_with_success(proposal: Proposal, folder: Path) -> Outcome:
    return caught(lambda: sys.exit(0))


def raise_what_will_not_pickle(proposal: Proposal, folder: Path) -> Outcome:
    def fail() -> None:
        error = ValueError("kept")
        error.kept = threading.Lock()  # type: ignore[attr-defined]
        raise error

    return caught(fail)


def raise_fifty_megabytes(proposal: Proposal, folder: Path) -> Outcome:
    def fail() -> None:
        raise ValueError("x" * (50 << 20))

    return caught(fail)


def note_the_gpus(proposal: Proposal, folder: Path) -> Outcome:
    (folder / f"gpus-{proposal.number}").write_text(os.environ["CUDA_VISIBLE_DEVICES"])
    return slow(proposal, folder)


PLAYS: dict[str, Callable[[Proposal, Path], Outcome]] = {
    play.__name__: play
    for play in (
        done, slow, hang, spin_in_c, hang_with_a_child, leave, leave_a_child_behind, be_killed,
        die_of_a_nameless_signal, print_garbage, close_the_outputs, close_everything, garble, read_the_input,
        out_of_memory, out_of_memory_once, eat_all_memory, exit_with_success, raise_what_will_not_pickle,
        raise_fifty_megabytes, note_the_gpus, hang_once, scored, slowly_scored,
    )
}  # fmt: skip


if __name__ == "__main__":
    serve(LightBench)
