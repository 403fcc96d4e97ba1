"""How many distinct random members of a space are sampled, resolved and costed in a second, on one core.

    python benchmarks/cost_speed.py [--preset mobile] [--shape 3 224 224] [--members 20000] [--repeats 5]

Each repeat draws anew (seed = its number) and begins with empty caches, so that it pays for lowering each
kind of block once; `warm` is a second draw with the caches of the first. `ratio` is fvcore's time on the
built module over the time of `cost` alone, on the same networks with the caches that a search would have;
building is timed for neither, and the two counts must agree. All times are processor time of this one
thread, so that other work on the machine counts less; the load is noted.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read by torch when it is imported

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch
from machine import machine

from scaling.cost import block_cost, cost
from scaling.trace import by_fvcore
from search_spaces import Network, sample
from search_spaces.modules import build
from search_spaces.network import block_graph
from search_spaces.presets import PRESETS, preset

FAST_RUNS = 200  # of `cost` on one network, which takes microseconds


def main() -> None:
    given = arguments()
    torch.set_num_threads(1)
    space = preset(given.preset, tuple(given.shape), classes=given.classes)
    cold, warm = [], []
    for repeat in range(given.repeats):
        block_cost.cache_clear()
        block_graph.cache_clear()
        cold.append(members_per_second(space, given.members, random.Random(repeat)))
        warm.append(members_per_second(space, given.members, random.Random(given.repeats + repeat)))
    ratios = [ratio(sample(space, random.Random(seed))) for seed in range(given.networks)]
    result = {
        "command": f"python benchmarks/cost_speed.py --preset {given.preset} --members {given.members}",
        "preset": given.preset,
        "shape": given.shape,
        "members": given.members,
        "repeats": given.repeats,
        "networks": given.networks,
        "machine": machine() | {"fvcore": version("fvcore")},
        "load": os.getloadavg(),
        "cold_members_per_s": spread(cold),
        "warm_members_per_s": spread(warm),
        "cost_us": spread([own * 1e6 for own, _ in ratios]),
        "fvcore_ms": spread([theirs * 1e3 for _, theirs in ratios]),
        "ratio": spread([theirs / own for own, theirs in ratios]),
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=2) + "\n")
    print(table(result))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", choices=PRESETS, default="mobile")
    parser.add_argument("--shape", type=int, nargs="+", default=[3, 224, 224])
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--members", type=int, default=20_000, help="distinct members a repeat")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--networks", type=int, default=10, help="networks that fvcore counts too")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks/cost_speed.json"))
    return parser.parse_args()


def members_per_second(space: Network, members: int, rng: random.Random) -> float:
    """Return the distinct members drawn, resolved and costed in a second, telling them apart included."""
    seen: set[Network] = set()
    start = time.process_time()
    while len(seen) < members:
        member = sample(space, rng)
        if member not in seen:
            seen.add(member)
            cost(member)
    return members / (time.process_time() - start)


def ratio(network: Network) -> tuple[float, float]:
    """Return the seconds that `cost` and that fvcore take on one network, once they are found to agree."""
    module = build(network)
    shape = tuple(int(n) for n in network.input if isinstance(n, int))
    if (counted := by_fvcore(module, shape).macs) != cost(network).macs:
        raise SystemExit(f"cost gives {cost(network).macs:,} multiply-adds, fvcore {counted:,}: {network}")
    return seconds(lambda: cost(network), FAST_RUNS), seconds(lambda: by_fvcore(module, shape), 3)


def seconds(work: Callable[[], object], runs: int) -> float:
    """Return the mean time of one run."""
    start = time.process_time()
    for _ in range(runs):
        work()
    return (time.process_time() - start) / runs


def spread(values: list[float]) -> dict[str, float]:
    """Return the median, least and most of some values, to four figures."""
    figures = {"median": statistics.median(values), "least": min(values), "most": max(values)}
    return {name: float(f"{value:.4g}") for name, value in figures.items()}


def table(result: dict[str, object]) -> str:
    """Return the result as text: what was measured on what, then a line a figure."""
    members = f"{result['members']} members x {result['repeats']} repeats, one core"
    lines = [
        f"{result['preset']} {result['shape']}: {members}",
        str(result["machine"]),
        f"load {result['load']}",
    ]
    for name, value in result.items():
        if isinstance(value, dict) and "median" in value:
            lines.append(
                f"{name:20}" + "".join(f"{value[at]:>12,g} {at}" for at in ("median", "least", "most"))
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
