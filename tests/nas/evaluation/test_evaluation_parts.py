"""Learning rates, weight decay, scores: laws and literals."""

from __future__ import annotations

import math
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from nas.data.device import DevicePart
from nas.evaluation import Diverged
from nas.evaluation.learner import stream_seed
from nas.evaluation.optimiser import Optimiser, learning_rate
from nas.evaluation.precision import precision
from nas.evaluation.scoring import Classes, Numbers, evaluate, finite
from nas.recipe import Recipe

POSITIONS = st.floats(0, 1, exclude_min=True, exclude_max=True)


@given(POSITIONS, st.sampled_from(["cosine", "one_cycle", "constant"]), st.floats(0, 0.9))
def test_a_rate_is_never_negative_nor_above_its_peak(
    position: float, schedule: Literal["cosine", "one_cycle", "constant"], warmup: float
) -> None:
    rate = learning_rate(Recipe(lr=0.5, schedule=schedule, warmup=warmup), position)
    assert 0 <= rate <= 0.5


@pytest.mark.parametrize(
    ("recipe", "rates"),
    [
        (Recipe(lr=1.0, schedule="constant"), {0.01: 1.0, 0.99: 1.0}),
        (Recipe(lr=1.0, schedule="cosine", warmup=0.0), {0.0: 1.0, 0.5: 0.5, 1.0: 0.0}),
        (Recipe(lr=1.0, schedule="cosine", warmup=0.2), {0.1: 0.5, 0.2: 1.0, 0.6: 0.5, 1.0: 0.0}),
        (Recipe(lr=1.0, schedule="one_cycle"), {0.15: 0.5, 0.3: 1.0, 0.65: 0.5, 1.0: 0.0}),
    ],
)
def test_schedules_rise_and_fall_as_stated(recipe: Recipe, rates: dict[float, float]) -> None:
    assert {p: round(learning_rate(recipe, p), 12) for p in rates} == rates


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_norms_and_biases_are_not_decayed(optimiser: Literal["adamw", "sgd"]) -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    slots = Optimiser(model, Recipe(optimiser=optimiser, weight_decay=0.1)).slots
    assert [(slot.weight.ndim, slot.decay) for slot in slots] == [
        (4, 0.1),
        *[(1, 0.0)] * 3,
        (2, 0.1),
        (1, 0.0),
    ]


RULES: dict[str, tuple[Recipe, Callable[[list[Tensor]], torch.optim.Optimizer]]] = {
    "adamw": (Recipe(optimiser="adamw"), lambda w: torch.optim.AdamW(w, lr=0.1, weight_decay=0.1)),
    "sgd": (
        Recipe(optimiser="sgd", momentum=0.9),
        lambda w: torch.optim.SGD(w, lr=0.1, weight_decay=0.1, momentum=0.9, nesterov=True),
    ),
    "sgd without momentum": (
        Recipe(optimiser="sgd", momentum=0.0),
        lambda w: torch.optim.SGD(w, lr=0.1, weight_decay=0.1),
    ),
}


@pytest.mark.parametrize(("recipe", "theirs"), RULES.values(), ids=RULES.keys())
def test_steps_are_those_of_torchs_own_optimisers(
    recipe: Recipe, theirs: Callable[[list[Tensor]], torch.optim.Optimizer]
) -> None:
    model = nn.ParameterList([torch.ones(2, 3), torch.full((3, 2), -2.0)])
    unused = nn.Parameter(torch.ones(1, 1))
    twin = [w.detach().clone().requires_grad_() for w in model]
    ours = Optimiser(nn.ParameterList([*model, unused]), replace(recipe, weight_decay=0.1, clip=0.0))
    other = theirs(twin)
    for _ in range(5):
        for weights in (model, twin):
            torch.autograd.backward((weights[0] @ weights[1]).square().sum())
        ours.step(0.1)
        other.step()
        other.zero_grad()
    for a, b in zip(model, twin, strict=True):
        torch.testing.assert_close(a, b)
    assert torch.equal(unused, torch.ones(1, 1))


def test_gradients_are_clipped_by_their_norm_together() -> None:
    model = nn.ParameterList([torch.zeros(1, 1), torch.zeros(1)])
    optimiser = Optimiser(model, Recipe(optimiser="sgd", momentum=0.0, weight_decay=0.0, clip=1.0))
    torch.autograd.backward((model[0] * 30 + model[1] * 40).sum())
    optimiser.step(1.0)
    assert [round(w.item(), 5) for w in model] == [-0.6, -0.8]


def test_a_training_does_not_import_the_compiler() -> None:
    """It takes as long as importing torch, in each worker."""
    code = """
        import sys, torch
        from nas.evaluation.optimiser import Optimiser
        from nas.recipe import Recipe
        for rule in ("adamw", "sgd"):
            model = torch.nn.Linear(2, 2)
            torch.autograd.backward(model(torch.ones(1, 2)).sum())
            Optimiser(model, Recipe(optimiser=rule)).step(0.1)
        sys.exit("torch._dynamo" in sys.modules)
    """
    assert subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False).returncode == 0


def test_scores_do_not_depend_on_how_a_part_is_batched() -> None:
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    part = DevicePart(x=x, y=torch.arange(50) % 3, mean=torch.zeros(1, 3), std=torch.ones(1, 3))
    model, rule = nn.Linear(3, 3), precision("cpu")
    scores = [
        evaluate(model, part, name="v", by=Classes(), rule=rule, batch=batch, check_time=lambda: None)
        for batch in (1, 7, 100)
    ]
    assert scores[0]["v_accuracy"] == scores[1]["v_accuracy"] == scores[2]["v_accuracy"]
    assert scores[0]["v_loss"] == pytest.approx(scores[2]["v_loss"])


def test_smoothing_counts_in_training_alone() -> None:
    output, y = torch.tensor([[9.0, -9.0]]), torch.tensor([0])
    smooth = Classes(smoothing=0.2)
    assert smooth.loss(output, y).item() == pytest.approx(1.8, abs=1e-4)
    assert smooth.scores(smooth.sums(output, y), y)["loss"] == pytest.approx(0, abs=1e-4)


def test_regression_scores_of_three_numbers() -> None:
    y = torch.tensor([[1.0], [2.0], [3.0]])
    by = Numbers()
    off_by_one = by.scores(by.sums(y + 1, y), y)
    assert off_by_one == {"loss": 1.0, "rmse": 1.0, "r2": -0.5}  # 1 - 3 / 2
    assert by.scores(by.sums(y, y), y)["r2"] == 1.0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_metric_that_is_not_finite_is_named(value: float) -> None:
    with pytest.raises(Diverged, match="validation_loss is"):
        finite({"validation_loss": value, "validation_accuracy": 0.5})


@pytest.mark.parametrize("value", [-0.0, 1e308])
def test_odd_but_finite_metrics_pass(value: float) -> None:
    assert finite({"x": value}) == {"x": value}


def test_a_seed_has_a_stream_for_each_use() -> None:
    seeds = {stream_seed(seed, use) for seed in range(100) for use in ("weights", "batches", "global")}
    assert len(seeds) == 300
    assert all(0 <= seed < 2**64 for seed in seeds)
