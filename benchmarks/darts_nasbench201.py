"""Gradient search over NAS-Bench-201 cells with real CIFAR-10: what the derived cells score by the table.

Supernets of fixed size (8 channels, one cell a stage) learn from 10,000 pictures, one half for the weights, one for
the architecture parameters. Each derived cell is then looked up: its test accuracy after 200 epochs of training from
scratch, mean of the table's seeds. A run that is in the result file is not made again.

    python benchmarks/darts_nasbench201.py --data FOLDER [--seeds 3] [--most RUNS] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
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
from search_spaces.presets import preset

OUT = Path("results/benchmarks/darts_nasbench201.json")
PICTURES = 10_000
SPACE = "nasbench201(width=8,cells=1)"
# Some 600 steps instead of 20,000: parameters must move faster than at the paper's 3e-4. The pool of this space has
# no norm behind it (Dong & Yang 2020).
SHORT = {"alpha_lr": 1e-2, "pool_norm": False}
METHODS = {  # with epochs that take some four minutes on one core
    "DARTS, first order": (Gradient(**SHORT), 8),
    "DrNAS": (Gradient(mixing="dirichlet", **SHORT), 8),
    "PC-DARTS": (Gradient(partial=4, edges=True, warmup=3, **SHORT), 11),
    "GDAS": (Gradient(mixing="gumbel", **SHORT), 40),
}


def main() -> None:
    given = arguments()
    torch.set_num_threads(1)
    spec = DataSpec(source="cifar10", path=str(given.data), limit=PICTURES, validation=0.1)
    loaded = load_search_data(spec)
    data = to_device(loaded, "cpu")
    done = json.loads(given.out.read_text())["runs"] if given.out.is_file() else []
    made = 0
    for seed in range(given.seeds):
        for method, (settings, epochs) in METHODS.items():
            if made == given.most or any((row["method"], row["seed"]) == (method, seed) for row in done):
                continue
            done.append(searched(method, settings, data, seed=seed, epochs=epochs, folder=given.work))
            made += 1
            write(given.out, done, pictures=len(data.train), fingerprint=loaded.fingerprint)


def searched(
    method: str, settings: Gradient, data: object, *, seed: int, epochs: int, folder: Path
) -> dict[str, object]:
    """Train one supernet, derive, look up."""
    space = preset(SPACE, (3, 32, 32), classes=10)
    candidate = Candidate(network=space, recipe=Recipe(augment=(Flip(), Crop(padding=4))))
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
    row = row_of(cell)
    said = {
        "method": method, "seed": seed, "epochs": epochs, "cell": cell, **row, "warning": outcome.note or None,
        "last": trace[-1], "seconds": round(time.perf_counter() - began, 1),
        "weights": {path: [round(w, 4) for w in vector] for path, vector in outcome.weights.items()}, "trace": trace,
    }  # fmt: skip
    print({k: said[k] for k in ("method", "seed", "cell", "test_accuracy", "seconds", "warning")}, flush=True)
    return said


def row_of(cell: str) -> dict[str, float]:
    """Return the table's 200-epoch test accuracy of a cell, in per cent."""
    table = bundled()
    row = table.of(from_genotype(table.space, cell))
    return {"test_accuracy": row["cifar10_test_200ep"]}


def none() -> object:
    raise AssertionError("a search never reads the test part")


def write(out: Path, rows: list[dict[str, object]], *, pictures: int, fingerprint: str) -> None:
    summary = {}
    for method in METHODS:
        scores = [row["test_accuracy"] for row in rows if row["method"] == method]
        if scores:
            summary[method] = {
                "mean": round(statistics.fmean(scores), 3),
                "sd": round(statistics.stdev(scores), 3) if len(scores) > 1 else None,
                "n": len(scores),
                "collapsed": sum(
                    "collapsed" in str(row["warning"]) for row in rows if row["method"] == method
                ),
            }
    document = {
        "what": "test accuracy (%, 200 epochs, the bundled table) of cells derived by gradients; CIFAR-10",
        "space": SPACE, "pictures": pictures, "fingerprint": fingerprint, "machine": machine(), "threads": 1,
        "summary": summary, "runs": rows,
    }  # fmt: skip
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(document, indent=1) + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--most", type=int, default=None, help="runs to make now")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument(
        "--work", type=Path, default=Path("results/darts-nasbench201"), help="where checkpoints lie"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
