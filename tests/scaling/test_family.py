"""Families: targets against every network of the curve, merging, and what is said where nothing can be done."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scaling.compound import Scaling
from scaling.constraints import METRICS, Limit, violations
from scaling.cost import cost
from scaling.curve import Curve
from scaling.family import CLOSE, Family, Request, family, parse_target
from scaling.providers import ANALYTIC
from scaling.ranges import Range
from scaling.rounding import Rounding
from scaling.rules import Compound, DepthOnly, DWr, ResolutionOnly, Row, Rule, Table, WidthOnly
from scaling.targets import largest
from search_spaces import (
    BadInput,
    BadSpec,
    Classifier,
    Conv,
    Infeasible,
    Network,
    Skip,
    Stage,
    Unbuildable,
    key,
    sample,
)
from search_spaces.presets import PRESETS, mobile
from search_spaces.zoo import model

RULES: tuple[Rule, ...] = (Compound(), DWr(), WidthOnly(), Compound(alpha=1.4, beta=1.05, gamma=1.1))
ROUNDINGS = (
    Rounding(),
    Rounding(divisor=1, repeats="round"),
    Rounding(divisor=4, keep=0.0, repeats="floor", resolution_multiple=4),
)
SHAPES = ((3, 16, 16), (1, 20, 13), (2, 33), (1, 9, 8, 7))
WINDOW = 6  # quarters of phi on either side of 0 in which all networks are looked at


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    """Draw curves of random members of every preset and of models in which widths coincide."""
    name = draw(st.sampled_from((*PRESETS, "shufflenet_v2_x0_5", "squeezenet1_1", "lenet5")))
    if name in PRESETS:
        space = PRESETS[name](draw(st.sampled_from(SHAPES)), 10)
        base = sample(space, random.Random(draw(st.integers(0, 10**6))))
    else:
        base = model(name)
    try:
        cost(base)
    except Unbuildable:
        assume(False)
    rule, rounding = draw(st.sampled_from(RULES)), draw(st.sampled_from(ROUNDINGS))
    fix = ("resolution",) if name == "lenet5" else ()
    return Curve(base, Scaling(rule=rule, rounding=rounding, fix=fix), (ANALYTIC,))


def mobile_base(seed: int = 3) -> Network:
    """Return a member of `mobile` for images of 32."""
    return sample(mobile((3, 32, 32), 10), random.Random(seed))


def only_request(made: Family) -> Request:
    """Return the one request of a family's one member."""
    (member,) = made.members
    (request,) = member.requests
    return request


def check_target(curve: Curve, limits: tuple[Limit, ...]) -> None:
    """Hold what is found for a target against every network of a stretch of the curve."""
    points = curve.between(-WINDOW, WINDOW)
    values = [curve.values(point, ANALYTIC) for point in points]
    kept = [i for i, known in enumerate(values) if known is not None and not violations(known, limits)]
    assume(kept)
    assume(kept[-1] + 1 < len(points))
    found = largest(curve, limits)
    assert found.point.sizes == points[kept[-1]].sizes
    assert found.behind is not None
    assert found.behind.sizes == points[kept[-1] + 1].sizes
    assert found.breaks


@given(curves(), st.sampled_from(METRICS), st.floats(-0.8, 0.8))
@settings(max_examples=4)
def test_a_target_gets_the_largest_network_of_all_that_keep_it(
    curve: Curve, metric: str, size: float
) -> None:
    check_target(curve, (Limit(metric=metric, at_most=getattr(cost(curve.base), metric) * 2**size),))


@pytest.mark.slow
@given(curves(), st.lists(st.tuples(st.sampled_from(METRICS), st.floats(-0.8, 0.8)), min_size=1, max_size=3))
@settings(max_examples=150)
def test_several_budgets_get_the_largest_network_too(curve: Curve, asked: list[tuple[str, float]]) -> None:
    own = cost(curve.base)
    check_target(curve, tuple(Limit(metric=m, at_most=getattr(own, m) * 2**size) for m, size in asked))


