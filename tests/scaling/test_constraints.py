"""Limits: their text, what breaks them, and ranges against all members of small spaces."""

import random
from dataclasses import astuple, dataclass

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scaling.constraints import (
    METRICS,
    Limit,
    Range,
    Violation,
    bounds,
    broken,
    parse_limit,
    prove_feasible,
    violations,
)
from scaling.cost import Cost, cost
from scaling.providers import ANALYTIC, check_known, values
from scaling.shares import drawn, feasible_share, share
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
from search_spaces.presets import mobile
from search_spaces.serialise import from_data, to_data

MOST = 1500  # members, of spaces that are gone through one by one
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
    """Draw small spaces, some members of which cannot be built."""
    size = Choice(6, 9, name="resolution")
    conditions = (NeverFalls(), TotalAtMost(limit=4)) if tied and draw(st.booleans()) else ()
    return Network(
        input=draw(st.sampled_from(((2, 8, 7), (1, Choice(6, 9)), (2, size, size)))),
        stem=draw(st.sampled_from((None, Stage(blocks=(Conv(),), width=Choice(4, 6))))),
        stages=tuple(draw(st.lists(stages(tied=tied), min_size=1, max_size=2))),
        head=draw(st.sampled_from((HEAD, Classifier(classes=3)))),
        conditions=conditions,
    )


def costs(space: Network) -> list[tuple[int, ...]]:
    """Return the cost of every member that can be built."""
    found = []
    for member in enumerate_members(space):
        try:
            found.append(astuple(cost(member)))
        except BadInput:
            continue
    return found


@given(spaces())
@settings(max_examples=60)
def test_ranges_are_those_of_all_members(space: Network) -> None:
    assume(count(space) <= MOST)
    found = costs(space)
    if not found:
        with pytest.raises(Infeasible):
            bounds(space, "macs")
        return
    for column, metric in zip(zip(*found, strict=True), METRICS, strict=True):
        reach = bounds(space, metric)
        assert reach.exact
        assert (reach.low, reach.high) == (min(column), max(column))


@given(spaces(tied=True))
@settings(max_examples=40)
def test_with_ties_and_conditions_no_member_lies_outside(space: Network) -> None:
    assume(count(space) <= MOST)
    found = costs(space)
    assume(found)
    for column, metric in zip(zip(*found, strict=True), METRICS, strict=True):
        reach = bounds(space, metric)
        assert reach.low <= min(column)
        assert max(column) <= reach.high
        assert not reach.exact or (reach.low, reach.high) == (min(column), max(column))


def test_a_tied_resolution_is_kept_and_its_range_exact() -> None:
    size = Choice(4, 8, name="size")
    space = Network(
        input=(1, size, size), stages=(Stage(blocks=(Conv(),), width=2),), head=Classifier(classes=3)
    )
    reach = bounds(space, "macs")
    assert (reach.low, reach.high, reach.known) == (16 * 18 + 6, 64 * 18 + 6, "exact")


def test_conditions_and_ties_across_layers_are_said_to_widen_a_range() -> None:
    alike = Repeat(Conv(kernel=Choice(1, 3, name="k")), 2, True)
    assert bounds(space_of(Stage(blocks=alike, width=4)), "macs").known == "outer"
    falling = Stage(blocks=(Conv(),), width=Choice(4, 8))
    assert bounds(space_of(falling, falling, conditions=(NeverFalls(),)), "macs").known == "outer"


def test_a_space_with_taps_is_sampled_and_never_proved_infeasible() -> None:
    merge = Merge(tap="stages.0", join=Choice("concat", "sum"))
    space = space_of(Stage(blocks=(Conv(),), width=Choice(4, 8)), Stage(blocks=(merge,), width=4))
    assert bounds(space, "macs").known == "sampled"
    prove_feasible(space, [parse_limit("macs <= 1")])


def test_too_many_variants_of_one_block_are_sampled() -> None:
    wide = MBConv(kernel=Choice(*range(1, 71)), expand=Choice(*(n / 10 for n in range(10, 80))))
    assert bounds(space_of(Stage(blocks=(wide,), width=4)), "macs").known == "sampled"


