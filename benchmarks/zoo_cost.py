"""How long it takes to work out what all published networks of the zoo cost, together, on one core.

    python benchmarks/zoo_cost.py [--repeats 20]

`cold` begins each repeat with empty caches, so that every kind of block is lowered and costed anew; `warm` has the
caches of the repeat before, as a second look at the same networks has. `specs` is the time to write all specs as
checked data, which neither of them includes. All times are processor time of this one thread; the load is noted.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from cost_speed import spread
from machine import machine

from scaling import cost as costs
from scaling import memory
from scaling.cost import cost
from search_spaces import Network
from search_spaces.network import block_graph
from search_spaces.zoo import MODELS, model

CACHES = (
    block_graph, costs.block_cost, costs._known_sums, memory._lifetimes, memory._peak_within,
)  # fmt: skip


def main() -> None:
    given = arguments()
    specs = [milliseconds(lambda: [model(name) for name in MODELS]) for _ in range(given.repeats)]
    networks = {name: model(name) for name in MODELS}
    cold, warm = [], []
    for _ in range(given.repeats):
        for cache in CACHES:
            cache.cache_clear()
        cold.append(milliseconds(lambda: cost_all(networks)))
        warm.append(milliseconds(lambda: cost_all(networks)))
    result = {
        "command": f"python benchmarks/zoo_cost.py --repeats {given.repeats}",
        "repeats": given.repeats,
        "machine": machine(),
        "load": os.getloadavg(),
        "models": len(networks),
        "cold_ms": spread(cold),
        "warm_ms": spread(warm),
        "specs_ms": spread(specs),
        "costs": cost_all(networks),
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=2) + "\n")
    for name in ("cold_ms", "warm_ms", "specs_ms"):
        print(f"{name:10}", result[name])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks/zoo_cost.json"))
    return parser.parse_args()


def cost_all(networks: dict[str, Network]) -> dict[str, dict[str, int]]:
    """Return params and multiply-adds by name."""
    return {
        name: {"params": own.params, "macs": own.macs}
        for name, own in ((name, cost(network)) for name, network in networks.items())
    }


def milliseconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return (time.process_time() - start) * 1e3


if __name__ == "__main__":
    main()
