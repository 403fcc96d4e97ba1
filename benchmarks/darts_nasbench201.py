"""Gradient search over NAS-Bench-201 cells with real CIFAR-10: what the derived cells score by the table.

Supernets of fixed size (8 channels, one cell a stage) learn from 10,000 pictures at half their width and height, one
half for the weights, one for the architecture parameters. Each derived cell is then looked up: its test accuracy
after 200 epochs of training from scratch, mean of the table's seeds. A run that is in the result file is not made
again; one that was made with other settings is dropped. Processes with methods of their own may share a file.

    python benchmarks/darts_nasbench201.py --data FOLDER [--only METHOD ...] [--seeds 3] [--most RUNS] [--out FILE]

The papers take some 20,000 steps; these runs are to take three minutes on one core. Their settings were chosen with
seed 7, by what a search says of itself (entropy, warnings, the derived path's validation accuracy on the supernet's
weights), never by the table.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path

import torch
from machine import machine

from nas.bench.table import bundled
from nas.data import DataSpec
from nas.data.augment import Crop, Flip
from nas.data.device import to_device
from nas.data.load import load_search_data
from nas.evaluation import Workspace, run
from nas.gradient import Gradient, mixture_of
from nas.proposal import Kind, Proposal, Status
from nas.recipe import Candidate, Recipe
from search_spaces.derivation import derive
from search_spaces.genotype import from_genotype, to_genotype
from search_spaces.network import Network
from search_spaces.presets import preset

OUT = Path("results/benchmarks/darts_nasbench201.json")
PICTURES = 10_000
SPACE = "nasbench201(width=8,cells=1)"
SIZE = (3, 16, 16)  # a quarter of the work a step, so that more of them fit
# While convolutions have not learnt, skips and pools lower the loss most, whatever the way of mixing. So weights learn
# alone at first, in steps that are many and large, and parameters then move faster than at the paper's 3e-4. The pool
# of this space has no norm behind it (Dong & Yang 2020). What their rule derives, "none" included, is looked up beside.
SHORT = {"batch": 32, "lr": 0.1, "alpha_lr": 1e-2, "pool_norm": False, "derive_zero": False}
METHODS = {  # with epochs
    "DARTS, first order": (Gradient(warmup=6, **SHORT), 12),
    "DrNAS": (Gradient(mixing="dirichlet", warmup=6, **SHORT), 12),
    "PC-DARTS": (Gradient(partial=4, edges=True, warmup=6, **SHORT), 12),
    "GDAS": (Gradient(mixing="gumbel", warmup=12, **{**SHORT, "alpha_lr": 3e-2}), 24),
}


def main() -> None:
    given = arguments()
    torch.set_num_threads(1)
    spec = DataSpec(source="cifar10", path=str(given.data), limit=PICTURES, validation=0.1)
    loaded = load_search_data(spec)
    data = to_device(loaded, "cpu")
    made = 0
    for seed in range(given.seeds):
        for method in given.only:
            settings, epochs = METHODS[method]
            if made == given.most or any(
                (row["method"], row["seed"]) == (method, seed) for row in kept(given.out)
            ):
                continue
            row = searched(method, settings, data, seed=seed, epochs=epochs, folder=given.work)
            made += 1
            add(
                given.out, row, lock=given.work / "lock", pictures=len(data.train),
                fingerprint=loaded.fingerprint,
            )  # fmt: skip


def searched(
    method: str, settings: Gradient, data: object, *, seed: int, epochs: int, folder: Path
) -> dict[str, object]:
    """Train one supernet, derive, look up."""
    space = preset(SPACE, SIZE, classes=10)
    candidate = Candidate(network=space, recipe=Recipe(augment=(Flip(), Crop(padding=2))))
    proposal = Proposal(
        number=0, kind=Kind.SUPERNET, candidate=candidate, epochs=epochs, seed=seed, settings=settings
    )
    trace = []
    name = f"{method.split(',')[0]}-{seed}".lower().replace(" ", "-")
    workspace = Workspace(
        folder=folder / name, device="cpu", data=data, held_out=none,
        report=lambda epoch, metrics: trace.append({"epoch": epoch, **{k: round(v, 4) for k, v in metrics.items()}}),
        checkpoint_seconds=30.0,
    )  # fmt: skip
    began = time.perf_counter()
    outcome = run(proposal, workspace)
    if outcome.status is not Status.DONE:
        raise SystemExit(f"{method}, seed {seed}: {outcome.status}: {outcome.note}")
    cell = to_genotype(derive(mixture_of(space, settings), outcome.weights))
    row = row_of(cell) | with_none(space, settings, outcome.weights)
    said = {
        "method": method, "seed": seed, "epochs": epochs, "settings": changed(settings),
        "cell": cell, **row, "warning": outcome.note or None,
        "last": trace[-1], "seconds": round(time.perf_counter() - began, 1),
        "weights": {path: [round(w, 4) for w in vector] for path, vector in outcome.weights.items()}, "trace": trace,
    }  # fmt: skip
    print({k: said[k] for k in ("method", "seed", "cell", "test_accuracy", "seconds", "warning")}, flush=True)
    return said


def with_none(
    space: Network, settings: Gradient, weights: Mapping[str, Sequence[float]]
) -> dict[str, object]:
    """Return what the same weights derive where "none" is an option like the others."""
    cell = to_genotype(derive(mixture_of(space, replace(settings, derive_zero=True)), weights))
    return {"cell_with_none": cell, "test_accuracy_with_none": row_of(cell)["test_accuracy"]}


def row_of(cell: str) -> dict[str, float]:
    """Return the table's 200-epoch test accuracy of a cell, in per cent."""
    table = bundled()
    row = table.of(from_genotype(table.space, cell))
    return {"test_accuracy": row["cifar10_test_200ep"]}


