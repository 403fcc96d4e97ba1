"""Search a space of ours with a `tune.Tuner` of your own: digits, eight of 36 small networks, stopped early by ASHA.

python examples/tune_with_archscale.py [FOLDER]

Given the same folder again, it goes on where it stood.
"""

from __future__ import annotations

import sys
from pathlib import Path

import ray
import torch
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from sklearn.datasets import load_digits
from torch import nn

from nas.ray_searcher import StudySearcher
from nas.strategies import Evolution
from search_spaces import Choice, Classifier, Conv, DepthwiseSeparable, Network, Stage
from search_spaces.modules import build

SPACE = Network(
    input=(1, 8, 8),
    stages=(
        Stage(blocks=(Conv(kernel=Choice(3, 5)),), width=Choice(8, 12, 16)),
        Stage(blocks=(Choice(Conv(), DepthwiseSeparable()),), width=Choice(16, 20, 24), stride=2),
    ),
    head=Classifier(classes=10),
)


def train(config: dict[str, object]) -> None:
    """Train the network that a trial is given, and report each epoch."""
    torch.set_num_threads(1)
    torch.manual_seed(config["seed"])
    digits = load_digits()
    x = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
    y = torch.tensor(digits.target)
    model = build(config["network"])
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(config["epochs"]):
        model.train()
        for batch in torch.randperm(1200).split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimiser.step()
        model.eval()
        with torch.no_grad():
            right = (model(x[1200:]).argmax(1) == y[1200:]).float().mean()
        tune.report({"validation_accuracy": float(right)})


def main(folder: Path) -> None:
    """Run the search and say what was found."""
    searcher = StudySearcher(
        SPACE, folder=folder / "study", strategy=Evolution(population=4, contestants=2), epochs=3,
        limits=["macs <= 400k"],
    )  # fmt: skip
    tuner = tune.Tuner(
        train,
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=ASHAScheduler(metric="validation_accuracy", mode="max", max_t=3, grace_period=1),
            num_samples=8,
            max_concurrent_trials=2,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(name="tune", storage_path=str(folder.resolve()), verbose=0),
    )
    tuner.fit()
    best = searcher.study.best
    assert best is not None
    searcher.close()
    print(f"{len(searcher.study.history.told)} trials; the best, {best.key}, has validation accuracy "
          f"{best.metrics['validation_accuracy']:.3f} with {best.cost['macs']:,} MACs")  # fmt: skip


if __name__ == "__main__":
    if not ray.is_initialized():
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results/tune-example"))