def built(name: str, shape: tuple[int, ...], seed: int) -> Network:
    """Return a member of a preset that can be built."""
    while True:
        base = sample(PRESETS[name](shape, 10), random.Random(seed))
        try:
            cost(base)
        except Unbuildable:
            seed += 1000
            continue
        return base


def check_pairs(
    bases: int, targets: int, names: Sequence[str] = ("mobile",), shapes: Sequence = ((3, 32, 32),)
) -> None:
    """Hold random targets of random bases to their promise: met within 3 %, or the next step overshoots."""
    rng = random.Random(0)
    for number in range(bases):
        base = built(names[number % len(names)], rng.choice(shapes), number)
        curve_rule = rng.choice(RULES)
        for _ in range(targets):
            budget = cost(base).macs * 2 ** rng.uniform(-1.5, 3)
            target = (Limit(metric="macs", at_most=budget),)
            try:
                (member,) = family(base, targets=[target], scaling=Scaling(rule=curve_rule)).members
            except Infeasible as error:  # what binds is said
                assert "the smallest network of this family" in str(error)  # noqa: PT017
                continue
            (request,) = member.requests
            assert member.metrics["macs"] == cost(member.network).macs <= budget
            if member.metrics["macs"] >= (1 - CLOSE) * budget:
                assert request.next_step is None
                continue
            assert request.next_step is not None
            assert cost(request.next_step.network).macs > budget
            assert request.next_step.changes != "nothing"


def test_a_target_is_met_within_3_percent_or_the_next_step_overshoots() -> None:
    check_pairs(bases=3, targets=4)


@pytest.mark.slow
def test_200_targets_are_met_within_3_percent_or_the_next_step_overshoots() -> None:
    check_pairs(bases=40, targets=5)


@pytest.mark.slow
def test_200_targets_of_every_preset_are_met_within_3_percent_or_the_next_step_overshoots() -> None:
    check_pairs(bases=50, targets=4, names=tuple(PRESETS), shapes=SHAPES)


@given(curves(), st.lists(st.floats(-1.2, 1.5), min_size=1, max_size=6))
@settings(max_examples=15)
def test_members_rise_strictly_in_macs_and_answer_every_phi(curve: Curve, phis: list[float]) -> None:
    made = family(curve.base, phis=[*phis, 0.0], scaling=curve.scaling)
    macs = [member.metrics["macs"] for member in made.members]
    assert all(one < other for one, other in pairwise(macs))
    answered = [request.phi for member in made.members for request in member.requests]
    assert sorted(answered, key=float) == sorted([*phis, 0.0])  # type: ignore[arg-type]
    assert len(made.notes) >= len(answered) - len(made.members)


def test_a_phi_that_a_target_is_given_makes_the_same_network_again() -> None:
    base, scaling = mobile_base(), Scaling(rule=DWr())
    (member,) = family(base, targets=[parse_target("macs <= 9M")], scaling=scaling).members
    (again,) = family(base, phis=[member.scaled.phi], scaling=scaling).members
    assert key(again.network) == key(member.network)
    assert len(f"{member.scaled.phi:g}") <= 7


def test_several_budgets_are_kept_at_once_and_the_binding_one_is_named() -> None:
    made = family(
        model("efficientnet_b0"),
        targets=[parse_target("macs <= 1G, params <= 20M"), parse_target("macs <= 9G, params <= 8M")],
    )
    assert [member.requests[0].binds for member in made.members] == ["params", "macs"]
    for member in made.members:
        assert not violations(member.metrics, member.requests[0].target)


