"""One-shot search: a supernet, another strategy on inherited scores, then trainings of their own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nas.agreement import Agreement, agreement, interval, kendall
from nas.analysis.front import Objective
from nas.config import read_config
from nas.history import as_judged
from nas.journal import Journal
from nas.plan import Plan
from nas.proposal import Kind, Outcome, Proposal, Status
from nas.recipe import Candidate, Recipe
from nas.sharing import Fair, Inherited, SharedTraining
from nas.strategies import Bayesian, Evolution, LocalSearch, OneShot, Random, StrategyConfig
from nas.study import Study
from scaling.constraints import parse_limit, violations
from scaling.cost import cost
from search_spaces import BadInput, Choice, Classifier, Conv, Network, Repeat, Stage
from search_spaces.errors import Unbuildable
from search_spaces.serialise import key

SPACE = Network(
    input=(1, 8, 8),
    stages=(
        Stage(blocks=Repeat(Conv(kernel=Choice(1, 3, 5)), 3, independent=True), width=Choice(4, 8, 12, 16)),
    ),
    head=Classifier(classes=10),
)
SEARCHES = [Evolution(population=6, contestants=3), Random(), LocalSearch(initial=3), Bayesian()]


def quality(proposal: Proposal, *, sign: int = 1) -> float:
    size = cost(proposal.candidate.network).macs / 1e6
    return 0.5 + sign * size / 10 + int(proposal.key[:3], 16) / 1e9


def outcome(proposal: Proposal, *, sign: int = 1) -> Outcome:
    if proposal.kind is Kind.SUPERNET:
        return Outcome(status=Status.DONE, metrics={"supernet_train_loss": 1.0})
    name = {Kind.FINAL: "test_accuracy", Kind.INHERIT: "inherited_accuracy"}.get(
        proposal.kind, "validation_accuracy"
    )
    used = sign if proposal.kind is Kind.INHERIT else 1
    return Outcome(status=Status.DONE, metrics={name: quality(proposal, sign=used)})


def plan(**changes: object) -> Plan:
    strategy = changes.pop("strategy", None) or OneShot(
        search=Evolution(population=6, contestants=3), evaluations=20, best=3, others=3
    )
    assert isinstance(strategy, OneShot)
    given = {
        "space": Candidate(network=SPACE), "strategy": strategy, "epochs": 2, "confirm_top": 0,
        "objectives": (Objective.parse("validation_accuracy:max"),), "trials": strategy.trainings(50), **changes,
    }  # fmt: skip
    return Plan(**given)  # type: ignore[arg-type]


def drive(study: Study, most: int = 1000, *, sign: int = 1) -> list[Proposal]:
    asked = []
    while len(asked) < most and (question := study.ask()) is not None:
        asked.append(question[0])
        study.tell(question[0].number, question[1], outcome(question[0], sign=sign))
    return asked


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: type(search).__name__)
def test_any_strategy_searches_on_inherited_weights_and_the_best_are_trained_on_their_own(
    search: StrategyConfig, tmp_path: Path
) -> None:
    strategy = OneShot(search=search, evaluations=20, best=3, others=3, epochs=7, sampler=Fair())
    study = Study(plan(strategy=strategy), Journal.create(tmp_path / "run", {}))
    asked = drive(study)
    kinds = [p.kind for p in asked]
    assert kinds == [Kind.SUPERNET, *[Kind.INHERIT] * 20, *[Kind.TRAIN] * 6, Kind.FINAL]
    assert (asked[0].epochs, asked[0].settings) == (7, SharedTraining(sampler=Fair()))
    assert {(p.parent, p.settings, p.parent_key) for p in asked[1:21]} == {(0, Inherited(), key(SPACE))}
    assert len({p.key for p in asked[1:21]}) == 20
    scores = sorted((quality(p) for p in asked[1:21]), reverse=True)
    trained = [quality(p) for p in asked[21:27]]
    assert trained[:3] == scores[:3]
    assert [scores.index(score) for score in trained[3:]] == [5, 11, 17]  # of ranks 3 to 19, evenly
    assert study.finished
    assert study.best is not None
    assert study.best.kind is Kind.TRAIN
    assert all("inherited_accuracy" not in t.metrics for t in study.history.of(Kind.TRAIN))


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: type(search).__name__)
@pytest.mark.parametrize("stops", [(1, 9, 13), (21, 3), (4, 22)])
def test_a_resumed_study_asks_what_the_unbroken_one_asks(
    search: StrategyConfig, stops: tuple[int, ...], tmp_path: Path
) -> None:
    the_plan = plan(strategy=OneShot(search=search, evaluations=20, best=3, others=2))
    unbroken = [(p.kind, p.identity) for p in drive(Study(the_plan, Journal.create(tmp_path / "a", {})))]
    broken = Study(the_plan, Journal.create(tmp_path / "b", {}))
    asked: list[Proposal] = []
    for stop in stops:
        asked += drive(broken, stop)
        broken.journal.close()
        broken = Study(the_plan, Journal.open(tmp_path / "b"))
    asked += drive(broken)
    assert [(p.kind, p.identity) for p in asked] == unbroken


def test_limits_hold_for_all_that_is_scored_or_trained_and_shape_the_supernet(tmp_path: Path) -> None:
    limits = (parse_limit("macs <= 100k"),)
    study = Study(plan(limits=limits), Journal.create(tmp_path / "run", {}))
    asked = drive(study)
    assert asked[0].settings == SharedTraining(limits=("macs <= 100k",))
    assert not any(violations(cost(p.candidate.network), limits) for p in asked[1:])


def test_members_that_fail_are_passed_over_and_trainings_wait_for_all_that_is_in_flight(
    tmp_path: Path,
) -> None:
    study = Study(plan(), Journal.create(tmp_path / "run", {}))
    first = study.ask()
    assert first is not None
    assert study.ask() is None  # nothing can be scored before the supernet is there
    study.tell(0, 0, outcome(first[0]))
    flying = [question for _ in range(20) if (question := study.ask()) is not None]
    assert len(flying) == 20
    assert study.ask() is None
    for proposal, attempt in reversed(flying):
        failed = proposal.number % 2 == 0
        study.tell(proposal.number, attempt, Outcome(status=Status.DIVERGED) if failed else outcome(proposal))
    trained = [p for p in drive(study) if p.kind is Kind.TRAIN]
    assert len(trained) == 6
    assert {p.key for p in trained} <= {p.key for p, _ in flying if p.number % 2}


def test_a_supernet_that_fails_ends_the_study_without_a_result(tmp_path: Path) -> None:
    study = Study(plan(), Journal.create(tmp_path / "run", {}))
    question = study.ask()
    assert question is not None
    study.tell(0, 0, Outcome(status=Status.DIVERGED, note="train_loss is nan"))
    assert study.ask() is None
    assert study.finished
    assert study.best is None


def test_when_time_is_up_the_best_so_far_are_still_trained(tmp_path: Path) -> None:
    now = [1e9]
    study = Study(plan(minutes=1.0), Journal.create(tmp_path / "run", {}), clock=lambda: now[0])
    study.history.began_at = now[0]
    drive(study, 8)
    now[0] += 3600
    assert [p.kind for p in drive(study)] == [*[Kind.TRAIN] * 6, Kind.FINAL]


def test_a_small_space_is_scored_to_its_last_member(tmp_path: Path) -> None:
    space = Network(
        input=(1, 8, 8), stages=(Stage(blocks=(Conv(kernel=Choice(1, 3)),), width=Choice(4, 8)),),
        head=Classifier(classes=10),
    )  # fmt: skip
    study = Study(plan(space=Candidate(network=space)), Journal.create(tmp_path / "run", {}))
    kinds = [p.kind for p in drive(study)]
    assert kinds == [Kind.SUPERNET, *[Kind.INHERIT] * 4, *[Kind.TRAIN] * 4, Kind.FINAL]


@pytest.mark.parametrize(
    ("space", "recipe", "strategy", "said"),
    [
        (SPACE, Recipe(lr=Choice(0.1, 0.2)), OneShot(), r"recipe\.lr: got a choice"),
        (SPACE, Recipe(), OneShot(search=OneShot()), r"strategy\.search: got OneShot"),
    ],
)
def test_what_one_shot_cannot_search_is_refused_before_anything_is_asked(
    space: Network, recipe: Recipe, strategy: OneShot, said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        strategy.check_space(Candidate(network=space, recipe=recipe))


def test_a_space_with_nothing_to_share_or_that_cannot_share_is_refused() -> None:
    stage = Stage(blocks=(Conv(),), width=4)
    alone = Network(input=(1, 8, 8), stages=(stage,), head=Classifier(classes=10))
    with pytest.raises(BadInput, match="space: got a single network"):
        OneShot().check_space(Candidate(network=alone))
    groups = Network(
        input=(6, 8, 8),
        stages=(Stage(blocks=(Conv(groups=Choice(2, 3)),), width=6),),
        head=Classifier(classes=10),
    )
    with pytest.raises(Unbuildable, match=r"stages\[0\]\.blocks\[0\]: conv has 2, 3 groups"):
        OneShot().check_space(Candidate(network=groups))


def test_a_list_of_architectures_has_no_supernet() -> None:
    alone = Candidate(network=Network(input=(1, 8, 8), stages=SPACE.stages, head=SPACE.head))
    with pytest.raises(BadInput, match="space: got a list of architectures"):
        OneShot().check_space(Choice(alone, replace(alone, recipe=Recipe(lr=0.2))))


def test_a_nested_strategy_and_sampler_are_said_by_name_or_with_settings() -> None:
    text = "{space: mixed, strategy: {type: one_shot, search: local_search, sampler: {type: fair, paths_a_step: 3}}}"
    config = read_config(text, ["strategy.search.initial=4"], source="test")
    assert config.strategy == OneShot(search=LocalSearch(initial=4), sampler=Fair(paths_a_step=3))
    with pytest.raises(BadInput, match=r"strategy\.sampler: got 'uniformly', expected one of .*uniform"):
        read_config("{space: mixed, strategy: {type: one_shot, sampler: uniformly}}", source="test")


@pytest.mark.parametrize(("sign", "warned"), [(1, False), (-1, True)])
def test_it_says_whether_inherited_scores_rank_as_trainings_do(
    sign: int, warned: bool, tmp_path: Path
) -> None:
    strategy = OneShot(search=Random(), evaluations=30, best=5, others=5)
    study = Study(plan(strategy=strategy), Journal.create(tmp_path / "run", {}))
    drive(study, sign=sign)
    found = agreement(study.history, study.plan)
    assert found is not None
    assert (found.scored, found.trained) == (30, 10)
    assert found.tau == pytest.approx(sign, abs=0.2)
    assert (found.warning is not None) == warned
    assert found.low is not None
    assert found.high is not None
    assert -1 <= found.low <= found.tau <= found.high <= 1
    assert found.low < found.high


def test_a_cost_that_is_the_first_objective_says_nothing_of_how_scores_rank(tmp_path: Path) -> None:
    objectives = tuple(map(Objective.parse, ("macs:min", "validation_accuracy:max")))
    strategy = OneShot(search=Random(), evaluations=30, best=5, others=5)
    study = Study(plan(strategy=strategy, objectives=objectives), Journal.create(tmp_path / "run", {}))
    drive(study, sign=-1)
    found = agreement(study.history, study.plan)
    assert found is not None
    assert found.tau is not None
    assert found.tau < 0


def test_too_few_pairs_are_said_not_to_show_anything() -> None:
    few = Agreement(scored=9, trained=3, tau=1 / 3, low=None, high=None)
    assert "not shown to be above 0" in str(few.warning)


def test_kendalls_tau_and_its_interval() -> None:
    assert kendall([1, 2, 3, 4], [10, 20, 40, 30]) == pytest.approx(4 / 6)
    assert interval(0.6, 8) == pytest.approx((0.0453, 0.8719), abs=1e-4)


def test_inherited_scores_stand_in_for_the_objective_in_a_search_alone(tmp_path: Path) -> None:
    study = Study(plan(), Journal.create(tmp_path / "run", {}))
    drive(study, 5)
    trial = study.history.of(Kind.INHERIT)[0]
    assert "validation_accuracy" not in trial.metrics
    assert as_judged(trial)["validation_accuracy"] == trial.metrics["inherited_accuracy"]
