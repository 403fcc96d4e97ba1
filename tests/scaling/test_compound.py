"""Scaling rules: the published tables exactly, laws over random networks, and what grows where."""

import random
from dataclasses import dataclass, replace
from typing import Literal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scaling.anatomy import anatomy
from scaling.compound import Scaling, growth, scale, unusual_growth
from scaling.cost import cost
from scaling.rounding import Rounding
from scaling.rules import (
    Compound,
    DepthOnly,
    DWr,
    Factors,
    ResolutionOnly,
    Rule,
    Table,
    WidthOnly,
    factors_of,
)
from search_spaces import (
    BadInput,
    BadSpec,
    Block,
    Branches,
    Chain,
    Classifier,
    Conv,
    Drop,
    Feature,
    MBConv,
    Network,
    Part,
    Place,
    Pool,
    ResidualBottleneck,
    Searchable,
    Stage,
    Unbuildable,
    key,
    lower,
    register,
    sample,
)
from search_spaces.block import Whole, fixed
from search_spaces.layers import Convolution
from search_spaces.presets import PRESETS, mobile
from search_spaces.serialise import from_data, to_data
from search_spaces.zoo import model
from search_spaces.zoo.efficientnet import rounded

SHAPES = ((3, 32, 32), (1, 17, 23), (2, 33), (1, 9, 8, 11))
RULES = (
    Compound(),
    DWr(),
    DepthOnly(),
    WidthOnly(),
    ResolutionOnly(),
    Compound(alpha=1.1, beta=1.2, gamma=1.0),
)
ROUNDINGS = (
    Rounding(),
    Rounding(divisor=1, repeats="round"),
    Rounding(divisor=4, keep=0.0, repeats="floor", resolution_multiple=4),
)
HEAD = Classifier(classes=3)


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Doubling(Rule):
    """A user's rule: as many layers more, half as many channels more."""

    by: float = 2.0

    def factors(self, phi: float, axes: int) -> Factors:
        return Factors(depth=self.by**phi, width=self.by ** (phi / 2))


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Squeezed(Block):
    """A user's block with a width of its own."""

    hidden: Searchable[Whole] = 16

    def lower(self, place: Place) -> Feature:
        return place.input.conv(fixed(self.hidden), 1, stride=place.stride).conv(place.width, 3)


@st.composite
def bases(draw: st.DrawFn) -> Network:
    """Draw members of the presets and some of the zoo that can be built."""
    name = draw(st.sampled_from((*PRESETS, "shufflenet_v2_x0_5", "googlenet", "nin_cifar")))
    if name not in PRESETS:
        return model(name)
    space = PRESETS[name](draw(st.sampled_from(SHAPES)), 10)
    base = sample(space, random.Random(draw(st.integers(0, 10**6))))
    try:
        cost(base)
    except Unbuildable:
        assume(False)
    return base


def network(*stages: Stage, head: Classifier = HEAD, stem: Stage | None = None) -> Network:
    """Return a small network of the given stages."""
    return Network(input=(3, 32, 32), stem=stem, stages=stages, head=head)


def depths(net: Network) -> list[int]:
    """Return the number of blocks of each stage."""
    return [len(fixed(stage).blocks) for stage in net.stages]


@pytest.mark.parametrize("phi", range(8))
def test_the_table_makes_b0_to_b7_of_b0_exactly(phi: int) -> None:
    table = Table()
    found = scale(model("efficientnet_b0"), phi, scaling=Scaling(rule=table))
    published = model(f"efficientnet_b{phi}")
    assert key(found.network) == key(published)
    assert cost(found.network) == cost(published)
    assert table.label(phi) == f"efficientnet_b{phi}"
    assert table.phi(f"efficientnet_b{phi}") == phi


def test_integer_phi_is_not_the_table() -> None:
    gmacs = [cost(scale(model("efficientnet_b0"), phi).network).macs / 1e9 for phi in range(8)]
    assert [float(f"{macs:.3g}") for macs in gmacs] == [0.386, 0.993, 1.81, 3.25, 6.32, 11.4, 20.1, 39.7]


