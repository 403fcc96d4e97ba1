"""Laws of the augmentations, against loops that an eye can check."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor

from nas.data import Augmentation, Crop, Cutout, Flip
from nas.data.augment import augmented
from nas.data.augment_tensors import Key, crop, cutout, draw_chosen, draw_places, flip
from search_spaces.choice import Choice
from search_spaces.data import register
from search_spaces.errors import BadInput
from search_spaces.serialise import from_data, to_data

EVERY = (Flip(), Flip(probability=1.0), Crop(padding=2), Crop(padding=1, fill="reflect"), Cutout(size=2))
seeds = st.integers(0, 2**32)


@st.composite
def batches(draw: st.DrawFn) -> Tensor:
    """Draw a batch (N, C, *spatial) in which every value is different and none is 0."""
    dims = draw(st.integers(1, 3))
    shape = [
        draw(st.integers(1, 4)),
        draw(st.integers(1, 3)),
        *(draw(st.integers(2, 5)) for _ in range(dims)),
    ]
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    return torch.arange(1, 1 + torch.Size(shape).numel(), dtype=dtype).view(shape)


def seeded(seed: int) -> Generator:
    return torch.Generator().manual_seed(seed)


@given(batches(), seeds, st.sampled_from(EVERY))
def test_shape_type_and_argument_are_kept(x: Tensor, seed: int, augmentation: Augmentation) -> None:
    before = x.clone()
    after = augmentation.apply(x, seeded(seed))
    assert (after.shape, after.dtype) == (x.shape, x.dtype)
    assert torch.equal(x, before)
    assert after.data_ptr() != x.data_ptr()


@given(batches(), seeds, st.sampled_from(EVERY))
def test_no_example_takes_values_from_another(x: Tensor, seed: int, augmentation: Augmentation) -> None:
    after = augmentation.apply(x, seeded(seed))
    for old, new in zip(x.flatten(0, 1), after.flatten(0, 1), strict=True):
        assert set(new.flatten().tolist()) <= set(old.flatten().tolist()) | {0.0}


@given(batches(), seeds, st.sampled_from(EVERY))
def test_equal_generators_give_equal_batches(x: Tensor, seed: int, augmentation: Augmentation) -> None:
    first, again = augmentation.apply(x, seeded(seed)), augmentation.apply(x, seeded(seed))
    assert torch.equal(first, again)


@given(batches(), seeds)
def test_a_certain_flip_twice_is_the_identity(x: Tensor, seed: int) -> None:
    for axis in range(-1, 1 - x.ndim, -1):
        twice = (Flip(axis=axis, probability=1.0),) * 2
        assert torch.equal(augmented(x, twice, generator=seeded(seed)), x)


def test_a_flip_mirrors_only_the_chosen() -> None:
    x = torch.tensor([[[1.0, 2, 3]], [[4, 5, 6]]])
    flipped = flip(x, torch.tensor([True, False]), axis=-1)
    assert flipped.tolist() == [[[3, 2, 1]], [[4, 5, 6]]]


def test_a_flip_chooses_as_often_as_its_probability() -> None:
    chosen = draw_chosen(torch.zeros(20_000, 1, 2), 0.3, generator=seeded(0))
    assert abs(chosen.float().mean().item() - 0.3) < 0.02


@given(batches(), seeds, st.integers(1, 3), st.sampled_from(["zero", "reflect"]))
def test_a_crop_equals_the_loop(x: Tensor, seed: int, padding: int, fill: str) -> None:
    if fill == "reflect":
        padding = min(padding, *(size - 1 for size in x.shape[2:]))
    offsets = draw_places(x, (2 * padding + 1,) * (x.ndim - 2), generator=seeded(seed))
    cut = crop(x, offsets, padding=padding, fill="reflect" if fill == "reflect" else "zero")
    for example in range(len(x)):
        shift = [int(offset[example]) - padding for offset in offsets]
        for place in product(*map(range, x.shape[2:])):
            source = [p + s for p, s in zip(place, shift, strict=True)]
            if fill == "reflect":
                source = [mirrored(p, size) for p, size in zip(source, x.shape[2:], strict=True)]
            inside = all(0 <= p < size for p, size in zip(source, x.shape[2:], strict=True))
            old: Key = (example, slice(None), *source)
            new: Key = (example, slice(None), *place)
            assert torch.equal(cut[new], x[old] if inside else torch.zeros(x.shape[1], dtype=x.dtype))


def mirrored(place: int, size: int) -> int:
    place = abs(place)
    return place if place < size else 2 * (size - 1) - place


def test_a_crop_reaches_every_shift_and_none_other() -> None:
    offsets = draw_places(torch.zeros(500, 1, 8, 8), (5, 5), generator=seeded(0))
    assert {(int(a), int(b)) for a, b in zip(*offsets, strict=True)} == set(product(range(5), range(5)))


@given(batches(), seeds, st.integers(1, 5))
def test_a_cutout_zeroes_its_box_and_nothing_else(x: Tensor, seed: int, size: int) -> None:
    size = min(size, *x.shape[2:])
    centres = draw_places(x, tuple(x.shape[2:]), generator=seeded(seed))
    expected, count = x.clone(), 0
    for example in range(len(x)):
        box = []
        for axis, length in enumerate(x.shape[2:]):
            start = int(centres[axis][example]) - size // 2
            box.append(slice(max(start, 0), min(start + size, length)))
        inside: Key = (example, slice(None), *box)
        expected[inside] = 0
        count += x.shape[1] * torch.Size([part.stop - part.start for part in box]).numel()
    cut = cutout(x, centres, size=size)
    assert torch.equal(cut, expected)
    assert int((cut == 0).sum()) == count


def test_a_cutout_inside_zeroes_its_whole_square() -> None:
    cut = cutout(torch.ones(1, 3, 6, 6), (torch.tensor([3]), torch.tensor([2])), size=3)
    assert cut[0, 0].tolist() == [
        [1, 1, 1, 1, 1, 1],
        [1, 1, 1, 1, 1, 1],
        [1, 0, 0, 0, 1, 1],
        [1, 0, 0, 0, 1, 1],
        [1, 0, 0, 0, 1, 1],
        [1, 1, 1, 1, 1, 1],
    ]
    assert int((cut == 0).sum()) == 3 * 9


@given(batches(), seeds)
def test_a_recipe_applies_its_augmentations_in_order(x: Tensor, seed: int) -> None:
    generator = seeded(seed)
    by_hand = Cutout(size=2).apply(Crop(padding=2).apply(x, generator), generator)
    assert torch.equal(augmented(x, (Crop(padding=2), Cutout(size=2)), generator=seeded(seed)), by_hand)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"type": "Flip", "axis": 1}, "axis: got 1"),
        ({"type": "Flip", "probability": 1.5}, r"probability: got 1\.5"),
        ({"type": "Flip", "probability": float("nan")}, "probability: got nan"),
        ({"type": "Crop", "padding": 0}, "padding: got 0"),
        ({"type": "Crop", "padding": True}, "padding: got True"),
        ({"type": "Crop", "fill": "mirror"}, "fill: got 'mirror', expected 'zero' or 'reflect'"),
        ({"type": "Cutout", "size": 0}, "size: got 0"),
        ({"type": "Cutout"}, "size"),
    ],
)
def test_what_no_input_could_take_is_refused_with_its_field(data: object, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        from_data(Augmentation, data)


def test_an_augmentation_made_in_python_is_checked_too() -> None:
    with pytest.raises(BadInput, match=r"padding.*: got -1"):
        Crop(padding=Choice(2, -1))


def test_what_this_input_cannot_take_is_refused_with_its_shape() -> None:
    signal, generator = torch.ones(2, 1, 4), seeded(0)
    with pytest.raises(BadInput, match=r"Flip.axis: got -2, expected one of the 1 spatial axes"):
        Flip(axis=-2).apply(signal, generator)
    with pytest.raises(BadInput, match=r"Crop.padding: got 4, .* shortest side of \(4,\)"):
        Crop(padding=4, fill="reflect").apply(signal, generator)
    with pytest.raises(BadInput, match=r"Cutout.size: got 5, .* shortest side of \(4,\)"):
        Cutout(size=5).apply(signal, generator)


@given(st.sampled_from([*EVERY, Crop(padding=Choice(2, 4))]))
def test_descriptions_survive_json(augmentation: Augmentation) -> None:
    data = json.loads(json.dumps(to_data(augmentation)))
    assert data["type"] == type(augmentation).__name__
    assert from_data(Augmentation, data) == augmentation


def test_an_unknown_augmentation_is_refused_with_what_there_is() -> None:
    with pytest.raises(BadInput, match=r"Cutuot.*Cutout"):
        from_data(Augmentation, {"type": "Cutuot"})


def test_a_users_own_augmentation_is_one_class() -> None:
    @register
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Darken(Augmentation):
        by: float = 0.5

        def apply(self, x: Tensor, generator: Generator) -> Tensor:
            return x * self.by

    assert from_data(Augmentation, {"type": "Darken", "by": 0.25}) == Darken(by=0.25)
    assert Darken().apply(torch.ones(2), seeded(0)).tolist() == [0.5, 0.5]
