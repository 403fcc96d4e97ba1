"""Jobs: the same seed trains the same network, failures become outcomes, the test part is read once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from safetensors.torch import load_file

from nas.data import Crop, DataSpec
from nas.data.device import DevicePart, OnDevice, held_out_to_device, to_device
from nas.data.load import load_search_data, load_test
from nas.evaluation import JOBS, SPEC, WEIGHTS, Workspace, job, run
from nas.proposal import LONGEST_NOTE, Kind, Outcome, Proposal, Status
from nas.recipe import Candidate, Recipe
from search_spaces import Classifier, Conv, DenseClassifier, MBConv, Network, Regressor, Stage, load
from search_spaces.modules import build

DIGITS = DataSpec(limit=200)
DATA = to_device(load_search_data(DIGITS), "cpu")
TEST = held_out_to_device(load_test(DIGITS), "cpu")
NETWORK = Network(
    input=(1, 8, 8),
    stem=Stage(blocks=(Conv(),), width=8),
    stages=(
        Stage(blocks=(Conv(),), width=16, stride=2),
        Stage(blocks=(MBConv(expand=2.0),), width=16),
    ),
    head=Classifier(classes=10, dropout=0.2),
)
RECIPE = Recipe(augment=(Crop(padding=1),))


def unread() -> NoReturn:
    pytest.fail("the test part was read")


def workspace(folder: Path, data: OnDevice = DATA, held_out: Callable[[], DevicePart] = unread) -> Workspace:
    return Workspace(folder=folder / "trial", device="cpu", data=data, held_out=held_out)


def proposal(
    *,
    kind: Kind = Kind.TRAIN,
    recipe: Recipe = RECIPE,
    network: Network = NETWORK,
    epochs: int = 2,
    seed: int = 0,
) -> Proposal:
    candidate = Candidate(network=network, recipe=recipe)
    return Proposal(number=0, kind=kind, candidate=candidate, epochs=epochs, seed=seed)


def timeless(outcome: Outcome) -> Mapping[str, float]:
    assert outcome.status is Status.DONE, outcome.note
    return {name: value for name, value in outcome.metrics.items() if name != "train_seconds"}


def test_equal_seeds_give_equal_metrics_bit_for_bit_and_others_do_not(tmp_path: Path) -> None:
    torch.manual_seed(1)
    first = timeless(run(proposal(), workspace(tmp_path)))
    torch.manual_seed(2)  # what the process drew before does not matter
    assert timeless(run(proposal(), workspace(tmp_path))) == first
    assert timeless(run(proposal(seed=1), workspace(tmp_path))) != first


def test_the_global_generator_is_as_it_was_after_a_trial(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    run(proposal(), workspace(tmp_path))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_trial_gives_its_metrics_and_writes_nothing(tmp_path: Path) -> None:
    reports: list[tuple[int, Mapping[str, float]]] = []
    space = replace(workspace(tmp_path), report=lambda epoch, metrics: reports.append((epoch, metrics)))
    metrics = run(proposal(), space).metrics
    assert set(metrics) == {
        "validation_accuracy", "validation_loss", "train_loss", "train_seconds", "epochs", "best_epoch",
    }  # fmt: skip
    assert metrics["epochs"] == 2
    assert [epoch for epoch, _ in reports] == [1, 2]
    assert reports[-1][1].items() <= metrics.items()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(optimiser="adamw", schedule="one_cycle", lr=0.01, weight_decay=0.02),
        Recipe(optimiser="sgd", schedule="cosine", lr=0.1, weight_decay=5e-4),
        Recipe(
            optimiser="sgd", momentum=0.0, schedule="constant", lr=0.2, weight_decay=0.0, label_smoothing=0.1
        ),
    ],
    ids=lambda r: f"{r.optimiser}-{r.schedule}",
)
def test_every_optimiser_and_schedule_learns_the_digits(tmp_path: Path, recipe: Recipe) -> None:
    recipe = replace(recipe, batch=20)
    assert run(proposal(recipe=recipe, epochs=8), workspace(tmp_path)).metrics["validation_accuracy"] > 0.7


def test_a_final_training_reads_the_test_part_once_and_keeps_spec_and_weights(tmp_path: Path) -> None:
    reads: list[bool] = []

    def held_out() -> DevicePart:
        reads.append((tmp_path / "trial" / WEIGHTS).exists())
        return TEST

    outcome = run(proposal(kind=Kind.FINAL, epochs=3), workspace(tmp_path, held_out=held_out))
    assert reads == [True]  # once, after the weights were on disk
    assert set(outcome.metrics) == {"test_accuracy", "test_loss", "train_loss", "train_seconds", "epochs"}
    network = load(tmp_path / "trial" / SPEC)
    assert network == NETWORK
    model = build(network).eval()
    model.load_state_dict(load_file(tmp_path / "trial" / WEIGHTS))
    x, y = next(TEST.in_order(len(TEST)))
    right = (model(x).argmax(1) == y).sum().item()
    assert right / len(TEST) == pytest.approx(outcome.metrics["test_accuracy"], abs=1.5 / len(TEST))


def test_a_model_is_not_kept_where_nobody_knows_what_it_takes(tmp_path: Path) -> None:
    outcome = run(proposal(kind=Kind.FINAL), workspace(tmp_path, data=replace(DATA, inputs=None)))
    assert outcome.status is Status.BUG
    assert "got parts made by hand, expected those of a dataset" in outcome.note
    assert list(tmp_path.iterdir()) == []


def test_a_final_training_learns_from_both_parts() -> None:
    both = job.together(DATA)
    assert len(both) == len(DATA.train) + len(DATA.validation)
    assert torch.equal(both.x[len(DATA.train) :], DATA.validation.x)
    assert torch.equal(both.y[: len(DATA.train)], DATA.train.y)


def regression(count: int = 256) -> OnDevice:
    """Return images whose two targets are their mean and a number that never varies."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(count, 1, 6, 6, generator=generator) + torch.randn(count, 1, 1, 1, generator=generator)
    y = torch.stack((x.mean((1, 2, 3)), torch.ones(count)), dim=1)
    zero, one = torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1)
    half = count // 2
    train, validation = (
        DevicePart(x=x[s], y=y[s], mean=zero, std=one) for s in (slice(half), slice(half, None))
    )
    return OnDevice(train=train, validation=validation)


