"""Ranges of spaces with shared cells, held against all members of small ones and of NAS-Bench-201."""

from __future__ import annotations

import random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scaling.constraints import bounds, parse_limit, prove_feasible
from scaling.cost import Cost, cost
from search_spaces import (
    Block,
    Cell,
    Choice,
    Classifier,
    Conv,
    Edge,
    Identity,
    Infeasible,
    Network,
    NeverFalls,
    Pick,
    Pool,
    Repeat,
    Shared,
    Stage,
    Use,
    count,
    enumerate_members,
    sample,
)
from search_spaces.cell_blocks import ActConv, ActSeparable, Skip, Zero
from search_spaces.errors import Unbuildable
from search_spaces.graph import NO_NORM, Norm
from search_spaces.presets import preset

SUMS = ("params", "macs", "activations")
MOST = 400  # members of the small spaces
OPERATIONS: tuple[Block, ...] = (
    Skip(), Zero(), Pool(kind="max"), ActConv(kernel=1), ActConv(kernel=3), ActSeparable(kernel=3),
    ActConv(kernel=3, act="prelu"),
)  # fmt: skip


def reached(space: Network) -> list[Cost]:
    """Return the cost of every member that can be built."""
    found = []
    for member in enumerate_members(space):
        try:
            found.append(cost(member))
        except Unbuildable:
            continue
    return found


def lies_within(space: Network, found: list[Cost]) -> None:
    for metric in SUMS:
        values = [getattr(one, metric) for one in found]
        reach = bounds(space, metric)
        assert reach.low <= min(values)
        assert max(values) <= reach.high
        assert not reach.exact or (reach.low, reach.high) == (min(values), max(values))


@st.composite
def operations(draw: st.DrawFn) -> Block | Choice[Block]:
    ops = draw(st.lists(st.sampled_from(OPERATIONS), min_size=1, max_size=3, unique=True))
    return ops[0] if len(ops) == 1 else Choice(*ops)


@st.composite
def cells(draw: st.DrawFn, inputs: int) -> Cell:
    """Draw cells of every kind: picked edges, chosen sources, open activations and norms, strided inputs."""
    nodes: list[tuple[Edge, ...] | Pick[Edge]] = []
    for number in range(inputs, inputs + draw(st.integers(1, 2))):
        edges = tuple(Edge(source=i, op=draw(operations())) for i in range(number))
        k = draw(st.integers(1, len(edges)))
        chosen = Edge(source=Choice(*range(number)) if number > 1 else 0, op=draw(operations()))
        nodes.append(draw(st.sampled_from((edges, (chosen,), Pick(k, *edges)))))
    return Cell(
        inputs=inputs,  # type: ignore[arg-type]
        nodes=tuple(nodes),
        output=draw(st.sampled_from(("loose", (inputs,), (inputs + len(nodes) - 1, inputs)))),
        preprocess=draw(st.sampled_from((True, False, "newer") if inputs == 2 else (True, False))),
        act=draw(st.sampled_from(("relu", Choice("relu", "prelu")))),
        norm=draw(st.sampled_from((Norm(), Choice(Norm(), NO_NORM)))),
    )


@st.composite
def spaces(draw: st.DrawFn) -> Network:
    """Draw small spaces of shared cells, some in skeletons that are searched, too."""
    inputs = draw(st.sampled_from((1, 2)))
    normal, other = draw(cells(inputs)), draw(st.one_of(cells(inputs), st.just(Choice(Conv(), Identity()))))
    use = Use(name="normal")
    depth = draw(st.sampled_from((1, 2, Choice(1, 2))))
    return Network(
        input=(3, 8, 7),
        stem=Stage(blocks=(Conv(),), width=4),
        stages=(
            Stage(blocks=Repeat(use, depth), width=draw(st.sampled_from((4, Choice(4, 6))))),
            Stage(blocks=(Use(name="other"), use), width=6, stride=draw(st.sampled_from((1, 2)))),
        ),
        head=Classifier(classes=3),
        shared=(Shared(name="normal", block=normal), Shared(name="other", block=other)),
    )


