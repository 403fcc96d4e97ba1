"""Presets: their stated sizes, and that members build and keep their promises for every kind of input."""

import random
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scaling.cost import cost
from search_spaces import (
    BadInput,
    Choice,
    NeverFalls,
    Repeat,
    count,
    decisions,
    lower,
    sample,
    steps,
)
from search_spaces.block import fixed
from search_spaces.modules import build
from search_spaces.presets import PRESETS, is_preset, mixed, mobile, preset
from search_spaces.serialise import from_text, to_yaml

SHAPES = (
    (1, 8, 8),
    (3, 28, 28),
    (3, 32, 32),
    (3, 96, 128),
    (3, 224, 224),
    (2, 200),
    (1, 9, 10, 12),
    (1, 3, 3),
)
MOBILE, MIXED = mobile((3, 224, 224), 10), mixed((3, 32, 32), 10)
SEEDS = st.integers(0, 2**32)
EVERY = [(name, shape) for name in PRESETS for shape in SHAPES]


@pytest.mark.parametrize(
    ("name", "shape", "members"),
    [
        ("mobile", (3, 224, 224), 595_077_871_104),
        ("mixed", (1, 8, 8), 3_500_234_809_344),
        ("mixed", (3, 224, 224), 457_936_896_185_371_459_584),
        ("darts", (3, 32, 32), (1 * 3 * 6 * 10) ** 2 * 7**16),
        ("darts", (3, 224, 224), (1 * 3 * 6 * 10) ** 2 * 7**16),
        ("nasbench201", (3, 32, 32), 5**6),
    ],
)
def test_the_size_is_the_stated_one(name: str, shape: tuple[int, ...], members: int) -> None:
    stated = " ".join(str(PRESETS[name].__doc__).split())
    assert f"{members:,}" in stated
    assert f"for {shape}" in stated or "for any input shape" in stated
    assert count(preset(name, shape, classes=10)) == members


def test_the_size_of_mobile_follows_from_its_tables() -> None:
    kinds = 3 * 3 * 2  # kernels, expansions, squeeze-excite or not
    stages = (2 * 3 * kinds) * (3 * 3 * kinds) ** 4
    heads, resolutions = 2, 4
    assert count(mobile((3, 224, 224), 10)) == resolutions * heads * stages
    assert count(mobile((3, 32, 32), 10)) == heads * stages


def test_the_size_of_mixed_follows_from_its_tables() -> None:
    layer = 2 + 2 + 8 + 2 + 2
    widths = sum(a <= b <= c for a in (8, 16, 24) for b in (16, 24, 40) for c in (24, 40, 64))
    assert count(mixed((1, 8, 8), 10)) == 2 * widths * (layer + layer**2 + layer**3) ** 3


@pytest.mark.parametrize(("name", "shape"), EVERY)
def test_every_member_can_be_built_for_every_kind_of_input(name: str, shape: tuple[int, ...]) -> None:
    space = preset(name, shape, classes=7)
    for seed in range(20):
        graph = lower(sample(space, random.Random(seed)))
        assert graph.shape(graph.output) == (7,)


@pytest.mark.parametrize(("name", "shape"), [(n, s) for n, s in EVERY if max(s) < 32])
def test_members_run(name: str, shape: tuple[int, ...]) -> None:
    member = sample(preset(name, shape, classes=7), random.Random(0))
    assert build(member)(torch.rand(2, *shape)).shape == (2, 7)


@pytest.mark.parametrize(("name", "shape"), EVERY)
def test_presets_are_data_that_files_hold(name: str, shape: tuple[int, ...]) -> None:
    space = preset(name, shape, classes=7)
    assert from_text(to_yaml(space)) == space


@given(SEEDS)
def test_a_member_is_its_own_genome(seed: int) -> None:
    space = MOBILE
    member = sample(space, random.Random(seed))
    assert decisions(space, member)["@resolution"] == (128, 160, 192, 224).index(fixed(member.input[1]))
    assert member.input[1] == member.input[2]


@pytest.mark.parametrize("name", PRESETS)
def test_the_last_map_keeps_some_positions(name: str) -> None:
    for shape in SHAPES:
        member = sample(preset(name, shape, classes=7), random.Random(1))
        last = steps(member)[-1].graph.inputs[0]
        assert min(last[1:]) >= min(2, min(shape[1:]) // 2)


def test_resolution_is_searched_for_square_images_of_96_and_more_only() -> None:
    open_inputs = {shape: any(isinstance(n, Choice) for n in mobile(shape, 10).input) for shape in SHAPES}
    assert {shape for shape, searched in open_inputs.items() if searched} == {(3, 224, 224)}
    assert mobile((3, 96, 96), 10).input[1] == Choice(48, 64, 80, 96, name="resolution")


def test_mixed_holds_networks_of_ten_thousand_to_two_million_multiply_adds_on_digits() -> None:
    space = mixed((1, 8, 8), 10)
    found = [cost(sample(space, random.Random(seed))).macs for seed in range(3000)]
    assert min(found) < 20_000
    assert max(found) > 2_000_000
    assert sum(10_000 <= n <= 2_000_000 for n in found) > 0.98 * len(found)


@given(SEEDS)
def test_widths_of_mixed_never_fall_and_layers_choose_for_themselves(seed: int) -> None:
    space = MIXED
    widths = [stage.width for stage in sample(space, random.Random(seed)).stages]
    assert widths == sorted(widths)
    assert all(stage.blocks.independent for stage in space.stages if isinstance(stage.blocks, Repeat))
    assert count(replace(space, conditions=())) > count(space)
    assert space.conditions == (NeverFalls(of="stages.width"),)


def test_an_unknown_preset_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(
        BadInput, match=r"preset: got 'moblie', expected one of mixed, mobile, .*; did you mean 'mobile'"
    ):
        preset("moblie", (3, 32, 32), classes=10)


def test_settings_follow_a_presets_name() -> None:
    space = preset("darts(width=8, cells=3)", (1, 8, 8), classes=4)
    assert space == PRESETS["darts"]((1, 8, 8), 4, width=8, cells=3)
    assert preset(" nasbench201 ( cells = 1 ) ", (1, 8, 8), classes=4) == PRESETS["nasbench201"](
        (1, 8, 8), 4, cells=1
    )
    assert is_preset("darts(anything)")
    assert not is_preset("spaces/mine.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("darts(widht=8)", "got the setting 'widht=8', .*darts takes width, cells.*did you mean 'width'"),
        ("darts(width=8, width=9)", "each once"),
        ("darts(8)", "got the setting '8'"),
        ("darts(width=two)", "width: got 'two', expected a whole number, 1 to 4096"),
        ("darts(width=0)", "width: got '0'"),
        ("mixed(width=8)", "mixed takes none"),
        ("darts(width=8", "expected one of"),
    ],
)
def test_settings_that_a_preset_does_not_take_are_refused(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        preset(text, (1, 8, 8), classes=4)
