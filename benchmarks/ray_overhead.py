"""What a trial costs beside its own time on a Ray cluster: ours and plain Ray Tune with OptunaSearch, in one run.

python benchmarks/ray_overhead.py [--trials 200] [--tunes 60] [--defaults 20] [--long 8] [--seconds 30] [--out FILE]

Trials do nothing, or sleep, two side by side on `local:2`. Ours goes through study, strategy, journal with fsync,
Ray Tune, a reused actor and its worker process; Tune's through OptunaSearch (TPE) and a class Trainable with
`reset_config`, reused. What begins once (Ray, actors) is left out: the clock runs from the moment each of the two
workers has ended a trial. A trial's overhead is what a worker loses by it: span x 2 / trials - its own seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from machine import machine
from ray import tune
from ray.tune.search.optuna import OptunaSearch

from nas.analysis.front import Objective
from nas.driver import StopSign, drive
from nas.execution.ray_tune import RayTune, Wanted
from nas.journal import Journal
from nas.plan import Plan
from nas.recipe import Candidate
from nas.strategies import Evolution
from nas.study import Study
from search_spaces.presets import preset

WORKERS = 2
WORKER = (sys.executable, "-P", str(Path(__file__).parent / "noop_worker.py"))
SPACE = {f"x{i}": tune.uniform(0, 1) for i in range(8)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--long", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--tunes", type=int, default=60)
    parser.add_argument("--defaults", type=int, default=20)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent.parent / "results/benchmarks/ray_overhead.json"
    )
    given = parser.parse_args()
    os.environ |= {"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "RAY_AIR_NEW_OUTPUT": "0"}
    load = os.getloadavg()
    short = {
        "ours": shown("ours", of_ends(ours(given.trials, 0.0), 0.0)),
        "tune_optuna_reused": shown("tune_optuna_reused", of_ends(tunes(given.tunes, 0.0, reuse=True), 0.0)),
        "tune_optuna_defaults": shown(
            "tune_optuna_defaults", of_ends(tunes(given.defaults, 0.0, reuse=False), 0.0)
        ),
    }
    long = {
        "ours": shown("ours", of_ends(ours(given.long, given.seconds), given.seconds)),
        "tune_optuna_reused": shown(
            "tune_optuna_reused", of_ends(tunes(given.long, given.seconds, reuse=True), given.seconds)
        ),
    }
    result = {
        "command": f"python benchmarks/ray_overhead.py --trials {given.trials} --tunes {given.tunes} "
        f"--defaults {given.defaults} --long {given.long} --seconds {given.seconds:g}",
        "machine": machine() | {"ray": ray.__version__}, "load_before": load, "load_after": os.getloadavg(),
        "workers": WORKERS, "no_op": short, "long": long,
        "ours_of_tune": short["ours"]["overhead_ms"] / short["tune_optuna_reused"]["overhead_ms"],
    }  # fmt: skip
    given.out.write_text(json.dumps(result, indent=1) + "\n")


def ours(trials: int, seconds: float) -> list[float]:
    """Return when each trial was told to the study, on disk."""
    plan = Plan(
        space=Candidate(network=preset("mixed", (1, 28, 28), classes=10)),
        strategy=Evolution(population=100, contestants=25),
        objectives=(Objective.parse("validation_accuracy:max"),),
        trials=trials,
        confirm_top=0,
        final="none",
    )
    ends: list[float] = []
    with tempfile.TemporaryDirectory() as root:
        study = Study(plan, Journal.create(Path(root) / "run", {}))
        executor = RayTune(
            setup={"seconds": seconds}, folder=Path(root) / "run", wanted=Wanted(cluster=f"local:{WORKERS}"),
            program=WORKER,
        )  # fmt: skip
        with study.journal:
            drive(study, executor, watch=noting(ends, "told"), stop=StopSign())
    return ends


def noting(ends: list[float], wanted: str) -> Callable[[str, object], None]:
    return lambda what, _: ends.append(time.perf_counter()) if what == wanted else None


class Nothing(tune.Trainable):
    """As our trials, without a worker process."""

    def setup(self, config: dict[str, Any]) -> None:
        self.config = config

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.config = new_config
        return True

    def step(self) -> dict[str, Any]:
        time.sleep(self.config["seconds"])
        return {"score": self.config["x0"], "done": True}


class Ends(tune.Callback):
    """Notes when each trial ended."""

    def __init__(self, ends: list[float]) -> None:
        self.ends = ends

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.ends.append(time.perf_counter())


def tunes(trials: int, seconds: float, *, reuse: bool) -> list[float]:
    """Return when each trial of plain Ray Tune ended."""
    ends: list[float] = []
    ray.init(address="local", num_cpus=WORKERS, include_dashboard=False, log_to_driver=False)
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = "auto"
    with tempfile.TemporaryDirectory() as root:
        tune.Tuner(
            Nothing,
            param_space={**SPACE, "seconds": seconds},
            tune_config=tune.TuneConfig(
                search_alg=OptunaSearch(metric="score", mode="max", seed=0), num_samples=trials,
                max_concurrent_trials=WORKERS, reuse_actors=reuse,
            ),
            run_config=tune.RunConfig(
                name="tune", storage_path=root, verbose=0, callbacks=[Ends(ends)],
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        ).fit()  # fmt: skip
    ray.shutdown()
    return ends


def shown(what: str, found: dict[str, float]) -> dict[str, float]:
    """Say a figure as soon as it is known."""
    print(what, json.dumps(found), flush=True)
    return found


def of_ends(ends: list[float], seconds: float) -> dict[str, float]:
    """Return a trial's overhead, from the moments at which trials ended."""
    first, counted = ends[WORKERS - 1], len(ends) - WORKERS
    each = (ends[-1] - first) * WORKERS / counted
    between = [1e3 * WORKERS * (b - a) for a, b in zip(ends[WORKERS - 1 :], ends[WORKERS:], strict=False)]
    found = {"trials": len(ends), "overhead_ms": 1e3 * (each - seconds)}
    if seconds:
        return found | {"overhead_percent": 100 * (each - seconds) / seconds}
    return found | {"median_between_ends_ms": statistics.median(between), "trials_a_second": WORKERS / each}


if __name__ == "__main__":
    main()
