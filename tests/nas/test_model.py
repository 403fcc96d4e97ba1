"""From what a final training left to predictions on raw examples, without the dataset and without the run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from nas.data import DataSpec
from nas.data.dataset import Array
from nas.data.device import held_out_to_device
from nas.data.inputs import to_json as inputs_to_json
from nas.data.load import load_search_data, load_test
from nas.evaluation import job
from nas.evaluation.scoring import LARGER, evaluate, scoring
from nas.kept import BEST, INPUT, SPEC, WEIGHTS
from nas.model import Model, load
from nas.proposal import Kind, Proposal, Status
from nas.recipe import Candidate, Recipe
from nas.storage import replace_file
from nas.workbench import Workbench
from search_spaces import Classifier, Conv, Network, Regressor, Stage
from search_spaces.errors import BadInput, StorageError
from search_spaces.serialise import key, to_data, to_json

DIGITS = DataSpec(limit=200)
RECIPE = Recipe(batch=20)  # an evaluation takes 80 at a time, and the last batch of the test part is short
NETWORK = Network(
    input=(1, 8, 8),
    stem=Stage(blocks=(Conv(),), width=8),
    stages=(Stage(blocks=(Conv(),), width=16, stride=2),),
    head=Classifier(classes=10, dropout=0.2),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """The folder that a final training left, and what it reported."""

    folder: Path
    metrics: Mapping[str, float]


def trained(
    home: Path, data: DataSpec, network: Network, *, epochs: int = 2, parent: int | None = None
) -> Trained:
    """Do a final training as a worker does it: of a member of a list, or with a parent, of the winner."""
    bench = Workbench.of(
        {
            "data": to_data(data), "device": "cpu", "folder": str(home), "threads": 1, "trial_seconds": None,
            "fingerprint": load_search_data(data).fingerprint,
        }
    )  # fmt: skip
    candidate = Candidate(network=network, recipe=RECIPE)
    asked = Proposal(number=3, kind=Kind.FINAL, candidate=candidate, epochs=epochs, seed=0, parent=parent)
    outcome = bench.run(asked, lambda _epoch, _metrics: None)
    assert outcome.status is Status.DONE, outcome.note
    folder = home / BEST if parent is not None else home / "trained" / asked.key / "3"
    return Trained(folder=folder, metrics=outcome.metrics)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained(tmp_path_factory.mktemp("run"), DIGITS, NETWORK, epochs=4, parent=1)


@pytest.fixture
def kept(digits: Trained, tmp_path: Path) -> Path:
    """Return a copy of the winner's folder, to be spoilt."""
    for file in digits.folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def labelled(folder: Path, x: Array, y: Array, **more: object) -> DataSpec:
    """Write examples, the last 50 of which are the test part."""
    np.savez(folder / "a.npz", x_train=x[:-50], y_train=y[:-50], x_test=x[-50:], y_test=y[-50:])
    return DataSpec(source="npz", path=str(folder / "a.npz"), **more)  # type: ignore[arg-type]


def accuracy(probabilities: NDArray[np.float32], y: Array) -> float:
    return float((probabilities.argmax(1) == y).mean())


def test_the_accuracy_that_was_reported_is_that_of_predictions_on_the_raw_test_part(digits: Trained) -> None:
    raw = load_test(DIGITS).test
    assert (raw.x.dtype, raw.x.shape[1:], int(raw.x.max())) == (
        np.uint8,
        (1, 8, 8),
        16,
    )  # as the dataset has them
    model = load(digits.folder)
    found = model.predict(raw.x)
    assert accuracy(found, raw.y) == digits.metrics["test_accuracy"] > 0.5
    assert found.dtype == np.float32
    assert found.shape == (len(raw.y), 10)
    assert found.sum(1) == pytest.approx(1, abs=1e-5)
    assert model.inputs.classes is None  # the digits' classes have numbers alone


def test_a_reported_loss_is_that_of_the_kept_weights_bit_for_bit(digits: Trained) -> None:
    model, test = load(digits.folder), held_out_to_device(load_test(DIGITS), "cpu")
    again = evaluate(
        model.module, test, name="test", by=scoring(test, smoothing=0.0), rule=model.rule, batch=20,
        check_time=lambda: None,
    )  # fmt: skip
    assert again == {name: digits.metrics[name] for name in again}
    assert set(again) == {"test_loss", "test_accuracy"}


def outputs(model: Model, data: DataSpec, batch: int) -> torch.Tensor:
    """Return what an evaluation of the test part sees of a model."""
    shape = tuple(int(n) for n in model.network.input)
    part = held_out_to_device(load_test(data), "cpu").sized(shape)
    with torch.inference_mode():
        return torch.cat([model.rule.outputs(model.module, x) for x, _ in part.in_order(batch)])


