"""Samplers of a supernet's members: what a step trains."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from nas.proposal import Settings
from nas.sharing import Fair, Inherited, Sampler, Sandwich, SharedTraining, Space, Uniform, macs, space_for
from scaling.constraints import parse_limit
from scaling.cost import cost
from search_spaces import Choice, Classifier, Conv, MBConv, Network, NeverFalls, Repeat, Stage, decisions
from search_spaces.extremes import extreme
from search_spaces.moves import enumerate_members, keeps_conditions, sample
from search_spaces.presets import mixed, mobile
from search_spaces.serialise import from_data, to_data

FLAT = Network(
    input=(1, 8, 8),
    stages=(
        Stage(
            blocks=Repeat(MBConv(kernel=Choice(3, 5, 7), expand=Choice(2.0, 3.0, 4.0)), 2, independent=True),
            width=Choice(4, 8, 12),
        ),
    ),
    head=Classifier(classes=10),
)
SAMPLERS = [
    Uniform(),
    Uniform(paths_a_step=3, by="member"),
    Fair(),
    Sandwich(),
    Sandwich(distil=False, between=0),
]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_members_are_of_the_space_keep_conditions_and_limits_and_follow_from_the_seed(
    sampler: Sampler,
) -> None:
    space = Space(mixed((1, 8, 8), 10), (parse_limit("macs <= 1M"),))
    for seed in range(3):
        paths = sampler.paths(space, random.Random(seed))
        assert paths == sampler.paths(space, random.Random(seed))
        for member in paths:
            decisions(space.network, member)
            assert keeps_conditions(space.network, member)
            assert cost(member).macs <= 1e6


def test_a_fair_step_takes_every_option_of_every_choice_equally_often() -> None:
    for seed in range(20):
        dealt = Fair().paths(Space(FLAT), random.Random(seed))
        taken = Counter(item for member in dealt for item in decisions(FLAT, member).items())
        assert len(dealt) == 3
        assert len(taken) == 5 * 3
        assert set(taken.values()) == {1}


def test_where_options_do_not_divide_the_members_none_comes_up_more_than_once_more() -> None:
    space = mobile((1, 8, 8), 10)
    for seed in range(5):
        dealt = Fair(paths_a_step=5).paths(Space(space), random.Random(seed))
        taken: dict[str, Counter[int]] = {}
        for member in dealt:
            for path, option in decisions(space, member).items():
                taken.setdefault(path, Counter())[option] += 1
        assert all(max(counts.values()) - min(counts.values()) <= 1 for counts in taken.values())


def test_a_sandwich_is_the_largest_the_smallest_and_some_between() -> None:
    space = mobile((1, 8, 8), 10)
    large, one, other, small = Sandwich().paths(Space(space), random.Random(0))
    assert large == extreme(space, "largest", random.Random(1))
    assert small == extreme(space, "smallest", random.Random(1))
    assert macs(small) < min(macs(one), macs(other)) <= max(macs(one), macs(other)) < macs(large)
    assert large.stages[0].blocks[0].kernel == 7  # type: ignore[union-attr, index]
    assert [len(stage.blocks) for stage in small.stages] == [1, 2, 2, 2, 2]  # type: ignore[union-attr, arg-type]


def test_extremes_keep_conditions() -> None:
    stages = (Stage(blocks=(Conv(),), width=Choice(8, 32)), Stage(blocks=(Conv(),), width=Choice(4, 16)))
    space = Network(input=(1, 8, 8), stages=stages, head=Classifier(classes=2), conditions=(NeverFalls(),))
    widths = [stage.width for stage in extreme(space, "largest", random.Random(0)).stages]  # type: ignore[union-attr]
    assert widths == [8, 16]


def test_only_limits_that_formulas_know_shape_the_training() -> None:
    space = space_for(FLAT, SharedTraining(limits=("macs <= 1M", "latency_ms <= 4")), random.Random(0))
    assert [limit.metric for limit in space.limits] == ["macs"]
    assert space.starts == ()  # most members keep it: drawing will do


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_members_keep_limits_that_one_draw_in_hundreds_keeps(sampler: Sampler) -> None:
    settings = SharedTraining(limits=("macs <= 40M",))
    space = space_for(mobile((1, 32, 32), 10), settings, random.Random(0))
    assert len(space.starts) > 16
    paths = [member for step in range(3) for member in sampler.paths(space, random.Random(step))]
    assert all(cost(member).macs <= 40e6 for member in paths)
    assert len(set(paths)) > 1


def test_walks_within_limits_come_to_all_that_keep_them_about_alike() -> None:
    layer = Choice(Conv(kernel=Choice(3, 5)), MBConv(kernel=Choice(3, 5), expand=2.0))
    stage = Stage(blocks=Repeat(layer, Choice(1, 2), independent=True), width=Choice(4, 8, 12))
    small = replace(FLAT, stages=(stage,))
    keeps = [member for member in enumerate_members(small) if cost(member).macs <= 40_000]
    space = Space(small, (parse_limit("macs <= 40000"),), starts=tuple(keeps[:1]))
    assert 20 < len(keeps) < 50  # of 60
    rng = random.Random(0)
    seen: Counter[Network] = Counter()
    for _ in range(40 * len(keeps)):
        seen[space.one(rng)] += 1
    assert seen.keys() == set(keeps)
    assert sum((n - 40) ** 2 / 40 for n in seen.values()) < 2.5 * len(keeps)  # chi-squared over its freedom


def test_where_no_member_keeps_the_limits_the_nearest_of_some_draws_is_trained() -> None:
    settings = SharedTraining(limits=("macs <= 1k",))
    space = space_for(FLAT, settings, random.Random(0))
    assert space.starts == ()
    assert space.excess(space.one(random.Random(0))) <= min(
        space.excess(sample(FLAT, random.Random(seed))) for seed in range(50)
    )


@pytest.mark.parametrize(
    "given", [SharedTraining(sampler=Fair(paths_a_step=2), limits=("macs <= 1M",)), Inherited()]
)
def test_settings_survive_json(given: Settings) -> None:
    assert from_data(Settings, to_data(given)) == given
