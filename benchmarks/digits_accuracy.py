"""Run the embedded example, `nas search`, with several seeds and report the test accuracy of its winners.

Another seed is another search, another split and other trainings.

    python benchmarks/digits_accuracy.py [--seeds 5] [--first 0]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import machine


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent.parent / "results/benchmarks/digits.json"
    )
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as results:
        for seed in range(given.first, given.first + given.seeds):
            began = time.monotonic()
            found = search(seed, Path(results))
            rows.append(row(seed, time.monotonic() - began, found["best"]))
            print(rows[-1], flush=True)
    accuracy = [found["test_accuracy"] for found in rows]
    result = {
        "command": f"python benchmarks/digits_accuracy.py --seeds {given.seeds} --first {given.first}",
        "machine": machine(),
        "test_accuracy": {
            "mean": statistics.fmean(accuracy), "sd": statistics.stdev(accuracy), "min": min(accuracy),
            "n": len(accuracy),
        },
        "seconds": {"mean": statistics.fmean(r["seconds"] for r in rows), "max": max(r["seconds"] for r in rows)},
        "rows": rows,
    }  # fmt: skip
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps({name: result[name] for name in ("test_accuracy", "seconds")}, indent=2))


def row(seed: int, seconds: float, best: dict[str, Any]) -> dict[str, Any]:
    kept = {name: best["metrics"][name] for name in ("test_accuracy", "params", "macs")}
    return {
        "seed": seed, "seconds": seconds, "key": best["key"], "description": best["description"], **kept,
        "confirmed_validation_accuracy": best["confirmation"]["mean"],
    }  # fmt: skip


def search(seed: int, results: Path) -> dict[str, Any]:
    """Run the example with a seed of its own, split and all, and return what `--json` says."""
    command = [
        sys.executable,
        "-m",
        "nas",
        "search",
        f"seed={seed * 1000}",
        f"data.split_seed={seed}",
        "--json",
    ]
    done = subprocess.run(
        [*command, "--name", f"seed-{seed}", "--results", str(results)],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)  # type: ignore[no-any-return]


if __name__ == "__main__":
    main()
