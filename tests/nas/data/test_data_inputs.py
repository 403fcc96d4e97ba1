"""What a model takes and gives, as a file: whole, checked, and of the data that it was trained on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nas.data import DataSpec
from nas.data.device import taken
from nas.data.inputs import Inputs, from_json, to_json
from nas.data.load import load_search_data
from search_spaces.errors import BadInput, BadSpec

PLAIN = Inputs(
    shape=(2, 5), dtype="float32", normalise="per_channel", mean=(0.1, -7e30), std=(1e-12, 3.0),
    task="classification", outputs=3, classes=("yes", "Käse 🧀", "\ud800 \u2028"),
)  # fmt: skip
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


def test_a_file_reads_back_equal_and_leaves_out_what_is_not_known() -> None:
    assert from_json(to_json(PLAIN), source="it") == PLAIN
    said = json.loads(to_json(replace(PLAIN, classes=None)))
    assert said["version"] == 1
    assert set(said["input"]) == {"shape", "dtype", "normalise", "mean", "std", "task", "outputs"}


@given(NUMBERS, NUMBERS.filter(lambda value: value > 0))
def test_numbers_read_back_bit_for_bit(mean: float, std: float) -> None:
    own = replace(PLAIN, mean=(mean, 0.0), std=(std, 1.0))
    assert from_json(to_json(own), source="it") == own


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mean": [0.0]}, "mean: got 1 of it and 2 of std, expected 2 each"),
        ({"std": [1.0, 0.0]}, "std"),
        ({"classes": ["a", "b"]}, "classes: got 2 names for 3 outputs"),
        ({"task": "regression"}, "classes: got 3 names for 3 outputs of a regression"),
        ({"shape": [2]}, "shape"),
        ({"dtype": "float64"}, "dtype"),
        ({"normalise": "somehow"}, "normalise"),
        ({"outputs": 0}, "outputs"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_does_not_fit_together_is_refused_by_its_path(changes: dict[str, object], said: str) -> None:
    data = json.loads(to_json(PLAIN))
    data["input"] |= changes
    with pytest.raises(BadInput, match=rf"^it: input\.{said}"):
        from_json(json.dumps(data), source="it")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"version": 1}', '{"version": 2, "input": {}}', "nonsense"]
)
def test_what_is_no_such_file_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match=r"^it: "):
        from_json(text, source="it")


def test_numbers_that_are_not_one_a_channel_are_refused_in_python_too() -> None:
    with pytest.raises(BadSpec, match="one a channel"):
        replace(PLAIN, std=(1.0,))


def made(folder: Path, x: object, y: object, **more: object) -> Inputs:
    np.savez(folder / "a.npz", x=x, y=y)  # type: ignore[arg-type]
    return load_search_data(DataSpec(source="npz", path=str(folder / "a.npz"), **more)).inputs  # type: ignore[arg-type]


def test_a_dataset_says_what_its_examples_are_and_names_classes_where_they_have_names(tmp_path: Path) -> None:
    y = np.arange(40) % 2
    grey = made(tmp_path, np.full((40, 6, 6), 7, np.uint8), y, normalise="none")
    assert grey == Inputs(
        shape=(1, 6, 6),
        dtype="uint8",
        normalise="none",
        mean=(0.0,),
        std=(1.0,),
        task="classification",
        outputs=2,
    )
    signals = made(tmp_path, np.full((40, 9), 7), np.array(["no", "yes"])[y])
    assert (signals.dtype, signals.mean, signals.std) == ("float32", (7.0,), (1.0,))
    assert signals.classes == ("no", "yes")
    counts = made(tmp_path, np.full((40, 9), 7, np.uint8), np.ones((40, 3)), normalise="per_example")
    assert (counts.dtype, counts.task, counts.outputs, counts.classes) == ("uint8", "regression", 3, None)


def test_raw_examples_are_normalised_by_channel_by_example_or_not_at_all() -> None:
    x = np.array([[[0, 100, 200]], [[7, 7, 7]]], dtype=np.uint8)
    own = Inputs(
        shape=(1, 3),
        dtype="uint8",
        normalise="per_channel",
        mean=(100.0,),
        std=(50.0,),
        task="regression",
        outputs=1,
    )
    ways = {"per_channel": [-2, 0, 2], "per_example": [-(1.5**0.5), 0, 1.5**0.5], "none": [0, 100, 200]}
    for how, first in ways.items():
        numbers = {} if how == "per_channel" else {"mean": (0.0,), "std": (1.0,)}
        inputs = replace(own, normalise=how, **numbers)  # type: ignore[arg-type]
        found = taken(x, inputs, size=(3,), device=torch.device("cpu"))
        assert found.dtype == torch.float32
        assert found[0, 0].tolist() == pytest.approx(first)
    assert taken(x, own, size=(6,), device=torch.device("cpu")).shape == (2, 1, 6)