def test_a_regression_is_scored_in_the_units_of_its_targets(tmp_path: Path) -> None:
    network = replace(NETWORK, input=(1, 6, 6), head=Regressor(outputs=2))
    recipe = Recipe(batch=16, lr=0.01)
    metrics = run(
        proposal(network=network, recipe=recipe, epochs=10), workspace(tmp_path, data=regression())
    ).metrics
    assert metrics["validation_rmse"] ** 2 == pytest.approx(metrics["validation_loss"])
    assert metrics["validation_rmse"] < 0.4
    assert 0.4 < metrics["validation_r2"] <= 0.5  # one target is met, the other never varies


@pytest.mark.parametrize("recipe", [Recipe(optimiser="sgd", lr=1e6, clip=0.0), Recipe(lr=1e6, clip=0.0)])
def test_a_training_that_explodes_has_diverged(tmp_path: Path, recipe: Recipe) -> None:
    outcome = run(proposal(recipe=replace(recipe, schedule="constant"), epochs=20), workspace(tmp_path))
    assert outcome.status is Status.DIVERGED
    assert "loss" in outcome.note


def test_a_deadline_stops_a_training_at_its_next_step(tmp_path: Path) -> None:
    ticks = iter(range(1000))
    space = replace(workspace(tmp_path), deadline=10.0, clock=lambda: float(next(ticks)))
    outcome = run(proposal(epochs=1000), space)
    assert outcome.status is Status.TIMED_OUT
    assert next(ticks) < 20
    assert list(tmp_path.rglob("*.pt")) == []  # nobody goes on with it


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")

    def __reduce__(self) -> NoReturn:
        raise TypeError("cannot be pickled")


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (ValueError("x" * 50_000_000), Status.BUG, "ValueError: xxx"),
        (ValueError("half a pair: \ud800"), Status.BUG, r"\ud800"),
        (UnspeakableError(), Status.BUG, "UnspeakableError"),
        (SystemExit(0), Status.BUG, "SystemExit"),
        (MemoryError(), Status.OUT_OF_MEMORY, "MemoryError"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried ..."), Status.OUT_OF_MEMORY, "CUDA"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ..."),
            Status.OUT_OF_MEMORY,
            "CPU",
        ),
        (RuntimeError("shapes do not fit"), Status.BUG, "test_evaluation_job.py"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_whatever_a_job_raises_becomes_an_outcome_of_bounded_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: Status, words: str
) -> None:
    def fails(_proposal: Proposal, _workspace: Workspace) -> NoReturn:
        raise error

    monkeypatch.setattr(job, "JOBS", {**JOBS, Kind.TRAIN: fails})
    outcome = run(proposal(), workspace(tmp_path))
    assert outcome.status is status
    assert words in outcome.note
    assert len(outcome.note.encode()) <= LONGEST_NOTE


def test_an_interrupt_by_the_user_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_proposal: Proposal, _workspace: Workspace) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "JOBS", {**JOBS, Kind.TRAIN: fails})
    with pytest.raises(KeyboardInterrupt):
        run(proposal(), workspace(tmp_path))


def test_torch_running_out_of_memory_is_told_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Crop, "apply", lambda _self, x, _generator: x.new_empty(1 << 58))
    assert run(proposal(), workspace(tmp_path)).status is Status.OUT_OF_MEMORY


def rigid(*spatial: int) -> Network:
    """Return a network whose dense layer takes one size of input only."""
    return Network(
        input=(1, *spatial), stages=(Stage(blocks=(Conv(),), width=4),), head=DenseClassifier(classes=10)
    )


def test_a_network_of_another_resolution_is_trained_validated_and_tested_at_its_own(tmp_path: Path) -> None:
    for kind in JOBS:
        done = run(proposal(kind=kind, network=rigid(5, 11)), workspace(tmp_path, held_out=lambda: TEST))
        assert done.status is Status.DONE, done.note


def test_a_network_of_other_channels_says_what_the_data_has(tmp_path: Path) -> None:
    network = replace(rigid(8, 8), input=(3, 8, 8))
    done = run(proposal(network=network), workspace(tmp_path))
    assert done.status is Status.BUG
    assert "expected 1 channels and 2 axes" in done.note
