"""Search `mixed` on Fashion-MNIST under 5 M MACs, and hold the winner against plain alternatives.

Evolution and random search run side by side for the same time, one core each. Then the confirmed winner of each,
LeNet-5 and a hand-made convolutional network of the winner's MACs are trained alike (same recipe, epochs and
data: train and validation) with fresh seeds, and the test part is read once by each of those trainings.

    python benchmarks/fashion_mixed.py --data FOLDER [--minutes 30] [--seeds 3] [--epochs 10]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import threading
import time
from pathlib import Path

from machine import machine

from nas.config import StudyConfig, read_config
from nas.data import DataSpec
from nas.driver import StopSign, drive
from nas.execution.base import Ended
from nas.launch import create, executor_for
from nas.proposal import Kind, Proposal, Status
from nas.recipe import Candidate
from nas.study import Study
from nas.winner import confirmed
from scaling.cost import cost
from search_spaces import Classifier, Conv, Network, Stage, key
from search_spaces.serialise import to_data
from search_spaces.zoo import model

HERE = Path(__file__).parent
CONFIG = """
space: mixed
limits: ["macs <= 5M"]
recipe: {augment: [{type: Flip}, {type: Crop, padding: 2}]}
epochs: 4
trials: 100000
confirm: {top: 4, seeds: 2}
final: {epochs: 1}
execution: {workers: 1, threads: 1, device: cpu, trial_seconds: 180}
"""


def main() -> None:
    given = arguments()
    spec = DataSpec(source="fashion_mnist", path=str(given.data), limit=given.limit, validation=0.1)
    data = f"data={json.dumps(to_data(spec))}"
    runs: dict[str, Study] = {}

    def search(strategy: str) -> None:
        overrides = [data, f"minutes={given.minutes}", f"strategy={strategy}", f"seed={given.seed}"]
        config = read_config(CONFIG, overrides, source="fashion_mixed")
        study, folder = create(
            config, name=f"fashion-{strategy.strip('{').split(',')[0].split()[-1]}", results=given.results
        )
        runs[strategy] = study
        drive(
            study, executor_for(config, folder, study.journal.header), watch=lambda *_: None, stop=StopSign()
        )

    strategies = {"evolution": "{type: evolution, population: 16, contestants: 5}", "random": "random"}
    threads = [threading.Thread(target=search, args=(text,)) for text in strategies.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = {name: winner_of(runs[text]) for name, text in strategies.items()}
    hand = hand_made(cost(found["evolution"].network).macs)
    models = {
        "winner of evolution, confirmed": found["evolution"].network,
        "winner of random search, confirmed": found["random"].network,
        f"hand-made convolutional net, width {hand.stages[0].width}": hand,  # type: ignore[union-attr]
        "LeNet-5": model("lenet5"),
    }
    config = read_config(CONFIG, [data], source="fashion_mixed")
    rows = retrain(models, config, given)
    write(rows, runs, strategies, given, config)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder with the four IDX files")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--limit", type=int, default=6_000, help="train images of a search's trial")
    parser.add_argument(
        "--train-limit", type=int, default=None, help="images of the last trainings; all by default"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5, help="of the last trainings, on all 60,000 images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=HERE.parent / "results")
    parser.add_argument(
        "--out", type=Path, default=HERE.parent / "results" / "benchmarks" / "fashion_mixed.json"
    )
    return parser.parse_args()


def winner_of(study: Study) -> Candidate:
    best = study.best
    assert best is not None, "nothing was trained"
    return study.candidate(best)


def hand_made(macs: int) -> Network:
    """Return six 3x3 convolutions in three stages, each twice as wide as the last, of at most the given MACs."""
    fitting = [net for w in range(2, 129) if cost(net := plain(w)).macs <= macs]
    return max(fitting, key=lambda net: cost(net).macs)


def plain(width: int) -> Network:
    stages = tuple(
        Stage(blocks=(Conv(), Conv()), width=width * 2**i, stride=1 if i == 0 else 2) for i in range(3)
    )
    return Network(input=(1, 28, 28), stages=stages, head=Classifier(classes=10))


def retrain(
    models: dict[str, Network], config: StudyConfig, given: argparse.Namespace
) -> list[dict[str, object]]:
    """Train every model with every seed on train and validation, and read the test part once each."""
    full = DataSpec(source="fashion_mnist", path=str(given.data), limit=given.train_limit)
    whole = read_config(
        CONFIG,
        [f"data={json.dumps(to_data(full))}", "execution.workers=2", "execution.trial_seconds=3600"],
        source="fashion_mixed",
    )
    from nas.launch import describe_data

    folder = given.results / f"fashion-retrained-{int(time.time())}"
    folder.mkdir(parents=True)
    executor = executor_for(whole, folder, {"data": describe_data(whole)})
    todo = [(name, net, seed) for seed in range(100, 100 + given.seeds) for name, net in models.items()]
    scores: dict[str, list[float]] = {name: [] for name in models}
    names: dict[int, str] = {}
    while todo or len(names) > sum(map(len, scores.values())):
        while todo and executor.free:
            name, net, seed = todo.pop(0)
            number = len(names)
            names[number] = name
            recipe = config.recipe
            candidate = Candidate(network=net, recipe=recipe)
            executor.submit(
                Proposal(number=number, kind=Kind.FINAL, candidate=candidate, epochs=given.epochs, seed=seed),
                0,
            )
        for happened in executor.wait(1.0):
            if isinstance(happened, Ended):
                assert happened.outcome.status is Status.DONE, happened.outcome
                scores[names[happened.number]].append(happened.outcome.metrics["test_accuracy"])
                print(names[happened.number], happened.outcome.metrics, flush=True)
    executor.close()
    return [row(name, net, scores[name]) for name, net in models.items()]


def row(name: str, net: Network, scores: list[float]) -> dict[str, object]:
    spent = cost(net)
    return {
        "model": name, "key": key(net), "params": spent.params, "macs": spent.macs,
        "test_accuracy": scores, "mean": statistics.fmean(scores),
        "sd": statistics.stdev(scores) if len(scores) > 1 else None, "spec": to_data(net),
    }  # fmt: skip


def shown(config: StudyConfig) -> dict[str, object]:
    """Return the config as it is kept: without the folder the data lay in."""
    data = to_data(config)
    assert isinstance(data, dict)
    return {**data, "data": {**to_data(config.data), "path": "FOLDER"}}  # type: ignore[dict-item]


def write(
    rows: list[dict[str, object]],
    runs: dict[str, Study],
    strategies: dict[str, str],
    given: argparse.Namespace,
    config: StudyConfig,
) -> None:
    searches = {}
    for name, text in strategies.items():
        study = runs[text]
        trained = study.history.of(Kind.TRAIN)
        searches[name] = {
            "trials": len(trained), "done": sum(t.done for t in trained), "rejected": study.history.rejected,
            "best_validation": max(t.metrics["validation_accuracy"] for t in trained if t.done),
            "confirmed_validation": max(confirmed(study.history, study.plan).values()),
        }  # fmt: skip
    result = {
        "command": f"python benchmarks/fashion_mixed.py --data FOLDER --minutes {given.minutes:g} "
        f"--limit {given.limit} --seeds {given.seeds} --epochs {given.epochs} --seed {given.seed}",
        "machine": machine(), "load": os.getloadavg(), "config": shown(config), "searches": searches, "rows": rows,
    }  # fmt: skip
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=2) + "\n")
    for name, search in searches.items():
        print(f"{name}: {search}")
    for r in rows:
        print(f"{r['model']:45s} {100 * r['mean']:.2f} +- {100 * (r['sd'] or 0):.2f} %  {r['macs']:,} MACs")  # type: ignore[operator]


if __name__ == "__main__":
    main()
