"""Spaces opened: what is kept, what is refused, and what vectors of numbers stand for."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from supernets import tiny

from scaling.cost import cost, macs
from scaling.expected import expected
from search_spaces import (
    Choice,
    Classifier,
    Conv,
    MBConv,
    Network,
    Pool,
    Repeat,
    Stage,
    count,
    decisions,
    sample,
)
from search_spaces.derivation import best_first, derive, derived, taken
from search_spaces.errors import BadInput, BadSpec
from search_spaces.genotype import to_genotype
from search_spaces.layers import parameter_count
from search_spaces.mixture import Mixing, Mixture, label, opened, plain_norms
from search_spaces.network import lower
from search_spaces.presets import preset
from search_spaces.settling import settled_choices

SETTLED = ("stem.width = largest", "stages[*].width = largest", "stages[*].blocks.count = 2")


def darts(name: str = "darts") -> Mixture:
    return opened(preset(name, (3, 32, 32), classes=10))


def mixed() -> Network:
    return settled_choices(preset("mixed", (1, 8, 8), classes=10), SETTLED)


SPACES: dict[str, Callable[[], Network]] = {
    "darts": lambda: preset("darts(width=4,cells=3)", (3, 16, 16), classes=10),
    "nasbench201": lambda: preset("nasbench201(width=4,cells=1)", (3, 16, 16), classes=10),
    "mixed": mixed,
    "tiny": tiny,
    "picked": lambda: tiny(picked=True),
}


def test_the_darts_supernet_has_exactly_the_published_parameters_and_macs() -> None:
    mixture = darts()
    graph = lower(mixture.network)
    shapes = [tuple(map(graph.shape, node.sources)) for node in graph.nodes]
    plain = plain_norms(mixture, graph)
    learnt = sum(
        parameter_count(node.layer, shape)
        for i, (node, shape) in enumerate(zip(graph.nodes, shapes, strict=True))
        if i not in plain
    )
    assert learnt == 1_930_618
    assert (
        sum(macs(node.layer, shape, node.shape) for node, shape in zip(graph.nodes, shapes, strict=True))
        == 300_255_744
    )


def test_a_cell_has_one_vector_an_edge_wherever_it_stands() -> None:
    vectors = darts().vectors
    assert len(vectors) == 28  # 14 edges of the normal and of the reduction cell
    assert set(vectors.values()) == {8}  # seven operations and none
    assert set(opened(preset("nasbench201", (3, 32, 32), classes=10)).vectors.values()) == {5}
    weighed = opened(preset("darts", (3, 32, 32), classes=10), Mixing(partial=4, edges=True)).vectors
    assert [weighed[f"shared[0].block.nodes[{i}]"] for i in range(4)] == [2, 3, 4, 5]


def test_a_layer_that_chooses_block_and_kernel_has_one_vector_over_all_of_it() -> None:
    mixture = opened(mixed())
    assert set(mixture.vectors.values()) == {16}
    assert label(mixture.slots["stages[0].blocks[0]"].options[1]) == "Conv kernel 5"


def stage(**fields: object) -> Network:
    given: dict[str, object] = {"blocks": (Conv(kernel=Choice(3, 5)),), "width": 8, **fields}
    return Network(input=(3, 8, 8), stages=(Stage(**given),), head=Classifier(classes=5))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("space", "path"),
    [
        (stage(width=Choice(8, 16)), "stages[0].width"),
        (stage(stride=Choice(1, 2)), "stages[0].stride"),
        (stage(blocks=Repeat(Conv(kernel=Choice(3, 5)), Choice(1, 2))), "stages[0].blocks.count"),
        (stage(blocks=(Choice(Conv(kernel=3), Pool(stride=2)),)), "stages[0].blocks[0]"),
        (
            stage(blocks=(MBConv(kernel=Choice(3, 5, name="k")), MBConv(kernel=Choice(3, 5, name="k")))),
            "stages[0].blocks[0].kernel",
        ),
    ],
)
def test_what_cannot_be_mixed_is_refused_by_its_path_with_the_remedy(space: Network, path: str) -> None:
    with pytest.raises(BadSpec) as caught:
        lower(opened(space).network)
    assert str(caught.value).startswith(f"{path}:")
    assert "fix=[" in str(caught.value)


def test_a_space_with_nothing_to_mix_is_refused() -> None:
    with pytest.raises(BadSpec, match="nothing to mix"):
        opened(stage(blocks=(Conv(kernel=3),)))


def test_channels_that_cannot_be_parted_are_refused() -> None:
    space = preset("nasbench201(width=6,cells=1)", (3, 16, 16), classes=10)
    with pytest.raises(BadSpec, match="got 6 channels for partial=4, expected a multiple"):
        lower(opened(space, Mixing(partial=4)).network)


def test_choices_are_settled_by_value_by_extreme_by_number_and_by_tie() -> None:
    space = Network(
        input=(3, 8, 8),
        stages=tuple(
            Stage(blocks=Repeat(Conv(kernel=Choice(3, 5, name="k")), Choice(1, 2)), width=Choice(8, 16))
            for _ in "ab"
        ),
        head=Classifier(classes=5),
    )
    texts = [
        "stages[*].width = largest",
        "stages[0].width = 8",
        "stages[*].blocks.count = option 1",
        "@k = 5",
    ]
    settled = settled_choices(space, texts)
    assert [s.width for s in settled.stages] == [8, 16]
    assert count(settled) == 1
    decisions(space, sample(settled, random.Random(0)))  # a member of the whole space


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stages[0].wdith = 8", "matches no choice, expected one of stages"),
        ("stages[0].width = 9", "got '9', expected 8, 16"),
        ("stages[0].width", 'expected "path = value"'),
        ("stages[0].width = option 2", "expected 8, 16"),
    ],
)
def test_a_choice_settled_wrongly_is_refused(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        settled_choices(stage(width=Choice(8, 16)), [text])


def one_hot(mixture: Mixture, network: Network, rng: random.Random) -> dict[str, list[float]]:
    """Return vectors in which what an architecture takes weighs most, the rest less and at random."""
    weights = {path: [rng.uniform(0, 0.1) for _ in range(n)] for path, n in mixture.vectors.items()}
    for path, entry in taken(mixture, network).items():
        weights[path][entry] = rng.uniform(0.5, 1)
    for path in mixture.edges:
        weights[path] = [1.0] * len(weights[path])
    return weights


@pytest.mark.parametrize("name", SPACES)
@given(seed=st.integers(0, 10**6))
def test_an_architecture_whose_options_weigh_most_is_derived(name: str, seed: int) -> None:
    mixture, rng = opened(SPACES[name](), Mixing(derive_zero=True)), random.Random(seed)
    member = sample(mixture.space, rng)
    assert derive(mixture, one_hot(mixture, member, rng)) == member


def test_derivation_equals_a_genotype_derived_by_hand() -> None:
    """Edges of a node by their largest operation: (0) sep3 .50 and (1) skip .40 of two; of three, the largest two."""
    mixture = darts()
    flat = {path: [0.01] * 8 for path in mixture.vectors}
    names = ("max", "avg", "skip", "sep3", "sep5", "dil3", "dil5", "none")

    def weigh(cell: int, node: int, edge: int, op: str, weight: float) -> None:
        flat[f"shared[{cell}].block.nodes[{node}]{{{edge}}}"][names.index(op)] = weight

    for cell in (0, 1):
        weigh(cell, 0, 0, "sep3", 0.50)
        weigh(cell, 0, 1, "skip", 0.40)
        weigh(cell, 1, 0, "max", 0.30)
        weigh(cell, 1, 1, "dil5", 0.20)
        weigh(cell, 1, 2, "sep5", 0.25)
        weigh(cell, 1, 1, "none", 0.90)  # says that edge 1 is least needed of all, and is no operation
        weigh(cell, 2, 1, "avg", 0.22)
        weigh(cell, 2, 3, "dil3", 0.33)
        weigh(cell, 3, 0, "sep3", 0.20)
        weigh(cell, 3, 4, "sep3", 0.21)
        weigh(cell, 3, 2, "sep3", 0.19)
    pairs = (
        "[('sep_conv_3x3', 0), ('skip_connect', 1), ('max_pool_3x3', 0), ('sep_conv_5x5', 2), "
        "('avg_pool_3x3', 1), ('dil_conv_3x3', 3), ('sep_conv_3x3', 0), ('sep_conv_3x3', 4)]"
    )
    assert to_genotype(derive(mixture, flat)) == (
        f"Genotype(normal={pairs}, normal_concat=[2, 3, 4, 5], reduce={pairs}, reduce_concat=[2, 3, 4, 5])"
    )


@pytest.mark.parametrize(
    ("derive_zero", "third"), [(True, "none~1"), (False, "avg_pool_3x3~1")], ids=["with zero", "as published"]
)
def test_a_cell_of_nasbench201_takes_the_largest_of_every_edge(derive_zero: bool, third: str) -> None:
    mixture = opened(preset("nasbench201", (3, 32, 32), classes=10), Mixing(derive_zero=derive_zero))
    best = (3, 1, 0, 3, 2, 4)
    weights = {
        path: [0.6 if i == entry else 0.1 + i / 1000 for i in range(5)]
        for path, entry in zip(mixture.slots, best, strict=True)
    }
    assert to_genotype(derive(mixture, weights)) == (
        f"|nor_conv_3x3~0|+|skip_connect~0|{third}|+|nor_conv_3x3~0|nor_conv_1x1~1|avg_pool_3x3~2|"
    )


@given(st.lists(st.lists(st.floats(0, 9), min_size=1, max_size=4).map(sorted), min_size=1, max_size=4))
def test_the_next_best_comes_next_and_every_combination_once(rows: list[list[float]]) -> None:
    found = list(best_first(rows))
    sums = [sum(row[i] for row, i in zip(rows, chosen, strict=True)) for chosen in found]
    assert set(found) == set(product(*(range(len(row)) for row in rows)))
    assert len(set(found)) == len(found)
    assert all(a <= b + 1e-9 for a, b in pairwise(sums))


def test_what_is_derived_next_is_another_member_and_one_that_keeps_the_conditions() -> None:
    mixture = opened(SPACES["nasbench201"]())
    rng = random.Random(0)
    weights = {path: [rng.random() for _ in range(n)] for path, n in mixture.vectors.items()}
    stream = derived(mixture, weights)
    first = [next(stream) for _ in range(50)]
    assert len(set(first)) == 50
    for network in first:
        decisions(mixture.space, network)


def test_weights_of_another_space_are_refused() -> None:
    with pytest.raises(BadInput, match="another space"):
        derive(darts(), {"shared[0].block.nodes[0]{0}": [0.5] * 8})
    with pytest.raises(BadInput, match="got 5 numbers, expected 8"):
        derive(darts(), {path: [0.2] * 5 for path in darts().vectors})


@pytest.mark.parametrize("name", SPACES)
def test_the_expected_cost_of_a_certain_choice_is_its_cost(name: str) -> None:
    mixture = opened(SPACES[name]())
    found = expected(mixture, lambda network: float(cost(network).macs))
    rng = random.Random(1)
    for _ in range(5):
        member = sample(mixture.space, rng)
        entries = taken(mixture, member)
        kept = {path: scale for path, scale in _kept(mixture).items() if path in entries}
        total = found.base + sum(found.slopes[path][entries[path]] * scale for path, scale in kept.items())
        assert total == pytest.approx(cost(member).macs)
        assert found.low - 1e-6 <= cost(member).macs <= found.high + 1e-6


def _kept(mixture: Mixture) -> dict[str, float]:
    """Return by how much a slope is to be multiplied for an edge that is surely kept."""
    nodes: dict[str, list[str]] = {}
    for path, slot in mixture.slots.items():
        nodes.setdefault(path.rpartition("{")[0] if slot.zero else path, []).append(path)
    return {path: len(paths) / 2 if len(paths) > 1 else 1.0 for paths in nodes.values() for path in paths}


def test_opening_and_deriving_load_no_torch() -> None:
    import subprocess

    program = (
        "import sys, search_spaces.mixture, search_spaces.derivation, scaling.expected, nas.strategies.darts; "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
