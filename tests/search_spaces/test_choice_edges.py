"""The corners of the three combinators, each by a literal an eye can check."""

import random
from dataclasses import dataclass, field

import pytest

from search_spaces import (
    BadSpec,
    Choice,
    Classifier,
    Conv,
    HybridDilated,
    MBConv,
    Network,
    NeverFalls,
    OutOfSpace,
    Pick,
    Repeat,
    Stage,
    TotalAtMost,
    count,
    decisions,
    enumerate_members,
    resolve,
    sample,
)
from search_spaces.automaton import slots
from search_spaces.check import check_choices
from search_spaces.choice import SPACE_ONLY
from search_spaces.making import from_decisions


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    a: object = 0
    b: object = 0


def net(*stages, conditions=()):
    return Network(input=(3, 16, 16), stages=stages, head=Classifier(classes=2), conditions=conditions)


def members(space):
    return list(enumerate_members(space))


def test_a_choice_directly_inside_a_choice():
    space = (Choice(Choice(1, 2), 3),)
    assert members(space) == [(1,), (2,), (3,)]
    assert decisions(space, (2,)) == {"[0]": 0, "[0]{0}": 1}


def test_a_choice_of_repeats():
    space = Pair(a=Choice(Repeat("x", Choice(1, 2)), Repeat("y", 3)))
    assert [m.a for m in members(space)] == [("x",), ("x", "x"), ("y", "y", "y")]
    assert decisions(space, Pair(a=("x", "x"))) == {"a": 0, "a{0}.count": 1}


def test_repeats_of_equal_items_and_lengths_overlap():
    with pytest.raises(BadSpec, match="options 0 and 1 that overlap"):
        check_choices(Pair(a=Choice(Repeat("x", Choice(1, 2)), Repeat("x", Choice(2, 3)))))


def test_a_shared_repeat_decides_once_and_an_independent_one_for_each_layer():
    shared, own = (Pair(a=Repeat(Choice(1, 2), Choice(1, 2), independent)) for independent in (False, True))
    assert [m.a for m in members(shared)] == [(1,), (2,), (1, 1), (2, 2)]
    assert [m.a for m in members(own)] == [(1,), (2,), (1, 1), (1, 2), (2, 1), (2, 2)]
    assert list(decisions(shared, Pair(a=(2, 2)))) == ["a.count", "a.item"]
    assert list(decisions(own, Pair(a=(2, 1)))) == ["a.count", "a[0]", "a[1]"]


def test_counts_tied_by_name():
    tied = Choice(1, 3, name="depth")
    space = Pair(a=Repeat("x", tied), b=Repeat("y", tied))
    assert [(len(m.a), len(m.b)) for m in members(space)] == [(1, 1), (3, 3)]
    assert decisions(space, members(space)[1]) == {"@depth": 1}


def test_a_count_tied_to_another_field():
    space = Pair(a=Repeat("x", Choice(1, 2, name="n")), b=Choice(1, 2, name="n"))
    assert members(space) == [Pair(a=("x",), b=1), Pair(a=("x", "x"), b=2)]


def test_tied_choices_of_which_one_is_not_open():
    """a: open once (free) or twice (tied): 1 * 3 + 3 members, not 2 * 3 and not 3 * 3 + 3."""
    tied = Choice(1, 2, 3, name="k")
    space = Pair(a=Choice("none", Pair(a=tied)), b=tied)
    assert count(space) == 6
    assert len(set(members(space))) == 6
    assert all(m.a == "none" or m.a.a == m.b for m in members(space))


def test_tied_choices_that_are_never_open_together():
    tied = Choice(1, 2, name="k")
    space = Pair(a=Choice(Pair(a=tied), Pair(a="x", b=tied)))
    assert count(space) == len(set(members(space))) == 4


def test_ties_inside_options_and_repeats():
    tied = Choice(3, 5, name="k")
    space = Pair(a=Repeat(Choice(Pair(a=tied), "skip"), 3, independent=True), b=Choice("x", Pair(a=tied)))
    assert count(space) == len(set(members(space)))
    # a and b hold 2^3 * 2 shapes of which all but (skip, skip, skip, x) open the tie
    assert count(space) == 15 * 2 + 1


def test_a_spec_that_breaks_a_tie_is_out_of_the_space():
    tied = Choice(3, 5, name="k")
    with pytest.raises(OutOfSpace, match=r"^b: got 5, expected 3, the value already taken .* tied as 'k'"):
        decisions(Pair(a=tied, b=tied), Pair(a=3, b=5))


def test_ties_of_unlike_options_are_refused():
    with pytest.raises(BadSpec, match=r"^b: got the options \(1, 3\), expected \(1, 2\) as at a, .*'k'"):
        check_choices(Pair(a=Choice(1, 2, name="k"), b=Choice(1, 3, name="k")))


