"""Both samplings are what their names say, by chi-square tests with fixed seeds."""

import random
from collections import Counter

import pytest

from search_spaces import (
    Choice,
    Classifier,
    Conv,
    MBConv,
    Network,
    NeverFalls,
    Repeat,
    Stage,
    TotalAtMost,
    count,
    enumerate_members,
    sample,
)

DRAWS = 6000


def plain():
    block = Choice(Conv(kernel=Choice(3, 5)), MBConv(expand=Choice(3, 4, 6)))
    return Network(
        input=(3, 8, 8),
        stages=(Stage(blocks=Repeat(block, Choice(1, 2), independent=True), width=8),),
        head=Classifier(classes=2),
    )


def tied():
    kernel = Choice(3, 5, 7, name="kernel")
    block = Choice(Conv(kernel=kernel), MBConv(expand=Choice(3, 6)))
    stages = (
        Stage(blocks=(block,), width=Choice(8, 16, name="width")),
        Stage(blocks=(Conv(kernel=kernel),), width=Choice(8, 16, name="width")),
    )
    return Network(input=(3, 8, 8), stages=stages, head=Classifier(classes=2))


def conditioned():
    stage = Stage(blocks=Repeat(Conv(), Choice(1, 2, 3)), width=Choice(8, 16, 24))
    return Network(
        input=(3, 8, 8),
        stages=(stage, stage),
        head=Classifier(classes=2),
        conditions=(NeverFalls(), TotalAtMost(limit=4)),
    )


def assert_uniform(counts, cells):
    """Refuse where chi-square is four standard deviations above its mean: a false alarm in some 10,000."""
    expected = sum(counts.values()) / cells
    chi_square = sum((n - expected) ** 2 for n in counts.values()) / expected
    chi_square += expected * (cells - len(counts))
    freedom = cells - 1
    assert chi_square < freedom + 4 * (2 * freedom) ** 0.5, counts


@pytest.mark.parametrize("space", [plain(), tied(), conditioned()], ids=["plain", "tied", "conditioned"])
def test_sampling_by_member_gives_all_members_the_same_chance(space):
    rng = random.Random(20)
    drawn = Counter(sample(space, rng, by="member") for _ in range(DRAWS))
    assert set(drawn) <= set(enumerate_members(space))
    assert_uniform(drawn, count(space))


def test_sampling_by_decision_gives_each_depth_the_same_chance_and_by_member_does_not():
    space, rng = plain(), random.Random(21)
    by_decision = Counter(len(sample(space, rng).stages[0].blocks) for _ in range(DRAWS))
    assert_uniform(by_decision, 2)
    by_member = Counter(len(sample(space, rng, by="member").stages[0].blocks) for _ in range(DRAWS))
    assert by_member[1] / DRAWS == pytest.approx(5 / 30, abs=0.03)  # 5 members of depth 1, 25 of depth 2


def test_sampling_by_decision_is_uniform_over_the_options_that_lead_somewhere():
    """A first width of 64 leaves nothing for the second: 16 and 32 share the chance, and then so on."""
    widths = (Choice(16, 32, 64), Choice(16, 32))
    space = Network(
        input=(3, 8, 8),
        stages=tuple(Stage(blocks=(Conv(),), width=width) for width in widths),
        head=Classifier(classes=2),
        conditions=(NeverFalls(),),
    )
    rng = random.Random(22)
    drawn = Counter(tuple(s.width for s in sample(space, rng).stages) for _ in range(DRAWS))
    assert set(drawn) == {(16, 16), (16, 32), (32, 32)}
    assert_uniform(Counter({16: drawn[16, 16] + drawn[16, 32], 32: drawn[32, 32]}), 2)
    assert_uniform(Counter({16: drawn[16, 16], 32: drawn[16, 32]}), 2)


def test_a_tied_decision_is_drawn_once():
    space, rng = tied(), random.Random(23)
    drawn = Counter(sample(space, rng).stages[1].blocks[0].kernel for _ in range(DRAWS))
    assert_uniform(drawn, 3)


def test_equal_seeds_draw_equal_members():
    space = plain()
    for by in ("decision", "member"):
        first, second = ([sample(space, random.Random(seed), by=by) for seed in range(20)] for _ in range(2))
        assert first == second
