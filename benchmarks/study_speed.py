"""Time a study with an instant evaluator: ask + tell + journal at trial 10,000, and resuming 10,000 trials.

python benchmarks/study_speed.py [--trials 10000] [--space mixed] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from pathlib import Path

from machine import machine

from nas.analysis.front import Objective
from nas.journal import Journal
from nas.plan import Plan
from nas.proposal import Outcome, Status
from nas.recipe import Candidate
from nas.strategies import Evolution
from nas.study import Study
from scaling.constraints import parse_limit
from search_spaces.presets import preset

WINDOW = 500  # trials around the 10,000th that are timed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--space", default="mixed")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent.parent / "results/benchmarks/study_speed.json"
    )
    given = parser.parse_args()
    plan = Plan(
        space=Candidate(network=preset(given.space, (1, 28, 28), classes=10)),
        strategy=Evolution(population=100, contestants=25),
        objectives=(Objective.parse("validation_accuracy:max"),),
        limits=(parse_limit("macs <= 5M"),),
        trials=10**9,
    )
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "run"
        study = Study(plan, Journal.create(folder, {}))
        seconds, fsync = [], disk_seconds(Path(root))
        for _ in range(given.trials + WINDOW):
            began = time.perf_counter()
            asked = study.ask()
            assert asked is not None
            proposal = asked[0]
            middle = time.perf_counter()
            outcome = Outcome(
                status=Status.DONE, metrics={"validation_accuracy": random.Random(proposal.key).random()}
            )
            again = time.perf_counter()
            study.tell(proposal.number, 0, outcome)
            seconds.append(middle - began + time.perf_counter() - again)
        study.journal.close()
        resumes = []
        for _ in range(3):
            began = time.perf_counter()
            reopened = Study(plan, Journal.open(folder))
            resumes.append(time.perf_counter() - began)
            reopened.journal.close()
        size = (folder / "journal.jsonl").stat().st_size
    last, first = seconds[-WINDOW:], seconds[200 : 200 + WINDOW]
    result = {
        "command": f"python benchmarks/study_speed.py --trials {given.trials} --space {given.space}",
        "machine": machine(),
        "load": os.getloadavg(),
        "trials": given.trials,
        "ask_tell_journal_ms": {
            "median_at_the_end": 1e3 * statistics.median(last),
            "p99_at_the_end": 1e3 * statistics.quantiles(last, n=100)[-1],
            "median_at_the_beginning": 1e3 * statistics.median(first),
        },
        "fsync_ms": 1e3 * fsync,
        "resume_seconds": {"min": min(resumes), "median": statistics.median(resumes), "max": max(resumes)},
        "journal_bytes_a_trial": size / (given.trials + WINDOW),
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def disk_seconds(folder: Path) -> float:
    """Return the median time of one append and fsync of 300 bytes here."""
    times = []
    with (folder / "probe").open("ab", buffering=0) as file:
        for _ in range(100):
            began = time.perf_counter()
            file.write(b"x" * 300)
            os.fsync(file.fileno())
            times.append(time.perf_counter() - began)
    return statistics.median(times)


if __name__ == "__main__":
    main()
