"""Limits that few members keep: what is found is a fair draw, whatever the order of options, and work is bounded."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest
from scipy.stats import chisquare
from toys import Word, nested, word

from nas.strategies import Evolution, Random, Scope, StrategyConfig, Told
from nas.strategies.base import SAMPLES, TRIES, WALKS
from search_spaces import Choice, count, enumerate_members
from search_spaces.moves import encode
from search_spaces.walks import KEPT, STEPS, walk

SURE = 1e-3  # of a chance below this, what was drawn was not drawn fairly


def weight(member: Word) -> int:
    """Return the sum of a word's letters, whatever they hold."""
    return sum(
        letter if isinstance(letter, int) else letter.size + 10 * getattr(letter, "extra", 0)
        for letter in member.letters
    )


def short_of(bound: float) -> Callable[[Word], float]:
    """Return by which part of a bound a word's weight exceeds it."""
    return lambda member: max(0.0, weight(member) / bound - 1)


def drawn_by_walks(space: Word, bound: float, *, walks: int, steps: int) -> Counter[tuple[object, ...]]:
    """Return where walks end, by the values themselves."""
    ends = (next(walk(space, short_of(bound), random.Random(s), steps=steps), None) for s in range(walks))
    return Counter(end.letters for end in ends if end is not None)


def within(space: Word, bound: float) -> list[Word]:
    return [member for member in enumerate_members(space) if weight(member) <= bound]


def fairness(found: Counter[tuple[object, ...]], members: list[Word]) -> float:
    """Return the chance of counts so uneven if all members were equally likely."""
    return float(chisquare([found[member.letters] for member in members]).pvalue)


def test_walks_end_in_every_member_within_the_limit_alike() -> None:
    space = word(5, letters=4)
    members = within(space, 2)
    assert len(members) == 21
    found = drawn_by_walks(space, 2, walks=500, steps=100)
    assert found.total() == 500
    assert fairness(found, members) > SURE


def test_walks_are_fair_where_a_choice_opens_others() -> None:
    space = nested(2)  # of 144 members: 3 kinds of each letter alone, or 9 with what one opens
    members = within(space, 80)
    kinds = Counter(type(letter) for member in members for letter in member.letters)
    assert min(kinds.values()) > 10
    found = drawn_by_walks(space, 80, walks=600, steps=100)
    assert fairness(found, members) > SURE


@pytest.mark.slow
@pytest.mark.parametrize(("space", "bound"), [(nested(3), 9), (nested(4), 84), (word(6, letters=4), 3)])
def test_many_walks_are_fair(space: Word, bound: float) -> None:
    members = within(space, bound)
    found = drawn_by_walks(space, bound, walks=10 * len(members), steps=300)
    assert fairness(found, members) > SURE


def test_the_order_of_options_does_not_count() -> None:
    """The same space with its options turned round gives the same values, not the same positions."""
    letters = tuple(Choice(*range(4)) for _ in range(5))
    turned = Word(letters=tuple(Choice(*reversed(choice.options)) for choice in letters))
    ours, theirs = (
        drawn_by_walks(space, 2, walks=400, steps=60) for space in (Word(letters=letters), turned)
    )
    members = within(turned, 2)
    table = [[found[member.letters] for member in members] for found in (ours, theirs)]
    pooled = [sum(column) / 2 for column in zip(*table, strict=True)]
    assert all(float(chisquare(row, pooled).pvalue) > SURE for row in table)


def scope(
    space: Word, excess: Callable[[Word], float], seen: list[Word] | None = None, seed: int = 0
) -> Scope:
    asked = [] if seen is None else seen

    def admits(member: Word) -> bool:
        asked.append(member)
        return not excess(member)

    return Scope(space=space, seed=seed, admits=admits, excess=excess)  # type: ignore[arg-type]


def test_what_is_drawn_by_rejection_is_fair() -> None:
    space = word(5, letters=4)
    members = within(space, 4)
    assert len(members) / count(space) > 0.1
    machine = Random().start(scope(space, short_of(4)))
    found = Counter(machine.ask(number).letters for number in range(2000))  # type: ignore[union-attr]
    assert fairness(found, members) > SURE


BOUND = 9


def sums_up_to(bound: int, *, letters: int) -> int:
    """Count the words of so many letters 0 to 3 whose sum is at most `bound`."""
    ways = [1]
    for _ in range(letters):
        ways = [sum(ways[max(0, s - 3) : s + 1]) for s in range(len(ways) + 3)]
    return sum(ways[: bound + 1])


def test_of_ten_to_the_twelfth_members_one_in_a_hundred_thousand_is_found_with_bounded_work() -> None:
    space = word(20, letters=4)  # 4^20, about 10^12
    assert sums_up_to(BOUND, letters=20) / count(space) < 1e-5
    excess = short_of(BOUND)
    asked: list[Word] = []
    machine = Random().start(scope(space, excess, asked))
    found = [machine.ask(number) for number in range(4)]
    assert all(member is not None and not excess(member) for member in found)
    assert len({member.letters for member in found if member}) == 4
    assert len(asked) <= 4 * (TRIES + SAMPLES + WALKS * KEPT)


def test_where_nothing_keeps_the_limits_the_work_is_bounded_and_nothing_is_asked() -> None:
    calls = [0]

    def excess(member: Word) -> float:
        calls[0] += 1
        return 1.0 + weight(member)

    machine = Random().start(scope(word(20, letters=4), excess))
    assert machine.ask(0) is None
    assert calls[0] == TRIES + SAMPLES + WALKS * STEPS


@pytest.mark.parametrize(
    "config", [Random(), Evolution(population=2, contestants=1)], ids=["random", "evolution"]
)
def test_an_ask_changes_nothing_and_another_machine_asks_the_same(config: StrategyConfig) -> None:
    space, excess = word(20, letters=4), short_of(BOUND)
    ours, theirs = (config.start(scope(space, excess)) for _ in range(2))
    for number in range(3):
        first = ours.ask(number)
        assert first is not None
        assert first == ours.ask(number) == theirs.ask(number)
        told = Told(number, encode(space, first), (float(weight(first)),))  # type: ignore[arg-type]
        for machine in (ours, theirs):
            machine.tell(told)


def test_a_child_that_breaks_the_limits_is_mutated_on() -> None:
    """A valley apart: from 0000 all single changes are shut out, and 1111 is reached through them."""
    space = word(4, letters=2)
    excess = lambda member: float(0 < sum(member.letters) < 3)  # noqa: E731
    asked: list[Word] = []
    machine = Evolution(population=1, contestants=1).start(scope(space, excess, asked))
    machine.tell(Told(0, (0, 0, 0, 0), (1.0,)))
    child = machine.ask(1)
    assert child is not None
    assert len(asked) < TRIES  # found by moves, not by fair samples


def test_without_limits_the_same_is_drawn_as_ever() -> None:
    space = word(6)
    plain = Scope(space=space, seed=3, admits=lambda _: True)  # type: ignore[arg-type]
    told = Told(0, (0, 1, 2, 3, 4, 0), (1.0,))
    machines = [Evolution(population=1).start(one) for one in (plain, scope(space, lambda _: 0.0, seed=3))]
    for machine in machines:
        machine.tell(told)
    assert machines[0].ask(1) == machines[1].ask(1)


def test_a_space_without_decisions_has_no_walk() -> None:
    assert list(walk(Word(letters=(1, 2)), lambda _: 0.0, random.Random(0))) == []
