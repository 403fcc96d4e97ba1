"""Search a space on Fashion-MNIST with shared weights, beside regularised evolution given the same wall-clock time.

First the search on shared weights, then evolution for as many seconds as that took, each on two cores: two threads of
the one supernet, two trainings of evolution side by side (with `--cores 1`, one of each). The winner of each, named by
its own training in the search, is then trained anew, alike, with fresh seeds, and the test part is read once by each of
those trainings. Started again it goes on where it was: searches resume, finished trainings stay.

    python benchmarks/one_shot_fashion.py --data FOLDER [--space mobile] [--strategy one_shot] [--minutes 30]
    python benchmarks/one_shot_fashion.py --data FOLDER --space mixed --strategy darts
    python benchmarks/one_shot_fashion.py --data FOLDER --quick

Images are padded to 32x32 for `mobile`, whose networks then halve the map three times instead of twice. Gradients
search `mixed` with what shapes depend on settled: a stem of 8 channels, two layers a stage, the middle widths. Every
step trains all options (DrNAS), with a cost term at the limit. One sampled path a step (GDAS) is 16 times faster, but
an option then learns in one step of 16, and beside other neighbours each time: see one_shot_fashion_mixed_gdas.json. A
timed probe tells how many epochs the minutes hold.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import cast

import torch
from fashion_mixed import row, winner_of
from machine import machine

from nas.agreement import agreement
from nas.config import StudyConfig, read_config
from nas.data import DataSpec
from nas.data.device import DevicePart, to_device
from nas.data.load import load_search_data
from nas.driver import StopSign, drive
from nas.evaluation import Workspace, run
from nas.evaluation.precision import precision
from nas.execution.base import Ended
from nas.gradient import Gradient
from nas.launch import create, describe_data, executor_for, reopen
from nas.proposal import Kind, Proposal, Status
from nas.recipe import Candidate
from nas.sharing import SharedTraining, Uniform, space_for
from nas.spending import seconds_spent
from nas.storage import replace_file
from nas.study import Study
from search_spaces import Network, key
from search_spaces.block import fixed
from search_spaces.presets import preset
from search_spaces.serialise import Json, to_data
from search_spaces.supernet_entangled import Entangled

HERE = Path(__file__).parent
PADDED = "fashion_padded:padded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is searched how: the limit on MACs, and how long a trial is."""

    macs: int
    epochs: int  # of a trial

    @property
    def limit(self) -> str:
        """The limit as a study reads it."""
        return f"macs <= {self.macs}"


SPACES = {"mobile": Setting(macs=40_000_000, epochs=2), "mixed": Setting(macs=5_000_000, epochs=4)}
SHARE = 0.7  # of the minutes of one_shot that its supernet gets; the rest is for scores and trainings
DARTS_SHARE = 0.95  # of darts, which trains but one architecture
BASE = """
recipe: {augment: [{type: Flip}, {type: Crop, padding: 2}]}
trials: 100000
confirm: {top: 0}
final: {of: none}
execution: {device: cpu, trial_seconds: 36000}
"""
# Few steps, as for DrNAS in darts_nasbench201.py: large ones, weights alone for half of them, faster parameters.
GRADIENT = Gradient(
    mixing="dirichlet", batch=32, lr=0.1, alpha_lr=1e-2,
    cost="macs", cost_target=SPACES["mixed"].macs,
    fix=("stem.width = smallest", "stages[*].width = option 1", "stages[*].blocks.count = 2"),
)  # fmt: skip
EVOLUTION = "{type: evolution, population: 8, contestants: 3}"


def main() -> None:
    given = arguments()
    paths = [str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))  # workers too import the padded data
    refuse_other_settings(given)
    shared = searched(given, given.strategy, lambda: strategy(given), given.minutes, alone(given))
    seconds = spent(shared)
    evolution = searched(given, "evolution", lambda: EVOLUTION, seconds / 60, side_by_side(given))
    found = {given.strategy: shared, "evolution": evolution}
    models = {f"winner of {name}": winner_of(study).network for name, study in found.items()}
    rows = [row(name, network, scores) for name, network, scores in retrained(models, given)]
    write(rows, found, given)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder with the four IDX files")
    parser.add_argument("--space", choices=SPACES, default="mobile")
    parser.add_argument("--strategy", default="one_shot", help="one_shot, darts, or settings {type: ...}")
    parser.add_argument("--minutes", type=float, default=30, help="of each search, about")
    parser.add_argument("--cores", type=int, default=2, help="of each search")
    parser.add_argument("--supernet-epochs", type=int, default=None, help="as --minutes allow by default")
    parser.add_argument("--limit", type=int, default=6_000, help="train images of a search")
    parser.add_argument(
        "--train-limit", type=int, default=None, help="images of the last trainings; all by default"
    )
    parser.add_argument("--epochs", type=int, default=2, help="of the last trainings")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--quick", action="store_true", help="half a minute a search, few images: a run-through"
    )
    parser.add_argument("--results", type=Path, default=HERE.parent / "results" / "fashion-shared")
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    if given.quick:
        given.minutes, given.limit, given.train_limit, given.epochs, given.seeds = 0.5, 200, 200, 1, 2
        given.results = given.results.with_name(f"{given.results.name}-quick")
        given.out = given.out or given.results / f"{given.space}.json"
    return given