@given(bases(), st.sampled_from((*RULES, Table())), st.sampled_from(ROUNDINGS))
@settings(max_examples=15)
def test_phi_zero_is_the_base_whatever_the_rounding(base: Network, rule: Rule, rounding: Rounding) -> None:
    found = scale(base, 0, scaling=Scaling(rule=rule, rounding=rounding))
    assert key(found.network) == key(base)
    assert found.asked == found.got == Factors()


def test_odd_widths_and_sizes_stay_at_phi_zero_and_never_go_the_wrong_way() -> None:
    base = network(Stage(blocks=(Conv(), Conv()), width=13), Stage(blocks=(Conv(),), width=6))
    assert scale(base, 0).network == base
    up, down = scale(base, 0.01).network, scale(base, -0.01).network
    assert [fixed(stage).width for stage in up.stages] == [16, 8]
    assert [fixed(stage).width for stage in down.stages] == [13, 6]


@given(
    bases(), st.sampled_from(RULES), st.sampled_from(ROUNDINGS), st.sampled_from((-2, -1.3, -1, 0.4, 1, 1.7))
)
@settings(max_examples=25)
def test_every_member_lowers_and_grows_with_phi(
    base: Network, rule: Rule, rounding: Rounding, phi: float
) -> None:
    before = key(base)
    found = scale(base, phi, scaling=Scaling(rule=rule, rounding=rounding))
    own, scaled = cost(base), cost(found.network)
    assert key(base) == before
    assert (scaled.macs >= own.macs) if phi > 0 else (scaled.macs <= own.macs)
    assert found.network.input[0] == base.input[0]


def runs(found: Network) -> None:
    """Build a network and hold the shape of what it says about one example."""
    import torch

    from search_spaces.modules import build

    module = build(found).eval()
    with torch.no_grad():
        said = module(torch.zeros(1, *found.input))
    assert said.shape == (1, fixed(fixed(found.head).classes))
    assert bool(torch.isfinite(said).all())


@given(bases(), st.sampled_from((-2, -1, 0.5)))
@settings(max_examples=2)
def test_small_members_build_and_run(base: Network, phi: float) -> None:
    found = scale(base, phi).network
    assume(cost(found).macs < 1e7)
    runs(found)


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("phi", [-2, -1, 0, 0.5, 1])
def test_members_of_every_preset_build_and_run_at_any_phi(name: str, shape: tuple, phi: float) -> None:
    tried = 0
    for seed in range(40):
        base = sample(PRESETS[name](shape, 10), random.Random(seed))
        rule, rounding = RULES[seed % len(RULES)], ROUNDINGS[seed % len(ROUNDINGS)]
        try:
            cost(base)
            found = scale(base, phi, scaling=Scaling(rule=rule, rounding=rounding)).network
        except Unbuildable:  # the base itself, or its map has gone: said, not built
            continue
        if cost(found).macs < 1e9:
            runs(found)
            tried += 1
        if tried == 2:
            return
    assert tried > 0


def test_dwr_shares_out_a_cost_factor() -> None:
    factors = DWr().factors(1, 2)
    assert (factors.depth, factors.width, factors.resolution) == pytest.approx((2**0.1, 2**0.4, 2**0.05))
    assert [DWr(growth=3.0).factors(2, axes).cost(axes) for axes in (1, 2, 3)] == pytest.approx([9.0] * 3)


@pytest.mark.parametrize(
    ("rule", "grows"), [(DepthOnly(), "depth"), (WidthOnly(), "width"), (ResolutionOnly(), "resolution")]
)
def test_single_axis_rules_grow_one_thing_and_the_cost_alike(rule: Rule, grows: str) -> None:
    found = scale(model("efficientnet_b0"), 1, scaling=Scaling(rule=rule)).got
    assert [n for n in ("depth", "width", "resolution") if getattr(found, n) != 1.0] == [grows]
    assert [growth(Scaling(rule=rule), axes) for axes in (1, 2, 3)] == pytest.approx([2.0] * 3)


