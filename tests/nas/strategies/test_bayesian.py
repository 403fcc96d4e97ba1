"""The Bayesian strategy learns, proposes members only, forgets within its cap, and keeps Optuna out of sight."""

from __future__ import annotations

import copy
import logging
import random
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from toys import Code, Run, distance, nested, resumed, word

from nas.strategies import Bayesian, bayesian
from search_spaces import (
    Choice,
    Classifier,
    Conv,
    MBConv,
    Network,
    NeverFalls,
    Repeat,
    Stage,
    decisions,
    sample,
)
from search_spaces.moves import decode, encode

TARGET = (3, 1, 4, 1, 0, 2)
ROOT = Path(__file__).parents[3]


def far(code: Code) -> tuple[float]:
    return (distance(code, TARGET),)


def two(code: Code) -> tuple[float, float]:
    return distance(code, TARGET), sum(code)


def remembered(run: Run) -> list[Code]:
    return [tuple(trial.params.values()) for trial in run.machine.trials]


@pytest.mark.parametrize("seed", range(2))
def test_it_finds_the_bottom_of_a_single_valley_among_15625_members_in_100_questions(seed):
    asked = Run(Bayesian(), word(6), seed=seed).go(100, far)
    assert TARGET in asked
    assert len(set(asked)) == 100


def test_once_it_has_learnt_it_asks_better_than_it_draws():
    asked = Run(Bayesian(initial=20), word(12)).go(80, lambda code: (sum(code),))
    assert sum(map(sum, asked[-20:])) < 0.7 * sum(map(sum, asked[:20]))


def test_a_space_where_all_is_soon_known_is_asked_to_its_last_member():
    run = Run(Bayesian(initial=2), word(3, letters=3))
    assert len(set(run.go(27, lambda code: (sum(code),)))) == 27
    assert run.peek() is None


@pytest.mark.parametrize("cost", [far, two])
def test_told_the_same_it_asks_the_same_after_any_number_of_trials(cost):
    settings = Bayesian(initial=4, history=40)
    run = Run(settings, word(6))
    asked = list(run.go(70, cost))
    for told in (0, 3, 4, 5, 30, 40, 41, 42, 55, 69):
        assert resumed(settings, run, told).peek() == asked[told]


@pytest.mark.parametrize("objectives", [1, 2])
def test_asking_leaves_no_trace(objectives, capfd):
    run = Run(Bayesian(initial=4), nested())
    run.go(12, lambda code: (sum(code), -code[0])[:objectives])
    before = copy.deepcopy([(trial.number, trial.state, trial.params) for trial in run.machine.trials])
    level, own = optuna.logging.get_verbosity(), random.getstate()
    first = run.peek()
    assert run.peek() == first
    assert [(trial.number, trial.state, trial.params) for trial in run.machine.trials] == before
    assert (optuna.logging.get_verbosity(), random.getstate()) == (level, own)
    assert capfd.readouterr() == ("", "")


def test_others_who_use_optuna_still_hear_it(caplog):
    run = Run(Bayesian(initial=2), word(3))
    run.go(5, lambda code: (sum(code),))
    optuna.logging.enable_propagation()
    try:
        with caplog.at_level(logging.INFO, logger="optuna"):
            optuna.create_study()
    finally:
        optuna.logging.disable_propagation()
    assert "A new study created" in caplog.text


