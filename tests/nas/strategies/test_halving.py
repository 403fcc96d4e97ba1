"""Successive halving: who is promoted and when, what the wrapped strategy sees, and that nobody waits."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.analysis.front import Objective
from nas.bench import PROTOCOLS, Ground, bundled, play
from nas.config import read_config
from nas.dominance import best_first, covers
from nas.history import Trial
from nas.journal import Journal
from nas.launch import create
from nas.plan import Plan
from nas.proposal import SEARCHING, Kind, Outcome, Proposal, Status
from nas.recipe import Candidate
from nas.strategies import Darts, Evolution, Halving, LocalSearch, OneShot, Random
from nas.study import Study
from nas.tidying import Tidying
from search_spaces import Choice, Classifier, Conv, Network, Repeat, Stage
from search_spaces.errors import BadInput

ONE = (Objective.parse("validation_accuracy:max"),)
TWO = (*ONE, Objective.parse("validation_loss:min"))
SPACE = Network(
    input=(1, 8, 8),
    stages=tuple(
        Stage(
            blocks=Repeat(Conv(kernel=Choice(3, 5)), Choice(1, 2), independent=True),
            width=Choice(4, 8, 12, 16),
        )
        for _ in range(3)
    ),
    head=Classifier(classes=10),
)
SETTINGS = settings(max_examples=25, deadline=None)


def plan(strategy: Halving | Random | LocalSearch | Evolution, **changes: object) -> Plan:
    given = {
        "space": Candidate(network=SPACE), "strategy": strategy, "objectives": ONE, "epochs": 9, "trials": 12,
        "confirm_top": 0, "final": "none", **changes,
    }  # fmt: skip
    return Plan(**given)  # type: ignore[arg-type]


def hashed(proposal: Proposal) -> dict[str, float]:
    rng = random.Random(f"{proposal.key} {proposal.epochs}")
    return {"validation_accuracy": rng.random(), "validation_loss": rng.random()}


@dataclass
class Run:
    """A study with an instant evaluator; `asked` in order, `flying` what was not told yet."""

    study: Study
    metrics: Callable[[Proposal], dict[str, float] | None] = hashed
    asked: list[Proposal] = field(default_factory=list)
    flying: list[tuple[Proposal, int]] = field(default_factory=list)

    def ask(self) -> Proposal | None:
        question = self.study.ask()
        if question is not None:
            self.asked.append(question[0])
            self.flying.append(question)
        return None if question is None else question[0]

    def tell(self, which: int = 0) -> None:
        proposal, attempt = self.flying.pop(which)
        found = self.metrics(proposal)
        status = Status.DIVERGED if found is None else Status.DONE
        self.study.tell(proposal.number, attempt, Outcome(status=status, metrics=found or {}))

    def to_the_end(self) -> list[Proposal]:
        while self.ask() is not None:
            self.tell()
        assert self.study.finished
        return self.asked


@pytest.fixture
def begin(tmp_path: Path) -> Callable[..., Run]:
    def begun(the_plan: Plan, *, name: str = "run", **changes: object) -> Run:
        metrics, clock = changes.pop("metrics", hashed), changes.pop("clock", time.time)
        journal = Journal.create(tmp_path / name, {}, clock=clock)  # type: ignore[arg-type]
        return Run(Study(the_plan, journal, clock=clock), metrics)  # type: ignore[arg-type]

    return begun


def by_candidate(*accuracies: float) -> Callable[[Proposal], dict[str, float]]:
    """Score each candidate alike in all rungs: the n-th that begins has the n-th accuracy."""
    keys: list[str] = []

    def metrics(proposal: Proposal) -> dict[str, float]:
        if proposal.key not in keys:
            keys.append(proposal.key)
        return {"validation_accuracy": accuracies[keys.index(proposal.key)]}

    return metrics


def test_rungs_end_at_powers_of_the_reduction_and_at_the_whole() -> None:
    assert Halving(first=1, reduction=3).budgets(20) == (1, 3, 9, 20)
    assert Halving(first=2, reduction=4).budgets(32) == (2, 8, 32)
    assert Halving(first=5, reduction=2).budgets(6) == (5, 6)


def test_the_mean_epochs_of_a_candidate_are_worked_out() -> None:
    # Of 9 candidates all train 1 epoch, 3 train 2 more, one 6 more: 9 + 6 + 6 epochs.
    assert Halving().mean_epochs(9) * 9 == pytest.approx(21)


def test_algorithm_two_of_asha_by_hand(begin: Callable[..., Run]) -> None:
    strategy = Halving(search=Random(), reduction=2, first=1, best=1)
    run = begin(plan(strategy, epochs=4, trials=6), metrics=by_candidate(0.3, 0.5, 0.4, 0.9, 0.1, 0.2))
    course = [(p.epochs, p.parent, p.kind) for p in run.to_the_end()]
    assert course == [
        (1, None, Kind.RUNG),  # 0: 0.3; one of two is wanted, and one is too few
        (1, None, Kind.RUNG),  # 1: 0.5; of two the better one
        (2, 1, Kind.RUNG),     # 2 goes on from 1
        (1, None, Kind.RUNG),  # 3: 0.4, less than the best of three
        (1, None, Kind.RUNG),  # 4: 0.9
        (2, 4, Kind.RUNG),     # 5 goes on from 4, the best of four; 2 is second, and promoted already
        (4, 5, Kind.TRAIN),    # 6: of two in the rung of 2 epochs the better one, to the top
        (1, None, Kind.RUNG),  # 7: 0.1
        (1, None, Kind.RUNG),  # 8: 0.2; the third of six is that with 0.4, number 3
        (2, 3, Kind.RUNG),     # 9: of three in the second rung the best is at the top already
    ]  # fmt: skip
    assert run.study.best is not None
    assert run.study.best.number == 6


@SETTINGS
@given(seed=st.integers(0, 10**6), workers=st.integers(1, 8), reduction=st.integers(2, 4), two=st.booleans())
def test_nobody_waits_and_only_the_best_share_is_promoted(
    tmp_path_factory: pytest.TempPathFactory, seed: int, workers: int, reduction: int, two: bool
) -> None:
    """While candidates may begin a worker always gets something; each promotion was then in the top 1/reduction."""
    strategy = Halving(search=Random(), reduction=reduction)
    the_plan = plan(strategy, objectives=TWO if two else ONE, trials=25, seed=seed)
    run = Run(Study(the_plan, Journal.create(tmp_path_factory.mktemp("halving") / "run", {})))
    rng = random.Random(seed)
    if seed % 2:
        run.metrics = lambda p: None if random.Random(f"{p.key}{p.epochs}").random() < 0.2 else hashed(p)
    while not run.study.finished:
        while len(run.flying) < workers:
            growing = len(run.study.history.begun) < 25
            promotion = run.ask()
            assert promotion is not None or not growing
            if promotion is None:
                break
            if promotion.trained and growing:
                assert among_the_best(run.study, promotion, reduction)
        if run.flying:
            run.tell(rng.randrange(len(run.flying)))
    assert len(run.study.history.begun) == 25
    promoted = [p.parent for p in run.asked if p.parent is not None]
    assert len(set(promoted)) == len(promoted)


def among_the_best(study: Study, promotion: Proposal, reduction: int) -> bool:
    """Whether a promotion's rung is within the share of what was told, by a ranking that is spelt out here."""
    told = [t for t in study.history.of(Kind.RUNG) if t.outcome and t.identity.epochs == promotion.trained]
    done = [t for t in told if t.done]
    own = next(t for t in done if t.number == promotion.parent)
    strictly_better = [t for t in done if beats(t, own, len(study.plan.objectives))]
    return len(strictly_better) < len(told) // reduction


