"""A study over a list of networks: each is asked once, or each is trained and tested with every seed."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "contracts"))
from bench import ACCURACY, done, run

from nas.config import StudyConfig, config_from_data, read_config
from nas.driver import StopSign, drive
from nas.journal import Journal
from nas.launch import create, executor_for, reopen
from nas.listed import Regularisation, readings_of, training_of
from nas.plan import Plan, finals
from nas.proposal import Kind, Outcome, Proposal, Status
from nas.recipe import Candidate, Recipe
from nas.strategies import Random
from nas.study import Study
from search_spaces import BadInput, Choice, Classifier, Conv, DenseClassifier, Network, Stage, Unbuildable
from search_spaces.block import fixed
from search_spaces.serialise import Json, to_data

SIZES = (6, 8, 12)


def network(size: int = 8, width: int = 4, classes: int = 10, channels: int = 1) -> Network:
    return Network(
        input=(channels, size, size),
        stages=(Stage(blocks=(Conv(),), width=width),),
        head=Classifier(classes=classes, dropout=0.2),
    )


def config(*overrides: str, networks: tuple[Network, ...] = ()) -> StudyConfig:
    listed: list[Json] = [{"network": to_data(one)} for one in networks or map(network, SIZES)]
    plain = read_config("space: mixed\nepochs: 1\ndata: {limit: 100}", overrides, source="test")
    said = to_data(plain)
    assert isinstance(said, dict)
    return config_from_data({**said, "space": listed, "execution": {"workers": 0}})


def begun(results: Path, of: str = "every", seeds: int = 2, **changes: object) -> Study:
    own = replace(config(f"final={{of: {of}, seeds: {seeds}}}"), **changes)  # type: ignore[arg-type]
    return create(own, name="list", results=results)[0]


def asked_of(study: Study, most: int = 10**6) -> list[tuple[Kind, int, int]]:
    """Run a study with instant trainings: what was asked, as kind, size of the network, seed."""
    proposals = run(study, most)
    return [(p.kind, fixed(p.candidate.network.input[1]), p.seed) for p in proposals]


def test_each_network_is_tested_with_each_seed_and_none_is_searched(tmp_path: Path) -> None:
    study = begun(tmp_path)
    asked = asked_of(study)
    first = study.plan.seed + 1 + study.plan.confirm_seeds
    assert asked == [(Kind.FINAL, size, seed) for seed in (first, first + 1) for size in SIZES]
    assert len(asked) == finals(study.plan) == 6
    assert study.finished
    assert study.best is None


def test_a_list_that_was_stopped_anywhere_goes_on_with_what_is_left(tmp_path: Path) -> None:
    whole = asked_of(begun(tmp_path / "whole"))
    for n in range(len(whole)):
        study = begun(tmp_path / str(n))
        first = asked_of(study, n)
        question = study.ask()  # in flight when the driver dies
        assert question is not None
        study.journal.close()
        again, _ = reopen(tmp_path / str(n) / "list")
        assert first + asked_of(again) == whole
        again.journal.close()


def test_a_training_that_fails_is_not_asked_again_and_the_others_count(tmp_path: Path) -> None:
    study = begun(tmp_path, seeds=3)

    def half(proposal: Proposal) -> Outcome:
        failed = proposal.candidate.network.input[1] == 8 and proposal.number != 1
        return Outcome(status=Status.DIVERGED) if failed else done(proposal)

    assert len(run(study, outcome=half)) == 9
    assert study.finished
    assert [row.scores["test_accuracy"].n for row in readings_of(study)] == [3, 1, 3]


def test_a_search_over_a_list_asks_each_network_once_and_tests_the_best_with_every_seed(
    tmp_path: Path,
) -> None:
    study = begun(tmp_path, of="best", seeds=3, strategy=Random(), trials=50)
    asked = asked_of(study)
    trials = [size for kind, size, _ in asked if kind is Kind.TRAIN]
    tests = [(size, seed) for kind, size, seed in asked if kind is Kind.FINAL]
    assert sorted(trials) == list(SIZES)
    assert study.history.exhausted
    assert study.best is not None
    best = study.candidate(study.best).network.input[1]
    assert [size for size, _ in tests] == [best] * 3
    assert len({seed for _, seed in tests}) == 3


def test_nothing_is_tested_where_nobody_is_to_be(tmp_path: Path) -> None:
    study = begun(tmp_path, of="none", strategy=Random(), trials=3)
    assert {kind for kind, _, _ in asked_of(study)} == {Kind.TRAIN, Kind.CONFIRM}
    assert study.finished


def test_a_list_may_give_each_network_its_own_recipe(tmp_path: Path) -> None:
    space = Choice(
        Candidate(network=network(), recipe=Recipe(lr=0.1)),
        Candidate(network=network(), recipe=Recipe(lr=0.2)),
    )
    plan = Plan(space=space, strategy=Random(), objectives=ACCURACY, final="every", trials=0)
    study = Study(plan, Journal.create(tmp_path / "run", {}))
    assert [p.candidate.recipe.lr for p in run(study)] == [0.1, 0.2]


@pytest.mark.parametrize(
    ("networks", "message"),
    [
        ((network(), network(channels=3)), r"space\[1\]\.input: got \(3, 8, 8\), expected \(1, 8, 8\)"),
        ((network(classes=7),), r"space\[0\]\.head: got Classifier\(classes=7\)"),
        ((network(), network(12), network()), r"space\[2\]: the same as space\[0\]"),
        ((replace(network(), input=(1, Choice(8, 12), 8)),), r"space\[0\]\.network\.input.*: got a choice"),
    ],
)
def test_a_list_that_cannot_be_trained_is_refused_by_place(
    networks: tuple[Network, ...], message: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=message):
        create(config(networks=networks), name="list", results=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_network_of_a_list_that_cannot_be_built_is_named(tmp_path: Path) -> None:
    broken = replace(network(2), stages=(Stage(blocks=(Conv(kernel=5, padding=0),), width=4),))
    with pytest.raises(Unbuildable, match=r"space\[1\]: "):
        create(config(networks=(network(), broken)), name="list", results=tmp_path)


def test_limits_are_refused_where_every_network_is_tested(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"limits: got some with final\.of=every"):
        begun(tmp_path, limits=("macs <= 1M",))


def test_an_empty_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="an empty list"):
        create(replace(config(), space=()), name="list", results=tmp_path)


def test_networks_of_three_sizes_are_really_trained_and_tested(tmp_path: Path) -> None:
    own = training_of(network(8), tuple(map(network, SIZES)), config("recipe={lr: 0.01}"), seeds=2)
    study, folder = create(own, name="list", results=tmp_path)
    with study.journal:
        drive(
            study,
            executor_for(own, folder, study.journal.header),
            watch=lambda *_: None,
            stop=StopSign(),
        )
    rows = readings_of(study)
    assert [row.network.input[1] for row in rows] == list(SIZES)
    assert all(row.scores["test_accuracy"].n == 2 for row in rows)
    assert all((folder / "trained" / row.key).is_dir() for row in rows)
    assert not (folder / "best").exists()


def grown(doublings: int, **changes: float) -> tuple[float, int]:
    """Return the dropout and padding of a network of about so many doublings of the base's MACs."""
    own = read_config(
        "space: mixed\nrecipe: {augment: [{type: Crop, padding: 10}, {type: Flip}]}", source="test"
    )
    base = network(8, width=64)  # one convolution: MACs grow with its width, but for the head
    wide = network(8, width=64 * 2**doublings)
    made = training_of(base, (wide,), own, regularisation=Regularisation(**changes))
    assert isinstance(made.space, tuple)
    (one,) = made.space
    assert one.recipe is not None
    return fixed(one.network.head).dropout, one.recipe.augment[0].padding  # type: ignore[attr-defined, union-attr]


