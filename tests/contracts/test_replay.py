"""Fault test 16: whatever happens between ask, tell, failure and resume, the next asks equal an unbroken run's.

A state machine over every registered strategy; a new one is in here by being registered.
"""

from __future__ import annotations

import shutil
import tempfile
from functools import partial
from pathlib import Path

import pytest
from bench import ACCURACY, SPACES, TWO, again, begin, done, plan, run
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from test_strategies import STRATEGIES, config

from nas.journal import JOURNAL
from nas.proposal import Outcome, Proposal, Status
from nas.strategies import StrategyConfig
from nas.study import Study, StudyStopped


def tell(study: Study, proposal: Proposal, attempt: int, outcome: Outcome) -> bool:
    """Tell an outcome; return whether the study stopped, because too many trials were bugs."""
    try:
        study.tell(proposal.number, attempt, outcome)
    except StudyStopped:
        return True
    return False


class Replay(RuleBasedStateMachine):
    """Drives one study through kills and resumes, and a twin, told the same events, that is never killed."""

    def __init__(self, strategy: StrategyConfig, following: int) -> None:
        super().__init__()
        self.strategy = strategy
        self.following = following  # asks that are compared in the end
        self.root = Path(tempfile.mkdtemp())

    @initialize(objectives=st.sampled_from([ACCURACY, TWO]))
    def start(self, objectives: tuple[object, ...]) -> None:
        self.plan = plan(self.strategy, SPACES["tied"](), trials=10_000, objectives=objectives)
        self.study = begin(self.root / "broken", self.plan)
        self.twin = begin(self.root / "whole", self.plan)
        self.flying: list[tuple[Proposal, int]] = []

    @rule(count=st.integers(1, 6))
    def ask(self, count: int) -> None:
        for _ in range(count):
            ours, theirs = self.study.ask(), self.twin.ask()
            assert ours is not None
            assert theirs is not None
            assert (ours[0].identity, ours[0].number, ours[1]) == (
                theirs[0].identity, theirs[0].number, theirs[1]
            )  # fmt: skip
            self.flying.append(ours)

    @precondition(lambda self: self.flying)
    @rule(which=st.integers(0, 7), status=st.sampled_from(Status), twice=st.booleans())
    def tell(self, which: int, status: Status, twice: bool) -> None:
        proposal, attempt = self.flying.pop(which % len(self.flying))
        outcome = done(proposal) if status is Status.DONE else Outcome(status=status, note="so it went")
        stopped = [tell(study, proposal, attempt, outcome) for study in (self.study, self.twin)]
        assert stopped[0] == stopped[1]
        if twice:
            self.deliver_again(proposal, attempt)
        if stopped[0]:  # its driver has left
            self.kill_and_resume(torn=False)

    def deliver_again(self, proposal: Proposal, attempt: int) -> None:
        """What was settled once, for good or for another attempt, takes no second answer."""
        for study in (self.study, self.twin):
            before = len(study.journal.events)
            better = Outcome(status=Status.DONE, metrics={"validation_accuracy": 1.0})
            study.tell(proposal.number, attempt, better)
            assert len(study.journal.events) == before

    @precondition(lambda self: self.flying)
    @rule(which=st.integers(0, 7), epoch=st.integers(1, 9))
    def report(self, which: int, epoch: int) -> None:
        proposal, _ = self.flying[which % len(self.flying)]
        for study in (self.study, self.twin):
            study.report(proposal.number, epoch, {"validation_accuracy": 0.5})

    @rule(torn=st.booleans())
    def kill_and_resume(self, torn: bool) -> None:
        self.study.journal.close()
        if torn:
            with (self.root / "broken" / JOURNAL).open("ab") as file:
                file.write(b'{"n":')
        self.study = again(self.root / "broken", self.plan)
        untold = list(self.study.history.untold)
        lost = len(untold) - len(self.flying)  # whose processes died, and which nobody has taken up again
        repeated = [self.study.ask() for _ in untold]
        assert [q[0].number for q in repeated if q] == untold
        taken_up = [question for _ in range(lost) if (question := self.twin.ask())]
        flying = sorted([*self.flying, *taken_up], key=lambda question: question[0].number)
        assert [(q[0].identity, q[1]) for q in repeated if q] == [(p.identity, a) for p, a in flying]
        self.flying = flying

    @invariant()
    def both_were_told_the_same(self) -> None:
        if hasattr(self, "study"):
            ours, theirs = self.study.history, self.twin.history
            assert ours.told == theirs.told
            assert list(ours.untold) == list(theirs.untold)

    def teardown(self) -> None:
        if hasattr(self, "study"):
            self.kill_and_resume(torn=False)
            ours, theirs = run(self.study, self.following), run(self.twin, self.following)
            assert len(ours) == self.following
            assert [p.identity for p in ours] == [p.identity for p in theirs]
            self.study.journal.close()
            self.twin.journal.close()
        shutil.rmtree(self.root)


def replay(kind: type[StrategyConfig], *, examples: int, following: int) -> None:
    few = settings(max_examples=examples, stateful_step_count=20, deadline=None)
    machine = partial(Replay, config(kind), following)
    run_state_machine_as_test(machine, settings=few)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", STRATEGIES, ids=lambda kind: kind.__name__)
def test_the_next_asks_are_those_of_an_unbroken_run(kind: type[StrategyConfig]) -> None:
    replay(kind, examples=3, following=25)


@pytest.mark.slow
@pytest.mark.parametrize("kind", STRATEGIES, ids=lambda kind: kind.__name__)
def test_the_next_hundred_asks_are_those_of_an_unbroken_run(kind: type[StrategyConfig]) -> None:
    replay(kind, examples=50, following=100)
