"""Batches on a device: complete, normalised, reproducible, never of one example."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

from nas.data import Crop, DataSpec, Flip
from nas.data.device import DevicePart, held_out_to_device, to_device
from nas.data.load import load_search_data, load_test
from search_spaces.errors import BadInput

DATA = load_search_data(DataSpec(limit=100))


def numbered(count: int) -> DevicePart:
    """Return a part whose labels are the positions of its examples."""
    zero, one = torch.zeros(1, 1, 1), torch.ones(1, 1, 1)
    x = torch.arange(count, dtype=torch.float32).view(-1, 1, 1)
    return DevicePart(x=x, y=torch.arange(count), mean=zero, std=one)


def seeded(seed: int) -> Generator:
    return torch.Generator().manual_seed(seed)


@given(st.integers(2, 60), st.integers(2, 20), st.integers(0, 2**32))
def test_an_epoch_has_every_example_once_but_a_lone_last_one(count: int, batch_size: int, seed: int) -> None:
    part = numbered(count)
    batches = list(part.batches(seeded(seed), batch_size))
    labels = torch.cat([y for _, y in batches]).tolist()
    assert len(labels) == len(set(labels)) == (count - 1 if count % batch_size == 1 else count)
    assert len(batches) == part.steps(batch_size)
    assert all(2 <= len(y) <= batch_size for _, y in batches)
    assert all(torch.equal(x[:, 0, 0], y.float()) for x, y in batches)


@given(st.integers(1, 60), st.integers(1, 20))
def test_an_evaluation_has_every_example_in_order(count: int, batch_size: int) -> None:
    labels = torch.cat([y for _, y in numbered(count).in_order(batch_size)])
    assert labels.tolist() == list(range(count))


def test_batches_of_one_are_given_to_who_asks_for_them() -> None:
    assert len(list(numbered(5).batches(seeded(0), 1))) == 5


@settings(max_examples=10)
@given(st.integers(0, 2**32))
def test_equal_generators_give_equal_epochs(seed: int) -> None:
    part = to_device(DATA, "cpu").train
    augment = (Crop(padding=1), Flip())
    first, again = (list(part.batches(seeded(seed), 32, augment=augment)) for _ in range(2))
    assert all(
        torch.equal(a, b)
        for one, two in zip(first, again, strict=True)
        for a, b in zip(one, two, strict=True)
    )


def test_two_epochs_of_one_generator_differ() -> None:
    part, generator = numbered(50), seeded(0)
    first, second = (torch.cat([y for _, y in part.batches(generator, 8)]).tolist() for _ in range(2))
    assert first != second


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    list(
        to_device(load_search_data(DataSpec()), "cpu").train.batches(seeded(0), 64, augment=(Crop(), Flip()))
    )
    assert torch.equal(torch.get_rng_state(), before)


def epoch(part: DevicePart) -> Tensor:
    return torch.cat([x for x, _ in part.in_order(100)])


def test_train_batches_have_mean_zero_and_spread_one() -> None:
    x = epoch(to_device(load_search_data(DataSpec()), "cpu").train)
    assert x.dtype == torch.float32
    assert abs(x.mean().item()) < 1e-4
    assert abs(x.std().item() - 1) < 1e-4


def test_bytes_stay_bytes_and_give_the_same_batches_as_floats() -> None:
    data = load_search_data(DataSpec())
    as_bytes, as_float = to_device(data, "cpu"), to_device(data, "cpu", as_float=True)
    assert (as_bytes.train.x.dtype, as_float.train.x.dtype) == (torch.uint8, torch.float32)
    assert torch.equal(epoch(as_bytes.train), epoch(as_float.train))
    first, second = (next(part.train.batches(seeded(1), 64))[0] for part in (as_bytes, as_float))
    assert torch.equal(first, second)


def test_the_test_part_is_normalised_like_the_train_part() -> None:
    held = load_test(DataSpec())
    x = epoch(held_out_to_device(held, "cpu"))
    expected = (held.test.x.astype(np.float64) - held.mean[0]) / held.std[0]
    assert np.allclose(x.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("as_float", [True, False])
def test_a_model_that_works_in_place_leaves_the_data_alone(as_float: bool) -> None:
    part = to_device(DATA, "cpu", as_float=as_float).train
    before = part.x.clone()
    for x, _ in [*part.batches(seeded(0), 32), *part.in_order(32)]:
        x.zero_()
    assert torch.equal(part.x, before)


def test_the_device_holds_a_copy() -> None:
    data = load_search_data(DataSpec())
    before = data.train.x.copy()
    to_device(data, "cpu").train.x.zero_()
    assert np.array_equal(data.train.x, before)


@pytest.mark.gpu
def test_batches_on_a_gpu_never_wait_for_it() -> None:
    part = to_device(load_search_data(DataSpec()), "cuda").train
    generator = torch.Generator("cuda").manual_seed(0)
    torch.cuda.set_sync_debug_mode("error")
    try:
        batches = list(part.batches(generator, 64, augment=(Crop(padding=1), Flip())))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(x.is_cuda and y.is_cuda for x, y in batches)


def part_of(x: Tensor) -> DevicePart:
    """Return a part of such examples, not normalised."""
    shape = (1, -1, *[1] * (x.ndim - 2))
    plain = torch.zeros(x.shape[1]).view(shape), torch.ones(x.shape[1]).view(shape)
    return DevicePart(x=x, y=torch.zeros(len(x), dtype=torch.int64), mean=plain[0], std=plain[1])


def test_a_network_of_the_datas_size_gets_the_very_same_part() -> None:
    part = part_of(torch.zeros(2, 3, 4, 5))
    assert part.sized((3, 4, 5)) is part


@pytest.mark.parametrize("shape", [(1, 4, 5), (3, 4), (3, 4, 5, 6)])
def test_other_channels_or_axes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadInput, match=r"expected 3 channels and 2 axes .* sizes may differ"):
        part_of(torch.zeros(2, 3, 4, 5)).sized(shape)


@given(st.lists(st.integers(3, 9), min_size=1, max_size=3), st.data())
def test_examples_are_resized_on_any_number_of_axes_and_even_ones_stay_even(
    spatial: list[int], data: st.DataObject
) -> None:
    wanted = tuple(data.draw(st.integers(2, 12)) for _ in spatial)
    part = part_of(torch.full((5, 2, *spatial), 3.0)).sized((2, *wanted))
    batches = [x for x, _ in part.in_order(2)] + [x for x, _ in part.batches(seeded(0), 2)]
    assert {tuple(x.shape[1:]) for x in batches} == {(2, *wanted)}
    assert all(torch.allclose(x, torch.tensor(3.0)) for x in batches)


def test_an_image_that_shrinks_is_antialiased_and_a_signal_is_drawn_linearly() -> None:
    stripes = (
        torch.tensor([0.0, 0.0, 1.0, 1.0]).repeat(16, 4).view(1, 1, 16, 16)
    )  # finer than 4 pixels can show
    ((small, _),) = part_of(stripes).sized((1, 4, 4)).in_order(1)
    assert torch.allclose(small[..., 1:-1], torch.tensor(0.5), atol=0.01)
    ((line, _),) = part_of(torch.tensor([0.0, 4.0]).view(1, 1, 2)).sized((1, 4)).in_order(1)
    assert line.flatten().tolist() == [0.0, 1.0, 3.0, 4.0]


def test_augmentation_sees_examples_at_their_own_size() -> None:
    part = to_device(DATA, "cpu").train
    own = [x for x, _ in part.batches(seeded(3), 32, augment=(Crop(padding=1),))]
    larger = [x for x, _ in part.sized((1, 16, 16)).batches(seeded(3), 32, augment=(Crop(padding=1),))]
    for x, resized in zip(own, larger, strict=True):
        expected = torch.nn.functional.interpolate(x, (16, 16), mode="bilinear", antialias=True)
        assert torch.equal(expected, resized)
