"""What a model is given: by channel, by example, or as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.data import DataSpec
from nas.data.device import held_out_to_device, to_device
from nas.data.load import load_search_data, load_test
from nas.data.normalise import moments, standardised

RANDOM = np.random.default_rng(0)


def scaled(folder: Path) -> DataSpec:
    """Write 60 signals of two channels, each on a scale of its own."""
    x = RANDOM.normal(size=(60, 2, 40)) * 10.0 ** RANDOM.integers(-3, 6, (60, 2, 1)) + 50
    np.savez(folder / "a.npz", x=x, y=np.arange(60) % 3)
    return DataSpec(source="npz", path=str(folder / "a.npz"), layout="channels_first")


def test_by_example_every_channel_of_every_example_has_mean_zero_and_spread_one(tmp_path: Path) -> None:
    spec = replace(scaled(tmp_path), normalise="per_example")
    data, held = load_search_data(spec), load_test(spec)
    assert (data.mean, data.std, held.mean, held.std) == ((0, 0), (1, 1)) * 2
    on = to_device(data, "cpu")
    for part in (on.train, on.validation, held_out_to_device(held, "cpu")):
        x = part.x.double()
        assert x.mean(dim=2).abs().max() < 1e-5
        assert (x.std(dim=2, correction=0) - 1).abs().max() < 1e-5


def test_by_channel_is_what_happens_unasked(tmp_path: Path) -> None:
    spec = scaled(tmp_path)
    assert spec.normalise == "per_channel"
    x = to_device(load_search_data(spec), "cpu").train.x.double()
    assert x.mean(dim=(0, 2)).abs().max() < 1e-4
    assert (x.std(dim=(0, 2), correction=0) - 1).abs().max() < 1e-4


def test_none_leaves_the_numbers_as_they_are(tmp_path: Path) -> None:
    x = RANDOM.integers(0, 256, (20, 9)).astype(np.uint8)
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(20) % 2)
    data = load_search_data(DataSpec(source="npz", path=str(tmp_path / "a.npz"), normalise="none"))
    assert data.train.x.dtype == np.uint8
    batch, _ = next(to_device(data, "cpu").train.in_order(4))
    assert np.array_equal(batch.numpy(), data.train.x[:4].astype(np.float32))


def test_the_fingerprint_is_of_the_data_not_of_what_is_made_of_it(tmp_path: Path) -> None:
    spec = scaled(tmp_path)
    prints = {
        load_search_data(replace(spec, normalise=how)).fingerprint
        for how in ("per_channel", "per_example", "none")
    }
    assert len(prints) == 1


@given(st.floats(-1e6, 1e6), st.integers(1, 50))
def test_an_example_that_never_varies_becomes_zero(value: float, length: int) -> None:
    x = standardised(np.full((3, 2, length), value, dtype=np.float32))
    assert x.dtype == np.float32
    assert np.abs(x).max() < 1e-3


def test_bytes_are_standardised_too() -> None:
    x = standardised(np.array([[[0, 100, 200]], [[7, 7, 7]]], dtype=np.uint8))
    assert x[0, 0].tolist() == pytest.approx([-(1.5**0.5), 0, 1.5**0.5])
    assert x[1, 0].tolist() == [0, 0, 0]


def test_examples_are_standardised_beyond_one_chunk() -> None:
    x = RANDOM.normal(size=(5000, 1, 6)).astype(np.float32)
    assert np.array_equal(standardised(x)[4500:], standardised(x[4500:]))
    assert moments(x, "per_example") == ((0.0,), (1.0,))