def test_an_impossible_limit_is_named_with_its_range_and_a_way_out() -> None:
    space = mobile((3, 32, 32), 10)
    low, high = bounds(space, "macs").low, bounds(space, "macs").high
    message = (
        rf"limit macs <= 1M: no architecture of this space can keep it; macs can be {low:,} to {high:,}; "
        rf"raise the limit to {low:,} or more, or give the space smaller widths"
    )
    with pytest.raises(Infeasible, match=message):
        prove_feasible(space, [parse_limit("params <= 100M"), parse_limit("macs <= 1M")])
    with pytest.raises(
        Infeasible, match=r"limit params >= 9G: .* lower the limit to [\d,]+ or less, .* larger"
    ):
        prove_feasible(space, [parse_limit("params >= 9G")])


def test_a_limit_at_the_end_of_the_range_is_feasible() -> None:
    space = mobile((3, 32, 32), 10)
    reach = bounds(space, "macs")
    prove_feasible(
        space, [Limit(metric="macs", at_most=reach.low), Limit(metric="macs", at_least=reach.high)]
    )


def test_limits_on_measured_metrics_prove_nothing() -> None:
    prove_feasible(mobile((3, 32, 32), 10), [parse_limit("latency_ms <= 0.001")])


def test_the_range_of_an_unknown_metric_is_refused() -> None:
    with pytest.raises(BadInput, match="did you mean 'macs'"):
        bounds(mobile((3, 32, 32), 10), "mac")


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("macs <= 5M", Limit(metric="macs", at_most=5e6)),
        ("params>=12.5k", Limit(metric="params", at_least=12500)),
        (" peak_bytes  <= 2G ", Limit(metric="peak_bytes", at_most=2e9)),
        ("latency_ms <= 3.5", Limit(metric="latency_ms", at_most=3.5)),
        ("macs <= 1e6", Limit(metric="macs", at_most=1e6)),
        ("1M <= macs <= 5M", Limit(metric="macs", at_least=1e6, at_most=5e6)),
        ("20k<=params<=20k", Limit(metric="params", at_least=2e4, at_most=2e4)),
        ("latency_ms@amd-epyc-2-3ad643 <= 4", Limit(metric="latency_ms@amd-epyc-2-3ad643", at_most=4.0)),
        ("0.5 <= latency_ms@desk.1 <= 4", Limit(metric="latency_ms@desk.1", at_least=0.5, at_most=4.0)),
        ("raspi4_ms<=5", Limit(metric="raspi4_ms", at_most=5.0)),
    ],
)
def test_limits_are_read_from_text_and_written_back(text: str, limit: Limit) -> None:
    assert parse_limit(text) == limit
    assert parse_limit(str(limit)) == limit


@pytest.mark.parametrize(
    "text",
    [
        "",
        "macs",
        "macs < 5M",
        "macs <= M",
        "macs <= 5m",
        "macs <= -1",
        "<= 5",
        "macs <= 5 M M",
        "macs <= 1e999",
        "5M >= macs",
        "5M <= macs",
        "1M >= macs >= 5k",
        "5M <= macs <= 1M",
        "latency_ms@ <= 4",
        "latency_ms@a b <= 4",
    ],
)
def test_text_that_says_no_limit_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="limit"):
        parse_limit(text)


@pytest.mark.parametrize("given_bounds", [{}, {"at_most": float("nan")}, {"at_least": 2.0, "at_most": 1.0}])
def test_a_limit_without_a_sound_bound_is_refused(given_bounds: dict[str, float]) -> None:
    with pytest.raises(BadInput, match="limit on macs"):
        Limit(metric="macs", **given_bounds)


@given(st.floats(0, 1e15), st.floats(0, 1e15) | st.none(), st.sampled_from(("macs", "latency_ms@desk-1")))
def test_a_limit_written_as_text_reads_back_equal(a: float, b: float | None, metric: str) -> None:
    ends = sorted((a, a if b is None else b))
    for limit in (
        Limit(metric=metric, at_most=a),
        Limit(metric=metric, at_least=a),
        Limit(metric=metric, at_least=ends[0], at_most=ends[1]),
    ):
        assert parse_limit(str(limit)) == limit


def test_limits_are_data_in_files_too() -> None:
    limit = Limit(metric="macs", at_most=5e6)
    assert from_data(Limit, to_data(limit)) == limit


def test_what_breaks_a_limit_is_told_with_its_excess() -> None:
    own = Cost(params=10, macs=150, activations=5, peak_bytes=80)
    limits = [
        Limit(metric="macs", at_most=100),
        Limit(metric="params", at_least=20),
        Limit(metric="params", at_most=10),
    ]
    assert violations(own, limits) == (
        Violation(metric="macs", value=150, bound=100, excess=0.5),
        Violation(metric="params", value=10, bound=20, excess=0.5),
    )


