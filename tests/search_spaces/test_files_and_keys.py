"""Python, JSON and YAML say the same; a key names an architecture and nothing else."""

import json
from dataclasses import dataclass, field, replace

import pytest
from generated import FEW, Edge, OutsideCell, networks
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import (
    BadSpec,
    Block,
    Choice,
    Classifier,
    Conv,
    DepthwiseSeparable,
    DilatedConv,
    HybridDilated,
    MBConv,
    Network,
    NeverFalls,
    Norm,
    Pick,
    Pool,
    Repeat,
    ResidualBasic,
    Searchable,
    Stage,
    count,
    decode,
    enumerate_members,
    from_text,
    key,
    load,
    register,
    sample,
    to_json,
    to_yaml,
)
from search_spaces.block import Ratio
from search_spaces.data import Data
from search_spaces.serialise import from_data, to_data

MOBILE = Network(
    input=(3, 32, 32),
    stem=Stage(blocks=(Conv(),), width=16),
    stages=(
        Stage(blocks=(MBConv(expand=3), MBConv(kernel=5, se=0.0)), width=24, stride=2),
        Stage(blocks=(DepthwiseSeparable(),) * 2, width=32, stride=(2, 2)),
    ),
    head=Classifier(classes=10, width=64, dropout=0.2),
)
DILATED = Network(
    input=(1, 128),
    stages=(
        Stage(blocks=(DilatedConv(dilation=4), HybridDilated(rates=(1, 2))), width=8),
        Stage(blocks=(ResidualBasic(norm=Norm(kind="group")), Pool(kind="average", stride=2)), width=8),
    ),
    head=Classifier(classes=3),
)


def around(block, **fields):
    return Network(
        input=(3, 8, 8), stages=(Stage(blocks=(block,), width=8),), head=Classifier(classes=2), **fields
    )


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedBlock(Block):
    """A user's block with a check of its own."""

    low: Searchable[Ratio] = 0.0
    high: Searchable[Ratio] = 1.0

    def __post_init__(self):
        if not isinstance(self.low, Choice) and not isinstance(self.high, Choice) and self.low > self.high:
            raise BadSpec(f"got low {self.low} above high {self.high}")


@given(networks())
@FEW
def test_json_yaml_and_python_say_the_same(space):
    assert from_text(to_json(space)) == space == from_text(to_yaml(space))
    assert key(from_text(to_json(space))) == key(from_text(to_yaml(space))) == key(space)
    assert json.loads(to_json(space))["network"] == to_data(space)


@given(networks(), st.randoms())
@FEW
def test_members_are_read_back_equal(space, rng):
    member = sample(space, rng)
    assert from_text(to_yaml(member)) == member
    assert Network(**{f: getattr(member, f) for f in ("input", "stages", "head", "stem")}) == member


def test_load_reads_both_kinds_of_file(tmp_path):
    for name, text in (("a.json", to_json(MOBILE)), ("a.yaml", to_yaml(MOBILE))):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        assert load(path) == MOBILE


def test_byte_order_marks_and_foreign_line_ends_are_no_matter(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + to_yaml(MOBILE).replace("\n", "\r\n").encode())
    assert load(path) == MOBILE
    assert from_text("\ufeff" + to_json(MOBILE).replace("\n", "\r\n")) == MOBILE


def test_fields_at_their_default_are_left_out():
    assert to_data(around(Conv()).stages[0].blocks[0]) == {"type": "Conv"}
    assert to_data(Repeat(Conv(), 2)) == {"repeat": {"type": "Conv"}, "count": 2}


