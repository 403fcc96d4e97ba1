"""Every cell of NAS-Bench-201: our cost of our spec against the table, and the classes of twins.

    python benchmarks/nasbench201_cells.py

Writes results/benchmarks/nasbench201_cells.json. Exits with 1 where anything differs.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).parent))
from machine import machine

from nas.bench import bundled
from scaling.cost import cost
from search_spaces import encode, enumerate_members
from search_spaces.equivalence import equivalence

T = TypeVar("T")
RESULT = Path(__file__).parent.parent / "results" / "benchmarks" / "nasbench201_cells.json"


def timed(work: Callable[[], T]) -> tuple[T, float]:
    begun = time.perf_counter()
    return work(), time.perf_counter() - begun


def main() -> int:
    table = bundled()
    members, making = timed(lambda: list(enumerate_members(table.space)))
    costs, costing = timed(lambda: [cost(member) for member in members])
    classes, classing = timed(lambda: [equivalence(member) for member in members])
    rows = [table.rows[encode(table.space, member)] for member in members]
    params, macs, iso = (table.place(name) for name in ("params_cifar10", "macs_cifar10", "iso_class"))
    equal = sum(
        (own.params, own.macs) == (row[params], row[macs]) for own, row in zip(costs, rows, strict=True)
    )
    pairs = {(ours, row[iso]) for ours, row in zip(classes, rows, strict=True)}
    result = {
        "command": "python benchmarks/nasbench201_cells.py",
        "cells": len(members),
        "params_and_macs_equal": equal,
        "classes": len(set(classes)),
        "classes_of_the_table": len({row[iso] for row in rows}),
        "partitions_equal": len(pairs) == len(set(classes)) == len({row[iso] for row in rows}),
        "seconds": {
            "making": round(making, 2), "costs": round(costing, 2), "equivalence": round(classing, 2),
            "together": round(making + costing + classing, 2),
        },
        **machine(),
    }  # fmt: skip
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    return 0 if equal == len(members) and result["partitions_equal"] else 1


if __name__ == "__main__":
    sys.exit(main())