def test_limits_hold_any_metric_and_pass_over_those_not_known_yet() -> None:
    limits = [parse_limit("latency_ms <= 2"), parse_limit("macs <= 1")]
    assert [v.metric for v in violations({"latency_ms": 3.0}, limits)] == ["latency_ms"]
    assert [v.metric for v in violations({"latency_ms": float("nan")}, limits)] == ["latency_ms"]


@dataclass
class Known:
    """A provider that says one number and counts how often."""

    metrics: tuple[str, ...]
    value: float
    quick: bool = True
    calls: int = 0

    def of(self, network: Network) -> dict[str, float]:
        """Return the number for all metrics."""
        self.calls += 1
        return dict.fromkeys(self.metrics, self.value)

    def reach(self, space: Network, metric: str) -> Range | None:
        """Return just the number."""
        return Range(low=self.value, high=self.value, known="exact")


def test_limits_are_held_provider_by_provider_and_who_wants_one_asks_no_further() -> None:
    member = sample(mobile((3, 32, 32), 10), random.Random(0))
    first, second = Known(("latency_ms",), 3.0), Known(("latency_ms", "macs"), 9.0)
    limits = [parse_limit("latency_ms <= 2"), parse_limit("macs <= 1")]
    found = broken(member, limits, providers=(first, second, ANALYTIC))
    assert next(found) == Violation(metric="latency_ms", value=3.0, bound=2.0, excess=0.5)
    assert (first.calls, second.calls) == (1, 0)
    assert [(v.metric, v.value) for v in found] == [("macs", 9.0)]  # the first who knows a metric is asked
    assert values(member, ["macs", "params", "x"], providers=(first, second, ANALYTIC)) == {
        "macs": 9.0,
        "params": cost(member).params,
    }


def test_a_provider_that_knows_a_range_proves_a_limit_impossible() -> None:
    with pytest.raises(
        Infeasible, match=r"limit latency_ms@desk <= 2: .* latency_ms@desk can be 3\.5 to 3\.5"
    ):
        prove_feasible(
            mobile((3, 32, 32), 10),
            [parse_limit("latency_ms@desk <= 2")],
            providers=(ANALYTIC, Known(("latency_ms@desk",), 3.5)),
        )


def test_a_metric_nobody_knows_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        BadInput, match=r"limits: got 'mcas', expected one of params, macs, .*did you mean 'macs'"
    ):
        check_known(["params", "mcas"], where="limits")


def test_the_shares_of_limits_come_from_one_drawing_and_what_cannot_be_built_keeps_none() -> None:
    space = Network(
        input=(1, 4, 4),
        stages=(Stage(blocks=(Conv(kernel=Choice(3, 9), padding="valid"),), width=Choice(2, 4)),),
        head=Classifier(classes=3),
    )
    found = drawn(space, ["macs"], rng=random.Random(0), n=400)
    assert share(found, []).low < 0.5 < share(found, []).high
    half = share(found, [parse_limit("macs <= 100")])
    assert half.low < 0.25 < half.high


def test_the_feasible_share_is_that_of_all_members() -> None:
    space = space_of(
        Stage(blocks=Repeat(Conv(kernel=Choice(1, 3)), Choice(1, 2), True), width=Choice(2, 4, 8))
    )
    every = [cost(member).macs for member in enumerate_members(space)]
    limit = Limit(metric="macs", at_most=sorted(every)[5])
    share = feasible_share(space, [limit], rng=random.Random(0), n=2000)
    assert share.low < 6 / len(every) < share.high


def test_the_interval_of_a_share_is_wilsons() -> None:
    space = space_of(Stage(blocks=(Conv(),), width=2))
    share = feasible_share(space, [parse_limit("macs <= 1G")], rng=random.Random(0), n=10)
    assert share.share == 1.0
    assert share.high == pytest.approx(1.0)
    assert share.low == pytest.approx(0.7225, abs=1e-4)  # 10 of 10, Brown, Cai & DasGupta 2001


def space_of(*stages: Stage, conditions: tuple[NeverFalls, ...] = ()) -> Network:
    """Return a small space of the given stages."""
    return Network(input=(1, 8, 8), stages=stages, head=Classifier(classes=3), conditions=conditions)