def test_tied_choices_may_have_options_with_insides():
    tied = Choice(Pair(a=Choice(1, 2)), "skip", name="op")
    space = Pair(a=tied, b=tied)
    assert count(space) == 2 * 2 + 1
    assert slots(space) == ("@op", "a{0}.a", "b{0}.a")


def test_options_that_are_tuples():
    space = net(
        Stage(blocks=(HybridDilated(rates=Choice((1, 2), (1, 2, 5)), kernel=Choice(3, (3, 5))),), width=8)
    )
    blocks = [m.stages[0].blocks[0] for m in members(space)]
    assert [(b.kernel, b.rates) for b in blocks] == [
        (3, (1, 2)), (3, (1, 2, 5)), ((3, 5), (1, 2)), ((3, 5), (1, 2, 5)),
    ]  # fmt: skip


def test_none_as_an_option():
    space = Network(
        input=(3, 8, 8),
        stem=Choice(None, Stage(blocks=(Conv(),), width=Choice(8, 16))),
        stages=(Stage(blocks=(Conv(),), width=8),),
        head=Classifier(classes=2, width=Choice(None, 32)),
    )
    assert count(space) == 3 * 2
    assert {(m.stem and m.stem.width, m.head.width) for m in members(space)} == {
        (stem, head) for stem in (None, 8, 16) for head in (None, 32)
    }


def test_true_one_and_one_point_zero_are_different_options():
    space = (Choice(True, 1, 1.0),)
    assert [decisions(space, (value,))["[0]"] for value in (True, 1, 1.0)] == [0, 1, 2]
    assert [type(m[0]) for m in members(space)] == [bool, int, float]


def test_a_pick_takes_options_in_order_and_asks_only_for_what_it_took():
    space = Pair(a=Pick(2, "x", Pair(a=Choice(1, 2)), "z"))
    assert [m.a for m in members(space)] == [
        ("x", Pair(a=1)), ("x", Pair(a=2)), ("x", "z"), (Pair(a=1), "z"), (Pair(a=2), "z"),
    ]  # fmt: skip
    assert decisions(space, Pair(a=("x", "z"))) == {"a": 1}


@pytest.mark.parametrize("k", [0, 4, True, 1.0, "2"])
def test_a_pick_of_an_impossible_number_is_refused(k):
    with pytest.raises(BadSpec, match="expected 1 <= k <= 3"):
        Pick(k, 1, 2, 3)


def test_a_pick_with_too_many_combinations_is_refused():
    with pytest.raises(BadSpec, match="combinations"):
        Pick(10, *range(40))


def test_a_choice_without_options_is_refused():
    with pytest.raises(BadSpec, match="no options"):
        Choice()


@pytest.mark.parametrize(
    "options",
    [
        (3, 3),
        (Pair(a=Choice(1, 2)), Pair(a=2)),
        ((1, Choice(2, 3)), (1, 3)),
        (Choice(1, 2), 2),
        (Repeat("x", 2), ("x", "x")),
        (Pick(1, "x", "y"), Pick(1, "y", "z")),
        (Pick(2, "x", "y"), Repeat(Choice("x", "y"), 2, independent=True)),
        (Pick(1, "x", "y"), ("y",)),
        (None, None),
    ],
)
def test_overlapping_options_are_refused(options):
    with pytest.raises(BadSpec, match=r"^a: got options 0 and 1 that overlap .*remove or narrow"):
        check_choices(Pair(a=Choice(*options)))


@pytest.mark.parametrize(
    "options",
    [
        (1, True, 1.0, "1", None),
        (Pair(a=Choice(1, 2)), Pair(a=3)),
        (Repeat("x", 2), Repeat("x", 3), Repeat("y", 2)),
        ((1, 2), (1, 2, 3)),
        (Choice(1, 2), Choice(3, 4), 5),
        (Pick(2, "x", "y"), Repeat("x", 2), Pick(1, "x", "y")),
    ],
)
def test_options_that_cannot_be_confused_are_taken(options):
    space = Pair(a=Choice(*options))
    check_choices(space)
    assert count(space) == len(members(space))


@pytest.mark.parametrize("bad", [0, -1, True, 1.0, 10**6, Choice(0, 1)])
def test_a_repeat_of_an_impossible_number_is_refused(bad):
    with pytest.raises(BadSpec, match=r"^a\.count: got .*, expected a whole number of layers, 1 to 4096$"):
        check_choices(Pair(a=Repeat("x", bad)))