@given(
    st.sampled_from((Compound(), DWr(), Compound(alpha=1.4, beta=1.0))),
    st.floats(-3, 3),
    st.sampled_from((("resolution",), ("width",), ("depth",), ("depth", "resolution"))),
    st.integers(1, 3),
)
def test_what_is_fixed_leaves_its_growth_to_the_others(rule: Rule, phi: float, fix: tuple, axes: int) -> None:
    assume(abs(phi) > 0.01)
    assume(not (rule == Compound(alpha=1.4, beta=1.0) and fix == ("depth", "resolution")))
    free, held = factors_of(rule, phi, axes), factors_of(rule, phi, axes, fix=fix)
    assert held.cost(axes) == pytest.approx(free.cost(axes))
    assert all(getattr(held, name) == 1.0 for name in fix)


def test_next_to_phi_zero_what_is_fixed_stays_fixed() -> None:
    for phi in (1e-300, 3.4e-14, -1e-9):
        assert scale(model("lenet5"), phi, scaling=Scaling(fix=("resolution",))).network.input == (1, 28, 28)


def test_what_has_nothing_left_to_grow_is_refused() -> None:
    with pytest.raises(BadInput, match=r"fix width: rule WidthOnly has nothing left to grow"):
        scale(model("efficientnet_b0"), 1, scaling=Scaling(rule=WidthOnly(), fix=("width",)))
    with pytest.raises(BadInput, match="expected two of them at most"):
        Scaling(fix=("depth", "width", "resolution"))


A, B, C = (Conv(kernel=kernel) for kernel in (1, 3, 5))


@pytest.mark.parametrize(
    ("unlike", "phi", "blocks"),
    [
        ("stretch", 1.0, (A, A, B, B, C, C)),
        ("stretch", 0.4, (A, A, B, C)),
        ("stretch", -0.6, (A, B)),
        ("repeat_last", 1.0, (A, B, C, C, C, C)),
        ("repeat_last", -0.6, (A, B)),
        ("repeat_last", -7.0, (A,)),
    ],
)
def test_a_stage_of_unlike_layers_stretches_or_repeats_its_last(
    unlike: Literal["stretch", "repeat_last"], phi: float, blocks: tuple[Block, ...]
) -> None:
    base = network(Stage(blocks=(A, B, C), width=8, stride=2))
    scaling = Scaling(rule=DepthOnly(growth=2.0), unlike=unlike, rounding=Rounding(repeats="round"))
    assert fixed(scale(base, phi, scaling=scaling).network.stages[0]).blocks == blocks


def test_what_strides_by_itself_or_computes_nothing_is_not_repeated() -> None:
    pool, drop = Pool(kernel=2, stride=2, padding="valid"), Drop()
    base = network(
        Stage(blocks=(Conv(), Conv(), pool, drop), width=8), Stage(blocks=(Conv(padding="valid"),), width=8)
    )
    found = scale(base, 1, scaling=Scaling(rule=DepthOnly())).network
    assert fixed(found.stages[0]).blocks == (Conv(),) * 4 + (pool, drop)
    assert depths(found) == [6, 1]


@pytest.mark.parametrize(
    ("name", "grown"),
    [
        ("darts_v2_imagenet", [1, 1, 8, 9, 9]),
        ("nasnet_a_mobile", [1, 1, 8, 9, 9, 1]),
        ("darts_v2_cifar", [12, 13, 13]),
    ],
)
def test_networks_of_cells_grow_by_cells_and_reduce_once(name: str, grown: list[int]) -> None:
    assert depths(scale(model(name), 1, scaling=Scaling(rule=DepthOnly())).network) == grown