@given(spaces())
@settings(max_examples=25)
def test_ranges_of_shared_cells_are_those_of_all_members(space: Network) -> None:
    assume(count(space) <= MOST)
    found = reached(space)
    assume(found)
    if bounds(space, "macs").known != "sampled":
        lies_within(space, found)


@pytest.mark.slow
@given(spaces())
@settings(max_examples=1000)
def test_ranges_of_many_shared_cells_are_those_of_all_members(space: Network) -> None:
    assume(count(space) <= 10 * MOST)
    found = reached(space)
    assume(found)
    if bounds(space, "macs").known != "sampled":
        lies_within(space, found)


@pytest.mark.parametrize(("name", "known"), [("nasbench201", "exact"), ("darts", "exact")])
def test_the_cell_presets_have_exact_ranges_that_hold_what_is_drawn(name: str, known: str) -> None:
    space, rng = preset(name, (3, 32, 32), classes=10), random.Random(0)
    drawn = [cost(sample(space, rng, by="member")) for _ in range(60)]
    for metric in SUMS:
        reach = bounds(space, metric)
        assert reach.known == known
        assert all(reach.low <= getattr(one, metric) <= reach.high for one in drawn)


def test_the_ends_of_nasbench201_are_its_empty_and_its_fullest_cell() -> None:
    space = preset("nasbench201", (3, 32, 32), classes=10)
    assert (bounds(space, "params").low, bounds(space, "params").high) == (73_306, 1_531_546)
    assert (bounds(space, "macs").low, bounds(space, "macs").high) == (7_783_040, 220_119_680)


@pytest.mark.slow
def test_the_ranges_of_nasbench201_are_those_of_its_15625_cells() -> None:
    space = preset("nasbench201", (3, 32, 32), classes=10)
    found = reached(space)
    assert len(found) == 15_625
    lies_within(space, found)


def test_picked_edges_are_the_cheapest_and_the_dearest_ones() -> None:
    edges = (Edge(source=0, op=ActConv(kernel=1)), Edge(source=0, op=Choice(Skip(), ActConv(kernel=3))))
    cell = Cell(inputs=1, preprocess=False, nodes=(Pick(1, *edges),), output=(1,))
    space = Network(
        input=(4, 5, 5),
        stages=(Stage(blocks=Repeat(Use(name="cell"), 3), width=4),),
        head=Classifier(classes=2),
        shared=(Shared(name="cell", block=cell),),
    )
    head = 4 * 2
    assert (bounds(space, "macs").low, bounds(space, "macs").high) == (head, head + 3 * 25 * 4 * 4 * 9)


def test_conditions_and_ties_only_widen_what_is_known() -> None:
    tied = Choice(ActConv(kernel=1), ActConv(kernel=3), name="op")
    cell = Cell(
        inputs=1, preprocess=False, nodes=((Edge(source=0, op=tied), Edge(source=0, op=tied)),), output=(1,)
    )
    space = Network(
        input=(4, 5, 5),
        stages=(Stage(blocks=(Use(name="cell"),), width=4),),
        head=Classifier(classes=2),
        shared=(Shared(name="cell", block=cell),),
    )
    assert bounds(space, "macs").known == "outer"
    free = Stage(blocks=(Use(name="cell"),), width=Choice(4, 8))
    falling = Network(
        input=(4, 5, 5),
        stages=(free, free),
        head=Classifier(classes=2),
        shared=(
            Shared(name="cell", block=Cell(inputs=1, nodes=((Edge(source=0, op=Skip()),),), output=(1,))),
        ),
        conditions=(NeverFalls(),),
    )
    assert bounds(falling, "params").known == "outer"
    lies_within(falling, reached(falling))


def test_an_impossible_limit_on_cells_is_proved_impossible() -> None:
    space = preset("darts", (3, 32, 32), classes=10)
    with pytest.raises(Infeasible, match=r"limit macs <= 20M: .* macs can be 20,466,176 to 81,873,408"):
        prove_feasible(space, [parse_limit("macs <= 20M")])
    prove_feasible(space, [parse_limit("macs <= 20.5M"), parse_limit("params >= 492k")])