def beats(a: Trial, b: Trial, objectives: int) -> bool:
    mine, theirs = ((t.metrics["validation_accuracy"], -t.metrics["validation_loss"]) for t in (a, b))
    if objectives == 1:
        return mine[0] > theirs[0]
    return mine != theirs and mine[0] >= theirs[0] and mine[1] >= theirs[1]


def test_several_objectives_rank_by_fronts_and_then_by_room(begin: Callable[..., Run]) -> None:
    points = [(0.5, 0.5), (0.4, 0.6), (0.9, 0.9), (0.8, 0.7), (0.7, 0.6), (0.6, 0.51)]
    keys: list[str] = []

    def metrics(proposal: Proposal) -> dict[str, float]:
        if proposal.key not in keys:
            keys.append(proposal.key)
        accuracy, loss = points[keys.index(proposal.key)]
        return {"validation_accuracy": accuracy, "validation_loss": loss}

    run = begin(plan(Halving(search=Random(), best=1), objectives=TWO, epochs=2, trials=6), metrics=metrics)
    for _ in points:  # all begin before any is told
        run.ask()
    while run.flying:
        run.tell()
    # (0.4, 0.6) is beaten by (0.5, 0.5); of the five others the two ends have the most room, and 6 // 3 may go on.
    assert [run.ask(), run.ask()] == run.asked[-2:]
    assert [p.parent for p in run.asked[-2:]] == [0, 2]