@pytest.mark.parametrize("normalise", ["per_channel", "per_example", "none"])
@pytest.mark.parametrize(("dtype", "network_input"), [("uint8", (3, 9, 7)), ("float32", (3, 12, 15))])
def test_predictions_see_what_an_evaluation_sees_bit_for_bit(
    tmp_path: Path, dtype: str, network_input: tuple[int, ...], normalise: str
) -> None:
    random = np.random.default_rng(0)
    y = np.arange(110) % 2
    x = (random.integers(0, 60, (110, 3, 12, 15)) + 60 * y[:, None, None, None]).astype(dtype)
    if normalise == "per_example":
        x[:, :, :, :7] *= 2 - y.astype(dtype)[:, None, None, None]
    data = labelled(tmp_path, x, np.array(["no", "yes"])[y], normalise=normalise)
    network = replace(NETWORK, input=network_input, head=Classifier(classes=2))
    done = trained(tmp_path, data, network)
    model = load(done.folder)
    assert model.inputs.classes == ("no", "yes")
    assert (model.inputs.dtype, model.inputs.normalise) == (dtype, normalise)
    batch = LARGER * 20 - 49  # 31: the last one is short
    found = model.predict(x[-50:], batch=batch)
    assert torch.equal(torch.from_numpy(found), outputs(model, data, batch).softmax(1))
    assert accuracy(found, y[-50:]) == done.metrics["test_accuracy"]


@pytest.mark.parametrize("normalise", ["per_channel", "per_example"])
def test_values_of_a_regression_are_in_the_units_of_its_targets(tmp_path: Path, normalise: str) -> None:
    random = np.random.default_rng(1)
    share = random.uniform(0.1, 0.9, 200)
    x = (random.uniform(size=(200, 1, 24)) < share[:, None, None]) * 50.0 + 3  # float64: held as float32
    y = np.stack([3 + share, -10 * share], axis=1)
    data = labelled(tmp_path, x, y, normalise=normalise)
    network = replace(NETWORK, input=(1, 24), head=Regressor(outputs=2))
    done = trained(tmp_path, data, network, epochs=6)
    model = load(done.folder)
    found = model.predict(x[-50:])
    assert (found.shape, model.inputs.task) == ((50, 2), "regression")
    rmse = math.sqrt(((found - y[-50:]) ** 2).mean())
    assert rmse == pytest.approx(done.metrics["test_rmse"], rel=1e-5)
    assert rmse < math.sqrt((y[-50:] ** 2).mean()) / 2  # that of answering 0


def test_predictions_do_not_depend_on_the_layout_of_an_array_nor_change_it(digits: Trained) -> None:
    model, x = load(digits.folder), load_test(DIGITS).test.x[:30]
    turned = np.asfortranarray(x)
    assert np.array_equal(model.predict(turned), model.predict(x))
    assert np.array_equal(turned, x)
    whole = model.predict(x)
    assert model.predict(x, batch=7) == pytest.approx(whole, abs=1e-6)
    model.module.train()  # as somebody may leave it
    assert np.array_equal(model.predict(x), whole)


def test_every_way_to_a_final_training_keeps_what_predictions_need(digits: Trained, tmp_path: Path) -> None:
    listed = trained(tmp_path, DIGITS, NETWORK, epochs=1)
    for folder in (digits.folder, listed.folder):
        assert {file.name for file in folder.iterdir()} == {SPEC, INPUT, WEIGHTS}
        assert load(folder).network == NETWORK


def test_weights_are_written_last_so_that_where_they_lie_the_rest_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def noted(path: Path, data: bytes) -> None:
        order.append(path.name)
        replace_file(path, data)

    monkeypatch.setattr(job, "replace_file", noted)
    trained(tmp_path, DIGITS, NETWORK, epochs=1)
    assert order == [SPEC, INPUT, WEIGHTS]


def test_a_folder_from_before_is_refused_with_the_reason_and_served_once_its_data_is_described(
    kept: Path, digits: Trained
) -> None:
    (kept / INPUT).unlink()
    with pytest.raises(BadInput, match=r"got no input\.json.*earlier version.*docs/data\.md"):
        load(kept)
    (kept / INPUT).write_text(inputs_to_json(load_search_data(DIGITS).inputs))  # as docs/data.md says
    x = load_test(DIGITS).test.x
    assert np.array_equal(load(kept).predict(x), load(digits.folder).predict(x))


@pytest.mark.parametrize("name", [SPEC, WEIGHTS])
def test_a_folder_without_a_model_is_refused(kept: Path, name: str) -> None:
    (kept / name).unlink()
    with pytest.raises(BadInput, match=f"got no {name}, expected the folder of a final training"):
        load(kept)
    with pytest.raises(BadInput, match="got no weights"):
        load(kept / "nowhere")


