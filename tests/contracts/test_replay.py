"""Fault test 16: whatever happens between ask, tell, failure and resume, the next asks equal an unbroken run's."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from bench import SPACES, again, begin, done, plan, run
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from nas.proposal import Outcome, Proposal, Status
from nas.strategies import Evolution, Random, StrategyConfig


class Replay(RuleBasedStateMachine):
    """Drives one study through kills and resumes, and a twin, told the same events, that is never killed."""

    @initialize(strategy=st.sampled_from([Random(), Evolution(population=4, contestants=2)]))
    def start(self, strategy: StrategyConfig) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.plan = plan(strategy, SPACES["tied"](), trials=10_000)
        self.study = begin(self.root / "broken", self.plan)
        self.twin = begin(self.root / "whole", self.plan)
        self.flying: list[tuple[Proposal, int]] = []

    @rule()
    def ask(self) -> None:
        ours, theirs = self.study.ask(), self.twin.ask()
        assert ours is not None
        assert theirs is not None
        assert ours[0].identity == theirs[0].identity
        self.flying.append(ours)

    @precondition(lambda self: self.flying)
    @rule(which=st.integers(0, 7), status=st.sampled_from([Status.DONE, Status.DIVERGED, Status.TIMED_OUT]))
    def tell(self, which: int, status: Status) -> None:
        proposal, attempt = self.flying.pop(which % len(self.flying))
        outcome = done(proposal) if status is Status.DONE else Outcome(status=status, note="so it went")
        for study in (self.study, self.twin):
            study.tell(proposal.number, attempt, outcome)

    @precondition(lambda self: self.flying)
    @rule(which=st.integers(0, 7))
    def deliver_twice(self, which: int) -> None:
        proposal, attempt = self.flying.pop(which % len(self.flying))
        for study in (self.study, self.twin):
            study.tell(proposal.number, attempt, done(proposal))
            before = len(study.journal.events)
            study.tell(
                proposal.number, attempt, Outcome(status=Status.DONE, metrics={"validation_accuracy": 1.0})
            )
            assert len(study.journal.events) == before

    @rule()
    def kill_and_resume(self) -> None:
        self.study.journal.close()
        self.study = again(self.root / "broken", self.plan)
        repeated = [self.study.ask() for _ in self.flying]
        assert [q[0].number for q in repeated if q] == sorted(p.number for p, _ in self.flying)

    def teardown(self) -> None:
        if hasattr(self, "study"):
            ours, theirs = run(self.study, 20), run(self.twin, 20)
            assert [p.identity for p in ours] == [p.identity for p in theirs]
            self.study.journal.close()
            self.twin.journal.close()
            shutil.rmtree(self.root)


TestReplay = Replay.TestCase
TestReplay.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
