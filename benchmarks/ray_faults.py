"""A node killed with four trials in flight: how long the study takes beside one that nothing happens to.

python benchmarks/ray_faults.py [--trials 16] [--seconds 10] [--out FILE]

Four nodes of one processor each are processes of this machine; trials sleep in steps of half a second and keep how
far they came. Once four are at work and one has come half-way its node is killed, and another comes 5 s later.
The clock runs from the first trial's first step to the last outcome on disk.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

os.environ |= {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "7" * 64,
}  # of nodes and driver, before Ray is imported

import ray
from machine import machine
from ray.cluster_utils import Cluster

from nas.analysis.front import Objective
from nas.driver import StopSign, drive
from nas.execution.ray_tune import RayTune, Wanted
from nas.history import Trial, history_of
from nas.journal import Journal, read
from nas.plan import Plan
from nas.recipe import Candidate
from nas.strategies import Evolution
from nas.study import Study
from search_spaces.presets import preset

NODES = 4
STEP_SECONDS = 0.5
AWAY_SECONDS = 5.0  # until another node takes the place of the one that was killed
WORKER = (sys.executable, "-P", str(Path(__file__).parent / "stepping_worker.py"))
NODE = {"num_cpus": 1, "num_gpus": 0, "object_store_memory": 80 << 20}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent.parent / "results/benchmarks/ray_faults.json"
    )
    given = parser.parse_args()
    load = os.getloadavg()
    quiet = run(given.trials, given.seconds, kill=False)
    interrupted = run(given.trials, given.seconds, kill=True)
    result = {
        "command": f"python benchmarks/ray_faults.py --trials {given.trials} --seconds {given.seconds:g}",
        "machine": machine() | {"ray": ray.__version__}, "load_before": load, "load_after": os.getloadavg(),
        "quiet": quiet, "interrupted": interrupted, "ratio": interrupted["seconds"] / quiet["seconds"],
    }  # fmt: skip
    given.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


class Watching:
    """Notes when the first trial stepped and the last ended; kills the node of a trial that is half-way."""

    def __init__(self, cluster: Cluster, steps: int, *, kill: bool) -> None:
        self.cluster, self.half, self.kill = cluster, steps // 2, kill
        self.began = self.ended = self.back_at = 0.0

    def __call__(self, what: str, trial: Trial | None) -> None:
        now = time.perf_counter()
        if what == "report":
            self.began = self.began or now
            if self.kill and trial is not None and trial.epoch >= self.half:
                self.kill, self.back_at = False, now + AWAY_SECONDS
                self.cluster.remove_node(next(iter(self.cluster.worker_nodes)), allow_graceful=False)
        if self.back_at and now > self.back_at:
            self.back_at = 0.0
            self.cluster.add_node(**NODE)
        if what == "told":
            self.ended = now


def run(trials: int, seconds: float, *, kill: bool) -> dict[str, object]:
    """Run a study on four nodes, one of which may be killed, and return how it went."""
    plan = Plan(
        space=Candidate(network=preset("mixed", (1, 28, 28), classes=10)),
        strategy=Evolution(population=100, contestants=25),
        objectives=(Objective.parse("validation_accuracy:max"),),
        trials=trials, confirm_top=0, final="none",
    )  # fmt: skip
    steps = round(seconds / STEP_SECONDS)
    with (
        tempfile.TemporaryDirectory(prefix="r", dir="/tmp", ignore_cleanup_errors=True) as short,
        tempfile.TemporaryDirectory() as root,
    ):
        head = {**NODE, "num_cpus": 0, "temp_dir": short, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            for _ in range(NODES):
                cluster.add_node(**NODE)
            folder = Path(root) / "run"
            study = Study(plan, Journal.create(folder, {}))
            executor = RayTune(
                setup={"folder": str(folder), "steps": steps, "seconds": STEP_SECONDS}, folder=folder,
                wanted=Wanted(cluster=cluster.address, workers=NODES), program=WORKER,
            )  # fmt: skip
            watch = Watching(cluster, steps, kill=kill)
            with study.journal:
                drive(study, executor, watch=watch, stop=StopSign())
        finally:
            with suppress(Exception):  # the node that was killed is no more
                cluster.shutdown()
        return told(folder) | {"seconds": watch.ended - watch.began}


def told(folder: Path) -> dict[str, object]:
    """Return what the journal says: how many were told, how often, and which were tried again."""
    events = read(folder)
    trials = history_of(events).trials.values()
    again = [t for t in trials if t.attempts]
    return {
        "told": len({e.payload["number"] for e in events if e.type == "tell"}),
        "most_tells_of_one": max(Counter(e.payload["number"] for e in events if e.type == "tell").values()),
        "tried_again": len(again),
        "continued": sorted(t.outcome.note for t in again if t.outcome),
    }


if __name__ == "__main__":
    main()