def test_weights_of_another_network_are_refused_though_their_shapes_fit(kept: Path) -> None:
    other = replace(NETWORK, stem=Stage(blocks=(Conv(act="silu"),), width=8))
    (kept / SPEC).write_text(to_json(other))
    with pytest.raises(
        BadInput, match=r"weights\.safetensors: got weights of the network [0-9a-f]{16}, expected"
    ):
        load(kept)
    save_file(load_file(kept / WEIGHTS), kept / WEIGHTS)
    with pytest.raises(BadInput, match="of no key"):
        load(kept)


def test_weights_whose_names_do_not_fit_are_refused(kept: Path) -> None:
    weights = load_file(kept / WEIGHTS)
    name = min(weights)
    save_file({f"{name}.old": weights.pop(name), **weights}, kept / WEIGHTS, metadata={"key": key(NETWORK)})
    with pytest.raises(BadInput, match=rf"weights that do not fit spec\.json.*{name}"):
        load(kept)


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_damaged_weights_are_refused(kept: Path, keep: int) -> None:
    content = (kept / WEIGHTS).read_bytes()
    (kept / WEIGHTS).write_bytes(content[:keep])
    with pytest.raises(StorageError, match=r"weights\.safetensors: cannot be read"):
        load(kept)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"outputs": 7}, r"input\.json: got 7 outputs, expected 10"),
        (
            {"shape": [2, 8, 8], "mean": [0.0, 0.0], "std": [1.0, 1.0]},
            "got a network for .1, 8, 8., expected 2 channels",
        ),
        ({"shape": [1, 8]}, "got a network for .1, 8, 8., expected 1 channels and 1 axes"),
        ({"mean": []}, r"input\.json: input\.mean"),
    ],
)
def test_inputs_that_the_network_does_not_take_are_refused(
    kept: Path, changes: dict[str, object], said: str
) -> None:
    data = json.loads((kept / INPUT).read_text())
    data["input"] |= changes
    (kept / INPUT).write_text(json.dumps(data))
    with pytest.raises(BadInput, match=said):
        load(kept)


BYTES = np.zeros((4, 1, 8, 8), np.uint8)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (BYTES[0], r"x: got examples of shape \(8, 8\), expected \(1, 8, 8\)"),
        (BYTES[:, 0], r"x: got examples of shape \(8, 8\), expected \(1, 8, 8\)"),
        (BYTES.repeat(3, axis=1), r"x: got examples of shape \(3, 8, 8\), expected \(1, 8, 8\)"),
        (BYTES[..., :7], r"x: got examples of shape \(1, 8, 7\), expected \(1, 8, 8\)"),
        (BYTES[:0], "at least one example"),
        (BYTES[0, 0], "expected .N, C, .spatial."),
        (BYTES.astype(np.float64) / 255, "x: got float64, expected uint8 as the network was trained on"),
        (BYTES.astype(np.int64), "x: got int64, expected uint8"),
        (BYTES.astype(str), "expected numbers"),
    ],
)
def test_examples_unlike_those_it_was_trained_on_are_refused(digits: Trained, x: Array, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        load(digits.folder).predict(x)


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(110, 1, 8)).astype(np.float32)
    network = replace(NETWORK, input=(1, 8), head=Classifier(classes=2))
    model = load(trained(tmp_path, labelled(tmp_path, x, np.arange(110) % 2), network, epochs=1).folder)
    x[3, 0, 2] = np.nan
    with pytest.raises(BadInput, match=r"x: got NaN.*the first at index 3"):
        model.predict(x)
    with pytest.raises(BadInput, match="x: got uint8, expected float32"):
        model.predict(np.zeros((2, 1, 8), np.uint8))


def test_a_device_or_a_batch_that_says_nothing_is_refused(digits: Trained) -> None:
    with pytest.raises(BadInput, match="device: got 'gpu', expected auto, cpu, cuda"):
        load(digits.folder, device="gpu")
    if not torch.cuda.is_available():
        with pytest.raises(BadInput, match="device: got cuda, expected a device of this machine"):
            load(digits.folder, device="cuda")
    with pytest.raises(BadInput, match="batch: got 0"):
        load(digits.folder).predict(BYTES, batch=0)


@pytest.mark.gpu
def test_a_gpu_predicts_what_the_processor_does(digits: Trained) -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    x = load_test(DIGITS).test.x
    there = load(digits.folder, device="cuda")
    assert next(there.module.parameters()).device.type == "cuda"
    assert there.predict(x) == pytest.approx(load(digits.folder).predict(x), abs=0.05)  # bfloat16