def test_the_next_step_is_said_in_words_with_what_it_breaks() -> None:
    base = Network(
        input=(3, 32, 32), stages=(Stage(blocks=(Conv(), Conv()), width=16),), head=Classifier(classes=3)
    )
    own = cost(base).macs
    request = only_request(
        family(base, targets=[(Limit(metric="macs", at_most=1.2 * own),)], scaling=Scaling(rule=DepthOnly()))
    )
    step = request.next_step
    assert step is not None
    assert request.short == pytest.approx(1 - 1 / 1.2)
    assert step.changes == "stages.0: 1 more block (2 to 3)"
    assert [violation.metric for violation in step.breaks] == ["macs"] == [request.binds]
    wider = only_request(
        family(base, targets=[(Limit(metric="macs", at_most=1.2 * own),)], scaling=Scaling(rule=WidthOnly()))
    )
    assert wider.next_step is not None
    assert wider.next_step.changes == "stages.0: 8 more channels (16 to 24)"


def test_the_table_answers_a_target_with_its_largest_row_and_ends_with_its_last() -> None:
    scaling = Scaling(rule=Table())
    targets = [parse_target("macs <= 2G"), parse_target("macs <= 1000G")]
    made = family(model("efficientnet_b0"), targets=targets, scaling=scaling)
    assert [member.name for member in made.members] == ["efficientnet_b3", "efficientnet_b7"]
    assert key(made.members[1].network) == key(model("efficientnet_b7"))
    request = made.members[1].requests[0]
    assert (request.binds, request.next_step) == (None, None)


def test_networks_that_round_to_the_same_are_one_member_and_that_is_said() -> None:
    made = family(mobile_base(), phis=[1, 1.001], targets=[], scaling=Scaling())
    assert [request.asked for request in made.members[0].requests] == ["phi 1", "phi 1.001"]
    assert made.notes == ("phi 1 rounds to the same network as phi 1.001: one member for both",)


def test_a_phi_that_costs_what_a_larger_one_does_is_one_member_with_it() -> None:
    base = Network(
        input=(3, 15, 15), stages=(Stage(blocks=(Conv(),), width=8, stride=2),), head=Classifier(classes=3)
    )
    made = family(base, phis=[0, 0.2], scaling=Scaling(rule=ResolutionOnly()))
    assert [member.network.input for member in made.members] == [(3, 16, 16)]
    assert made.notes == ("phi 0 costs no fewer MACs than phi 0.2: one member for both",)


def test_growth_far_from_two_is_in_the_notes() -> None:
    made = family(mobile_base(), phis=[0], scaling=Scaling(rule=Compound(alpha=3.0)))
    assert made.growth == pytest.approx(3.0 * 1.1**2 * 1.15**2)
    assert "far from 2: each step of phi makes the expected cost 4.8 times as high" in made.notes[0]


@dataclass
class Stopwatch:
    """A provider that measures, dearly: here a made-up latency that jumps a little."""

    metrics: tuple[str, ...] = ("latency_ms",)
    quick: bool = False
    asked: list[str] = field(default_factory=list)

    def of(self, network: Network) -> Mapping[str, float]:
        """Return a latency that goes with the square root of the MACs."""
        self.asked.append(key(network))
        own = cost(network)
        return {"latency_ms": own.macs**0.5 / 1e3 + own.params % 7 / 1e5}

    def reach(self, space: Network, metric: str) -> Range | None:
        """Return None: nothing is known of a space."""
        return None


