"""Limits: their text, what breaks them, and ranges against all members of small spaces."""

import random
from dataclasses import astuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.constraints import (
    METRICS,
    Limit,
    Violation,
    bounds,
    feasible_share,
    parse_limit,
    prove_feasible,
    violations,
)
from scaling.cost import Cost, cost
from search_spaces import (
    BadInput,
    Block,
    Choice,
    Classifier,
    Conv,
    DepthwiseSeparable,
    DilatedConv,
    Identity,
    Infeasible,
    MBConv,
    Merge,
    Network,
    NeverFalls,
    Pool,
    Repeat,
    Stage,
    TotalAtMost,
    count,
    enumerate_members,
    sample,
)
from search_spaces.graph import Place
from search_spaces.presets import mobile

HEAD = Classifier(classes=3, width=Choice(4, 9))
KERNEL = Choice(1, 3)
BLOCKS: tuple[Block | Choice[Block], ...] = (
    Conv(kernel=KERNEL),
    Conv(kernel=3, groups=4),  # fits only where channels divide by 4
    MBConv(expand=Choice(1.0, 3.0), se=Choice(0.0, 0.25)),
    Identity(),
    Choice(DepthwiseSeparable(kernel=KERNEL), DilatedConv(dilation=Choice(2, 3)), Pool()),
)


@st.composite
def stages(draw: st.DrawFn, *, tied: bool) -> Stage:
    """Draw stages of every kind: tuples, alike and unlike layers, open widths, strides and counts."""
    block = st.sampled_from((*BLOCKS, Conv(kernel=Choice(1, 3, name="k"))) if tied else BLOCKS)
    counts = st.sampled_from((1, 2, Choice(1, 3)))
    kinds = (
        st.builds(Repeat, block, counts, st.booleans()),
        st.lists(block, min_size=1, max_size=2).map(tuple),
        st.builds(lambda a, b: Choice(Repeat(a, 2), Repeat(b, 1)), block, block),
    )
    return Stage(
        blocks=draw(st.one_of(kinds)),
        width=draw(st.sampled_from((4, 6, Choice(4, 6, 8), Choice(8, 4)))),
        stride=draw(st.sampled_from((1, 2, Choice(1, 2)))),
    )


@st.composite
def spaces(draw: st.DrawFn, *, tied: bool = False) -> Network:
    """Draw spaces of at most a few hundred members, some of which cannot be built."""
    size = Choice(6, 9, name="resolution")
    conditions = (NeverFalls(), TotalAtMost(limit=4)) if tied and draw(st.booleans()) else ()
    space = Network(
        input=draw(st.sampled_from(((2, 8, 7), (1, Choice(6, 9)), (2, size, size)))),
        stem=draw(st.sampled_from((None, Stage(blocks=(Conv(),), width=Choice(4, 6))))),
        stages=tuple(draw(st.lists(stages(tied=tied), min_size=1, max_size=2))),
        head=draw(st.sampled_from((HEAD, Classifier(classes=3)))),
        conditions=conditions,
    )
    return space if count(space) <= 400 else draw(st.nothing())


def costs(space: Network) -> list[tuple[int, ...]]:
    """Return the cost of every member that can be built."""
    found = []
    for member in enumerate_members(space):
        try:
            found.append(astuple(cost(member)))
        except BadInput:
            continue
    return found
