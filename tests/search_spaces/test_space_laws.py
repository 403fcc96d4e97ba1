"""Laws of the walk: every space, its members, their decisions and codes belong together."""

from generated import FEW, networks, spaces, walked
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import (
    Network,
    NeverFalls,
    TotalAtMost,
    count,
    decisions,
    decode,
    encode,
    enumerate_members,
    key,
    resolve,
)
from search_spaces.automaton import option_counts, slots
from search_spaces.check import check_choices, combinators
from search_spaces.making import from_decisions


@given(spaces())
@FEW
def test_generated_spaces_are_sound(space):
    check_choices(space)


@given(spaces())
@FEW
def test_decisions_and_resolve_are_each_others_inverse(space):
    for chosen, member in walked(space):
        assert decisions(space, member) == chosen
        assert from_decisions(space, chosen) == member


@given(spaces())
def test_count_and_enumeration_agree_with_a_brute_force_walk(space):
    kept = [member for _, member in walked(space) if keeps_by_hand(space, member)]
    listed = list(enumerate_members(space))
    assert len(listed) == len(set(listed)) == count(space) == len(kept)
    assert set(listed) == set(kept)


@given(spaces())
@FEW
def test_members_hold_no_combinator_and_no_condition(space):
    for member in enumerate_members(space):
        assert not list(combinators(member))
        assert not isinstance(member, Network) or member.conditions == ()


@given(spaces())
@FEW
def test_a_member_is_a_space_of_one(space):
    member = next(enumerate_members(space))
    assert count(member) == 1
    assert decisions(member, member) == {}
    assert resolve(member, lambda *_: 0) == member


@given(spaces())
@FEW
def test_encoding_is_of_one_length_and_undone_by_decoding(space):
    members = list(enumerate_members(space))
    codes = [encode(space, member) for member in members]
    assert {len(code) for code in codes} == {len(slots(space))}
    assert [decode(space, code) for code in codes] == members


@given(spaces())
@FEW
def test_a_path_always_has_the_same_options(space):
    seen = {}

    def choose(path, options):
        assert seen.setdefault(path, options) == options
        assert len(options) == option_counts(space)[path]
        return 0

    for chosen, _ in walked(space):
        resolve(space, lambda path, options, chosen=chosen: choose(path, options) or chosen[path])


@given(networks(), st.data())
@FEW
def test_keys_are_equal_just_where_members_are(space, data):
    members = list(enumerate_members(space))
    assert len({key(member) for member in members}) == len(members)
    chosen = data.draw(st.sampled_from(members))
    assert key(decode(space, encode(space, chosen))) == key(chosen)


def keeps_by_hand(space, member):
    """Check the conditions of a network in the plainest way."""
    if not isinstance(space, Network):
        return True
    widths = [stage.width for stage in member.stages]
    depths = [len(stage.blocks) for stage in member.stages]
    for condition in space.conditions:
        values = widths if condition.of == "stages.width" else depths
        if isinstance(condition, NeverFalls) and values != sorted(values):
            return False
        if isinstance(condition, TotalAtMost) and sum(values) > condition.limit:
            return False
    return True
