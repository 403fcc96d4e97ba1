"""How well latency repeats: each network measured twice, in processes of its own, some minutes apart.

    python -m benchmarks.latency_repeat

For every network the second run's median is held against the first run's 95 % interval, in milliseconds and as ratio
to the sentinel. Both medians are uncertain, so that of ideal runs 83 % would hold it, not 95: the intervals of the
differences are given too, of which ideal runs have 95 % hold 0. Runs called unstable are counted, with their reasons.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from math import hypot, log
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from scaling.cost import cost
from scaling.latency import Settings, measure
from search_spaces import Network, key, sample
from search_spaces.presets import preset

Run = dict[str, Any]  # a Latency as JSON
Part = Callable[[Run], tuple[float, tuple[float, float]]]  # a median and its interval


def main() -> None:
    given = arguments()
    networks = members(given.preset, tuple(given.shape), given.networks, given.seed)
    if given.one is not None:
        print(json.dumps(asdict(measure(networks[given.one], settings=settings(given)))))
        return
    began, load = time.monotonic(), os.getloadavg()
    firsts, seconds = (all_in_turn(given, turn) for turn in ("first", "second"))
    result = {
        "machine": machine(),
        "fingerprint": firsts[0]["fingerprint"],
        "load": [round(value, 2) for value in (*load, *os.getloadavg())],
        "preset": given.preset,
        "shape": given.shape,
        "seed": given.seed,
        "settings": firsts[0]["settings"],
        "minutes": round((time.monotonic() - began) / 60, 1),
        "summary": summary(firsts, seconds),
        "networks": [
            {"key": key(network), "macs": cost(network).macs, "first": brief(a), "second": brief(b)}
            for network, a, b in zip(networks, firsts, seconds, strict=True)
        ],
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result["summary"], indent=2))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="mobile")
    parser.add_argument("--shape", type=int, nargs="+", default=[3, 96, 96])
    parser.add_argument("--networks", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each measurement")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--one", type=int, help="measure the network of that number only, and print it")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks/latency_repeat.json"))
    return parser.parse_args()


def settings(given: argparse.Namespace) -> Settings:
    return Settings(seconds=given.seconds, threads=given.threads)


def members(name: str, shape: tuple[int, ...], number: int, seed: int) -> list[Network]:
    """Return as many members of a preset, drawn with equal chances; the same ones in every process."""
    rng, space = random.Random(seed), preset(name, shape, classes=1000)
    return [sample(space, rng, by="member") for _ in range(number)]


def all_in_turn(given: argparse.Namespace, turn: str) -> list[Run]:
    """Measure each network in a process of its own."""
    runs = []
    for number in range(given.networks):
        command = [sys.executable, "-m", "benchmarks.latency_repeat", *sys.argv[1:], "--one", str(number)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr)
        runs.append(json.loads(done.stdout))
        print(f"{turn} {number + 1}/{given.networks}: {said(runs[-1])}", file=sys.stderr)
    return runs


def summary(firsts: Sequence[Run], seconds: Sequence[Run]) -> dict[str, object]:
    """Return how often intervals hold what they should, over all pairs and over those with both runs stable."""
    runs = [*firsts, *seconds]
    return {
        "runs": len(runs),
        "unstable": sum(not run["stable"] for run in runs),
        "reasons": dict(Counter(run["reason"].partition(":")[0] for run in runs if run["reason"])),
        "ratio_unstable": sum(not run["ratio"]["stable"] for run in runs),
        "milliseconds": compared(firsts, seconds, absolute, lambda run: bool(run["stable"])),
        "ratio_to_sentinel": compared(firsts, seconds, relative, lambda run: bool(run["ratio"]["stable"])),
    }


def compared(
    firsts: Sequence[Run], seconds: Sequence[Run], part: Part, stable: Callable[[Run], bool]
) -> dict[str, object]:
    """Return the comparison of all pairs, and of those that are stable both times."""
    every = [(part(a), part(b)) for a, b in zip(firsts, seconds, strict=True)]
    good = [(part(a), part(b)) for a, b in zip(firsts, seconds, strict=True) if stable(a) and stable(b)]
    return {"all": coverage(every), "stable": coverage(good)}


def coverage(
    pairs: Sequence[tuple[tuple[float, tuple[float, float]], tuple[float, tuple[float, float]]]],
) -> dict[str, object]:
    """Return the shares of pairs where an interval holds what it should, and how far medians lie apart."""
    if not pairs:
        return {"pairs": 0}
    holds = sum(low <= other <= high for (_, (low, high)), (other, _) in pairs)
    agree = sum(
        abs(log(b / a)) <= hypot(log(high_a / low_a) / 2, log(high_b / low_b) / 2)
        for (a, (low_a, high_a)), (b, (low_b, high_b)) in pairs
    )
    apart = sorted(abs(b / a - 1) for (a, _), (b, _) in pairs)
    width = statistics.median((high - low) / a for (a, (low, high)), _ in pairs)
    return {
        "pairs": len(pairs),
        "first_holds_second": round(holds / len(pairs), 3),
        "ideally": 0.834,
        "difference_holds_0": round(agree / len(pairs), 3),
        "apart_median_percent": round(100 * statistics.median(apart), 2),
        "apart_p90_percent": round(100 * apart[int(0.9 * (len(apart) - 1))], 2),
        "interval_width_percent": round(100 * width, 2),
    }


def absolute(run: Run) -> tuple[float, tuple[float, float]]:
    return run["median_ms"], tuple(run["interval_ms"])


def relative(run: Run) -> tuple[float, tuple[float, float]]:
    return run["ratio"]["median"], tuple(run["ratio"]["interval"])


def brief(run: Run) -> dict[str, object]:
    """Return what is kept of a run."""
    kept = (
        "median_ms",
        "interval_ms",
        "quartiles_ms",
        "minimum_ms",
        "n",
        "repeats",
        "stable",
        "reason",
        "ratio",
    )
    return {name: run[name] for name in kept}


def said(run: Run) -> str:
    low, high = run["interval_ms"]
    return f"{run['median_ms']:.3f} ms ({low:.3f} to {high:.3f}) {run['reason'] or 'stable'}"


if __name__ == "__main__":
    main()
