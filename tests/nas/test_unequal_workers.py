"""Workers of unequal speed are kept busy: the real driver, study and journal on a cluster with a virtual clock."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from simulated_cluster import SimulatedCluster, busy_share

from nas.analysis.front import Objective
from nas.driver import StopSign, drive
from nas.journal import Journal, read
from nas.plan import Plan
from nas.proposal import Kind, Outcome, Proposal, Status
from nas.recipe import Candidate
from nas.strategies import Answer, Evolution, Halving, OneShot, Scope, Strategy, StrategyConfig, Told, Wait
from nas.study import Study
from scaling.cost import cost
from search_spaces import Choice, Classifier, Conv, Network, Repeat, Stage
from search_spaces.data import REGISTER

SPACE = Network(  # of 972 members
    input=(1, 8, 8),
    stages=(
        Stage(blocks=Repeat(Conv(kernel=Choice(1, 3, 5)), 5, independent=True), width=Choice(4, 8, 12, 16)),
    ),
    head=Classifier(classes=10),
)
SPEEDS = (1.0, 1.0, 0.8, 0.7, 0.5, 0.4, 0.3, 0.25)
TRIALS = 200
EPOCHS = 20
ENGINE_SECONDS = 0.1
ONE = (Objective.parse("validation_accuracy:max"),)
TWO = (*ONE, Objective.parse("macs:min"))
STRATEGIES = [
    kind
    for kind in REGISTER[StrategyConfig].values()
    if kind.__module__.startswith("nas.") and not kind.shares_weights and not kind.promotes
]


def trained(proposal: Proposal) -> tuple[float, Outcome]:
    """Return how long a job lasts at speed 1, in full from 20 to 60 s as its cost has it, and what comes of it."""
    if proposal.kind is Kind.SUPERNET:
        return 600.0, Outcome(status=Status.DONE, metrics={"supernet_train_loss": 1.0})
    score = random.Random(proposal.key).random()
    name = "inherited_accuracy" if proposal.kind is Kind.INHERIT else "validation_accuracy"
    macs = cost(proposal.candidate.network).macs
    share = (proposal.epochs - proposal.trained) / EPOCHS
    return share * (20 + 40 * min(1.0, macs / 1e6)), Outcome(status=Status.DONE, metrics={name: score})


def driven(
    folder: Path,
    strategy: StrategyConfig,
    objectives: tuple[Objective, ...] = ONE,
    *,
    engine_seconds: float = ENGINE_SECONDS,
    clock: Callable[[], float] = time.process_time,
) -> SimulatedCluster:
    """Drive a study of 200 trials to its end; returns the cluster it ran on."""
    plan = Plan(
        space=Candidate(network=SPACE),
        strategy=strategy,
        objectives=objectives,
        epochs=EPOCHS,
        trials=TRIALS,
        confirm_top=0,
        final="none",
    )
    cluster = SimulatedCluster(SPEEDS, trained, engine_seconds=engine_seconds, clock=clock)
    with Journal.create(folder / "run", {}) as journal:
        study = Study(plan, journal)
        assert drive(study, cluster, watch=lambda *_: None, stop=StopSign()) == "finished"
        assert all(trial.done for trial in study.history.trials.values())
    return cluster


def share_until_the_last_begins(cluster: SimulatedCluster) -> float:
    return busy_share(cluster.spans, cluster.workers, 0.0, cluster.spans[-1].began)


@pytest.mark.parametrize("objectives", [ONE, TWO], ids=["one", "two"])
@pytest.mark.parametrize("kind", STRATEGIES, ids=lambda kind: kind.__name__)
def test_no_strategy_leaves_a_worker_idle_before_the_last_trial_has_begun(
    kind: type[StrategyConfig], objectives: tuple[Objective, ...], tmp_path: Path
) -> None:
    cluster = driven(tmp_path, kind(), objectives)
    assert len(cluster.spans) == TRIALS
    assert {begun for begun, idle in cluster.idle_at_waits if idle} == {TRIALS}
    assert share_until_the_last_begins(cluster) >= 0.95
    tail = cluster.now - cluster.spans[-1].began
    assert tail <= max(span.ended - span.began for span in cluster.spans)


def test_successive_halving_waits_for_no_rung_while_a_candidate_is_left_to_begin(tmp_path: Path) -> None:
    """What comes after the last candidate are promotions that are owed, from rungs that have filled."""
    cluster = driven(tmp_path, Halving(first=4))
    begins = [
        event for event in read(tmp_path / "run") if event.type == "ask" and "parent" not in event.payload
    ]
    assert len(begins) == TRIALS
    last = cast(int, begins[-1].payload["number"])
    assert min(begun for begun, idle in cluster.idle_at_waits if idle) > last
    assert busy_share(cluster.spans, cluster.workers, 0.0, cluster.spans[last].began) >= 0.95
    assert len(cluster.spans) > 1.2 * TRIALS  # promotions among them


def test_every_worker_begins_its_next_trial_the_moment_one_ends_where_the_driver_takes_no_time(
    tmp_path: Path,
) -> None:
    cluster = driven(tmp_path, Evolution(), engine_seconds=0.0, clock=lambda: 0.0)
    for worker in range(cluster.workers):
        own = [span for span in cluster.spans if span.worker == worker]
        assert [span.began for span in own] == [0.0, *(span.ended for span in own[:-1])]
    per_worker = [sum(span.worker == worker for span in cluster.spans) for worker in range(cluster.workers)]
    assert per_worker[0] > 3 * per_worker[-1]  # who is four times as fast does the more


def test_while_the_driver_is_at_work_idle_workers_stay_idle(tmp_path: Path) -> None:
    """A trial a minute is begun, whoever is free: as many workers are busy as trials have minutes in the mean."""
    cluster = driven(tmp_path, Evolution(), engine_seconds=60.0, clock=lambda: 0.0)
    assert [span.began for span in cluster.spans] == pytest.approx([60.0 * (i + 1) for i in range(TRIALS)])
    minutes = sum(span.ended - span.began for span in cluster.spans) / TRIALS / 60.0
    assert minutes < 3
    assert share_until_the_last_begins(cluster) == pytest.approx(minutes / len(SPEEDS), rel=0.05)


@dataclass(frozen=True, slots=True, kw_only=True)
class InGenerations(StrategyConfig):
    """Asks as many trials as there are workers, then waits for all of them: what ours must not do."""

    def start(self, scope: Scope) -> Strategy:
        return _InGenerations(Evolution().start(scope))


@dataclass(slots=True)
class _InGenerations:
    inner: Strategy
    heard: int = 0

    def ask(self, number: int) -> Answer:
        generation = self.heard // len(SPEEDS) + 1
        return self.inner.ask(number) if number < generation * len(SPEEDS) else Wait.UNTIL_TOLD

    def tell(self, told: Told) -> None:
        self.inner.tell(told)
        self.heard += 1


def test_a_strategy_with_a_barrier_is_found_out_by_the_same_measure(tmp_path: Path) -> None:
    cluster = driven(tmp_path, InGenerations())
    assert any(idle and begun < TRIALS for begun, idle in cluster.idle_at_waits)
    assert share_until_the_last_begins(cluster) < 0.75


def test_one_shot_search_waits_for_its_supernet_and_for_its_last_scores_alone(tmp_path: Path) -> None:
    """What comes after cannot be asked before: members need the weights, the best of all need all scores."""
    strategy = OneShot(evaluations=TRIALS, best=5, others=3)
    cluster = driven(tmp_path, strategy)
    scored, jobs = 1 + TRIALS, 1 + TRIALS + 8
    assert {begun for begun, idle in cluster.idle_at_waits if idle} <= {1, scored, jobs}
    first, last = cluster.spans[1].began, cluster.spans[TRIALS].began
    assert first >= cluster.spans[0].ended
    assert busy_share(cluster.spans, cluster.workers, first, last) >= 0.95