def test_equal_vectors_and_a_single_one_are_ranked_by_position() -> None:
    assert best_first([]) == []
    assert best_first([(2.0,), (1.0,), (2.0,)]) == [1, 0, 2]
    assert best_first([(1.0, 1.0)] * 3) == [0, 2, 1]  # the first and the last are the ends


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)), max_size=25))
def test_no_vector_comes_before_one_that_dominates_it(vectors: list[tuple[float, ...]]) -> None:
    order = best_first(vectors)
    assert sorted(order) == list(range(len(vectors)))
    for place, i in enumerate(order):
        assert not any(
            vectors[j] != vectors[i] and covers(vectors[j], vectors[i]) for j in order[place + 1 :]
        )


@pytest.mark.parametrize("search", [Evolution(population=5, contestants=2), LocalSearch(), Random()])
def test_the_wrapped_strategy_asks_what_it_asks_alone_of_the_first_rung_s_scores(
    begin: Callable[..., Run], search: Evolution | LocalSearch | Random
) -> None:
    def first_rung(proposal: Proposal) -> dict[str, float]:
        rng = random.Random(proposal.key)
        return {"validation_accuracy": rng.random() if proposal.epochs == 1 else 0.0}

    halved = begin(plan(Halving(search=search), trials=30), metrics=first_rung)
    alone = begin(plan(search, trials=30, epochs=1), name="alone", metrics=first_rung)
    begun = [p.key for p in halved.to_the_end() if not p.trained]
    assert begun == [p.key for p in alone.to_the_end()]


def test_so_many_as_are_wanted_end_as_full_trainings(begin: Callable[..., Run]) -> None:
    run = begin(plan(Halving(search=Random(), best=3), trials=5))
    run.to_the_end()
    assert len(run.study.history.of(Kind.TRAIN)) == 3
    assert len(run.study.history.begun) == 5


def test_one_whose_promotion_failed_is_replaced_by_the_next(begin: Callable[..., Run]) -> None:
    def metrics(proposal: Proposal) -> dict[str, float] | None:
        full = sum(p.kind is Kind.TRAIN for p in run.asked)
        return None if proposal.kind is Kind.TRAIN and full < 3 else hashed(proposal)

    run = begin(plan(Halving(search=Random(), best=1), trials=6))
    run.metrics = metrics
    run.to_the_end()
    assert [t.done for t in run.study.history.of(Kind.TRAIN)] == [False, False, True]


def test_a_rung_that_still_grows_owes_nothing(begin: Callable[..., Run]) -> None:
    run = begin(plan(Halving(search=Random(), best=1), trials=2))
    run.ask(), run.ask()
    run.tell()
    assert run.study.ask() is None  # the other one may be better
    assert not run.study.finished
    run.tell()
    promotion = run.ask()
    assert promotion is not None
    scores = [t.metrics["validation_accuracy"] for t in run.study.history.of(Kind.RUNG)[:2]]
    assert promotion.parent == scores.index(max(scores))


def test_when_the_time_is_up_the_best_goes_on_to_one_full_training(begin: Callable[..., Run]) -> None:
    now = [1000.0]
    run = begin(plan(Halving(search=Random()), trials=100, minutes=1.0), clock=lambda: now[0])
    for _ in range(7):
        run.ask()
        run.tell()
    assert not run.study.history.of(Kind.TRAIN)
    begun, now[0] = len(run.study.history.begun), 1061.0
    run.to_the_end()
    assert len(run.study.history.begun) == begun
    assert [t.done for t in run.study.history.of(Kind.TRAIN)] == [True]


def test_more_trials_go_on_where_the_search_had_ended(begin: Callable[..., Run], tmp_path: Path) -> None:
    the_plan = plan(Halving(search=Random(), best=1), trials=6)
    first = begin(the_plan)
    first.to_the_end()
    first.study.journal.close()
    more = plan(Halving(search=Random(), best=1), trials=9)
    again = Run(Study(more, Journal.open(tmp_path / "run"), amended={"trials": 9}))
    again.to_the_end()
    assert len(again.study.history.begun) == 9
    assert again.study.best is not None


def test_a_score_of_a_rung_never_wins_nor_is_confirmed(begin: Callable[..., Run]) -> None:
    def metrics(proposal: Proposal) -> dict[str, float]:
        return {"validation_accuracy": 0.1 if proposal.kind is Kind.TRAIN else 0.9 - proposal.number / 1000}

    run = begin(
        plan(Halving(search=Random(), best=2), trials=10, confirm_top=5, confirm_seeds=1), metrics=metrics
    )
    while (asked := run.ask()) is not None and asked.kind in SEARCHING:
        if run.study.best is not None:
            assert run.study.best.kind is Kind.TRAIN
        run.tell()
    full = {t.number for t in run.study.history.of(Kind.TRAIN)}
    run.tell()
    run.to_the_end()
    assert {t.parent for t in run.study.history.of(Kind.CONFIRM)} == full
    assert all(p.epochs == 9 for p in run.asked if p.kind is Kind.CONFIRM)