def test_a_space_as_yaml_reads_like_the_python():
    text = """
version: 1
network:
  input: [3, 8, 8]
  stages:
  - blocks:
      repeat: {choice: [{type: Conv, kernel: {choice: [3, 5], name: k}}, {type: OutsideCell, edges:
        {pick: 1, of: [{source: 0}, {source: 1, op: {choice: [skip, conv]}}]}}]}
      count: {choice: [1, 2]}
      independent: true
    width: 8
  head: {type: Classifier, classes: 2}
  conditions: [{type: NeverFalls}]
"""
    cell = OutsideCell(edges=Pick(1, Edge(source=0), Edge(source=1, op=Choice("skip", "conv"))))
    block = Choice(Conv(kernel=Choice(3, 5, name="k")), cell)
    assert from_text(text) == Network(
        input=(3, 8, 8),
        stages=(Stage(blocks=Repeat(block, Choice(1, 2), independent=True), width=8),),
        head=Classifier(classes=2),
        conditions=(NeverFalls(),),
    )


@pytest.mark.parametrize(
    ("network", "expected"),
    [(MOBILE, "a77f2eb4c0578c30"), (DILATED, "0f1342b2332c4c94")],
    ids=["mobile", "dilated"],
)
def test_keys_never_change(network, expected):
    """Journals, tables and checkpoints go by the key: a change here orphans every result on disk.

    A new field with a default must not change them; whoever must change them raises the file version.
    """
    assert key(network) == expected


def test_whole_numbers_and_fractions_are_one_value_where_a_fraction_is_wanted():
    whole, real = around(MBConv(expand=6, se=0)), around(MBConv(expand=6.0, se=0.0))
    assert whole == real
    assert key(whole) == key(real)
    assert type(whole.stages[0].blocks[0].expand) is float
    assert key(around(MBConv(se=-0.0))) == key(real)


@pytest.mark.parametrize("build", [lambda: around(Conv(kernel=True)), lambda: around(MBConv(expand=True))])
def test_true_is_no_number(build):
    with pytest.raises(BadSpec, match=r"got True, expected a (whole )?number"):
        build()


def test_one_is_no_truth():
    with pytest.raises(BadSpec, match="got 1, expected true or false"):
        around(Pool(ceil_mode=1))


def test_true_one_and_one_point_zero_stay_apart_as_options():
    options = Choice(True, 1, 1.0).options
    assert [type(option) for option in options] == [bool, int, float]
    members = list(enumerate_members((Choice(True, 1, 1.0),)))
    assert [type(member[0]) for member in members] == [bool, int, float]
    assert count((Choice(True, 1, 1.0),)) == 3


def test_keys_do_not_depend_on_how_a_spec_came_to_be():
    by_hand = replace(MOBILE, head=Classifier(classes=10, width=64, dropout=0.2))
    assert key(by_hand) == key(from_text(to_json(MOBILE))) == key(MOBILE)


def test_conditions_are_no_part_of_a_member_or_its_key():
    free, bound = (
        around(Conv(kernel=Choice(3, 5))),
        around(Conv(kernel=Choice(3, 5)), conditions=(NeverFalls(),)),
    )

    assert decode(bound, (1,)) == decode(free, (1,))
    assert key(decode(bound, (1,))) == key(decode(free, (1,)))
    assert key(bound) != key(free)


def test_a_users_own_check_runs_on_every_way_in():
    with pytest.raises(BadSpec, match="low 2"):
        CheckedBlock(low=2.0)
    data = to_data(around(CheckedBlock()))
    data["stages"][0]["blocks"][0]["low"] = 2.0
    with pytest.raises(BadSpec, match=r"^stages\[0\]\.blocks\[0\]: got low 2\.0 above high 1\.0$"):
        from_data(Network, data)


def test_a_field_with_a_factory_is_left_out_at_its_default():
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Made(Data):
        norm: Norm = field(default_factory=Norm)

    assert to_data(Made()) == {}
    assert from_data(Made, {}) == Made()
    assert from_data(Made, {"norm": {"kind": "none"}}) == Made(norm=Norm(kind="none"))


def test_a_block_redefined_in_the_same_module_is_the_one_that_counts():
    def define(least):
        @register
        @dataclass(frozen=True, slots=True, kw_only=True)
        class Redefined(Block):
            size: int = least

        return Redefined

    first = define(1)
    assert around(first()).stages[0].blocks[0].size == 1
    second = define(2)
    assert type(around(second()).stages[0].blocks[0]) is second