def test_reductions_and_tails_of_nasbench_stay_one() -> None:
    base = sample(PRESETS["nasbench201"]((3, 32, 32), 10), random.Random(1))
    assert depths(base) == [5, 1, 5, 1, 5, 1]
    assert depths(scale(base, 1, scaling=Scaling(rule=DepthOnly())).network) == [10, 1, 10, 1, 10, 1]


def test_a_tail_stays_as_wide_as_the_cells_before_it() -> None:
    wide = scale(model("nasnet_a_mobile"), 1, scaling=Scaling(rule=WidthOnly())).network
    widths = [fixed(stage).width for stage in wide.stages]
    assert widths[-1] == 6 * widths[-2]
    assert not any(
        isinstance(n.layer, Convolution) for n in lower(wide).nodes if n.name.startswith("stages.5")
    )


def test_parts_of_branches_and_chains_share_the_width_in_whole_multiples() -> None:
    wide = scale(model("googlenet"), 0.25, scaling=Scaling(rule=WidthOnly())).network
    inception = fixed(fixed(wide.stages[1]).blocks[0])
    assert isinstance(inception, Branches)
    parts = [fixed(part.width) for part in inception.parts]
    assert sum(parts) == fixed(fixed(wide.stages[1]).width) == 280
    assert parts == [72, 144, 32, 32]
    reduce = fixed(inception.parts[1].block)
    assert isinstance(reduce, Chain)
    assert [part.width for part in reduce.parts] == [104, 144]


def test_parts_that_are_proportions_are_left_to_the_block() -> None:
    chain = Chain(parts=(Part(block=Conv(), width=1), Part(block=Conv(), width=4)))
    base = network(Stage(blocks=(chain,), width=32))
    assert fixed(scale(base, 1, scaling=Scaling(rule=WidthOnly())).network.stages[0]).blocks == (chain,)


def test_groups_keep_their_number_and_depthwise_stays_depthwise() -> None:
    stages = (
        Stage(blocks=(Conv(kernel=1),), width=24),
        Stage(blocks=(Conv(groups=24), Conv(groups=6)), width=24),
    )
    found = scale(network(*stages), 0.5, scaling=Scaling(rule=WidthOnly())).network
    second = fixed(found.stages[1])
    assert second.width == 48
    assert second.blocks == (Conv(groups=48), Conv(groups=6))
    next50 = scale(model("resnext50_32x4d"), 0.7, scaling=Scaling(rule=WidthOnly())).network
    block = fixed(fixed(next50.stages[0]).blocks[0])
    assert isinstance(block, ResidualBottleneck)
    assert (block.groups, fixed(next50.stages[0]).width) == (32, 320)


def test_widths_of_a_heads_and_of_a_users_own_blocks_follow() -> None:
    head = Classifier(classes=10, width=64, hidden=(100, 50), dropout=0.2)
    base = network(
        Stage(blocks=(Squeezed(hidden=16),), width=32), head=head, stem=Stage(blocks=(Conv(),), width=16)
    )
    found = scale(base, 2, scaling=Scaling(rule=WidthOnly())).network
    assert found.head == replace(head, width=128, hidden=(200, 104))
    assert fixed(found.stages[0]) == Stage(blocks=(Squeezed(hidden=32),), width=64)
    assert fixed(found.stem) == Stage(blocks=(Conv(),), width=32)


def test_the_aspect_of_the_input_is_kept() -> None:
    base = replace(network(Stage(blocks=(Conv(),), width=8)), input=(3, 160, 96))
    scaling = Scaling(rule=ResolutionOnly(growth=4.0), rounding=Rounding(resolution_multiple=32))
    assert scale(base, 1, scaling=scaling).network.input == (3, 320, 192)
    assert scale(base, -1, scaling=scaling).network.input == (3, 96, 64)
    assert scale(base, -1, scaling=scaling).got.resolution == pytest.approx(0.632, abs=1e-3)


