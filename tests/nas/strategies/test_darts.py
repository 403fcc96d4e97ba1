"""DARTS as a strategy: a supernet, what it derives, and a training of that; in a study, whatever happens."""

from __future__ import annotations

import random
from itertools import islice
from pathlib import Path

import pytest
from supernets import tiny

from nas.analysis.front import Objective
from nas.gradient import Gradient, mixture_of
from nas.journal import Journal
from nas.plan import Plan
from nas.proposal import Kind, Outcome, Proposal, Status
from nas.recipe import Candidate
from nas.strategies import darts
from nas.strategies.darts import Darts
from nas.study import Study
from scaling.constraints import parse_limit, violations
from scaling.cost import cost
from search_spaces import BadInput, Conv
from search_spaces.derivation import derive, derived
from search_spaces.mixture import opened
from search_spaces.moves import decode
from search_spaces.presets import preset

SPACE = tiny(3)
VECTORS = opened(SPACE).vectors


def plan(strategy: Darts, **changes: object) -> Plan:
    given = {
        "space": Candidate(network=SPACE), "strategy": strategy, "epochs": 2, "trials": strategy.trainings(50),
        "objectives": (Objective.parse("validation_accuracy:max"),), "confirm_top": 0, **changes,
    }  # fmt: skip
    return Plan(**given)  # type: ignore[arg-type]


def weights(seed: int) -> dict[str, tuple[float, ...]]:
    rng = random.Random(seed)
    return {path: tuple(rng.random() for _ in range(n)) for path, n in VECTORS.items()}


def outcome(proposal: Proposal) -> Outcome:
    if proposal.kind is Kind.SUPERNET:
        return Outcome(
            status=Status.DONE, metrics={"supernet_validation_accuracy": 0.99}, weights=weights(proposal.seed)
        )
    name = "test_accuracy" if proposal.kind is Kind.FINAL else "validation_accuracy"
    return Outcome(status=Status.DONE, metrics={name: random.Random(proposal.key).random()})


def drive(study: Study, most: int = 100, *, told=outcome) -> list[Proposal]:  # type: ignore[no-untyped-def]
    asked = []
    while len(asked) < most and (question := study.ask()) is not None:
        asked.append(question[0])
        study.tell(question[0].number, question[1], told(question[0]))
    return asked


def begin(folder: Path, the_plan: Plan) -> Study:
    return Study(the_plan, Journal.create(folder, {}))


def test_each_search_derives_by_the_rule_and_has_that_trained(tmp_path: Path) -> None:
    study = begin(tmp_path / "run", plan(Darts(searches=3, epochs=7)))
    asked = drive(study)
    assert [p.kind for p in asked] == [Kind.SUPERNET, Kind.TRAIN] * 3 + [Kind.FINAL]
    for supernet, trained in zip(asked[0:6:2], asked[1:6:2], strict=True):
        assert supernet.epochs == 7
        assert trained.parent == supernet.number
        assert trained.candidate.network == derive(opened(SPACE), weights(supernet.seed))
    assert len({p.seed for p in asked[0:6:2]}) == 3
    assert study.finished
    best = study.best
    assert best is not None
    assert "supernet_validation_accuracy" not in best.metrics


def test_what_breaks_a_limit_gives_way_to_the_likeliest_that_keeps_it(tmp_path: Path) -> None:
    limit = parse_limit(f"macs <= {cost(derive(opened(SPACE), weights(0))).macs - 1}")
    study = begin(tmp_path / "run", plan(Darts(), limits=(limit,)))
    trained = next(p for p in drive(study) if p.kind is Kind.TRAIN)
    assert not violations(cost(trained.candidate.network), (limit,))
    assert study.history.rejected > 0