def refuse_other_settings(given: argparse.Namespace) -> None:
    """End where the folder holds what was begun with other settings: it would be gone on with under a wrong name."""
    names = ("strategy", "minutes", "cores", "supernet_epochs", "limit", "train_limit", "epochs", "seed")
    asked = json.dumps({name: getattr(given, name) for name in names})
    kept = given.results / f"{given.space}.txt"
    if kept.exists() and kept.read_text() != asked:
        raise SystemExit(
            f"{kept}: got {asked}, expected {kept.read_text()}; give another folder with --results"
        )
    given.results.mkdir(parents=True, exist_ok=True)
    replace_file(kept, asked.encode())


def searched(
    given: argparse.Namespace, name: str, said: Callable[[], str], minutes: float, cores: tuple[str, ...]
) -> Study:
    """Return a finished search: a new one, or the one of that name gone on with."""
    folder = given.results / run_name(given, name)
    if folder.exists():
        study, config = reopen(folder)
    else:
        asked = [f"strategy={said()}", f"minutes={minutes}", f"seed={given.seed}", *cores]
        config = config_of(given, asked)
        study, folder = create(config, name=folder.name, results=given.results)
    drive(study, executor_for(config, folder, study.journal.header), watch=shown, stop=StopSign())
    study.journal.close()
    return study


def alone(given: argparse.Namespace) -> tuple[str, ...]:
    """Return the settings by which one job has all the cores."""
    return "execution.workers=1", f"execution.threads={given.cores}"


def side_by_side(given: argparse.Namespace) -> tuple[str, ...]:
    """Return the settings by which as many trainings run as there are cores."""
    return f"execution.workers={given.cores}", "execution.threads=1"


def run_name(given: argparse.Namespace, name: str) -> str:
    kind = name if name.isidentifier() else "shared"
    return f"{given.space}-{kind.replace('_', '-')}-{given.seed}"


def config_of(given: argparse.Namespace, overrides: list[str], *, whole: bool = False) -> StudyConfig:
    setting, limit = SPACES[given.space], given.train_limit if whole else given.limit
    held = 0.02 if not given.quick else 0.005
    spec = (
        DataSpec(source=PADDED, path=str(given.data.resolve()), limit=limit, validation=held)
        if given.space == "mobile"
        else DataSpec(source="fashion_mnist", path=str(given.data), limit=limit, validation=held)
    )
    base = [
        f"space={given.space}", f"data={json.dumps(to_data(spec))}", f"epochs={setting.epochs}",
        f"limits={json.dumps([setting.limit])}",
    ]  # fmt: skip
    return read_config(BASE, [*base, *overrides], source="one_shot_fashion")


def strategy(given: argparse.Namespace) -> str:
    """Return the settings of a strategy on shared weights, its supernet's epochs by a timed probe."""
    if given.strategy == "darts":
        return gradients(given)
    if given.strategy != "one_shot":
        return str(given.strategy)
    epochs = given.supernet_epochs or max(1, int(60 * given.minutes * SHARE / epoch_seconds(given)))
    few = "6, best: 1, others: 1, calibration: 2" if given.quick else "40, best: 3, others: 3"
    return (
        f"{{type: one_shot, epochs: {epochs}, sampler: uniform, evaluations: {few}, "
        "search: {type: evolution, population: 12, contestants: 4}}"
    )


