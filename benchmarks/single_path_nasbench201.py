"""Single-path one-shot search over NAS-Bench-201 cells with real CIFAR-10: what the cell it picks scores by the table.

The other half of `darts_nasbench201`, on the same pictures and sizes: one path a step, drawn uniformly (Guo et al.
2020); regularised evolution over scores on inherited weights picks a cell, whose test accuracy after 200 epochs of
training from scratch is looked up. The study's own short training of that cell is in its `seconds`, its score nowhere.

    python benchmarks/single_path_nasbench201.py --data FOLDER [--seeds 0 1 2] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

from darts_nasbench201 import OUT, PICTURES, SIZE, SPACE, row_of
from machine import machine

from nas.config import read_config
from nas.driver import StopSign, drive
from nas.launch import create, executor_for
from nas.proposal import Kind
from search_spaces.genotype import to_genotype
from search_spaces.presets import preset
from search_spaces.serialise import to_data

CONFIG = """
strategy:
  type: one_shot
  sampler: uniform
  search: {type: evolution, population: 20}
  epochs: 24
  evaluations: 200
  best: 1
  others: 0
recipe: {batch: 32, lr: 0.05, schedule: cosine, augment: [{type: Flip}, {type: Crop, padding: 2}]}
epochs: 1
trials: 1
confirm: {top: 0}
final: {of: none}
execution: {workers: 0, threads: 1, device: cpu}
"""


def main() -> None:
    given = arguments()
    rows = [searched(given, seed) for seed in given.seeds]
    scores = [float(str(row["test_accuracy"])) for row in rows]
    document = {
        "what": "test accuracy (%, 200 epochs, the bundled table) of cells picked by inherited scores; CIFAR-10",
        "space": SPACE, "input": SIZE, "pictures": PICTURES, "machine": machine(), "threads": 1, "config": CONFIG,
        "summary": {
            "mean": round(statistics.fmean(scores), 3),
            "sd": round(statistics.stdev(scores), 3) if len(scores) > 1 else None,
            "n": len(scores),
        },
        "runs": rows,
    }  # fmt: skip
    given.out.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(document["summary"]))


def searched(given: argparse.Namespace, seed: int) -> dict[str, object]:
    """Search with one seed, and look up the cell whose inherited score is best."""
    config = read_config(
        CONFIG,
        [
            f"space={json.dumps(to_data(preset(SPACE, SIZE, classes=10)))}",
            f"data={json.dumps({'source': 'cifar10', 'path': str(given.data), 'limit': PICTURES, 'validation': 0.1})}",
            f"seed={seed}",
        ],
        source="single_path_nasbench201",
    )
    began = time.perf_counter()
    study, folder = create(config, name=f"{given.name}-{seed}", results=given.results)
    with study.journal:
        drive(
            study, executor_for(config, folder, study.journal.header), watch=lambda *_: None, stop=StopSign()
        )
    scored = [trial for trial in study.history.of(Kind.INHERIT) if trial.done]
    best = max(scored, key=lambda trial: trial.metrics["inherited_accuracy"])
    cell = to_genotype(study.candidate(best).network)
    (supernet,) = study.history.of(Kind.SUPERNET)
    said = {
        "seed": seed, "cell": cell, **row_of(cell), "inherited_accuracy": best.metrics["inherited_accuracy"],
        "scored": len(scored), "supernet": dict(supernet.metrics), "seconds": round(time.perf_counter() - began, 1),
    }  # fmt: skip
    print(said, flush=True)
    return said


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--name", default="single-path", help="of the studies, which the seed ends")
    parser.add_argument("--out", type=Path, default=OUT.with_name("single_path_nasbench201.json"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
