"""Trials in the driver's own process: one at a time, and cut short when told to stop."""

from __future__ import annotations

from nas.execution.base import Ended, Report
from nas.execution.in_process import InProcess
from nas.proposal import Kind, Outcome, Proposal, Status
from nas.recipe import Candidate
from search_spaces import Classifier, Conv, Network, Stage

NETWORK = Network(input=(1, 8, 8), stages=(Stage(blocks=(Conv(),), width=8),), head=Classifier(classes=10))
PROPOSAL = Proposal(number=3, kind=Kind.TRAIN, candidate=Candidate(network=NETWORK), epochs=1, seed=0)


def test_a_trial_runs_when_it_is_waited_for_and_alone_means_nothing_new() -> None:
    def run(proposal, report):  # type: ignore[no-untyped-def]
        report(1, {"train_loss": 0.5})
        return Outcome(status=Status.DONE)

    executor = InProcess(run)
    assert executor.wait(0) == []
    executor.submit(PROPOSAL, 1, alone=True)
    assert executor.free == 0
    assert executor.wait(0) == [Report(3, 1, {"train_loss": 0.5}), Ended(3, 1, Outcome(status=Status.DONE))]
    assert executor.free == 1


def test_an_interrupt_ends_the_running_trial_without_an_outcome_and_keeps_what_it_reported() -> None:
    def run(proposal, report):  # type: ignore[no-untyped-def]
        report(1, {"train_loss": 0.5})
        executor.interrupt()

    executor = InProcess(run)
    executor.submit(PROPOSAL, 0)
    assert executor.wait(0) == [Report(3, 1, {"train_loss": 0.5})]


def test_an_interrupt_just_before_a_trial_begins_keeps_it_from_beginning() -> None:
    executor = InProcess(lambda *_: Outcome(status=Status.DONE))
    executor.submit(PROPOSAL, 0)
    executor.interrupt()
    assert executor.wait(0) == []
