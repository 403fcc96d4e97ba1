"""What a search gets: the train and validation parts, and no way to the test part."""

from __future__ import annotations

import gc
import os
import pickle
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from nas.data import DataSpec
from nas.data.load import SearchData, load_search_data, load_test
from nas.data.sources import digits
from search_spaces.errors import BadInput

MARK = 200  # a value that only test examples hold


def marked(folder: Path, *, given: bool) -> DataSpec:
    """Write a set in which each example's pixels are its own number, a given test part from 200 on."""
    x = np.repeat(np.arange(250, dtype=np.uint8), 6).reshape(250, 6)
    y = np.arange(250) % 2
    arrays = {"x": x, "y": y}
    if given:
        arrays = {"x_train": x[:MARK], "y_train": y[:MARK], "x_test": x[MARK:], "y_test": y[MARK:]}
    np.savez(folder / "marked.npz", **arrays)  # type: ignore[arg-type]
    return DataSpec(source="npz", path=str(folder / "marked.npz"))


def reachable(root: object) -> list[object]:
    """Return every object that references lead to from `root`, but modules and types, not its data."""
    found: dict[int, object] = {}
    todo = [root]
    while todo:
        item = todo.pop()
        if id(item) in found or isinstance(item, ModuleType | type):
            continue
        found[id(item)] = item
        todo += gc.get_referents(item)
        if isinstance(item, np.ndarray):
            todo.append(item.base)
        elif hasattr(item, "__dataclass_fields__"):
            todo += [getattr(item, field.name) for field in fields(item)]  # type: ignore[arg-type]
    return list(found.values())


@pytest.mark.parametrize("given", [True, False])
def test_nothing_a_search_gets_leads_to_the_test_part(tmp_path: Path, given: bool) -> None:
    spec = marked(tmp_path, given=given)
    data, held = load_search_data(spec), load_test(spec)
    arrays = [item for item in reachable(data) if isinstance(item, np.ndarray)]
    assert {id(array) for array in arrays} == {
        id(array) for part in (data.train, data.validation) for array in (part.x, part.y)
    }
    seen = set(np.concatenate([data.train.x[:, 0, 0], data.validation.x[:, 0, 0]]).tolist())
    tested = set(held.test.x[:, 0, 0].tolist())
    assert seen | tested == set(range(250))
    assert not seen & tested


@pytest.mark.parametrize("given", [True, False])
def test_no_bytes_of_a_test_example_are_in_what_a_search_gets(tmp_path: Path, given: bool) -> None:
    spec = marked(tmp_path, given=given)
    stored, held = pickle.dumps(load_search_data(spec)), load_test(spec)
    assert all(example.tobytes() not in stored for example in held.test.x)


def test_no_index_is_among_what_a_search_gets() -> None:
    assert {field.name for field in fields(SearchData)} == {
        *("name", "task", "input_shape", "outputs", "classes", "normalise", "mean", "std"),
        *("dtype", "fingerprint", "train", "validation", "held_out"),
    }
    assert type(load_search_data(DataSpec()).held_out) is int  # how many, not which


def test_the_parts_cannot_be_written_to() -> None:
    data = load_search_data(DataSpec())
    for array in (data.train.x, data.train.y, data.validation.x, data.validation.y):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_the_parts_and_the_test_part_make_up_the_whole() -> None:
    whole = digits.load(DataSpec())
    data, held = load_search_data(DataSpec()), load_test(DataSpec())
    rows = np.concatenate([part.x for part in (data.train, data.validation, held.test)])
    assert sorted(row.tobytes() for row in rows) == sorted(row.tobytes() for row in whole.x)


def test_loading_again_gives_the_same() -> None:
    first, again = load_search_data(DataSpec(split_seed=3)), load_search_data(DataSpec(split_seed=3))
    assert np.array_equal(first.train.x, again.train.x)
    assert first.fingerprint == again.fingerprint


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_the_statistics_are_those_of_the_train_part_alone(tmp_path: Path, kind: type[np.generic]) -> None:
    x = np.random.default_rng(0).integers(0, 255, (60, 2, 5, 5)).astype(kind)
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(60) % 3)
    data = load_search_data(DataSpec(source="npz", path=str(tmp_path / "a.npz")))
    train = data.train.x.astype(np.float64)
    assert data.mean == pytest.approx(train.mean(axis=(0, 2, 3)).tolist())
    assert data.std == pytest.approx(train.std(axis=(0, 2, 3)).tolist())


def test_the_statistics_are_exact_beyond_one_chunk(tmp_path: Path) -> None:
    x = np.tile(np.array([[1.0], [3.0]]), (5000, 2))
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(10_000) // 2 % 2)
    data = load_search_data(DataSpec(source="npz", path=str(tmp_path / "a.npz")))
    ones = float((data.train.x == 1).mean())
    assert data.mean[0] == pytest.approx(3 - 2 * ones)
    assert data.std[0] == pytest.approx(2 * (ones * (1 - ones)) ** 0.5)


def test_a_channel_that_never_varies_has_a_spread_of_one(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.full((20, 9), 7.0), y=np.arange(20) % 2)
    data = load_search_data(DataSpec(source="npz", path=str(tmp_path / "a.npz")))
    assert (data.mean, data.std) == ((7.0,), (1.0,))


def test_the_test_part_comes_with_the_statistics_of_training() -> None:
    data, held = load_search_data(DataSpec(limit=50)), load_test(DataSpec(limit=50))
    assert len(data.train.x) == 50
    assert (held.mean, held.std, held.fingerprint) == (data.mean, data.std, data.fingerprint)


def test_a_spec_without_a_test_part_has_none_to_load() -> None:
    spec = DataSpec(test=0)
    assert len(load_search_data(spec).train.x) == 1438
    with pytest.raises(BadInput, match=r"digits: got data\.test of 0"):
        load_test(spec)


def test_the_real_fashion_mnist_has_its_published_sizes_and_statistics() -> None:
    """Mean .2860 and standard deviation .3530 of all 60,000 training images are the ones in common use."""
    folder = Path(os.environ.get("ARCHSCALE_DATA", "")) / "fashion_mnist"
    if "ARCHSCALE_DATA" not in os.environ or not folder.is_dir():
        pytest.skip("set ARCHSCALE_DATA to a folder that holds fashion_mnist/ to read the real files")
    spec = DataSpec(source="fashion_mnist", path=str(folder))
    data, held = load_search_data(spec), load_test(spec)
    assert (len(data.train.x), len(data.validation.x), len(held.test.x)) == (48_000, 12_000, 10_000)
    assert np.bincount(data.validation.y).tolist() == [1200] * 10
    assert np.bincount(held.test.y).tolist() == [1000] * 10
    assert data.mean[0] / 255 == pytest.approx(0.2860, abs=1e-3)
    assert data.std[0] / 255 == pytest.approx(0.3530, abs=1e-3)
