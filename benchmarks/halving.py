"""Successive halving over evolution against evolution alone, at equal epochs trained, on the embedded digits.

Halving searches first; evolution then trains as many candidates in full as its epochs pay for, rounded up. The winner
of each, by the scores of the search, is trained again with fresh seeds, and once on train and validation for the test
part. A seed is another search, another split and other trainings; both strategies share it.

    python benchmarks/halving.py [--seeds 5] [--trials 60] [--epochs 27] [--first 1]
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import time
from pathlib import Path

from machine import machine

from nas.config import read_config
from nas.driver import StopSign, drive
from nas.history import History
from nas.launch import create, executor_for
from nas.proposal import SEARCHING, Kind
from nas.tidying import Tidying
from nas.winner import confirmed

CONFIG = """
space: mixed
data: {source: digits, limit: 300, validation: 0.4, test: 0.2}
limits: ["macs <= 600k"]
confirm: {top: 1, seeds: 3}
execution: {workers: 0, threads: 1, device: cpu}
"""
EVOLUTION = "{type: evolution, population: 8, contestants: 3}"
HALVING = "{type: halving, reduction: 3, first: FIRST, best: 3, search: " + EVOLUTION + "}"
SCORES = (
    "searched",
    "confirmed",
    "test",
)  # validation accuracy in the search, of fresh seeds, and test accuracy


def main() -> None:
    given = arguments()
    strategy, rows = HALVING.replace("FIRST", str(given.first)), []
    for seed in range(given.seeds):
        halved = search("halving", strategy, seed=seed, trials=given.trials, epochs=given.epochs)
        trials = math.ceil(halved["epochs"] / given.epochs)  # type: ignore[operator]
        alone = search("evolution", EVOLUTION, seed=seed, trials=trials, epochs=given.epochs)
        rows += [halved, alone]
        print(halved, alone, sep="\n", flush=True)
    asked = f"--seeds {given.seeds} --trials {given.trials} --epochs {given.epochs} --first {given.first}"
    result = {
        "command": f"python benchmarks/halving.py {asked}",
        "machine": machine(),
        "config": CONFIG.strip().splitlines(),
        "strategies": {"halving": strategy, "evolution": EVOLUTION},
        "summary": summary(rows),
        "rows": rows,
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result["summary"], indent=2))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=60, help="candidates that halving begins")
    parser.add_argument("--epochs", type=int, default=27, help="of a training in full")
    parser.add_argument("--first", type=int, default=1, help="epochs of the lowest rung")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent.parent / "results" / "benchmarks" / "halving.json"
    )
    return parser.parse_args()


def search(name: str, strategy: str, *, seed: int, trials: int, epochs: int) -> dict[str, object]:
    """Search, confirm and test; return what it took and what came of it."""
    overrides = [f"strategy={strategy}", f"seed={1000 * seed}", f"data.split_seed={seed}"]
    config = read_config(
        CONFIG, [*overrides, f"trials={trials}", f"epochs={epochs}"], source="benchmarks/halving.py"
    )
    began = time.process_time()
    with tempfile.TemporaryDirectory() as results:
        study, folder = create(config, name=name, results=Path(results))
        with study.journal:
            executor = executor_for(config, folder, study.journal.header)
            drive(study, executor, watch=lambda *_: None, stop=StopSign(), tidy=Tidying(study, folder))
    history, best = study.history, study.best
    assert best is not None, "nothing was trained in full"
    [final] = history.of(Kind.FINAL)
    return {
        "strategy": name, "seed": seed, "candidates": len(history.begun), "in_full": len(history.of(Kind.TRAIN)),
        "epochs": epochs_of(history), "key": best.key, "macs": best.cost["macs"],
        "searched": best.metrics["validation_accuracy"], "confirmed": confirmed(history, study.plan)[best.number],
        "test": final.metrics["test_accuracy"], "seconds": round(time.process_time() - began, 1),
    }  # fmt: skip


def epochs_of(history: History) -> int:
    """Return how many epochs the search itself trained; confirmation and test are left out."""
    return sum(
        trial.identity.epochs - history.trained(trial) for kind in SEARCHING for trial in history.of(kind)
    )


def summary(rows: list[dict[str, object]]) -> dict[str, object]:
    """Return mean and spread of each strategy, and of the difference by seed."""
    by = {
        name: [row for row in rows if row["strategy"] == name]
        for name in dict.fromkeys(r["strategy"] for r in rows)
    }
    found: dict[str, object] = {
        str(name): {
            "n": len(own),
            "epochs": statistics.fmean(row["epochs"] for row in own),  # type: ignore[misc]
            "candidates": statistics.fmean(row["candidates"] for row in own),  # type: ignore[misc]
            **{score: spread([row[score] for row in own]) for score in SCORES},  # type: ignore[misc]
        }
        for name, own in by.items()
    }
    pairs = list(zip(by["halving"], by["evolution"], strict=True))
    found["halving less evolution"] = {
        score: spread([a[score] - b[score] for a, b in pairs])  # type: ignore[operator]
        for score in SCORES
    }
    return found


def spread(values: list[float]) -> dict[str, float]:
    sd = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": round(statistics.fmean(values), 5), "sd": round(sd, 5)}


if __name__ == "__main__":
    main()
