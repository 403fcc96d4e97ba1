"""Ten thousand instant trials in one study whose driver is killed every 500: does anything grow but the journal?

python benchmarks/endurance.py [--trials 10000] [--every 500] [--out FILE]

Each driver is a process of its own. It resumes the study, asks and tells, says how it fares once it has told its
share, goes on, and is killed somewhere in the next trials. The evaluator is a fixed function of the architecture.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from machine import machine

from nas.analysis.front import Objective
from nas.journal import JOURNAL, Journal, read
from nas.plan import Plan
from nas.proposal import Outcome, Proposal, Status
from nas.recipe import Candidate
from nas.storage import Disk
from nas.strategies import Evolution
from nas.study import Study
from scaling.constraints import parse_limit
from search_spaces.presets import preset

WARM_UP = 20  # trials until everything that is made once has been made
PLAN = Plan(
    space=Candidate(network=preset("mixed", (1, 28, 28), classes=10)),
    strategy=Evolution(population=100, contestants=25),
    objectives=(Objective.parse("validation_accuracy:max"),),
    limits=(parse_limit("macs <= 5M"),),
    trials=10**9,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One driver, from its resuming until it had told its share."""

    told: int  # by the study, in the end
    resume_seconds: float
    descriptors: tuple[int, int]  # warm, and in the end
    threads: tuple[int, int]
    resident_bytes: tuple[int, int]
    ask_tell_ms: tuple[float, ...]  # with journal and fsync, of each trial
    fsync_ms: tuple[float, ...]  # of each trial's
    processor_ms: tuple[float, ...]  # of each trial's: what a busy machine changes least

    @property
    def bytes_a_trial(self) -> float:
        """How much more memory was held for each trial since it was warm."""
        return (self.resident_bytes[1] - self.resident_bytes[0]) / max(1, len(self.ask_tell_ms) - WARM_UP)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--every", type=int, default=500, help="trials between two kills")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent.parent / "results/benchmarks/endurance.json"
    )
    parser.add_argument("--drive", nargs=2, metavar=("FOLDER", "UNTIL"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.drive:
        drive(Path(given.drive[0]), int(given.drive[1]))
        return
    load = os.getloadavg()
    with tempfile.TemporaryDirectory() as root:
        lives = endure(Path(root) / "run", trials=given.trials, every=given.every)
        size = (Path(root) / "run" / JOURNAL).stat().st_size
    result = {
        "command": f"python benchmarks/endurance.py --trials {given.trials} --every {given.every}",
        "machine": machine(),
        "load_before": load,
        "load_after": os.getloadavg(),
        "kills": len(lives),
        **summary(lives),
        "journal_bytes_a_trial": round(size / lives[-1].told),
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def endure(folder: Path, *, trials: int, every: int) -> list[Life]:
    """Run a study through drivers that are killed; return how each fared. Nothing told may be lost or doubled."""
    Study(PLAN, Journal.create(folder, {})).journal.close()
    lives: list[Life] = []
    kept: dict[object, object] = {}
    for until in range(every, trials + 1, every):
        lives.append(_life(folder, until))
        tells = [event.payload for event in read(folder) if event.type == "tell"]
        now = {told["number"]: told for told in tells}
        assert all(now.get(number) == told for number, told in kept.items()), "an outcome was lost"
        assert max(Counter(told["number"] for told in tells).values()) == 1, "an outcome counts twice"
        kept = dict(now)
    return lives


def drive(folder: Path, until: int) -> None:
    """Be a driver: resume, run until so many are told, say how it went, and go on until killed."""
    began = time.perf_counter()
    fsyncs: list[float] = []
    study = Study(PLAN, Journal.open(folder, disk=Disk(fsync=lambda descriptor: _timed(descriptor, fsyncs))))
    resumed = time.perf_counter() - began
    spent: list[tuple[float, float]] = []
    fsyncs.clear()
    warm = _held()
    while len(study.history.told) < until:
        spent.append(_trial(study))
        if len(spent) == WARM_UP:
            warm = _held()
    ended = _held()
    life = Life(
        told=len(study.history.told),
        resume_seconds=resumed,
        descriptors=(warm[0], ended[0]),
        threads=(warm[1], ended[1]),
        resident_bytes=(warm[2], ended[2]),
        ask_tell_ms=tuple(1e3 * wall for wall, _ in spent),
        fsync_ms=tuple(1e3 * seconds for seconds in fsyncs),
        processor_ms=tuple(1e3 * own for _, own in spent),
    )
    print(json.dumps(asdict(life)), flush=True)
    while True:
        _trial(study)


def summary(lives: list[Life]) -> dict[str, object]:
    """Return the figures of a run: the last 500 trials against the first, and what was held at each end."""
    last, first = lives[-1], lives[0]
    half = lives[len(lives) // 2 - 1] if len(lives) > 1 else first
    return {
        "trials": last.told,
        "ask_tell_ms_at_the_end": _spread(last.ask_tell_ms),
        "of_which_fsync_ms": _spread(last.fsync_ms),
        "processor_ms_at_the_end": _spread(last.processor_ms),
        "ask_tell_ms_at_the_beginning": _spread(first.ask_tell_ms[WARM_UP:]),
        "processor_ms_at_the_beginning": _spread(first.processor_ms[WARM_UP:]),
        "resume_seconds": {"first": first.resume_seconds, "last": last.resume_seconds},
        "descriptors": sorted({count for life in lives for count in life.descriptors}),
        "threads": sorted({count for life in lives for count in life.threads}),
        "resident_mb": {
            "after_the_first": round(first.resident_bytes[1] / 2**20, 1),
            "half_way": round(half.resident_bytes[1] / 2**20, 1),
            "at_the_end": round(last.resident_bytes[1] / 2**20, 1),
        },
        "resident_bytes_a_trial": round(statistics.median(life.bytes_a_trial for life in lives)),
    }


def _life(folder: Path, until: int) -> Life:
    words = [sys.executable, __file__, "--drive", str(folder), str(until)]
    driver = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    said = driver.stdout.readline()
    time.sleep(random.Random(until).uniform(0, 0.02))
    driver.kill()
    driver.communicate()
    assert said, "a driver died before its share was told"
    return Life(**{name: tuple(v) if isinstance(v, list) else v for name, v in json.loads(said).items()})


def _trial(study: Study) -> tuple[float, float]:
    """Ask and tell once; return the seconds of both, by the clock and of the processor, without the evaluation."""
    began = _now()
    asked = study.ask()
    middle = _now()
    assert asked is not None
    proposal, attempt = asked
    outcome = _evaluated(proposal)
    again = _now()
    study.tell(proposal.number, attempt, outcome)
    ended = _now()
    return middle[0] - began[0] + ended[0] - again[0], middle[1] - began[1] + ended[1] - again[1]


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _evaluated(proposal: Proposal) -> Outcome:
    accuracy = random.Random(proposal.key).random()
    return Outcome(status=Status.DONE, metrics={"validation_accuracy": accuracy}, seconds=0.0)


def _held() -> tuple[int, int, int]:
    """Return this process's descriptors, threads and resident bytes (of Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    threads = max(threading.active_count(), _entries("task"))
    return _entries("fd"), threads, pages * os.sysconf("SC_PAGE_SIZE")


def _entries(folder: str) -> int:
    return sum(1 for _ in Path("/proc/self", folder).iterdir())


def _timed(descriptor: int, spent: list[float]) -> None:
    began = time.perf_counter()
    os.fsync(descriptor)
    spent.append(time.perf_counter() - began)


def _spread(values: tuple[float, ...]) -> dict[str, float]:
    cuts = statistics.quantiles(values, n=100)
    return {"median": round(cuts[49], 3), "p99": round(cuts[98], 3), "max": round(max(values), 3)}


if __name__ == "__main__":
    main()