def gradients(given: argparse.Namespace) -> str:
    """Return the settings of a search by gradients that takes the minutes with the training of what it derives."""
    epochs = given.supernet_epochs
    if epochs is None:
        seconds = gradient_epoch_seconds(given)
        epochs = max(2, round(60 * given.minutes * DARTS_SHARE / seconds))
        print(f"probe: an epoch takes {seconds:.1f} s; {epochs} epochs", flush=True)
    settings = replace(GRADIENT, warmup=epochs // 2)
    return json.dumps({"type": "darts", "epochs": epochs, "supernet": to_data(settings)})


def gradient_epoch_seconds(given: argparse.Namespace) -> float:
    """Return the mean time of two epochs of a search by gradients, one of the weights alone, one of both."""
    torch.set_num_threads(given.cores)
    config = config_of(given, [])
    data = to_device(load_search_data(config.data), "cpu")
    space = Candidate(network=preset(given.space, (1, 28, 28), classes=10), recipe=config.recipe)
    settings = replace(GRADIENT, warmup=1)
    asked = Proposal(number=0, kind=Kind.SUPERNET, candidate=space, epochs=2, seed=1, settings=settings)
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        outcome = run(asked, Workspace(folder=Path(folder), device="cpu", data=data, held_out=no_test))
        assert outcome.status is Status.DONE, outcome
        return (time.monotonic() - began) / 2


def no_test() -> DevicePart:
    raise AssertionError("a search never reads the test part")


def epoch_seconds(given: argparse.Namespace) -> float:
    """Return the time of one epoch of the entangled supernet: that of a few steps, each on another member."""
    torch.set_num_threads(given.cores)
    config, shape = config_of(given, []), ((1, 32, 32) if given.space == "mobile" else (1, 28, 28))
    network = preset(given.space, shape, classes=10)
    rng, rule = Random(0), precision("cpu")
    net, batch, times = rule.place(Entangled(network)), fixed(config.recipe.batch), []
    space = space_for(network, SharedTraining(limits=config.limits), rng)
    for _ in range(12):
        x, began = rule.arrange(torch.randn(batch, *shape)), time.monotonic()
        [member] = Uniform().paths(space, rng)
        net(x, member).square().mean().backward()
        times.append(time.monotonic() - began)
    return float(statistics.fmean(times[2:]) * given.limit / batch)  # the first ones warm up


def shown(happened: str, trial: object) -> None:
    if happened != "waited":
        print(happened, getattr(trial, "kind", ""), getattr(trial, "number", ""), flush=True)


def spent(study: Study) -> float:
    """Return the wall-clock seconds until the winner was known: from the first question to the last training told."""
    final = sum(t.outcome.seconds for t in study.history.of(Kind.FINAL) if t.outcome is not None)
    return seconds_spent(study.history) - final


def retrained(
    models: dict[str, Network], given: argparse.Namespace
) -> Iterator[tuple[str, Network, list[float]]]:
    """Train every model with every seed on train and validation, reading the test part once each; keep each score."""
    kept = given.results / f"{given.space}-retrained-{given.seed}.json"
    scores: dict[str, float] = json.loads(kept.read_text()) if kept.exists() else {}
    whole = config_of(given, [*alone(given)], whole=True)
    todo = [(name, net, seed) for seed in range(100, 100 + given.seeds) for name, net in models.items()]
    if any(label(net, seed) not in scores for _, net, seed in todo):
        folder = given.results / f"{given.space}-retrained-{given.seed}"
        folder.mkdir(exist_ok=True)
        executor = executor_for(whole, folder, {"data": describe_data(whole)})
        for number, (_, net, seed) in enumerate(todo):
            if label(net, seed) in scores:
                continue
            candidate = Candidate(network=net, recipe=whole.recipe)
            asked = Proposal(
                number=number, kind=Kind.FINAL, candidate=candidate, epochs=given.epochs, seed=seed
            )
            executor.submit(asked, 0)
            while label(net, seed) not in scores:
                for happened in executor.wait(1.0):
                    if isinstance(happened, Ended):
                        assert happened.outcome.status is Status.DONE, happened.outcome
                        scores[label(net, seed)] = happened.outcome.metrics["test_accuracy"]
            replace_file(kept, json.dumps(scores, indent=1).encode())
        executor.close()
    for name, net in models.items():
        yield name, net, [scores[label(net, seed)] for of, _, seed in todo if of == name]


def label(network: Network, seed: int) -> str:
    return f"{key(network)}-{seed}"


def summary(study: Study) -> dict[str, Json]:
    history, found = study.history, agreement(study.history, study.plan)
    kinds = {kind.value: sum(t.done for t in history.of(kind)) for kind in Kind}
    own = [t.metrics["validation_accuracy"] for t in history.of(Kind.TRAIN) if t.done]
    supernets = [t.metrics for t in history.of(Kind.SUPERNET) if t.done]
    return {
        "done": cast(Json, kinds), "seconds": round(spent(study)), "rejected": history.rejected,
        "best_validation": max(own), "supernet": cast(Json, supernets[0] if supernets else None),
        "rank_correlation": None if found is None else [found.tau, found.low, found.high, found.trained],
    }  # fmt: skip


def write(rows: list[dict[str, object]], found: dict[str, Study], given: argparse.Namespace) -> None:
    out = given.out or HERE.parent / "results" / "benchmarks" / f"one_shot_fashion_{given.space}.json"
    result = {
        "command": f"python benchmarks/one_shot_fashion.py --data FOLDER --space {given.space} "
        f"--strategy {given.strategy} --minutes {given.minutes:g} --cores {given.cores} --limit {given.limit} "
        + (f"--train-limit {given.train_limit} " if given.train_limit else "")
        + (f"--supernet-epochs {given.supernet_epochs} " if given.supernet_epochs else "")
        + f"--epochs {given.epochs} --seeds {given.seeds} --seed {given.seed}",
        "machine": machine(), "load": os.getloadavg(), "limit": SPACES[given.space].limit,
        "searches": {name: summary(study) for name, study in found.items()}, "rows": rows,
    }  # fmt: skip
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=2) + "\n")
    for name, study in found.items():
        print(name, summary(study))
    for r in rows:
        print(f"{r['model']:30s} {100 * r['mean']:.2f} +- {100 * (r['sd'] or 0):.2f} %  {r['macs']:,} MACs")  # type: ignore[operator]


if __name__ == "__main__":
    main()