def test_a_measured_budget_is_met_with_few_measurements() -> None:
    watch, base = Stopwatch(), mobile_base()
    own = watch.of(base)["latency_ms"]
    watch.asked.clear()
    target = (Limit(metric="latency_ms", at_most=1.7 * own), Limit(metric="params", at_most=1e9))
    curve = Curve(base, Scaling(rule=DWr()), (ANALYTIC, watch))
    found = largest(curve, target)
    assert found.behind is not None
    assert watch.of(curve.scaled(found.point).network)["latency_ms"] <= 1.7 * own
    assert watch.of(curve.scaled(found.behind).network)["latency_ms"] > 1.7 * own
    assert len(set(watch.asked)) <= 20
    (member,) = family(
        base, targets=[target], scaling=Scaling(rule=DWr()), providers=(ANALYTIC, watch)
    ).members
    assert member.metrics["latency_ms"] <= 1.7 * own
    assert member.requests[0].binds == "latency_ms"


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        ("macs <= 3M, macs >= 4M", Infeasible, "no network can keep both"),
        (
            "macs <= 3M, params >= 100M",
            Infeasible,
            r"has params [\d.]+[kM], less than 100M; no member of this family",
        ),
        ("params >= 1", BadInput, "target: got params >= 1, expected a budget"),
        ("mac <= 3M", BadInput, "target mac <= 3M: got 'mac', .* did you mean 'macs'"),
        (
            "macs <= 10",
            Infeasible,
            r"the smallest network of this family \(phi -[\d.]+\) has macs .* widths are 8",
        ),
    ],
)
def test_a_target_that_cannot_be_kept_says_what_stands_against_it(
    target: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        family(mobile_base(), targets=[parse_target(target)])


def test_a_family_that_cannot_shrink_says_what_binds() -> None:
    base = Network(
        input=(3, 32, 32),
        stages=(Stage(blocks=(Conv(kernel=15, padding="valid"), Conv(), Conv()), width=16),),
        head=Classifier(classes=3),
    )
    with pytest.raises(
        Infeasible,
        match=r"widths are 8 and more, rounded to 8, stages have 1 repeated layer at most, the input is 15x15, and a "
        r"smaller one no longer fits the layers",
    ):
        family(
            base, targets=[parse_target("macs <= 1k")], scaling=Scaling(rule=Compound(alpha=1.3, beta=1.3))
        )
    with pytest.raises(Infeasible, match=r"width is not made smaller by the rule"):
        family(base, targets=[parse_target("macs <= 1k")], scaling=Scaling(rule=DepthOnly()))


def test_a_budget_out_of_reach_upward_is_refused() -> None:
    base = Network(
        input=(3, 8, 8), stages=(Stage(blocks=(Conv(), Conv()), width=8),), head=Classifier(classes=3)
    )
    with pytest.raises(
        Infeasible, match=r"even at phi [\d.]+, as far as this rule goes here, no budget is reached"
    ):
        family(base, targets=[parse_target("params <= 1000G")], scaling=Scaling(rule=DepthOnly()))


def test_a_base_of_which_nothing_grows_is_its_own_family() -> None:
    base = Network(input=(3, 8, 8), stages=(Stage(blocks=(Skip(),), width=3),), head=Classifier(classes=3))
    made = family(base, targets=[parse_target("macs <= 1G")], scaling=Scaling(rule=DepthOnly()))
    assert made.members[0].network == base
    assert made.members[0].requests[0].next_step is None


def test_an_empty_family_a_space_and_a_rigid_base_are_refused() -> None:
    with pytest.raises(BadInput, match="got no phi and no target"):
        family(mobile_base())
    with pytest.raises(BadSpec, match="a space of networks, expected one network to scale"):
        family(mobile((3, 32, 32), 10), phis=[1])
    with pytest.raises(BadInput, match="--fix resolution, or give the head a size"):
        family(model("lenet5"), targets=[parse_target("macs <= 1M")])


def test_a_target_for_a_rule_with_nothing_left_to_grow_is_refused() -> None:
    with pytest.raises(BadInput, match="fix width: rule WidthOnly has nothing left to grow"):
        family(
            mobile_base(),
            targets=[parse_target("macs <= 1G")],
            scaling=Scaling(rule=WidthOnly(), fix=("width",)),
        )


def test_a_table_of_ones_own_is_a_rule() -> None:
    rows = (
        Row(name="s", width=1.0, depth=1.0, resolution=32),
        Row(name="m", width=1.5, depth=2.0, resolution=48),
    )
    made = family(mobile_base(), phis=[0, 1], scaling=Scaling(rule=Table(rows=rows)))
    assert [(member.name, member.network.input[1]) for member in made.members] == [("s", 32), ("m", 48)]
    assert replace(made.scaling.rule, rows=rows) == made.scaling.rule
