"""What every strategy must hold on every space; a new strategy is in here by being registered."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
from bench import ACCURACY, SPACES, TWO, again, begin, begun, done, plan, run

import nas.strategies  # noqa: F401  (registers ours)
from nas.proposal import SEARCHING, Kind, Outcome, Proposal, Status
from nas.strategies import Evolution, StrategyConfig
from scaling.constraints import parse_limit, violations
from scaling.cost import cost
from search_spaces import decisions, enumerate_members
from search_spaces.data import REGISTER
from search_spaces.moves import keeps_conditions

OURS = [kind for kind in REGISTER[StrategyConfig].values() if kind.__module__.startswith("nas.")]
STRATEGIES = [
    kind for kind in OURS if not kind.shares_weights
]  # those that ask for one training after another

QUICK = ("tiny", "tied", "mixed", "darts")  # the other spaces are slow tests


def config(kind: type[StrategyConfig]) -> StrategyConfig:
    return Evolution(population=6, contestants=3) if kind is Evolution else kind()


@pytest.fixture(params=STRATEGIES, ids=lambda kind: kind.__name__)
def strategy(request: pytest.FixtureRequest) -> StrategyConfig:
    return config(request.param)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in SPACES]
)
@pytest.mark.parametrize("objectives", [ACCURACY, TWO], ids=["one", "two"])
def test_it_never_leaves_the_space_or_the_limits_nor_repeats_itself(
    strategy: StrategyConfig, name: str, objectives: tuple[object, ...], tmp_path: Path
) -> None:
    space = SPACES[name]()
    the_plan = plan(strategy, space, objectives=objectives)
    asked = [p for p in run(begin(tmp_path / "run", the_plan)) if p.kind in SEARCHING]
    for proposal in asked:
        decisions(the_plan.space, proposal.candidate)
        assert keeps_conditions(the_plan.space, proposal.candidate)
        assert not violations(cost(proposal.candidate.network), the_plan.limits)
    assert len({p.identity for p in asked}) == len(asked)
    if name != "tiny":  # which has too few members within the limit
        assert len(begun(asked)) == the_plan.trials


def test_it_asks_every_member_of_a_small_space_within_the_limits_and_then_stops(
    strategy: StrategyConfig, tmp_path: Path
) -> None:
    limits = (parse_limit("macs <= 60k"),)
    the_plan = plan(strategy, SPACES["tiny"](), trials=1000, limits=limits)
    study = begin(tmp_path / "run", the_plan)
    asked = {p.identity for p in begun(run(study))}
    within = [m for m in enumerate_members(the_plan.space) if not violations(cost(m.network), limits)]
    assert 0 < len(within) < 24
    assert len(asked) == len(within)
    assert study.history.exhausted
    assert study.finished


def test_equal_seeds_give_equal_runs_and_another_seed_another_run(
    strategy: StrategyConfig, tmp_path: Path
) -> None:
    runs = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        study = begin(tmp_path / name, plan(strategy, SPACES["mixed"](), seed=seed))
        runs.append([p.key for p in run(study)])
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.BUG])
def test_it_goes_on_whatever_way_trials_fail(
    strategy: StrategyConfig, status: Status, tmp_path: Path
) -> None:
    def fails(proposal: Proposal) -> Outcome:
        if proposal.kind in SEARCHING and random.Random(proposal.number).random() < 0.7:
            metrics = {"validation_accuracy": math.nan} if status is Status.DONE else {}
            return Outcome(status=status, metrics=metrics, note="made to fail")
        return done(proposal)

    study = begin(tmp_path / "run", plan(strategy, SPACES["mixed"]()))
    run(study, outcome=fails)
    assert len(study.history.begun) == 30
    assert not study.history.untold
    assert study.best is not None
    assert study.best.done


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_metric_that_is_not_finite_is_diverged_and_never_best(
    strategy: StrategyConfig, value: float, tmp_path: Path
) -> None:
    def bad(proposal: Proposal) -> Outcome:
        if proposal.number % 3 == 0:
            return Outcome(status=Status.DONE, metrics={"validation_accuracy": value})
        return done(proposal)

    study = begin(tmp_path / "run", plan(strategy, SPACES["mixed"]()))
    run(study, outcome=bad)
    searched = [t for kind in SEARCHING for t in study.history.of(kind)]
    diverged = [t for t in searched if t.number % 3 == 0]
    assert all(t.outcome and t.outcome.status is Status.DIVERGED for t in diverged)
    assert study.best is not None
    assert study.best.number % 3 != 0


@pytest.mark.parametrize("name", ["mixed", "tied"])
def test_a_resumed_study_asks_what_the_unbroken_one_asks(
    strategy: StrategyConfig, name: str, tmp_path: Path
) -> None:
    the_plan = plan(strategy, SPACES[name](), trials=40, confirm_top=2, confirm_seeds=2)
    unbroken = [(p.identity, p.kind) for p in run(begin(tmp_path / "whole", the_plan))]
    begin(tmp_path / "broken", the_plan).journal.close()
    asked = []
    for stop in (1, 7, 3, 12, 100):
        study = again(tmp_path / "broken", the_plan)
        asked += [(p.identity, p.kind) for p in run(study, stop)]
        study.journal.close()
    assert asked == unbroken


def test_it_copes_with_several_in_flight_and_answers_out_of_order(
    strategy: StrategyConfig, tmp_path: Path
) -> None:
    study = begin(tmp_path / "run", plan(strategy, SPACES["mixed"](), trials=60))
    rng = random.Random(0)
    flying: list[tuple[Proposal, int]] = []
    while not study.finished:
        while len(flying) < 8 and (question := study.ask()) is not None:
            flying.append(question)
        proposal, attempt = flying.pop(rng.randrange(len(flying)))
        study.tell(proposal.number, attempt, done(proposal))
    assert len(study.history.begun) == 60
    assert len(study.history.of(Kind.FINAL)) == 1