@given(st.floats(1, 5000), st.integers(1, 300))
def test_widths_round_as_the_authors_code_does_and_never_fall(factor: float, base: int) -> None:
    assert Rounding().width(8 * base, factor) == (rounded(8 * base * factor) if factor > 1 else 8 * base)
    for rounding in ROUNDINGS:
        assert rounding.width(base, factor) <= rounding.width(base, factor * 1.001)
        assert rounding.width(base, 1 / factor) >= rounding.width(base, 1 / factor / 1.001)
        assert rounding.width(base, 1 / factor) <= base <= rounding.width(base, factor)


def test_dropout_follows_the_table_where_the_head_has_some() -> None:
    base = sample(mobile((3, 64, 64), 10), random.Random(0))
    table = Scaling(rule=Table())
    assert fixed(scale(base, 5, scaling=table).network.head).dropout == 0.4
    dry = replace(base, head=replace(fixed(base.head), dropout=0.0))
    assert fixed(scale(dry, 5, scaling=table).network.head).dropout == 0.0


def test_a_users_rule_is_data_like_ours() -> None:
    scaling = Scaling(rule=Doubling(by=3.0), fix=("resolution",), rounding=Rounding(divisor=4))
    assert from_data(Scaling, to_data(scaling)) == scaling
    found = scale(model("efficientnet_b0"), 1, scaling=scaling)
    assert found.asked == Factors(depth=3.0, width=3.0**0.5)


def test_far_growth_is_allowed_and_said() -> None:
    assert unusual_growth(Scaling(), 2) is None
    said = unusual_growth(Scaling(rule=Compound(alpha=2.0)), 2)
    assert said is not None
    assert said.startswith("depth * width^2 * resolution^2 is 3.2 at phi 1, far from 2")
    assert growth(Scaling(rule=Table()), 2) is None


def test_a_head_that_fits_one_size_says_so_until_resolution_is_fixed() -> None:
    lenet = model("lenet5")
    with pytest.raises(
        BadInput, match=r"head \(DenseClassifier\): .* --fix resolution, or give the head a size"
    ):
        scale(lenet, 1)
    found = scale(lenet, 1, scaling=Scaling(fix=("resolution",)))
    assert found.network.input == lenet.input
    assert found.asked.cost(2) == pytest.approx(Compound().factors(1, 2).cost(2))
    assert anatomy(model("alexnet")).rigid is None


@pytest.mark.parametrize(
    ("phi", "rule", "message"),
    [
        (float("nan"), Compound(), "phi: got nan, expected a finite number"),
        (1e9, Compound(), "expected one that this rule can be worked out at"),
        (200, Compound(), "expected factors of 1/256 to 256"),
        (0.5, Table(), "one of the table's rows, 0 to 7; use the rule Compound"),
        (8, Table(), "one of the table's rows"),
    ],
)
def test_a_phi_that_a_rule_cannot_follow_is_refused(phi: float, rule: Rule, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        scale(model("efficientnet_b0"), phi, scaling=Scaling(rule=rule))


def test_a_space_is_refused_with_the_path_of_its_first_choice() -> None:
    with pytest.raises(BadSpec, match=r"stages\[0\]\.blocks: got a Repeat, a space of networks"):
        scale(mobile((3, 32, 32), 10), 1)


def test_rules_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(BadSpec, match=r"shares that sum to 1\.1"):
        DWr(depth=0.2)
    with pytest.raises(BadSpec, match="alpha"):
        Compound(alpha=0.0)
    with pytest.raises(BadInput, match="row: got 'b9', expected one of"):
        Table().phi("b9")
    with pytest.raises(BadSpec, match=r"rows\[0\]: got width 2"):
        Table(rows=(replace(Table().rows[0], width=2.0),))


def test_a_map_that_gets_too_small_names_the_block_and_the_phi() -> None:
    base = network(Stage(blocks=(MBConv(), Conv(kernel=15, padding="valid")), width=8))
    with pytest.raises(Unbuildable, match=r"phi -4: stages\.0\.blocks\.1 .* --fix resolution"):
        scale(base, -4, scaling=Scaling(rule=ResolutionOnly(growth=3.0)))
