"""The study: retries, a search that is broken, confirmation, what the ledger keeps."""

from __future__ import annotations

import random
import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "contracts"))
from bench import ACCURACY, TWO, again, begin, done, plan, run, tied_space, tiny_space

from nas.proposal import Kind, Outcome, Proposal, Status
from nas.strategies import Halving, Random, StrategyConfig
from nas.study import Study, StudyStopped
from nas.winner import confirmed, finalists, winner
from scaling.constraints import parse_limit


def study(folder: Path, **changes: object) -> Study:
    return begin(folder / "run", plan(Random(), tiny_space(), **{"limits": (), **changes}))


def asked(a_study: Study) -> tuple[Proposal, int]:
    question = a_study.ask()
    assert question is not None
    return question


def test_a_lost_trial_is_asked_again_twice_and_then_told(tmp_path: Path) -> None:
    a_study = study(tmp_path)
    for attempt in range(3):
        proposal, number = asked(a_study)
        assert (proposal.number, number) == (0, attempt)
        a_study.tell(0, attempt, Outcome(status=Status.LOST, note="died"))
    assert a_study.history.told == [0]
    assert a_study.history.trials[0].attempts == 2
    assert asked(a_study)[0].number == 1


def test_running_out_of_memory_is_retried_once(tmp_path: Path) -> None:
    a_study = study(tmp_path)
    for attempt in range(2):
        assert asked(a_study)[1] == attempt
        a_study.tell(0, attempt, Outcome(status=Status.OUT_OF_MEMORY))
    assert a_study.history.told == [0]


def test_a_process_that_died_does_not_use_up_the_second_try_after_running_out_of_memory(
    tmp_path: Path,
) -> None:
    a_study = study(tmp_path)
    for attempt, status in enumerate((Status.LOST, Status.OUT_OF_MEMORY, Status.LOST, Status.OUT_OF_MEMORY)):
        assert asked(a_study)[1] == attempt
        a_study.tell(0, attempt, Outcome(status=status))
    assert a_study.history.told == [0]


def test_an_answer_to_an_earlier_attempt_comes_too_late(tmp_path: Path) -> None:
    a_study = study(tmp_path)
    proposal, _ = asked(a_study)
    a_study.tell(0, 0, Outcome(status=Status.LOST))
    events = len(a_study.journal.events)
    a_study.tell(0, 0, done(proposal))
    assert len(a_study.journal.events) == events
    assert not a_study.history.told


@pytest.mark.parametrize(("good_ones", "bugs"), [(0, 3), (4, 5)])
def test_a_search_that_is_broken_stops_says_why_and_resumes(
    good_ones: int, bugs: int, tmp_path: Path
) -> None:
    a_study = study(tmp_path)
    run(a_study, good_ones)
    for left in reversed(range(bugs)):
        proposal, attempt = asked(a_study)
        broken = Outcome(status=Status.BUG, note="KeyError: 'x'")
        if left:
            a_study.tell(proposal.number, attempt, broken)
        else:
            with pytest.raises(StudyStopped, match=r"KeyError: 'x'"):
                a_study.tell(proposal.number, attempt, broken)
    a_study.journal.close()
    resumed = again(tmp_path / "run", a_study.plan)
    assert len(resumed.history.told) == good_ones + bugs
    assert resumed.ask() is not None


