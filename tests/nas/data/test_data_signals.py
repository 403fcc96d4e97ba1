"""Real one-dimensional sets, read as a user has them: by names of arrays alone."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from nas.data import ArrayKeys, DataSpec
from nas.data.load import load_search_data, load_test


def real(name: str) -> str:
    path = Path(os.environ.get("ARCHSCALE_DATA", "")) / name
    if "ARCHSCALE_DATA" not in os.environ or not path.is_file():
        pytest.skip(f"set ARCHSCALE_DATA to a folder that holds {name} to read the real file")
    return str(path)


def test_mnist_1d_needs_its_path_alone() -> None:
    spec = DataSpec(source="npz", path=real("mnist1d/mnist1d.npz"))
    data, held = load_search_data(spec), load_test(spec)
    assert (data.input_shape, data.outputs, data.task) == ((1, 40), 10, "classification")
    assert (len(data.train.x), len(data.validation.x), len(held.test.x)) == (3200, 800, 1000)


@pytest.mark.parametrize(
    ("name", "classes", "length", "counts"),
    [
        ("ACSF1", 10, 1460, (80, 20, 100)),
        ("ArrowHead", 3, 251, (29, 7, 175)),
        ("GunPoint", 2, 150, (40, 10, 150)),
        ("ItalyPowerDemand", 2, 24, (53, 14, 1029)),
        ("OSULeaf", 6, 427, (160, 40, 242)),
    ],
)
def test_one_of_several_sets_in_a_file_is_read_by_the_names_of_its_arrays(
    name: str, classes: int, length: int, counts: tuple[int, int, int]
) -> None:
    keys = ArrayKeys(
        x=f"{name}_X_train", y=f"{name}_y_train", x_test=f"{name}_X_test", y_test=f"{name}_y_test"
    )
    spec = DataSpec(source="npz", path=real("timeseries_ucr/ucr5.npz"), keys=keys)
    data, held = load_search_data(spec), load_test(spec)
    assert (data.input_shape, data.outputs) == ((1, length), classes)
    assert sum(counts[:2]) == len(data.train.x) + len(data.validation.x)
    assert abs(len(data.validation.x) - counts[1]) <= classes / 2
    assert len(held.test.x) == counts[2]


def test_diffraction_patterns_on_scales_of_their_own_are_normalised_one_by_one() -> None:
    """Seven classes, one of them with a single example, which is trained on and never tested."""
    keys = ArrayKeys(x="X", y="y")
    spec = DataSpec(source="npz", path=real("autoxrd/autoxrd_exp.npz"), keys=keys, normalise="per_example")
    data, held = load_search_data(spec), load_test(spec)
    assert (data.input_shape, data.outputs) == ((1, 1248), 7)
    assert data.classes is not None
    assert "Fm-3m" in data.classes
    assert len(data.train.x) + len(data.validation.x) + len(held.test.x) == 85
    assert set(np.unique(data.train.y)) == set(range(7))
    assert np.abs(data.train.x.mean(axis=2)).max() < 1e-4