def test_optuna_is_loaded_by_the_first_outcome_and_not_before():
    program = (
        "import sys; from nas.strategies import Bayesian, Scope; from search_spaces import Choice; "
        "machine = Bayesian().start(Scope(space=(Choice(1, 2),), seed=0, admits=lambda candidate: True)); "
        "machine.ask(0); print([name for name in ('optuna', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_it_remembers_no_more_than_its_cap_and_the_best_for_ever():
    run = Run(Bayesian(initial=150, history=40), word(6))
    asked = run.go(150, far)
    assert 30 <= len(remembered(run)) <= 40
    assert set(sorted(asked, key=far)[:5]) <= set(remembered(run))
    assert remembered(run)[-1] == asked[-1]
    assert len(run.machine.known) == 150  # nothing that was told is asked again


def test_with_several_objectives_the_front_is_never_forgotten():
    run = Run(Bayesian(initial=150, history=60), word(6))
    asked = run.go(150, two)
    costs = {code: two(code) for code in asked}
    front = {
        a
        for a in asked
        if not any(b != costs[a] and b <= costs[a] and b[1] <= costs[a][1] for b in costs.values())
    }
    assert 0 < len(front) < 30
    assert front <= set(remembered(run))


def test_failed_trials_count_as_bad_ones():
    def fails(code: Code) -> bool:
        return code[0] > 1

    run = Run(Bayesian(initial=10), word(6))
    for _ in range(60):
        code = run.ask()
        run.tell(code, *([] if fails(code) else [1.0]))
    assert sum(map(fails, run.asked[-30:])) < 0.5 * sum(map(fails, run.asked[:20])) * 30 / 20


def test_while_everything_fails_it_goes_on_drawing():
    run = Run(Bayesian(initial=3), word(6))
    for _ in range(20):
        run.tell(run.ask())
    assert len(set(run.asked)) == 20
    assert run.machine.succeeded == 0


def test_costs_near_the_largest_number_there_is_do_not_overflow():
    run = Run(Bayesian(initial=5), word(4))
    assert len(run.go(40, lambda code: (1e308 - sum(code), (-1e308, -0.0, 1e308)[code[0] % 3]))) == 40


def test_what_the_limits_refuse_does_not_stop_it():
    run = Run(Bayesian(), word(4), refuses=lambda code: sum(code) > 7)
    asked = run.go(60, lambda code: (-sum(code),))
    assert len(set(asked)) == 60
    assert max(map(sum, asked)) == 7


def test_it_learns_across_decisions_that_are_not_always_open():
    run = Run(Bayesian(initial=10), nested(4))
    asked = run.go(60, lambda code: (sum(code),))  # the least: every kind Small, with its first size
    assert run.machine.closed
    assert min(map(sum, asked[10:])) < min(map(sum, asked[:10]))


def ruled() -> Network:
    """Return a space with ties and a condition, which a suggestion may break."""
    kernel = Choice(3, 5, name="kernel")
    stages = tuple(
        Stage(
            blocks=Repeat(
                Choice(Conv(kernel=kernel), MBConv(kernel=kernel, se=0)), Choice(1, 2), independent=True
            ),
            width=Choice(8, 12, 16),
        )
        for _ in range(3)
    )
    return Network(input=(1, 16, 16), stages=stages, head=Classifier(classes=10), conditions=(NeverFalls(),))


def test_of_a_suggestion_all_is_kept_that_ties_and_conditions_leave():
    space, rng = ruled(), random.Random(0)
    for _ in range(20):
        member = decisions(space, sample(space, rng))
        wanted = dict.fromkeys(bayesian.slots(space), 1) | member
        assert bayesian._nearest(space, wanted, rng) == member
    falling = dict.fromkeys(bayesian.slots(space), 0) | {"stages[0].width": 1}
    found = bayesian._nearest(space, falling, rng)
    assert found["stages[0].width"] == 1
    assert found["stages[1].width"] >= 1
    assert found["@kernel"] == 0


def test_a_closed_decision_that_a_suggestion_opens_is_drawn():
    space = ruled()
    wanted = dict.fromkeys(bayesian.slots(space), bayesian.ABSENT)
    found = bayesian._nearest(space, wanted, random.Random(0))
    assert set(found) <= set(wanted)
    assert min(found.values()) >= 0


def test_in_a_space_with_conditions_it_asks_members_only():
    run = Run(Bayesian(initial=5), ruled())
    for code in run.go(40, lambda code: (sum(code),)):
        assert encode(run.space, decode(run.space, code)) == code