def test_dropout_and_augmentation_grow_with_each_doubling_and_can_be_left_alone() -> None:
    dropout, padding = grown(2)
    assert dropout == pytest.approx(0.2 + 2 * 0.045, abs=1e-6)
    assert padding == 12  # 10 * 1.1^2
    assert grown(2, dropout=0.0, augmentation=0.0) == (0.2, 10)
    assert grown(0) == (0.2, 10)


def test_smaller_networks_than_the_base_have_less_of_both_and_a_head_without_dropout_keeps_none() -> None:
    own = read_config("space: mixed\nrecipe: {augment: [{type: Crop, padding: 10}]}", source="test")
    bare = Network(
        input=(1, 8, 8), stages=(Stage(blocks=(Conv(),), width=4),), head=DenseClassifier(classes=10)
    )
    made = training_of(network(8, width=16), (network(8), bare), own)
    assert isinstance(made.space, tuple)
    small, without = made.space
    assert fixed(small.network.head).dropout < 0.2  # type: ignore[attr-defined]
    assert small.recipe is not None
    assert small.recipe.augment[0].padding < 10  # type: ignore[union-attr]
    assert without.network == bare


def test_rows_of_a_list_are_told_apart_by_place_not_by_key(tmp_path: Path) -> None:
    own = training_of(network(8), (network(6), network(12)), config(), seeds=1)
    study, _ = create(own, name="list", results=tmp_path)
    run(study)
    rows = readings_of(study)
    assert all(row.scores for row in rows)
    assert [row.network.input[1] for row in rows] == [6, 12]
