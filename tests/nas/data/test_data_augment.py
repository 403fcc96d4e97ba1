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

from nas.data import (
    Augmentation,
    Blur,
    Crop,
    Cutout,
    Flip,
    Intensity,
    Mixup,
    Noise,
    Rotate,
    Scale,
)
from nas.data.augment import augmented
from nas.data.augment.tensors import Key, crop, cutout, draw_chosen, draw_places, flip
from search_spaces.choice import Choice
from search_spaces.data import register
from search_spaces.errors import BadInput
from search_spaces.serialise import from_data, to_data

COPYING = (Flip(), Flip(probability=1.0), Crop(padding=2), Crop(padding=1, fill="reflect"), Cutout(size=2))
COMPUTING = (
    Rotate(degrees=30.0),
    Scale(scale=(0.5, 2.0), fill="reflect"),
    Blur(sigma=(0.0, 2.0)),
    Noise(std=(0.1, 0.5)),
    Intensity(brightness=(-1.0, 3.0)),
    Mixup(alpha=1.0),
)
NOTHING = (
    Flip(probability=0.0),
    Rotate(degrees=0.0),
    Rotate(probability=0.0),
    Scale(scale=0.0),
    Scale(probability=0.0),
    Blur(sigma=0.0),
    Blur(sigma=2.0, probability=0.0),
    Noise(std=0.0),
    Noise(probability=0.0),
    Intensity(brightness=0.0, contrast=0.0),
    Intensity(probability=0.0),
    Mixup(alpha=0.0),
    Mixup(probability=0.0),
)
seeds = st.integers(0, 2**32)


@st.composite
def batches(draw: st.DrawFn, least: int = 1) -> Tensor:
    """Draw a batch (N, C, *spatial), of `least` spatial axes, in which each value is different and none is 0."""
    dims = draw(st.integers(least, 3))
    shape = [
        draw(st.integers(1, 4)),
        draw(st.integers(1, 3)),
        *(draw(st.integers(2, 5)) for _ in range(dims)),
    ]
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    return torch.arange(1, 1 + torch.Size(shape).numel(), dtype=dtype).view(shape)


@st.composite
def applied(
    draw: st.DrawFn, augmentations: tuple[Augmentation, ...] = COPYING + COMPUTING
) -> tuple[Tensor, Augmentation]:
    """Draw a batch and one of the augmentations that it can take."""
    augmentation = draw(st.sampled_from(augmentations))
    return draw(batches(2 if isinstance(augmentation, Rotate) else 1)), augmentation


def seeded(seed: int) -> Generator:
    return torch.Generator().manual_seed(seed)


def images(x: Tensor, augmentations: tuple[Augmentation, ...], generator: Generator) -> Tensor:
    return augmented(x, torch.zeros(len(x)), augmentations, generator=generator)[0]


@given(applied(), seeds)
def test_shape_type_and_argument_are_kept(case: tuple[Tensor, Augmentation], seed: int) -> None:
    x, augmentation = case
    before = x.clone()
    after = augmentation.apply(x, seeded(seed))
    assert (after.shape, after.dtype) == (x.shape, x.dtype)
    assert torch.equal(x, before)
    assert after.data_ptr() != x.data_ptr()
    assert after.isfinite().all()


@given(applied(COPYING), seeds)
def test_no_example_takes_values_from_another(case: tuple[Tensor, Augmentation], seed: int) -> None:
    x, augmentation = case
    after = augmentation.apply(x, seeded(seed))
    for old, new in zip(x.flatten(0, 1), after.flatten(0, 1), strict=True):
        assert set(new.flatten().tolist()) <= set(old.flatten().tolist()) | {0.0}


@given(applied(), seeds)
def test_equal_generators_give_equal_batches(case: tuple[Tensor, Augmentation], seed: int) -> None:
    x, augmentation = case
    torch.manual_seed(0)
    first = augmentation.apply(x, seeded(seed))
    torch.manual_seed(1)  # the global generator is not asked
    assert torch.equal(augmentation.apply(x, seeded(seed)), first)


