"""Laws of the moves: none leaves the space, each changes what it says and no more."""

import contextlib
import random
import sys

import pytest
from generated import FEW, networks, spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import (
    Choice,
    Classifier,
    Conv,
    Infeasible,
    MBConv,
    Network,
    NeverFalls,
    OutOfSpace,
    Pool,
    Repeat,
    Stage,
    TotalAtMost,
    count,
    crossover,
    decisions,
    decode,
    encode,
    enumerate_members,
    mutate,
    neighbours,
    sample,
)
from search_spaces.automaton import option_counts
from search_spaces.making import from_decisions
from search_spaces.moves import keeps_conditions

SEEDS = st.integers(0, 2**32).map(random.Random)


def layered(counts, *, conditions=()):
    """Return a space whose one stage lets each of its layers choose for itself."""
    block = Choice(Conv(kernel=Choice(3, 5, 7)), MBConv(kernel=Choice(3, 5), expand=Choice(3, 6)))
    stage = Stage(blocks=Repeat(block, counts, independent=True), width=Choice(8, 16))
    return Network(input=(3, 32, 32), stages=(stage,), head=Classifier(classes=10), conditions=conditions)


def changed_paths(space, a, b):
    """Return the decisions open in both members that differ."""
    ours, theirs = decisions(space, a), decisions(space, b)
    return {path for path in ours.keys() & theirs.keys() if ours[path] != theirs[path]}


@given(spaces(), SEEDS, st.sampled_from(["decision", "member"]))
@FEW
def test_a_sample_is_a_member(space, rng, by):
    member = sample(space, rng, by=by)
    assert decode(space, encode(space, member)) == member
    assert keeps_conditions(space, member)


@given(spaces(), SEEDS)
@FEW
def test_mutation_changes_one_decision_and_stays_in_the_space(space, rng):
    parent = sample(space, rng)
    child = mutate(space, parent, rng)
    assert keeps_conditions(space, child)
    if any(True for _ in neighbours(space, parent)):
        assert len(changed_paths(space, parent, child)) == 1


@given(spaces(), SEEDS)
@FEW
def test_a_child_takes_each_decision_from_a_parent(space, rng):
    a, b = sample(space, rng), sample(space, rng)
    child = crossover(space, a, b, rng)
    assert keeps_conditions(space, child)
    ours, theirs, taken = (decisions(space, spec) for spec in (a, b, child))
    for path in taken.keys() & (ours.keys() | theirs.keys()):
        assert taken[path] in (ours.get(path), theirs.get(path))


@given(spaces(), SEEDS)
@FEW
def test_neighbours_are_distinct_members_one_decision_away(space, rng):
    spec = sample(space, rng)
    found = list(neighbours(space, spec))
    assert len(found) == len(set(found))
    assert spec not in found
    for neighbour in found:
        assert keeps_conditions(space, neighbour)
        assert len(changed_paths(space, spec, neighbour)) == 1


@given(spaces(), SEEDS)
@FEW
def test_being_neighbours_is_mutual_where_no_decision_opens(space, rng):
    spec = sample(space, rng)
    for neighbour in neighbours(space, spec):
        if decisions(space, spec).keys() == decisions(space, neighbour).keys():
            assert spec in set(neighbours(space, neighbour))


@given(networks(), st.data())
@FEW
def test_any_valid_code_decodes_to_a_member_or_is_refused(space, data):
    code = tuple(data.draw(st.integers(-1, n)) for n in option_counts(space).values())
    with contextlib.suppress(OutOfSpace):
        assert keeps_conditions(space, decode(space, code))


@given(st.integers(1, 3), SEEDS)
@settings(max_examples=15)
def test_new_layers_copy_the_last_one(depth, rng):
    space = layered(Choice(1, 2, 3, 6))
    parent = sample(space, rng)
    while len(parent.stages[0].blocks) != depth:
        parent = sample(space, rng)
    for child in (*neighbours(space, parent), *(mutate(space, parent, rng) for _ in range(20))):
        old, new = parent.stages[0].blocks, child.stages[0].blocks
        if len(new) > len(old):
            assert new == old + old[-1:] * (len(new) - len(old))


def test_what_opens_in_one_stage_copies_no_other_stage():
    space = Network(
        input=(3, 32, 32),
        stages=(
            Stage(blocks=(Choice(Pool(), Conv(kernel=Choice(3, 5, 7, 9))),), width=8),
            Stage(blocks=(Choice(Pool(), Conv(kernel=Choice(3, 5))),), width=8),
        ),
        head=Classifier(classes=10),
    )
    for kernel in (1, 3):  # a place that the second stage has too, and one that it has not
        first = "stages[0].blocks[0]"
        parent = from_decisions(space, {first: 1, first + "{1}.kernel": kernel, "stages[1].blocks[0]": 0})
        assert {child.stages[1].blocks[0] for child in neighbours(space, parent)} == {Pool(), Conv(kernel=3)}
        children = {mutate(space, parent, random.Random(seed)).stages[1].blocks[0] for seed in range(40)}
        assert children == {Pool(), Conv(kernel=3), Conv(kernel=5)}


def test_a_space_of_one_mutates_to_itself():
    space = Network(input=(3, 8, 8), stages=(Stage(blocks=(Conv(),), width=8),), head=Classifier(classes=2))
    assert mutate(space, space, random.Random(0)) == space
    assert list(neighbours(space, space)) == []


@pytest.mark.parametrize("condition", [TotalAtMost(limit=1), NeverFalls()])
def test_a_space_whose_conditions_nothing_keeps_is_infeasible(condition):
    stages = tuple(
        Stage(blocks=Repeat(Conv(), Choice(1, 2)), width=width) for width in (Choice(32, 64), Choice(8, 16))
    )
    space = Network(input=(3, 8, 8), stages=stages, head=Classifier(classes=2), conditions=(condition,))
    assert count(space) == 0
    assert list(enumerate_members(space)) == []
    for by in ("decision", "member"):
        with pytest.raises(Infeasible, match="no member"):
            sample(space, random.Random(0), by=by)


def test_a_code_of_the_wrong_length_is_refused():
    space = layered(2)
    with pytest.raises(OutOfSpace, match="got 2 entries, expected 9"):
        decode(space, (0, 0))


def test_a_code_that_breaks_a_condition_is_refused():
    space = layered(Choice(1, 2), conditions=(TotalAtMost(limit=1),))
    two_layers = tuple(1 if path.endswith(".count") else 0 for path in option_counts(space))
    with pytest.raises(OutOfSpace, match="conditions"):
        decode(space, two_layers)


def test_three_hundred_layers_are_no_burden():
    deep = sys.getrecursionlimit()
    for counts, expected in (
        (300, 2 * 7**300),
        (Choice(*range(291, 301)), 2 * sum(7**n for n in range(291, 301))),
    ):
        space = layered(counts)
        assert count(space) == expected
        rng = random.Random(0)
        parent = sample(space, rng, by="member")
        child = mutate(space, parent, rng)
        assert len(changed_paths(space, parent, child)) == 1
        assert decode(space, encode(space, child)) == child
        assert next(neighbours(space, parent)) != parent
        assert decisions(space, crossover(space, parent, child, rng))
    assert sys.getrecursionlimit() == deep
