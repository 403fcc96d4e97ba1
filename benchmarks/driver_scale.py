"""How many workers one driver keeps busy: what ask, tell and journal take, and what that means for a cluster.

python benchmarks/driver_scale.py [--engine-seconds 0.1] [--window 200] [--disk FOLDER] [--out FILE]

Measured: a real study with an instant evaluator, its journal fsynced on the disk of --disk. Simulated: clusters on a
virtual clock (`simulated_cluster.py`), their driver as slow as samples of what was measured; in some cells the real
`drive` runs the real study on the same cluster, to hold that model against. Times are the driver's own: its processor
time and its waits for fsync, not what neighbours on a busy machine take from it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from machine import machine
from simulated_cluster import SimulatedCluster, busy_share

from nas.analysis.front import Objective
from nas.analysis.lines import plot_lines
from nas.analysis.series import Series
from nas.driver import StopSign, drive
from nas.journal import JOURNAL, Event, Journal
from nas.plan import Plan
from nas.proposal import Kind, Outcome, Proposal, Status
from nas.recipe import Candidate
from nas.storage import Disk
from nas.strategies import Bayesian, Evolution, LocalSearch, Random, StrategyConfig
from nas.study import Study
from scaling.constraints import parse_limit
from search_spaces.presets import preset
from search_spaces.serialise import Json

TOLD = (0, 1_000, 10_000)  # trials before those that are timed
STRATEGIES: dict[str, StrategyConfig] = {
    "random": Random(),
    "evolution": Evolution(population=100, contestants=25),
    "local_search": LocalSearch(),
    "bayesian": Bayesian(),
}
LIMITS = ("", "macs <= 5M")  # the second one turns most members away
SPACE = Candidate(network=preset("mixed", (1, 28, 28), classes=10))
PLAN = Plan(
    space=SPACE,
    strategy=STRATEGIES["evolution"],
    objectives=(Objective.parse("validation_accuracy:max"),),
    trials=10**9,
    confirm_top=0,
    final="none",
)
WORKERS = (8, 32, 128, 512, 1024)
TRIAL_SECONDS = (1, 10, 60, 600, 3600)
SHOWN = ("evolution", "bayesian")  # the strategies of the tables
AT = 1_000  # trials told, where the tables take what the driver costs


@dataclass(frozen=True, slots=True)
class Cell:
    """One simulated cluster; trials last `trial_seconds` in the mean, uniformly from half to one and a half."""

    strategy: str
    engine_seconds: float
    workers: int
    trial_seconds: float

    @property
    def trials(self) -> int:
        """How many are handed out: enough for the share to be steady."""
        return max(200, 4 * self.workers)

    def lasts(self, number: int) -> float:
        """Return the seconds of a trial."""
        return self.trial_seconds * random.Random(number).uniform(0.5, 1.5)


VALIDATED = (
    Cell("evolution", 0.0, 1024, 1),
    Cell("evolution", 0.1, 32, 1),
    Cell("bayesian", 0.0, 32, 1),
    Cell("bayesian", 0.0, 128, 10),
)


@dataclass(slots=True)
class Costs:
    """Seconds that some trials in a row took the driver, one each."""

    ask: list[float] = field(default_factory=list)
    tell: list[float] = field(default_factory=list)  # without the disk
    append: list[float] = field(default_factory=list)  # of outcomes, within `tell`, without the disk
    disk: list[float] = field(default_factory=list)  # waits for fsync
    rejected: float = 0.0  # candidates turned away, a trial


@dataclass(slots=True)
class DriverClock:
    """The driver's own seconds: its processor time and its waits for the disk; `fsync` is the journal's."""

    costs: Costs = field(default_factory=Costs)
    waited: float = 0.0

    def __call__(self) -> float:
        return time.process_time() + self.waited

    def fsync(self, descriptor: int) -> None:
        """Wait for the disk, and count it."""
        wall, processor = time.perf_counter(), time.process_time()
        os.fsync(descriptor)
        waited = max(0.0, time.perf_counter() - wall - (time.process_time() - processor))
        self.waited += waited
        self.costs.disk.append(waited)


class TimedJournal(Journal):
    """A journal that notes how long its outcomes take."""

    timer: DriverClock

    def append(self, event_type: str, payload: Mapping[str, Json], *, durable: bool = True) -> Event:
        began = time.process_time()
        event = super().append(event_type, payload, durable=durable)
        if durable:
            self.timer.costs.append.append(time.process_time() - began)
        return event


class TimedStudy(Study):
    """A study that notes how long it takes."""

    timer: DriverClock

    def ask(self) -> tuple[Proposal, int] | None:
        began = time.process_time()
        found = super().ask()
        if found is not None:
            self.timer.costs.ask.append(time.process_time() - began)
        return found

    def tell(self, number: int, attempt: int, outcome: Outcome) -> None:
        began = time.process_time()
        super().tell(number, attempt, outcome)
        self.timer.costs.tell.append(time.process_time() - began)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine-seconds", type=float, default=0.1, help="that an engine adds to each trial")
    parser.add_argument("--window", type=int, default=200, help="trials that are timed")
    parser.add_argument(
        "--disk", type=Path, help="a folder on the disk to be measured; default: a temporary one"
    )
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent.parent / "results/benchmarks/driver_scale.json"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.disk) as root:
        pasts = {limit: past(Path(root) / f"past{i}", limit) for i, limit in enumerate(LIMITS)}
        measured = {
            (name, limit, told): timed(Path(root), pasts[limit][told], limit, name, given.window)
            for limit in LIMITS
            for name in STRATEGIES
            for told in TOLD
        }
        before = pasts[LIMITS[-1]][AT]
        crowded = {
            (name, workers): timed(Path(root), before, LIMITS[-1], name, given.window, flying=workers)
            for name in SHOWN
            for workers in WORKERS
        }
        disk = [seconds for found in measured.values() for seconds in found.disk]  # which drifts: one for all
        costs = {cell: replace(found, disk=disk) for cell, found in crowded.items()}
        checks = [checked(Path(root), before, cell, costs[cell.strategy, cell.workers]) for cell in VALIDATED]
    cells = [
        Cell(name, engine, workers, seconds)
        for name in SHOWN
        for engine in (0.0, given.engine_seconds)
        for workers in WORKERS
        for seconds in TRIAL_SECONDS
    ]
    table = [asdict(cell) | {"busy": modelled(cell, costs[cell.strategy, cell.workers])} for cell in cells]
    result = {
        "command": f"python benchmarks/driver_scale.py --engine-seconds {given.engine_seconds:g} "
        f"--window {given.window}",
        "machine": machine(),
        "load": os.getloadavg(),
        "fsync_ms": spread(disk),
        "append_ms": {
            told: spread(
                [
                    own + waited
                    for (_, _, when), found in measured.items()
                    if when == told
                    for own, waited in zip(found.append, found.disk, strict=True)
                ]
            )
            for told in TOLD
        },
        "throughput": [
            {"strategy": name, "limit": limit, "told": told} | summary(found, statistics.fmean(disk))
            for (name, limit, told), found in measured.items()
        ],
        "in_flight": [
            {"strategy": name, "limit": LIMITS[-1], "told": AT, "in_flight": workers}
            | summary(found, statistics.fmean(disk))
            for (name, workers), found in crowded.items()
        ],
        "validation": checks,
        "busy": table,
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=2) + "\n")
    draw(table, given.engine_seconds, given.out.with_suffix(".png"))
    print(json.dumps(result, indent=2))


def past(folder: Path, limit: str) -> dict[int, bytes]:
    """Return the journal of a study by evolution after so many trials, by their number."""
    study = begin(folder, limit, "evolution", None)
    found = {}
    for number in range(max(TOLD) + 1):
        if number in TOLD:
            found[number] = (folder / JOURNAL).read_bytes()
        tell(study, *asked(study))
    study.journal.close()
    return found


def timed(root: Path, before: bytes, limit: str, name: str, window: int, *, flying: int = 1) -> Costs:
    """Time the next trials of a strategy, so many in flight, after what other trials left in the journal."""
    timer = DriverClock()
    with tempfile.TemporaryDirectory(dir=root) as place:
        study = begin(Path(place), limit, name, timer, before=before)
        flight = deque(asked(study) for _ in range(flying - 1))
        rejected = study.history.rejected
        timer.costs = Costs()
        for _ in range(window):
            flight.append(asked(study))
            tell(study, *flight.popleft())
        study.journal.close()
    return replace(timer.costs, rejected=(study.history.rejected - rejected) / window)


def begin(
    folder: Path,
    limit: str,
    name: str,
    timer: DriverClock | None,
    *,
    before: bytes = b"",
    trials: int = 10**9,
) -> Study:
    """Begin a study, or take up the one whose journal is given; without a timer nothing waits for the disk."""
    disk = Disk(fsync=timer.fsync if timer else lambda _: None)
    timer = timer or DriverClock()
    if before:
        (folder / JOURNAL).write_bytes(before)
    TimedJournal.timer = TimedStudy.timer = timer
    journal = TimedJournal.open(folder, disk=disk) if before else TimedJournal.create(folder, {}, disk=disk)
    limits = (parse_limit(limit),) if limit else ()
    return TimedStudy(replace(PLAN, strategy=STRATEGIES[name], limits=limits, trials=trials), journal)


def asked(study: Study) -> tuple[Proposal, int]:
    """Ask, of a study that always has an answer."""
    found = study.ask()
    assert found is not None
    return found


def tell(study: Study, proposal: Proposal, attempt: int) -> None:
    """Tell the outcome of an instant training."""
    study.tell(proposal.number, attempt, instant(proposal))


def instant(proposal: Proposal) -> Outcome:
    """Return an accuracy that depends on the architecture alone."""
    score = random.Random(proposal.key).random()
    return Outcome(status=Status.DONE, metrics={"validation_accuracy": score})


def checked(root: Path, before: bytes, cell: Cell, costs: Costs) -> dict[str, object]:
    """Hold the model of a cell against the real loop, study and journal on the same cluster."""
    timer = DriverClock()
    with tempfile.TemporaryDirectory(dir=root) as place:
        folder, trials = Path(place), AT + cell.trials
        study = begin(folder, LIMITS[-1], cell.strategy, timer, before=before, trials=trials)
        timer.costs = Costs()
        cluster = SimulatedCluster(
            [1.0] * cell.workers,
            lambda proposal: (cell.lasts(proposal.number), instant(proposal)),
            engine_seconds=cell.engine_seconds,
            clock=timer,
        )
        ending = drive(study, cluster, watch=lambda *_: None, stop=StopSign())
        study.journal.close()
    assert ending == "finished"
    assert len(study.history.told) == trials
    return asdict(cell) | {
        "driven": steady(cluster),
        "modelled": modelled(cell, timer.costs),  # by what this very run took
        "foretold": modelled(cell, costs),  # by what was measured before, when the disk may have been another
    }


def modelled(cell: Cell, costs: Costs) -> float:
    """Return the busy share where a driver takes samples of what was measured for each ask and tell."""
    rng, spent, begun, ended = random.Random(0), 0.0, 0, 0
    outcome = Outcome(status=Status.DONE)
    cluster = SimulatedCluster(
        [1.0] * cell.workers,
        lambda proposal: (cell.lasts(proposal.number), outcome),
        engine_seconds=cell.engine_seconds,
        clock=lambda: spent,
    )
    any_proposal = Proposal(number=0, kind=Kind.TRAIN, candidate=SPACE, epochs=1, seed=0)
    while ended < cell.trials:
        while cluster.free and begun < cell.trials:
            spent += rng.choice(costs.ask)
            cluster.submit(replace(any_proposal, number=begun), 0)
            begun += 1
        for _ in cluster.wait(0.5):
            spent += rng.choice(costs.tell) + rng.choice(costs.disk)
            ended += 1
    return steady(cluster)


def steady(cluster: SimulatedCluster) -> float:
    """Return the busy share from where as many trials as workers were handed out until the last one was."""
    spans = cluster.spans
    return busy_share(spans, cluster.workers, spans[cluster.workers - 1].began, spans[-1].began)


def summary(costs: Costs, disk_seconds: float) -> dict[str, float | dict[str, float]]:
    """Return what a reader wants to know of some trials, on a disk of that mean wait."""
    own = statistics.fmean(costs.ask) + statistics.fmean(costs.tell)
    return {
        "ask_ms": spread(costs.ask),
        "tell_without_fsync_ms": spread(costs.tell),
        "rejected_a_trial": costs.rejected,
        "served_a_second": 1 / (own + disk_seconds),
        "served_without_fsync": 1 / own,
    }


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """Return mean, median and 99th percentile in milliseconds."""
    return {
        "mean": 1e3 * statistics.fmean(seconds),
        "median": 1e3 * statistics.median(seconds),
        "p99": 1e3 * statistics.quantiles(seconds, n=100)[-1],
    }


def draw(table: Sequence[Mapping[str, object]], engine_seconds: float, path: Path) -> None:
    """Draw the busy share over the length of trials, a line for each number of workers; evolution, with an engine."""
    x, y = "mean seconds a trial", "workers busy (%)"
    rows = [r for r in table if r["strategy"] == "evolution" and r["engine_seconds"] == engine_seconds]
    series = [
        Series(
            name=f"{workers:,} workers",
            kind="family",
            points=tuple(
                {x: r["trial_seconds"], y: 100 * float(str(r["busy"]))}
                for r in rows
                if r["workers"] == workers
            ),
        )
        for workers in WORKERS
    ]
    title = f"One driver, evolution, an engine that takes {engine_seconds:g} s a trial (simulated)"
    plot_lines(series, x=x, y=y, path=path, title=title)


if __name__ == "__main__":
    main()
