"""A family for five latencies on this device's processor: what the budgets were, and what was measured.

    python -m benchmarks.family_latency

The base is a random member of `mobile`, the budgets are multiples of its own latency. For each budget the member's
upper end of the 95 % interval must be within it, and that of the next network of the curve not. All members are
then measured once more, in a process of its own, for what the answer is worth later.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from scaling.compound import Scaling
from scaling.constraints import parse_limit
from scaling.curve import Curve
from scaling.latency import measure
from scaling.latency_budget import MeasuredLatency, Normalised
from scaling.providers import ANALYTIC, LATENCY
from scaling.targets import Found, largest
from scaling.timing import Settings
from search_spaces import Network, from_text, key, sample, to_json
from search_spaces.presets import preset

MOST_MINUTES = 10.0


def main() -> None:
    given = arguments()
    if given.again is not None:
        print(json.dumps(measured_again(given.again, given)))
        return
    began = time.monotonic()
    space = preset(given.preset, tuple(given.shape), classes=100)
    base = sample(space, random.Random(given.seed), by="member")
    latency = MeasuredLatency(Settings(seconds=given.seconds))
    curve = Curve(base, Scaling(), (ANALYTIC, latency))
    latency.confirm([base])
    own = latency.known(base).median_ms
    rows, networks = [], []
    for times in given.times:
        budget = round(times * own, 3)
        found = largest(curve, (parse_limit(f"{LATENCY} <= {budget}"),))
        rows.append(row(curve, latency, found, budget, times))
        networks.append(curve.network(found.point))
        print(json.dumps(rows[-1]), file=sys.stderr)
    minutes = (time.monotonic() - began) / 60
    for one, again in zip(rows, in_another_process(networks, given), strict=True):
        low, high = (latency.calibration.median_ms * end for end in again["interval"])
        one["again_ms"], one["again_stable"] = [round(low, 3), round(high, 3)], again["stable"]
        one["again_median_within"] = again["median"] * latency.calibration.median_ms <= one["budget_ms"]
    result = {
        "machine": machine(),
        "load": [round(value, 2) for value in os.getloadavg()],
        "settings": {name: value for name, value in vars(given).items() if name not in ("out", "again")},
        "base": {"key": key(base), "latency_ms": round(own, 3)},
        "sentinel_ms": round(latency.calibration.median_ms, 4),
        "sentinel_stable": latency.calibration.stable,
        "minutes": round(minutes, 2),
        "claims": {
            "within_10_minutes": minutes < MOST_MINUTES,
            "all_within": all(one["member"]["upper_ms"] <= one["budget_ms"] for one in rows),
            "none_of_the_next_within": all(one["next"]["upper_ms"] > one["budget_ms"] for one in rows),
        },
        "rows": rows,
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps({name: result[name] for name in ("minutes", "claims")}, indent=2))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="mobile")
    parser.add_argument("--shape", type=int, nargs="+", default=[3, 64, 64])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each first measurement")
    parser.add_argument("--times", type=float, nargs="+", default=[0.5, 1.0, 1.5, 2.0, 3.0])
    parser.add_argument("--again", type=Path, help="measure the specs in this file, and print their ratios")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks/family_latency.json"))
    return parser.parse_args()


def row(curve: Curve, latency: MeasuredLatency, found: Found, budget: float, times: float) -> dict[str, Any]:
    assert found.behind is not None
    return {
        "times_the_base": times,
        "budget_ms": budget,
        "phi": round(found.point.phi, 4),
        "macs": ANALYTIC.of(curve.network(found.point))["macs"],
        "member": described(latency.known(curve.network(found.point))),
        "next": described(latency.known(curve.network(found.behind))),
    }


def described(one: Normalised) -> dict[str, Any]:
    low, high = one.interval_ms
    return {
        "median_ms": round(one.median_ms, 3),
        "lower_ms": round(low, 3),
        "upper_ms": high,
        "reason": one.reason,
        "confirmed": one.confirmed,
    }


def in_another_process(networks: list[Network], given: argparse.Namespace) -> list[dict[str, Any]]:
    specs = given.out.with_suffix(".specs")
    specs.parent.mkdir(parents=True, exist_ok=True)
    specs.write_text(json.dumps([to_json(one) for one in networks]))
    command = [
        sys.executable,
        "-m",
        "benchmarks.family_latency",
        "--again",
        str(specs),
        "--seconds",
        str(given.seconds),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    specs.unlink()
    return list(json.loads(done.stdout))


def measured_again(specs: Path, given: argparse.Namespace) -> list[dict[str, Any]]:
    networks = [from_text(text) for text in json.loads(specs.read_text())]
    settings = Settings(seconds=4 * given.seconds)
    ratios = [measure(network, settings=settings).ratio for network in networks]
    return [{"median": one.median, "interval": one.interval, "stable": one.stable} for one in ratios]


if __name__ == "__main__":
    main()
