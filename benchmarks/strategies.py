"""Our strategies and other libraries' on NAS-Bench-201: all protocols, many seeds, one table.

    python benchmarks/strategies.py [--seeds 400] [--slow-seeds 50] [--workers 2] [--only NAME ...] [--fresh]

Writes results/benchmarks/strategies.csv, .json and pictures. What a strategy scored is kept in results/strategies-kept/
and not played again while seeds and sources are the same, so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import rivals
from machine import machine

from nas.bench import (
    BASELINE,
    PROTOCOLS,
    STANDARD,
    Bench,
    Entrant,
    Ground,
    Runs,
    Table,
    Task,
    bundled,
    play,
    rows,
)
from nas.bench.files import write_pictures
from nas.bench.scores import TEST
from nas.config import read_config
from nas.recipe import Candidate
from nas.storage import replace_file
from nas.strategies import Scope, Strategy, StrategyConfig, Told
from search_spaces.moves import enumerate_members

HOME = Path(__file__).parent.parent
TASKS = tuple(task for name in STANDARD for task in PROTOCOLS[name])
OURS = (BASELINE, "evolution", "local_search", "bayesian")
RIVALS: dict[str, StrategyConfig] = {
    "optuna TPE": rivals.OptunaTpe(),
    "optuna NSGA-II": rivals.OptunaNsga2(),
    "pymoo NSGA-II": rivals.PymooNsga2(),
}
SLOW = ("bayesian", "optuna TPE")  # some milliseconds a query
SOURCES = ("nas/bench", "nas/strategies", "nas/analysis", "search_spaces", "benchmarks/rivals.py")


def main() -> None:
    given = arguments()
    kept = HOME / "results" / "strategies-kept"
    kept.mkdir(parents=True, exist_ok=True)
    table, code, runs = bundled(), fingerprint(), list[Runs]()
    for name, config in entrants(given.only).items():
        seeds = min(given.seeds, given.slow_seeds) if name in SLOW else given.seeds
        file = kept / f"{name.replace(' ', '-')}-{seeds}.json"
        bench = Bench(
            table=table, entrants=(Entrant(name=name, config=config),), tasks=TASKS, seeds=tuple(range(seeds))
        )
        found = None if given.fresh else recalled(file, bench, code)
        if found is None:
            began = time.perf_counter()
            found = bench.play(workers=given.workers)
            keep(file, found, code)
            print(f"{name}: {seeds} seeds in {time.perf_counter() - began:.0f} s", flush=True)
        runs += found
    write(runs, table, given)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=400)
    parser.add_argument("--slow-seeds", type=int, default=50, help=f"of {' and '.join(SLOW)}")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", action="append", metavar="NAME", help="some of them, beside random")
    parser.add_argument("--fresh", action="store_true", help="play all again")
    parser.add_argument("--out", type=Path, default=HOME / "results/benchmarks")
    return parser.parse_args()


def entrants(only: list[str] | None) -> dict[str, StrategyConfig]:
    """Return ours and theirs by name, or some of them; random search is always among them."""
    everyone = {
        name: read_config("space: nasbench201", [f"strategy={name}"], source="benchmarks").strategy
        for name in OURS
        if only is None or name == BASELINE or name in only
    }
    return everyone | {name: config for name, config in RIVALS.items() if only is None or name in only}


def fingerprint() -> str:
    """Return a hash of the sources that scores depend on."""
    files = [
        f for s in SOURCES for f in ([HOME / s] if s.endswith(".py") else sorted((HOME / s).rglob("*.py")))
    ]
    return hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()[:16]


def keep(file: Path, runs: list[Runs], code: str) -> None:
    data = {"code": code, "tasks": [{"values": one.values, "seconds": one.seconds} for one in runs]}
    replace_file(file, json.dumps(data).encode())


def recalled(file: Path, bench: Bench, code: str) -> list[Runs] | None:
    """Return what was kept of a strategy's runs, if it was made by these very sources."""
    data = json.loads(file.read_text()) if file.is_file() else {}
    if data.get("code") != code:
        return None
    return [
        Runs(
            strategy=bench.entrants[0].name,
            task=task,
            seeds=bench.seeds,
            values=tuple(tuple(tuple(values) for values in run) for run in one["values"]),
            seconds=one["seconds"],
        )
        for task, one in zip(bench.tasks, data["tasks"], strict=True)
    ]


def write(runs: list[Runs], table: Table, given: argparse.Namespace) -> None:
    found = [asdict(row) for row in rows(runs)]
    result = {
        "command": f"python benchmarks/strategies.py --seeds {given.seeds} --slow-seeds {given.slow_seeds}",
        "machine": machine() | {name: version(name) for name in ("optuna", "pymoo", "scipy")},
        "load": os.getloadavg(),
        "core_seconds": {
            name: round(sum(one.seconds for one in runs if one.strategy == name), 1)
            for name in dict.fromkeys(one.strategy for one in runs)
        },
        "harness_us_a_query": harness_us(table, TASKS[-1]),
        "test": TEST,
        "rows": found,
    }
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "strategies.json").write_text(json.dumps(result, indent=1) + "\n")
    with (given.out / "strategies.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(found[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)
    write_pictures(runs, table, given.out, prefix="strategies-")
    for row in found:
        p = "" if row["p"] is None else f"  p {row['p']:.2g}"
        print(
            f"{row['strategy']:15s} {row['protocol']:3s} {row['dataset']:8s} {row['budget']:6g} "
            f"{row['mean']:8.4f} +- {row['sd'] or 0:.4f}  n {row['seeds']}{p}"
        )


class Prepared(StrategyConfig):
    """Asks members in their order, each held against what is known: no time of its own."""

    def start(self, scope: Scope) -> Strategy:
        return _Prepared(scope)


class _Prepared:
    members: tuple[Candidate, ...] = ()

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def ask(self, number: int) -> Candidate | None:
        found = self.members[number]
        return found if self.scope.admits(found) else None

    def tell(self, told: Told) -> None:
        """Nothing is learnt."""


def harness_us(table: Table, task: Task) -> float:
    """Return the microseconds that a query takes beside the strategy's own, the least of five runs."""
    ground, times = Ground.of(task, table), []
    _Prepared.members = tuple(m for m, _ in zip(enumerate_members(ground.space), range(2000), strict=False))
    for _ in range(5):
        began = time.perf_counter()
        play(ground, Prepared(), seed=0)
        times.append(time.perf_counter() - began)
    return round(1e6 * min(times) / max(task.budgets), 1)


if __name__ == "__main__":
    main()