@pytest.mark.parametrize("objectives", [ACCURACY, TWO], ids=["one", "two"])
@pytest.mark.parametrize("strategy", [Random(), Halving(first=1, search=Random())], ids=["random", "halving"])
def test_what_is_kept_as_trials_are_told_is_what_a_look_at_all_of_them_finds(
    strategy: StrategyConfig, objectives: tuple[object, ...], tmp_path: Path
) -> None:
    """The best so far, how many were told and how long they took; with equal scores, failures and confirmations."""

    def outcome(proposal: Proposal) -> Outcome:
        rng = random.Random(proposal.number)
        status = Status.DIVERGED if rng.random() < 0.3 else Status.DONE
        score = done(proposal).metrics | {"validation_accuracy": rng.randrange(1 + proposal.number // 5) / 10}
        return Outcome(status=status, metrics=score if status is Status.DONE else {}, seconds=rng.random())

    changes = {"objectives": objectives, "confirm_top": 2, "epochs": 9}
    a_study = begin(tmp_path / "run", plan(strategy, tied_space(), **changes))
    named = set()
    while (question := a_study.ask()) is not None:
        a_study.tell(question[0].number, question[1], outcome(question[0]))
        history = a_study.history
        best = winner(history, a_study.plan)
        assert a_study.best is best
        named.add(best and best.number)
        told = [history.trials[number] for number in history.told]
        assert history.told_of == Counter(trial.kind for trial in told)
        assert history.begun_told == sum(t.outcome is not None for t in history.candidates)
        epochs = {t.number: t.identity.epochs - history.trained(t) for t in told}
        searched = [t for t in told if t.kind in (Kind.TRAIN, Kind.RUNG)]
        assert history.searched_epochs == sum(epochs[t.number] for t in searched)
        assert history.trained_epochs == sum(epochs[t.number] for t in told if t.done)
        seconds = [t.outcome.seconds for t in told if t.outcome and t.done]
        assert history.trained_seconds == pytest.approx(sum(seconds))
    assert len(named) > 2
    assert a_study.history.told_of[Kind.CONFIRM]
    a_study.journal.close()
    resumed = again(tmp_path / "run", a_study.plan)
    assert resumed.best is resumed.history.trials[a_study.best.number]  # type: ignore[union-attr]
    assert resumed.history.told_of == a_study.history.told_of


def test_the_winner_is_the_best_of_fresh_trainings_not_of_the_search(tmp_path: Path) -> None:
    a_study = study(tmp_path, trials=10, confirm_top=3, confirm_seeds=2)
    lucky: list[int] = []

    def outcome(proposal: Proposal) -> Outcome:
        if proposal.kind is Kind.FINAL:
            return done(proposal)
        if proposal.kind is Kind.TRAIN:
            lucky.append(proposal.number)
            return Outcome(status=Status.DONE, metrics={"validation_accuracy": 0.5 + proposal.number / 100})
        true = {9: 0.4, 8: 0.6, 7: 0.5}[proposal.parent or 0]
        return Outcome(status=Status.DONE, metrics={"validation_accuracy": true})

    run(a_study, outcome=outcome)
    assert [t.number for t in finalists(a_study.history, a_study.plan)] == [9, 8, 7]
    assert confirmed(a_study.history, a_study.plan) == pytest.approx({9: 0.4, 8: 0.6, 7: 0.5})
    assert a_study.best is not None
    assert a_study.best.number == 8
    final = a_study.history.of(Kind.FINAL)
    assert [t.parent for t in final] == [8]
    seeds = {t.identity.seed for kind in Kind for t in a_study.history.of(kind)}
    assert len(seeds) == 1 + 2 + 1  # search, two confirmations, final: none is used for another purpose


def test_the_finalists_of_several_objectives_are_of_the_front(tmp_path: Path) -> None:
    a_study = study(tmp_path, trials=20, objectives=TWO, confirm_top=100)
    run(a_study)
    metrics = [t.metrics for t in finalists(a_study.history, a_study.plan)]
    for one in metrics:
        assert not any(
            other["macs"] <= one["macs"] and other["validation_accuracy"] > one["validation_accuracy"]
            for other in metrics
        )


def test_the_ledger_says_which_limit_and_what_the_value_was(tmp_path: Path) -> None:
    limits = (parse_limit("macs <= 100k"), parse_limit("params <= 1k"))
    a_study = study(tmp_path, limits=limits)
    run(a_study)
    ledger = a_study.history.ledger
    assert ledger
    for entry in ledger:
        assert (entry.metric, entry.bound) in {("macs", 100e3), ("params", 1e3)}
        assert entry.value > entry.bound
    assert a_study.history.rejected >= len(ledger)
    a_study.journal.close()
    assert again(tmp_path / "run", a_study.plan).history.ledger == ledger


def test_no_trial_begins_after_the_minutes_are_over_and_downtime_does_not_count(tmp_path: Path) -> None:
    a_plan = plan(Random(), tiny_space(), limits=(), minutes=1, objectives=ACCURACY)
    from nas.journal import Journal

    now = [1000.0]
    clock = lambda: now[0]  # noqa: E731
    first = Study(a_plan, Journal.create(tmp_path / "run", {}, clock=clock), clock=clock)
    proposal, _ = asked(first)
    now[0] += 30
    first.tell(proposal.number, 0, done(proposal))
    first.journal.close()
    now[0] += 86_400
    second = Study(a_plan, Journal.open(tmp_path / "run", clock=clock), clock=clock)
    now[0] += 20
    proposal, _ = asked(second)
    assert proposal.kind is Kind.TRAIN
    second.tell(proposal.number, 0, done(proposal))
    now[0] += 11
    assert asked(second)[0].kind is Kind.FINAL