def test_a_thousand_widths_are_no_burden_and_more_are_refused():
    check_choices(Pair(a=Choice(*range(1024))))
    with pytest.raises(BadSpec, match="got 1,025 options"):
        check_choices(Pair(a=Choice(*range(1025))))


def test_fields_with_factories_are_nodes_like_others():
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Made:
        width: object = field(default_factory=lambda: Choice(1, 2))
        notes: tuple[str, ...] = field(default_factory=lambda: ("space",), metadata=SPACE_ONLY)

    assert members(Made()) == [Made(width=1), Made(width=2)]


def test_a_field_that_only_a_space_has_needs_a_default():
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Bare:
        notes: str = field(metadata=SPACE_ONLY)

    with pytest.raises(BadSpec, match="needs a default"):
        count(Bare(notes="x"))


def test_what_is_no_node_is_refused():
    for thing in ([1, 2], {"a": 1}, object(), {1}):
        with pytest.raises(BadSpec, match="expected a dataclass, tuple, number"):
            count(Pair(a=thing))


def test_a_decision_that_is_missing_or_out_of_range_is_refused():
    space = Pair(a=Choice(1, 2))
    for chosen in ({}, {"a": 2}, {"a": -1}):
        with pytest.raises(OutOfSpace, match=r"^a: got option .*, expected 0 to 1"):
            from_decisions(space, chosen)


def test_each_decision_is_asked_once_outer_before_inner_and_a_count_before_its_items():
    tied = Choice(1, 2, name="k")
    space = Pair(a=Repeat(Choice(Pair(a=tied, b=tied), "x"), Choice(1, 2), independent=True), b=tied)
    asked = []
    resolve(space, lambda path, options: asked.append(path) or len(options) - len(options))
    assert asked == ["a.count", "a[0]", "@k"]


def test_conditions_count_the_blocks_of_shared_and_of_independent_repeats():
    for independent in (False, True):
        deep = Stage(blocks=Repeat(Conv(), Choice(1, 2, 3), independent), width=8)
        space = net(deep, deep, conditions=(TotalAtMost(limit=4),))
        depths = {tuple(len(s.blocks) for s in m.stages) for m in members(space)}
        assert depths == {(a, b) for a in (1, 2, 3) for b in (1, 2, 3) if a + b <= 4}


def test_conditions_read_tuples_choices_of_repeats_and_tied_widths():
    either = Choice(Repeat(Conv(), Choice(1, 2)), Repeat(MBConv(), 3))
    width = Choice(8, 16, name="w")
    space = net(
        Stage(blocks=either, width=width),
        Stage(blocks=(Conv(), Conv()), width=Choice(8, 16)),
        Stage(blocks=(Conv(),), width=width),
        conditions=(TotalAtMost(limit=5), NeverFalls()),
    )
    found = {(len(m.stages[0].blocks), *(s.width for s in m.stages)) for m in members(space)}
    assert found == {(depth, *widths) for depth in (1, 2) for widths in ((8, 8, 8), (16, 16, 16))}


def test_a_stride_given_by_axis_is_read_by_axis():
    stages = [Stage(blocks=(Conv(),), width=8, stride=Choice(1, (2, 1))) for _ in range(2)]
    space = net(*stages, conditions=(TotalAtMost(of="stages.stride", limit=4),))
    assert {tuple(s.stride for s in m.stages) for m in members(space)} == {(1, 1), (1, (2, 1)), ((2, 1), 1)}


def test_the_stem_is_no_stage_for_conditions():
    space = Network(
        input=(3, 8, 8),
        stem=Stage(blocks=(Conv(),), width=64),
        stages=(Stage(blocks=(Conv(),), width=Choice(8, 16)),),
        head=Classifier(classes=2),
        conditions=(NeverFalls(),),
    )
    assert count(space) == 2


def test_each_network_of_a_larger_space_keeps_its_own_conditions():
    free = net(*[Stage(blocks=(Conv(),), width=Choice(8, 16))] * 2)
    bound = net(*[Stage(blocks=(Conv(),), width=Choice(8, 16))] * 2, conditions=(NeverFalls(),))
    assert (count(free), count(bound)) == (4, 3)
    assert count(Pair(a=free, b=bound)) == 12
    assert count(Pair(a=bound, b=bound)) == 9
    assert count(Pair(a=Choice(Pair(a=bound), Pair(b=free)))) == 7


def test_a_fixed_network_that_breaks_its_own_condition_has_no_members():
    stages = (Stage(blocks=(Conv(),), width=16), Stage(blocks=(Conv(),), width=8))
    assert count(net(*stages, conditions=(NeverFalls(),))) == 0


def test_sampling_a_space_of_one_gives_it():
    space = net(Stage(blocks=(Conv(),), width=8))
    assert sample(space, random.Random(0)) == space
