"""Jobs that a strategy asks for beside trainings: recorded, told, retried and resumed like any other."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nas.execution.local import said
from nas.journal import Journal
from nas.plan import Plan
from nas.proposal import Kind, Outcome, Proposal, Settings, Status
from nas.recipe import Candidate
from nas.strategies import Answer, Request, Scope, Strategy, StrategyConfig, Told, Wait
from nas.study import Study
from nas.worker import proposal_of
from search_spaces import Choice, Classifier, Conv, Network, Stage
from search_spaces.data import register
from search_spaces.errors import ArchscaleError
from search_spaces.moves import decode

SPACE = Network(
    input=(1, 8, 8),
    stages=(Stage(blocks=(Conv(kernel=Choice(1, 3, 5)),), width=4),),
    head=Classifier(classes=10),
)
PATH = "stages[0].blocks[0].kernel"


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Made(Settings):
    """Settings of a job that these tests make up."""

    strength: float = 0.5


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class SharedThenTrained(StrategyConfig):
    """Asks for a supernet, for every member with its weights, and for the training of what it says is best."""

    def start(self, scope: Scope) -> Strategy:
        return _SharedThenTrained(scope)


@dataclass(slots=True)
class _SharedThenTrained:
    scope: Scope
    told: list[Told] = field(default_factory=list)

    def ask(self, number: int) -> Answer:
        if not self.told:
            return (
                Request(kind=Kind.SUPERNET, settings=Made(), epochs=7, seed=3)
                if number == 0
                else Wait.UNTIL_TOLD
            )
        if self.told[0].costs is None:
            return None
        vector = self.told[0].weights[PATH]
        members = [decode(self.scope.space, (i,)) for i in range(3)]
        for member in members:
            request = Request(kind=Kind.INHERIT, candidate=member, settings=Made(strength=0.25), parent=0)
            if self.scope.admits_job(request):
                return request
        best = members[vector.index(max(vector))]
        return Request(kind=Kind.TRAIN, candidate=best, parent=0) if self.scope.admits(best) else None

    def tell(self, told: Told) -> None:
        self.told.append(told)


class _Waiting:
    def ask(self, number: int) -> Answer:
        return Wait.UNTIL_TOLD

    def tell(self, told: Told) -> None: ...


def plan(**changes: object) -> Plan:
    from nas.analysis.front import Objective

    given = {
        "space": Candidate(network=SPACE), "strategy": SharedThenTrained(), "epochs": 2, "confirm_top": 0,
        "objectives": (Objective.parse("validation_accuracy:max"),), "trials": 5, **changes,
    }  # fmt: skip
    return Plan(**given)  # type: ignore[arg-type]


def outcome(proposal: Proposal) -> Outcome:
    if proposal.kind is Kind.SUPERNET:
        return Outcome(
            status=Status.DONE, metrics={"supernet_validation_accuracy": 0.9}, weights={PATH: (0.1, 0.7, 0.2)}
        )
    name = "test_accuracy" if proposal.kind is Kind.FINAL else "validation_accuracy"
    return Outcome(status=Status.DONE, metrics={name: 0.5 + proposal.number / 100})


def drive(study: Study, most: int = 100) -> list[Proposal]:
    asked = []
    while len(asked) < most and (question := study.ask()) is not None:
        asked.append(question[0])
        study.tell(question[0].number, question[1], outcome(question[0]))
    return asked


def test_a_supernet_is_asked_for_then_members_on_its_weights_then_one_training(tmp_path: Path) -> None:
    study = Study(plan(), Journal.create(tmp_path / "run", {}))
    asked = drive(study)
    kinds = [p.kind for p in asked]
    assert kinds == [Kind.SUPERNET, *[Kind.INHERIT] * 3, Kind.TRAIN, Kind.FINAL]
    supernet, inherited, trained = asked[0], asked[1], asked[4]
    assert supernet.candidate.network == SPACE
    assert (supernet.settings, supernet.epochs, supernet.seed) == (Made(), 7, 3)
    assert (inherited.parent, inherited.parent_key) == (0, supernet.key)
    assert trained.candidate.network.stages[0].blocks[0].kernel == 3  # the largest weight's option
    assert (trained.parent, trained.settings, trained.epochs) == (0, None, 2)
    assert study.finished
    assert study.best is not None
    assert study.best.kind is Kind.TRAIN  # what inherited weights score is nobody's result


def test_nothing_is_exhausted_while_a_strategy_waits(tmp_path: Path) -> None:
    study = Study(plan(), Journal.create(tmp_path / "run", {}))
    first = study.ask()
    assert first is not None
    assert study.ask() is None
    assert not study.history.exhausted
    assert not study.finished
    study.tell(first[0].number, first[1], outcome(first[0]))
    assert study.ask() is not None


def test_a_strategy_that_waits_for_nothing_is_an_error_and_no_endless_loop(tmp_path: Path) -> None:
    study = Study(plan(), Journal.create(tmp_path / "run", {}))
    study.strategy = _Waiting()
    with pytest.raises(ArchscaleError, match="waits, and nothing is in flight"):
        study.ask()


@pytest.mark.parametrize("stop", range(1, 6))
def test_a_resumed_study_asks_what_the_unbroken_one_asks(stop: int, tmp_path: Path) -> None:
    unbroken = [(p.kind, p.identity) for p in drive(Study(plan(), Journal.create(tmp_path / "a", {})))]
    broken = Study(plan(), Journal.create(tmp_path / "b", {}))
    asked = drive(broken, stop)
    broken.journal.close()
    asked += drive(Study(plan(), Journal.open(tmp_path / "b")))
    assert [(p.kind, p.identity) for p in asked] == unbroken


def test_a_supernet_in_flight_is_asked_again_with_its_settings(tmp_path: Path) -> None:
    study = Study(plan(), Journal.create(tmp_path / "run", {}))
    first = study.ask()
    study.journal.close()
    again = Study(plan(), Journal.open(tmp_path / "run")).ask()
    assert first is not None
    assert again == first


def test_a_lost_supernet_is_retried_and_a_failed_one_told_as_failed(tmp_path: Path) -> None:
    study = Study(plan(), Journal.create(tmp_path / "run", {}))
    attempts = []
    while (question := study.ask()) is not None:
        attempts.append(question[1])
        study.tell(question[0].number, question[1], Outcome(status=Status.LOST, note="gone"))
    assert attempts == [0, 1, 2]
    assert study.history.exhausted
    assert study.finished


def test_weights_that_are_not_finite_make_a_supernet_diverged(tmp_path: Path) -> None:
    study = Study(plan(), Journal.create(tmp_path / "run", {}))
    question = study.ask()
    assert question is not None
    study.tell(0, question[1], Outcome(status=Status.DONE, weights={PATH: (0.1, math.nan, 0.2)}))
    told = study.history.trials[0].outcome
    assert told is not None
    assert told.status is Status.DIVERGED
    assert PATH in told.note


def test_the_time_being_up_does_not_keep_what_a_mixture_derives_from_being_trained(tmp_path: Path) -> None:
    now = [1e9]
    study = Study(plan(minutes=1.0), Journal.create(tmp_path / "run", {}), clock=lambda: now[0])
    study.history.began_at = now[0]
    question = study.ask()
    assert question is not None
    now[0] += 3600
    study.tell(0, question[1], outcome(question[0]))
    assert Kind.TRAIN in [p.kind for p in drive(study)]


def test_what_a_worker_reads_is_the_proposal_that_was_said(tmp_path: Path) -> None:
    for proposal in drive(Study(plan(), Journal.create(tmp_path / "run", {}))):
        assert proposal_of(said(proposal)) == proposal


def test_jobs_are_told_apart_by_settings_and_parent_and_trainings_are_not() -> None:
    base = {"number": 1, "candidate": Candidate(network=SPACE), "epochs": 1, "seed": 0}
    inherit = {
        Proposal(kind=Kind.INHERIT, settings=settings, parent=parent, **base).identity  # type: ignore[arg-type]
        for settings in (Made(), Made(strength=1.0))
        for parent in (0, 1)
    }
    train = {Proposal(kind=Kind.TRAIN, parent=parent, **base).identity for parent in (None, 0)}  # type: ignore[arg-type]
    assert len(inherit) == 4
    assert len(train) == 1
    assert not inherit & train
