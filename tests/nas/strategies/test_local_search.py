"""Local search climbs, begins again, spreads along a front, and never looks at more than it needs."""

from __future__ import annotations

import copy

import pytest
from toys import Code, Run, apart, distance, nested, resumed, word

from nas.strategies import LocalSearch, Told, local_search

TARGET = (3, 1, 4, 1, 0, 2)


def far(code: Code) -> tuple[float]:
    return (distance(code, TARGET),)


def two(code: Code) -> tuple[float, float]:
    """Return two costs at odds: the fewer steps to the target's letters, the more to zero."""
    return distance(code, (4,) * len(code)), distance(code, (0,) * len(code)) ** 2


@pytest.mark.parametrize("seed", range(5))
def test_it_finds_the_bottom_of_a_single_valley_among_15625_members_in_150_questions(seed):
    asked = Run(LocalSearch(), word(6), seed=seed).go(150, far)
    assert TARGET in asked
    assert len(set(asked)) == 150


def test_after_the_initial_samples_it_asks_neighbours_of_the_best():
    run = Run(LocalSearch(initial=8), word(6))
    best = min(run.go(8, far), key=far)
    for _ in range(5):
        assert apart(run.ask(), best) == 1


def test_a_better_neighbour_is_climbed_to_at_once():
    run = Run(LocalSearch(initial=1), word(6))
    run.tell(run.ask(), 5.0)
    step = run.ask()
    run.tell(step, 4.0)
    assert apart(run.ask(), step) == 1


def test_from_a_local_optimum_a_sample_begins_a_new_climb_however_bad_it_is():
    run = Run(LocalSearch(initial=1), word(4, letters=3))
    top = run.ask()
    run.tell(top, 0.0)
    around = [run.ask() for _ in range(8)]
    assert all(apart(code, top) == 1 for code in around)
    for code in around:
        run.tell(code, 1.0)
    begun = run.ask()
    assert apart(begun, top) > 1
    run.tell(begun, 9.0)
    assert apart(run.ask(), begun) == 1


def test_neighbours_that_come_back_late_begin_no_climb():
    run = Run(LocalSearch(initial=1), word(4, letters=3))
    top = run.ask()
    run.tell(top, 0.0)
    around = [run.ask() for _ in range(8)]
    begun = run.ask()  # with all neighbours on their way
    run.tell(begun, 9.0)
    run.tell(around[0], 9.5)
    assert apart(run.ask(), begun) == 1
    run.tell(around[1], 8.0)  # but the best of them is climbed to
    assert apart(run.ask(), around[1]) == 1


def test_a_neighbour_that_opens_other_decisions_is_known_as_one():
    run = Run(LocalSearch(initial=1), nested(2))
    top = run.ask()
    run.tell(top, 0.0)
    around = []
    while run.peek() is not None and local_search._adjacent(run.space, top, run.peek()):
        around.append(run.ask())
        run.tell(around[-1], 1.0)
    assert any(apart(code, top) > 1 for code in around)  # the kind changed, and with it what is open
    assert run.machine.climbed[-1][0] == top


def test_a_failed_trial_is_no_place_to_climb_from():
    run = Run(LocalSearch(initial=1), word(5))
    run.tell(run.ask(), 5.0)
    best = run.asked[0]
    for _ in range(6):
        code = run.ask()
        assert apart(code, best) == 1
        run.tell(code)


def test_what_the_limits_refuse_does_not_stop_it():
    run = Run(LocalSearch(initial=3), word(4), refuses=lambda code: sum(code) > 7)
    asked = run.go(120, lambda code: (-sum(code),))
    assert len(set(asked)) == 120
    assert max(map(sum, asked)) == 7


def test_with_two_objectives_it_asks_neighbours_of_the_front_only_then_of_the_second_front():
    run = Run(LocalSearch(initial=1), word(2, letters=4))
    run.tell(run.ask(), 1.0, 1.0)
    top = run.asked[0]
    around = [run.ask() for _ in range(6)]
    assert all(apart(code, top) == 1 for code in around)
    run.tell(around[0], 3.0, 3.0)
    for code in around[1:]:
        run.tell(code, 2.0, 2.0)  # equal ones: the first stands for all
    left = [run.ask() for _ in range(2)]
    assert all(apart(code, around[1]) == 1 for code in left)


def test_no_member_of_a_front_dominates_another_and_the_second_lies_behind_the_first():
    run = Run(LocalSearch(initial=5), word(4))
    run.go(150, two)
    first, second = run.machine.fronts
    costs = [one.costs for one in run.told]
    for point in first:
        assert not any(dominates(other, point[1]) for other in costs)
    for point in second:
        assert any(dominates(member[1], point[1]) or member[1] == point[1] for member in first)
    behind = [c for c in costs if any(dominates(member[1], c) for member in first)]
    best_behind = {c for c in behind if not any(dominates(other, c) for other in behind)}
    assert best_behind <= {cost for _, cost in second}


def dominates(a, b):
    return a != b and all(x <= y for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("cost", [far, two])
def test_told_the_same_it_asks_the_same_after_any_number_of_trials(cost):
    run = Run(LocalSearch(initial=4), word(6))
    asked = list(run.go(60, cost))
    for told in range(0, 60, 7):
        assert resumed(LocalSearch(initial=4), run, told).peek() == asked[told]


@pytest.mark.parametrize("cost", [far, two])
def test_asking_leaves_no_trace(cost):
    run = Run(LocalSearch(initial=4), word(6))
    run.go(30, cost)
    before = copy.deepcopy([getattr(run.machine, name) for name in ("known", "climbed", "fronts")])
    first = run.peek()
    assert run.peek() == first
    assert [getattr(run.machine, name) for name in ("known", "climbed", "fronts")] == before


def test_in_a_huge_space_only_what_is_asked_is_made(monkeypatch):
    made = []

    def counted(*given):
        made.append(given)
        return changed(*given)

    changed = local_search.changed
    monkeypatch.setattr(local_search, "changed", counted)
    run = Run(LocalSearch(initial=2), word(60))
    run.go(42, lambda code: (sum(code),))
    assert len(made) == 40


def test_what_it_remembers_of_old_climbs_is_bounded():
    run = Run(LocalSearch(initial=1), word(200, letters=2))
    machine = run.machine
    for number in range(100):
        code = tuple(int(i < number) for i in range(200))
        machine.tell(Told(number, code, (-float(number),)))
    assert len(machine.climbed) == local_search.REMEMBERED