@given(applied(NOTHING), seeds)
def test_no_strength_or_no_probability_is_the_identity(case: tuple[Tensor, Augmentation], seed: int) -> None:
    x, augmentation = case
    assert torch.equal(augmentation.apply(x, seeded(seed)), x)


@given(applied(), seeds)
def test_only_mixing_changes_targets(case: tuple[Tensor, Augmentation], seed: int) -> None:
    x, augmentation = case
    y = torch.arange(len(x))
    changed, targets = augmentation.transform(x, y, seeded(seed))
    assert torch.equal(changed, augmentation.apply(x, seeded(seed)))
    assert (targets is y) == (not isinstance(augmentation, Mixup))


@pytest.mark.gpu
@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("augmentation", COPYING + COMPUTING, ids=lambda a: type(a).__name__)
def test_a_batch_stays_on_its_gpu(augmentation: Augmentation, dims: int) -> None:
    if isinstance(augmentation, Rotate) and dims == 1:
        pytest.skip("signals do not turn")
    x = torch.randn(8, 2, *[6] * dims, device="cuda")
    first, again = (augmentation.apply(x, Generator("cuda").manual_seed(0)) for _ in range(2))
    assert (first.device, first.shape) == (x.device, x.shape)
    assert torch.equal(first, again)


@given(batches(), seeds)
def test_a_certain_flip_twice_is_the_identity(x: Tensor, seed: int) -> None:
    for axis in range(-1, 1 - x.ndim, -1):
        twice = (Flip(axis=axis, probability=1.0),) * 2
        assert torch.equal(images(x, twice, seeded(seed)), x)


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
    assert torch.equal(images(x, (Crop(padding=2), Cutout(size=2)), seeded(seed)), by_hand)


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
        ({"type": "Rotate", "degrees": -1}, "degrees: got -1"),
        ({"type": "Rotate", "degrees": [20, 10]}, r"degrees: got the range \[20.*\], expected \[low, high\]"),
        ({"type": "Rotate", "degrees": [0, 10, 20]}, "degrees"),
        ({"type": "Rotate", "degrees": {"choice": [10, [5, 1]]}}, r"degrees.choice\[1\]: got the range"),
        ({"type": "Rotate", "axis": 0}, "axis: got 0"),
        ({"type": "Rotate", "fill": "wrap"}, "fill: got 'wrap'"),
        ({"type": "Scale", "scale": 1.2}, r"scale: got 1\.2, expected less than or equal to 0\.9"),
        ({"type": "Scale", "scale": [0, 1]}, r"scale\[0\]: got 0"),
        ({"type": "Scale", "scale": [1.2, 0.8]}, "scale: got the range"),
        ({"type": "Blur", "sigma": -0.1}, r"sigma: got -0\.1"),
        ({"type": "Blur", "sigma": float("inf")}, "sigma: got inf"),
        ({"type": "Blur", "sigma": [2, 1]}, "sigma: got the range"),
        ({"type": "Noise", "std": "much"}, "std: got 'much', expected a number or a list or a choice"),
        ({"type": "Noise", "std": [0.2, 0.1]}, "std: got the range"),
        ({"type": "Noise", "sigma": 0.1}, "sigma: unknown field"),
        ({"type": "Intensity", "contrast": 1.5}, r"contrast: got 1\.5"),
        ({"type": "Intensity", "contrast": [-1, 1]}, r"contrast\[0\]: got -1"),
        ({"type": "Intensity", "brightness": [1, -1]}, "brightness: got the range"),
        ({"type": "Mixup", "alpha": -1}, "alpha: got -1"),
        ({"type": "Mixup", "alpha": float("nan")}, "alpha: got nan"),
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


SEARCHED = (
    Crop(padding=Choice(2, 4)),
    Rotate(degrees=Choice(0.0, 15.0, (-10.0, 30.0)), axis=Choice(None, -3)),
    Blur(sigma=Choice((0.1, 1.0), (0.1, 2.0))),
    Mixup(alpha=Choice(0.0, 0.2, 1.0)),
)


@pytest.mark.parametrize("augmentation", [*COPYING, *COMPUTING, *NOTHING, *SEARCHED], ids=repr)
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