def test_a_twin_does_not_begin_but_a_candidate_is_promoted_all_the_same(begin: Callable[..., Run]) -> None:
    run = begin(plan(Halving(search=Random(), best=1), twins=False))
    asked = run.to_the_end()
    assert any(p.kind is Kind.TRAIN for p in asked)
    keys = [p.key for p in asked if not p.trained]
    assert len(set(keys)) == len(keys) == 12


def test_checkpoints_of_rungs_that_cannot_be_promoted_are_removed(
    begin: Callable[..., Run], tmp_path: Path
) -> None:
    strategy = Halving(search=Random(), reduction=2, best=1)
    run = begin(plan(strategy, epochs=3, trials=6), metrics=by_candidate(0.9, 0.5, 0.4, 0.3, 0.2, 0.1))
    tidy = Tidying(run.study, tmp_path / "run")
    left: list[set[int]] = []
    while (proposal := run.ask()) is not None:
        home = tmp_path / "run" / "trials" / proposal.key / str(proposal.number)
        home.mkdir(parents=True)
        if proposal.kind is Kind.RUNG:
            (home / "checkpoint-0123456789abcdef-000001.pt").write_bytes(b"weights")
        run.tell()
        tidy()
        left.append({int(path.parent.name) for path in (tmp_path / "run" / "trials").rglob("*.pt")})
    # Of six the best three may go on at most: those told fourth and later in the order go at once.
    lowest = [p.number for p in run.asked if p.epochs == 1]
    assert lowest[2] in left[-1]
    assert not set(lowest[3:]) & left[-1]
    tidy()
    assert not list((tmp_path / "run" / "trials").rglob("*.pt"))  # the search is over


def test_a_checkpoint_that_a_promotion_in_flight_goes_on_from_stays(
    begin: Callable[..., Run], tmp_path: Path
) -> None:
    strategy = Halving(search=Random(), reduction=2, best=1)
    run = begin(plan(strategy, epochs=3, trials=4), metrics=by_candidate(0.2, 0.1, 0.9, 0.8))
    for _ in range(2):
        run.ask()
        run.tell()
    promotion = run.ask()
    assert promotion is not None
    assert promotion.parent == 0
    home = tmp_path / "run" / "trials" / promotion.key / "0"
    home.mkdir(parents=True)
    (home / "checkpoint-0123456789abcdef-000001.pt").write_bytes(b"weights")
    for _ in range(3):  # two that beat it, and the promotion of one; of four candidates the share is two
        run.ask()
        run.tell(-1)
    assert [p.parent for p in run.asked] == [None, None, 0, None, 3, None]
    tidy = Tidying(run.study, tmp_path / "run")
    tidy()
    assert list(home.iterdir())
    run.tell()
    tidy()
    assert not home.exists()


@pytest.mark.parametrize("search", [Darts(), OneShot(), Halving()])
def test_a_strategy_that_asks_for_other_jobs_is_not_wrapped(search: Darts | OneShot | Halving) -> None:
    with pytest.raises(BadInput, match=r"strategy.search: got .*set strategy.search=evolution"):
        Halving(search=search).check_space(Candidate(network=SPACE))


def test_halving_does_not_search_on_inherited_weights() -> None:
    with pytest.raises(BadInput, match="got Halving, which stops trainings early itself"):
        OneShot(search=Halving()).check_space(Candidate(network=SPACE))


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("strategy.reduction=1", "strategy.reduction"),
        ("strategy.first=0", "strategy.first"),
        ("strategy.first=20", "got 20, expected fewer than the 20 epochs of a full training"),
        ("strategy.search=one_shot", "which trains supernets itself"),
        ("strategy.search=halving", "which stops trainings early itself"),
        ("strategy.search=evolutoin", "did you mean evolution"),
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path: Path, setting: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        create(
            read_config("{space: mixed, strategy: halving, data: digits}", [setting], source="test"),
            name=None,
            results=tmp_path,
        )
    assert not list(tmp_path.iterdir())


def test_a_table_is_refused_for_it_knows_no_first_epochs(tmp_path: Path) -> None:
    text = "{space: nasbench201, table: nasbench201, strategy: halving, objectives: ['cifar10_val_12ep:max']}"
    config = read_config(text, [], source="test")
    with pytest.raises(BadInput, match="one answer a member"):
        create(config, name=None, results=tmp_path)
    with pytest.raises(BadInput, match="none for the first epochs"):
        play(Ground.of(PROTOCOLS["A"][0], bundled()), Halving(), seed=0)
