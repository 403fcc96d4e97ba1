"""Our strategies under latency limits on NAS-Bench-201: the protocol `limited`, 12 settings, many seeds.

    python benchmarks/strategies_limited.py [--seeds 50] [--workers 2]

Writes results/benchmarks/strategies_limited.csv (a row a strategy and setting, then the means over all settings) and
strategies_limited.json (the same, the limits, and how it was made). The signal is the CIFAR-10 test accuracy itself, so
that only the way through the space counts; what breaks the limit is never asked and costs nothing. Beside the measured
regret of random search stands its exact expectation, so that the settings can be held against anybody else's.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from dataclasses import asdict
from importlib.metadata import version
from math import comb
from pathlib import Path

from machine import machine

from nas.bench import BASELINE, PROTOCOLS, Bench, Entrant, Runs, Table, Task, bundled, rows
from nas.bench.keepers import limit_of
from nas.bench.scores import TEST, p_better, write_rows
from nas.config import read_config

HOME = Path(__file__).parent.parent
NAME = "strategies_limited"
OURS = (BASELINE, "evolution", "local_search")
TASKS = PROTOCOLS["limited"]
BARS = {"local_search": 0.28, "evolution": 0.31}  # most points of mean regret over all settings


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=HOME / "results/benchmarks")
    given = parser.parse_args()
    table = bundled()
    bench = Bench(table=table, entrants=entrants(), tasks=TASKS, seeds=tuple(range(given.seeds)))
    runs = bench.play(workers=given.workers)
    found = rows(runs)
    write_rows(found, given.out / f"{NAME}.csv")
    overall = {row.strategy: row for row in found if row.dataset == "all"}
    result = {
        "command": f"python benchmarks/{NAME}.py --seeds {given.seeds}",
        "machine": machine() | {"scipy": version("scipy")},
        "signal": "cifar10_test_200ep, the score itself; what breaks the limit is never asked and costs nothing",
        "score": "points short of the best test accuracy within the limit, after 200 queries",
        "settings": [setting(task, table) for task in TASKS],
        "random_expected": statistics.fmean(expected(task, table) for task in TASKS),
        "test": f"{TEST}; a pair is a seed's mean regret over the 12 settings",
        "overall": {
            name: asdict(row)
            | {
                "bar": BARS.get(name),
                "core_seconds": seconds(runs, name),
                "p_of_all_pairs": all_pairs(runs, name),
            }
            for name, row in overall.items()
        },
        "rows": [asdict(row) for row in found],
    }
    (given.out / f"{NAME}.json").write_text(json.dumps(result, indent=1) + "\n")
    for name, row in overall.items():
        print(f"{name:13s} {row.mean:.4f} +- {row.error or 0:.4f} (bar {BARS.get(name)})  p {row.p}")


def entrants() -> tuple[Entrant, ...]:
    return tuple(
        Entrant(
            name=name,
            config=read_config("space: nasbench201", [f"strategy={name}"], source="benchmarks").strategy,
        )
        for name in OURS
    )


def setting(task: Task, table: Table) -> dict[str, object]:
    """Return a limit, how many members keep it, the best of them and what random search should fall short of it."""
    within = scores_within(task, table)
    limit = limit_of(task, table)
    assert limit is not None
    return {
        "setting": task.reports[0].dataset,
        "at_most_ms": round(limit[1], 5),
        "members": len(within),
        "best": within[0],
        "random_expected": expected(task, table),
    }


def expected(task: Task, table: Table, *, queries: int = 200) -> float:
    """Return the expected regret of `queries` different members within the limit, exactly.

    The best of them is the one at position i, best first, with the chance C(n - 1 - i, q - 1) / C(n, q).
    """
    within = scores_within(task, table)
    n, ways = len(within), comb(len(within), queries)
    return sum((within[0] - score) * (comb(n - 1 - i, queries - 1) / ways) for i, score in enumerate(within))


def scores_within(task: Task, table: Table) -> list[float]:
    """Return the test accuracies of the members that keep the limit, best first."""
    limit, place = limit_of(task, table), table.place(task.signal[0].metric)
    assert limit is not None
    return sorted((row[place] for row in table.rows.values() if row[limit[0]] <= limit[1]), reverse=True)


def seconds(runs: list[Runs], name: str) -> float:
    return round(sum(one.seconds for one in runs if one.strategy == name), 1)


def all_pairs(runs: list[Runs], name: str) -> float | None:
    """Return p by the same test over all pairs of setting and seed, as if these were independent."""
    if name == BASELINE:
        return None
    base = {one.task: one.by_seed(0, 200) for one in runs if one.strategy == BASELINE}
    mine = [one for one in runs if one.strategy == name]
    return p_better(
        [base[one.task][seed] - regret for one in mine for seed, regret in one.by_seed(0, 200).items()]
    )


if __name__ == "__main__":
    main()
