"""The notations of papers, and which cells are twins."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import (
    BadInput,
    BadSpec,
    Classifier,
    Conv,
    Edge,
    MBConv,
    Network,
    Shared,
    Stage,
    Use,
    key,
    sample,
)
from search_spaces.equivalence import equivalence
from search_spaces.genotype import from_genotype, to_genotype
from search_spaces.presets import preset
from search_spaces.presets.darts import darts
from search_spaces.presets.nasbench201 import nasbench201
from search_spaces.zoo import model
from search_spaces.zoo.darts import DARTS_V2

DARTS = darts((3, 16, 16), 10, width=4, cells=3)
BENCH = nasbench201((3, 16, 16), 10, width=4, cells=1)
SEEDS = st.integers(0, 2**32)
ALL_SKIP = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|"


@given(SEEDS)
def test_what_is_written_reads_back_as_the_same_network(seed: int) -> None:
    for space in (DARTS, BENCH):
        member = sample(space, random.Random(seed))
        text = to_genotype(member)
        assert key(from_genotype(space, text)) == key(from_genotype(member, text)) == key(member)


def test_the_published_genotype_is_written_as_it_was_read_but_for_the_order_within_nodes() -> None:
    written = to_genotype(model("darts_v2_cifar"))
    read, said = (by_node(text) for text in (written, DARTS_V2))
    assert read == said
    assert to_genotype(model("darts_v2_imagenet")) == written


def by_node(text: str) -> dict[str, list[object]]:
    """Read a genotype with the edges of each node sorted."""
    found = {}
    for field in text.removeprefix("Genotype(").removesuffix(")").split("], "):
        name, _, listed = field.partition("=[")
        entries = listed.rstrip("]").replace("), (", ");(").split(";")
        found[name] = [sorted(entries[i : i + 2]) for i in range(0, len(entries), 2)]
    return found


def test_notations_of_other_code_are_read_too() -> None:
    text = DARTS_V2.replace("[2, 3, 4, 5]", "range(2, 6)").replace(", normal_concat", ",\n  normal_concat")
    assert key(from_genotype(DARTS, text)) == key(from_genotype(DARTS, DARTS_V2))


def test_a_skeleton_keeps_its_own_settings() -> None:
    network = from_genotype(DARTS, DARTS_V2)
    assert network.stages == DARTS.stages
    assert network.head == DARTS.head


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ALL_SKIP, "got cell cells, expected a skeleton's normal and reduce"),
        (DARTS_V2.replace("'dil_conv_3x3'", "'dil_conv_3x4'"), "got the operation 'dil_conv_3x4'.*did you mean"),
        (DARTS_V2.replace("('dil_conv_3x3', 2)", "('dil_conv_3x3', 7)"), r"normal: .*from value 7"),
        (DARTS_V2.replace("('dil_conv_3x3', 2)", "('none', 2)"), r"node 5: got .*'none', 2.*the space can choose"),
        (DARTS_V2.replace("('dil_conv_3x3', 2)", "('skip_connect', 0)"), "normal: node 5: got .*the space can choose"),
        (DARTS_V2.replace(", ('dil_conv_3x3', 2)", ""), "normal: got 7 edges, expected two a node"),
        (DARTS_V2.replace(", ('skip_connect', 0), ('dil_conv_3x3', 2)", ""), "got 3 nodes for the cell 'normal'"),
        (DARTS_V2.replace("('dil_conv_3x3', 2)", "'dil_conv_3x3'"), "expected pairs such as"),
        (DARTS_V2.replace("normal_concat=[2, 3, 4, 5]", "normal_concat=[2, 3, 4]"), "output"),
        (DARTS_V2.replace("normal_concat=[2, 3, 4, 5]", "normal_concat=5"), "normal_concat: got 5, expected a list"),
        (DARTS_V2.replace("reduce_concat", "reduced_concat"), "got the fields .*, expected normal"),
        ("Genotype(normal=__import__('os').system('true'))", "expected Genotype"),
        ("Genotype(" + "(" * 5000, "expected Genotype"),
        ("Genotype" + "x" * 30_000, "got 30,008 characters"),
        ("", "expected `|operation~source|...` or a Genotype"),
        ("three skips", "expected `|operation~source|...`"),
    ],
)  # fmt: skip
def test_a_genotype_of_another_cell_is_refused(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        from_genotype(DARTS, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (DARTS_V2, "got normal and reduce cells, expected a skeleton's cell"),
        (
            ALL_SKIP.replace("~2", "~1"),
            r"node 3: got edges from \[0, 1, 1\], expected from each earlier value",
        ),
        ("|skip_connect~0|+|skip_connect~0|skip_connect~1|", "got 2 nodes for the cell 'cell', expected 3"),
        (ALL_SKIP.replace("skip_connect~2", "sep_conv_3x3~2"), "node 3: got .*the space can choose"),
    ],
)
def test_a_benchmark_cell_of_another_shape_is_refused(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        from_genotype(BENCH, text)


def test_networks_without_published_cells_have_no_genotype() -> None:
    with pytest.raises(BadInput, match="got a network that shares no blocks"):
        to_genotype(model("lenet5"))
    network = Network(
        input=(1, 4, 4),
        stages=(Stage(blocks=(Use(name="cell"),), width=2),),
        head=Classifier(classes=2),
        shared=(Shared(name="cell", block=Conv()),),
    )
    with pytest.raises(BadInput, match="got a Conv shared as 'cell', expected a Cell"):
        to_genotype(network)
    with pytest.raises(BadInput, match="got a Conv shared as 'cell', expected a Cell"):
        from_genotype(network, ALL_SKIP)
    member = sample(BENCH, random.Random(0))
    cell = member.shared[0].block
    strange = replace(cell, nodes=((Edge(source=0, op=MBConv()),), *cell.nodes[1:]))  # type: ignore[union-attr, type-var]
    with pytest.raises(BadInput, match=r"got MBConv.* in the cell 'cell'.*no published name"):
        to_genotype(replace(member, shared=(Shared(name="cell", block=strange),)))  # type: ignore[arg-type]


def bench(text: str) -> str:
    return equivalence(from_genotype(preset("nasbench201", (3, 32, 32), classes=10), text))


def test_twins_are_cells_that_write_one_graph_in_two_ways() -> None:
    conv, none, skip = "nor_conv_3x3", "none", "skip_connect"
    straight = f"|{conv}~0|+|{none}~0|{skip}~1|+|{none}~0|{none}~1|{skip}~2|"
    detour = f"|{skip}~0|+|{none}~0|{conv}~1|+|{none}~0|{none}~1|{skip}~2|"
    other = f"|{conv}~0|+|{none}~0|{conv}~1|+|{none}~0|{none}~1|{skip}~2|"
    assert bench(straight) == bench(detour)
    assert bench(straight) != bench(other)


def test_a_skip_that_halves_is_an_operation() -> None:
    def network(stride: int, *, behind: str) -> Network:
        cell = from_genotype(BENCH, f"|skip_connect~0|+|none~0|{behind}~1|+|none~0|none~1|skip_connect~2|")
        return replace(cell, stages=(Stage(blocks=(Use(name="cell"),), width=4, stride=stride),))

    first = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|"
    for stride, alike in ((1, True), (2, False)):
        one = network(stride, behind="nor_conv_3x3")
        assert (equivalence(one) == equivalence(from_genotype(one, first))) is alike


@given(SEEDS)
def test_without_cells_a_class_holds_one_network(seed: int) -> None:
    member = sample(preset("mixed", (1, 8, 8), classes=10), random.Random(seed))
    assert equivalence(member) == key(member)


@given(SEEDS)
def test_the_order_of_edges_does_not_matter(seed: int) -> None:
    member = sample(DARTS, random.Random(seed))
    turned = tuple(
        replace(one, block=replace(one.block, nodes=tuple(node[::-1] for node in one.block.nodes)))  # type: ignore[union-attr, type-var, index]
        for one in member.shared
    )
    assert equivalence(replace(member, shared=turned)) == equivalence(member)


def test_a_genotype_is_no_place_for_a_python_object() -> None:
    with pytest.raises((BadInput, BadSpec)):
        from_genotype(DARTS, "Genotype(normal=[(open, 0)], normal_concat=[], reduce=[], reduce_concat=[])")