def test_a_limit_that_none_of_the_likeliest_keeps_is_kept_at_little_loss_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(darts, "LOOKED_AT", 20)
    fix = ("stem.width = smallest", "stages[*].width = option 1", "stages[*].blocks.count = 2")
    strategy = Darts(supernet=Gradient(fix=fix))
    space = preset("mixed", (1, 8, 8), classes=10)
    mixture = mixture_of(space, strategy.supernet)
    heavy = {  # 5x5 convolutions weigh most, the next best a tenth of it
        path: tuple(10.0 if option == Conv(kernel=5) else 1 / (1 + i) for i, option in enumerate(slot.options))
        for path, slot in mixture.slots.items()
    }  # fmt: skip
    likeliest = cost(derive(mixture, heavy)).macs
    limit = parse_limit(f"macs <= {likeliest // 4}")
    assert all(cost(one).macs > likeliest // 4 for one in islice(derived(mixture, heavy), 20))
    the_plan = plan(strategy, space=Candidate(network=space), limits=(limit,))

    def told(proposal: Proposal) -> Outcome:
        done = outcome(proposal)
        return Outcome(status=done.status, metrics=done.metrics, weights=heavy if done.weights else {})

    study = begin(tmp_path / "run", the_plan)
    trained = next(p for p in drive(study, told=told) if p.kind is Kind.TRAIN)
    spent = cost(trained.candidate.network).macs
    assert likeliest // 10 < spent <= likeliest // 4  # not the cheapest there is


def test_a_warm_up_as_long_as_the_search_is_refused() -> None:
    with pytest.raises(BadInput, match=r"warmup: got 15 of 10 epochs, expected fewer"):
        Darts(supernet=Gradient(warmup=15), epochs=10).check_space(Candidate(network=SPACE))


def test_nothing_is_trained_twice(tmp_path: Path) -> None:
    def alike(proposal: Proposal) -> Outcome:
        told = outcome(proposal)
        return Outcome(status=told.status, metrics=told.metrics, weights=weights(1) if told.weights else {})

    asked = drive(begin(tmp_path / "run", plan(Darts(searches=3))), told=alike)
    trained = [p.key for p in asked if p.kind is Kind.TRAIN]
    assert len(set(trained)) == len(trained) == 3


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.DONE])
def test_a_supernet_that_fails_is_followed_by_the_next_search(status: Status, tmp_path: Path) -> None:
    def fails(proposal: Proposal) -> Outcome:
        first = proposal.kind is Kind.SUPERNET and proposal.seed == 0
        return Outcome(status=status, note="made to fail") if first else outcome(proposal)

    study = begin(tmp_path / "run", plan(Darts(searches=2)))
    drive(study, told=fails)
    assert study.finished
    assert len(study.history.of(Kind.TRAIN)) == 1


def test_a_study_whose_only_supernet_fails_ends_without_a_winner(tmp_path: Path) -> None:
    study = begin(tmp_path / "run", plan(Darts()))
    drive(study, told=lambda _: Outcome(status=Status.DIVERGED, note="made to fail"))
    assert study.finished
    assert study.best is None


@pytest.mark.parametrize("stop", range(1, 7))
def test_a_resumed_study_asks_what_the_unbroken_one_asks(stop: int, tmp_path: Path) -> None:
    the_plan = plan(Darts(searches=3), confirm_top=1, confirm_seeds=2)
    unbroken = [(p.kind, p.identity) for p in drive(begin(tmp_path / "whole", the_plan))]
    broken = begin(tmp_path / "broken", the_plan)
    asked = drive(broken, stop)
    broken.journal.close()
    asked += drive(Study(the_plan, Journal.open(tmp_path / "broken")))
    assert [(p.kind, p.identity) for p in asked] == unbroken


def test_with_many_workers_nothing_is_asked_while_a_supernet_trains(tmp_path: Path) -> None:
    study = begin(tmp_path / "run", plan(Darts(searches=2)))
    flying = [study.ask()]
    assert study.ask() is None
    assert not study.finished
    kinds = []
    while not study.finished:
        while (question := study.ask()) is not None:
            flying.append(question)
        proposal, attempt = flying.pop(0)  # type: ignore[misc]
        kinds.append(proposal.kind)
        study.tell(proposal.number, attempt, outcome(proposal))
    assert kinds == [Kind.SUPERNET, Kind.TRAIN, Kind.SUPERNET, Kind.TRAIN, Kind.FINAL]


def test_what_settles_choices_beforehand_stays_a_member_of_the_whole_space(tmp_path: Path) -> None:
    from search_spaces.presets import preset

    space = preset("mixed", (1, 8, 8), classes=5)
    fix = ("stem.width = largest", "stages[*].width = largest", "stages[*].blocks.count = 2")
    settings = Gradient(fix=fix)
    from nas.gradient import mixture_of

    vectors = mixture_of(space, settings).vectors

    def told(proposal: Proposal) -> Outcome:
        found = outcome(proposal)
        rng = random.Random(1)
        own = {path: tuple(rng.random() for _ in range(n)) for path, n in vectors.items()}
        return Outcome(status=found.status, metrics=found.metrics, weights=own if found.weights else {})

    study = begin(tmp_path / "run", plan(Darts(supernet=settings), space=Candidate(network=space)))
    trained = next(p for p in drive(study, told=told) if p.kind is Kind.TRAIN)
    trial = study.history.trials[trained.number]
    assert decode(Candidate(network=space), trial.code) == trained.candidate
    assert [stage.width for stage in trained.candidate.network.stages] == [24, 40, 64]