def none() -> object:
    raise AssertionError("a search never reads the test part")


def changed(settings: Gradient) -> dict[str, object]:
    """Return the settings that are not the product's own."""
    own = Gradient()
    named = {field.name: getattr(settings, field.name) for field in fields(settings)}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in named.items()
        if value != getattr(own, name)
    }


def kept(out: Path) -> list[dict[str, object]]:
    """Return the rows of a result file that were made with the settings as they are now."""
    rows = json.loads(out.read_text())["runs"] if out.is_file() else []
    asked = {method: (changed(settings), epochs) for method, (settings, epochs) in METHODS.items()}
    return [row for row in rows if (row.get("settings"), row["epochs"]) == asked.get(row["method"])]


def add(out: Path, row: dict[str, object], *, lock: Path, pictures: int, fingerprint: str) -> None:
    """Add a row to a result file that another process may add to as well."""
    for folder in (out.parent, lock.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        order = list(METHODS)
        rows = sorted([*kept(out), row], key=lambda r: (order.index(r["method"]), r["seed"]))
        write(out, rows, pictures=pictures, fingerprint=fingerprint)


def summarised(rows: list[dict[str, object]]) -> dict[str, object]:
    """Return what one method's rows come to."""
    return {
        **mean_and_sd([row["test_accuracy"] for row in rows]),
        "with_none": mean_and_sd([row["test_accuracy_with_none"] for row in rows]),
        "n": len(rows),
        "collapsed": sum("collapsed" in str(row["warning"]) for row in rows),
        "warned": sum(row["warning"] is not None for row in rows),
    }


def mean_and_sd(scores: list[float]) -> dict[str, float | None]:
    sd = round(statistics.stdev(scores), 3) if len(scores) > 1 else None
    return {"mean": round(statistics.fmean(scores), 3), "sd": sd}


def write(out: Path, rows: list[dict[str, object]], *, pictures: int, fingerprint: str) -> None:
    of = {method: [row for row in rows if row["method"] == method] for method in METHODS}
    summary = {method: summarised(own) for method, own in of.items() if own}
    document = {
        "what": "test accuracy (%, 200 epochs, the bundled table) of cells derived by gradients; CIFAR-10",
        "space": SPACE, "input": SIZE, "pictures": pictures, "fingerprint": fingerprint,
        "machine": machine(), "threads": 1,
        "summary": summary, "runs": rows,
    }  # fmt: skip
    out.write_text(json.dumps(document, indent=1) + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--most", type=int, default=None, help="runs to make now")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument(
        "--work", type=Path, default=Path("results/darts-nasbench201"), help="where checkpoints lie"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
