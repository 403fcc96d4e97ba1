"""The description of the data: plain, checked, light to load."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from nas.data import ArrayKeys, DataSpec
from search_spaces.errors import BadInput
from search_spaces.serialise import from_data, to_data

HEAVY = ("torch", "numpy", "pandas", "sklearn")


def test_the_description_loads_nothing_heavy() -> None:
    code = f"import sys, nas.data; print([name for name in {HEAVY} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == "[]"


def test_a_spec_survives_json() -> None:
    spec = DataSpec(source="npz", path="a.npz", limit=10, keys=ArrayKeys(x="signal", y="label"), size=(3, 4))
    assert from_data(DataSpec, json.loads(json.dumps(to_data(spec)))) == spec
    assert from_data(DataSpec, {}) == DataSpec()


def test_a_config_is_refused_once_with_its_path() -> None:
    for data, message in (
        ({"source": 3}, "source"),
        ({"sauce": "digits"}, "sauce"),
        ({"keys": {"z": "a"}}, r"keys.*z"),
        ({"layout": "sideways"}, "layout"),
        ({"limit": 1}, "limit: got 1"),
        ({"split_seed": "3"}, "split_seed: got '3'"),
        ({"test": "0.3"}, r"test: got '0\.3'"),
    ):
        with pytest.raises(BadInput, match=message):
            from_data(DataSpec, data)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"source": "digit"}, r"source: got 'digit', .* did you mean 'digits'\?"),
        ({"source": "fashion-mnist"}, r"did you mean 'fashion_mnist'\?"),
        ({"validation": 0}, r"validation: got 0"),
        ({"validation": -0.1}, r"validation: got -0.1"),
        ({"validation": float("nan")}, r"validation: got nan"),
        ({"test": 1.0}, r"test: got 1.0"),
        ({"validation": 0.5, "test": 0.5}, r"got 0.5 and 0.5, expected a sum below 1"),
        ({"limit": 1}, r"limit: got 1"),
        ({"split_seed": -1}, r"split_seed: got -1"),
        ({"split_seed": True}, r"split_seed: got True"),
        ({"normalise": "per_image"}, r"normalise: got 'per_image', expected 'per_channel'"),
        ({"size": 0}, r"size: got 0"),
        ({"size": (3, 4, 5)}, r"size: got more than 2 items"),
        ({"size": True}, r"size: got True"),
        ({"layout": "channel_last"}, r"layout: got 'channel_last', expected 'auto'"),
    ],
)
def test_what_no_dataset_could_meet_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        DataSpec(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize("half", [{"x": "a"}, {"y": "a"}, {"x": "a", "y": "b", "x_test": "c"}])
def test_half_a_pair_of_keys_is_refused(half: dict[str, str]) -> None:
    with pytest.raises(BadInput, match="expected both or neither"):
        DataSpec(keys=ArrayKeys(**half))


def test_keys_of_a_test_part_alone_are_refused() -> None:
    with pytest.raises(BadInput, match="got x_test without x"):
        DataSpec(keys=ArrayKeys(x_test="a", y_test="b"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"source": "digit"}, r"did you mean 'digits'\?"),
        ({"keys": {"x": "a"}}, "expected both or neither"),
        ({"validation": 0.6, "test": 0.6}, "expected a sum below 1"),
    ],
)
def test_settings_in_a_file_that_do_not_go_together_are_refused(data: object, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        from_data(DataSpec, data)
