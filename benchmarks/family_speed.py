"""Time a family of 8 MAC targets from sampled `mobile` bases, each with nothing remembered from another.

    python benchmarks/family_speed.py [--bases 10] [--shape 3 224 224] [--out FILE]

Times are processor time of this one thread; the load is noted. Targets are 1/4 to 10 times the base's MACs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import time
from pathlib import Path

from machine import machine

from scaling.compound import Scaling
from scaling.constraints import Limit
from scaling.cost import block_cost, cost
from scaling.family import Family, family
from scaling.rules import Compound, DWr
from search_spaces import Network, sample
from search_spaces.network import block_graph
from search_spaces.presets import preset

TIMES = (0.25, 0.5, 0.8, 1.5, 2, 3, 5, 10)  # the base's MACs


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bases", type=int, default=10)
    parser.add_argument("--shape", type=int, nargs="+", default=[3, 224, 224])
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent.parent / "results/benchmarks/family_speed.json"
    )
    given = parser.parse_args()
    space = preset("mobile", tuple(given.shape), classes=1000)
    bases = [sample(space, random.Random(seed)) for seed in range(given.bases)]
    rules = {
        "Compound": Scaling(),
        "DWr": Scaling(rule=DWr()),
        "fix resolution": Scaling(rule=Compound(), fix=("resolution",)),
    }
    result = {
        "command": f"python benchmarks/family_speed.py --bases {given.bases} --shape {' '.join(map(str, given.shape))}",
        "machine": machine(),
        "load": os.getloadavg(),
        "targets": len(TIMES),
        "bases": len(bases),
        "rules": {name: timed(bases, scaling) for name, scaling in rules.items()},
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def timed(bases: list[Network], scaling: Scaling) -> dict[str, float]:
    """Return the time of a family and how near to its targets it comes, over some bases."""
    seconds, short = [], []
    for base in bases:
        block_cost.cache_clear()
        block_graph.cache_clear()
        macs = cost(base).macs
        targets = [(Limit(metric="macs", at_most=macs * times),) for times in TIMES]
        began = time.process_time()
        made = family(base, targets=targets, scaling=scaling)
        seconds.append(time.process_time() - began)
        short += shortfalls(made)
    return {
        "median_s": statistics.median(seconds),
        "most_s": max(seconds),
        "median_short_of_target": statistics.median(short),
        "most_short_of_target": max(short),
        "share_within_3_percent": sum(one <= 0.03 for one in short) / len(short),
    }


def shortfalls(made: Family) -> list[float]:
    """Return which part of each budget a family leaves unused."""
    return [request.short or 0.0 for member in made.members for request in member.requests]


if __name__ == "__main__":
    main()
