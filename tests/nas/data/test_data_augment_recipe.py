"""Every augmentation, on signals, images and volumes, from YAML text through a training."""

from __future__ import annotations

import random
import re
from dataclasses import MISSING
from pathlib import Path
from typing import NoReturn

import pytest
import torch
import yaml

from nas.config import read_config
from nas.data import Augmentation
from nas.data.device import DevicePart, OnDevice
from nas.evaluation import Workspace, run
from nas.evaluation.scoring import Classes, training_loss
from nas.proposal import Kind, Proposal, Status
from nas.recipe import Candidate, Recipe
from search_spaces import Classifier, Conv, Network, Regressor, Stage, key
from search_spaces.block import fixed
from search_spaces.data import REGISTER, declared
from search_spaces.errors import BadInput
from search_spaces.modules import build
from search_spaces.moves import sample

RECIPES = {
    "Flip": "{type: Flip, probability: {choice: [0.25, 0.5]}}",
    "Crop": "{type: Crop, padding: {choice: [1, 2]}, fill: {choice: [zero, reflect]}}",
    "Cutout": "{type: Cutout, size: {choice: [1, 2]}}",
    "Rotate": "{type: Rotate, degrees: {choice: [10, 20, [-5, 40]]}, fill: edge}",
    "Scale": "{type: Scale, scale: {choice: [0.1, [0.8, 1.3]]}}",
    "Blur": "{type: Blur, sigma: {choice: [0.5, [0.1, 1]]}, probability: {choice: [0.5, 1]}}",
    "Noise": "{type: Noise, std: {choice: [0.05, 0.1]}}",
    "Intensity": "{type: Intensity, brightness: {choice: [0, 0.2]}, contrast: 0.3}",
    "Mixup": "{type: Mixup, alpha: {choice: [0.2, 1]}}",
    "either": "{choice: [{type: Noise}, {type: Scale, scale: {choice: [0.1, 0.2]}}]}",
}
Y = {"classes": torch.tensor([0, 1, 0, 1]), "numbers": torch.tensor([[0.5], [1], [0], [2]])}


def unread() -> NoReturn:
    pytest.fail("the test part was read")


def recipe_of(augmentation: str) -> Recipe:
    text = f"space: mixed\nrecipe:\n  batch: 4\n  label_smoothing: 0.1\n  augment: [{augmentation}]\n"
    return read_config(text, source="study.yaml").recipe


def network(dims: int, task: str = "classes") -> Network:
    head = Classifier(classes=2) if task == "classes" else Regressor()
    return Network(input=(1, *[4] * dims), stages=(Stage(blocks=(Conv(),), width=2),), head=head)


def part_of(dims: int, task: str = "classes") -> DevicePart:
    ones = torch.ones(1, 1, *[1] * dims)
    x = torch.randn(4, 1, *[4] * dims, generator=torch.Generator().manual_seed(0))
    return DevicePart(x=x, y=Y[task], mean=0 * ones, std=ones)


def trained(candidate: Candidate, dims: int, folder: Path, task: str = "classes") -> float:
    part = part_of(dims, task)
    data = OnDevice(train=part, validation=part)
    proposal = Proposal(number=0, kind=Kind.TRAIN, candidate=candidate, epochs=1, seed=0)
    outcome = run(proposal, Workspace(folder=folder, device="cpu", data=data, held_out=unread))
    assert outcome.status is Status.DONE, outcome.note
    return outcome.metrics["train_loss"]


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("name", RECIPES)
def test_a_searched_augmentation_trains(name: str, dims: int, tmp_path: Path) -> None:
    if name == "Rotate" and dims == 1:
        with pytest.raises(BadInput, match=r"recipe.augment\[0\]: Rotate: got signals"):
            Candidate(network=network(dims), recipe=recipe_of(RECIPES[name]))
        return
    space = Candidate(network=network(dims), recipe=recipe_of(RECIPES[name]))
    candidate = sample(space, random.Random(0))
    loss = trained(candidate, dims, tmp_path)
    assert trained(candidate, dims, tmp_path) == loss
    assert trained(Candidate(network=network(dims), recipe=Recipe(batch=4)), dims, tmp_path) != loss


def test_a_regression_trains_on_mixed_targets(tmp_path: Path) -> None:
    recipe = recipe_of("{type: Mixup, alpha: 1}")
    mixed, plain = (
        trained(Candidate(network=network(1, "numbers"), recipe=r), 1, tmp_path, "numbers")
        for r in (recipe, Recipe(batch=4))
    )
    assert mixed != plain


TURNS = {
    f"Rotate {axis}": f"{{type: Rotate, axis: {{choice: [{axis}]}}}}" for axis in ("-3", "-2", "-1", "null")
}


@pytest.mark.parametrize("augmentation", [*RECIPES.values(), *TURNS.values()], ids=[*RECIPES, *TURNS])
def test_a_volume_is_augmented_and_learnt_from(augmentation: str) -> None:
    space = Candidate(network=network(3), recipe=recipe_of(augmentation))
    candidate = sample(space, random.Random(0))
    model, part = build(candidate.network, seed=0), part_of(3)
    augment = tuple(fixed(a) for a in candidate.recipe.augment)
    ((x, y),) = part.batches(torch.Generator().manual_seed(0), 4, augment=augment)
    torch.autograd.backward(training_loss(model(x), y, by=Classes(0.1)))
    assert all(w.grad is not None and w.grad.isfinite().all() for w in model.parameters())


@pytest.mark.parametrize(
    ("augmentation", "message"),
    [
        ("{type: Rotate, degrees: [30, 10]}", r"recipe.augment\[0\].degrees: got the range \[30.0, 10.0\]"),
        (
            "{type: Blur, sigma: {choice: [1, [2, 1]]}}",
            r"recipe.augment\[0\].sigma.choice\[1\]: got the range",
        ),
        ("{type: Noise, std: -1}", r"recipe.augment\[0\].std: got -1"),
        ("{type: rotate}", r"recipe.augment\[0\]: got type 'rotate'.*Rotate"),
    ],
)
def test_an_impossible_value_is_refused_with_its_path(augmentation: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        recipe_of(augmentation)


def test_what_any_option_cannot_take_is_refused_before_anything_is_searched() -> None:
    recipe = recipe_of("{type: Noise}, {choice: [{type: Blur}, {type: Flip, axis: {choice: [-1, -2]}}]}")
    with pytest.raises(BadInput, match=r"recipe.augment\[1\]: Flip.axis: got -2, expected one of the 1"):
        Candidate(network=network(1), recipe=recipe)


def test_recipes_written_before_keep_their_keys() -> None:
    """The keys are those of release 0.1.0; journals name evaluations by them."""
    assert key(Recipe()) == "44136fa355b3678a"
    before = "{type: Flip}, {type: Crop, padding: 2}, {type: Cutout, size: 3}"
    assert key(Recipe(augment=recipe_of(before).augment)) == "126eb576bc72b755"


def test_the_documents_examples_are_read_and_its_table_names_every_field() -> None:
    text = (Path(__file__).parents[3] / "docs" / "data.md").read_text(encoding="utf-8")
    section = text[text.index("## Augmentation") :]
    (example,) = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)
    assert len(read_config("space: mixed\n" + example, source="data.md").recipe.augment) == 4
    rows = {row.split("`")[1]: row for row in section.splitlines() if row.startswith("| `")}
    ours = {name: cls for name, cls in REGISTER[Augmentation].items() if cls.__module__.startswith("nas.")}
    assert set(rows) == set(ours)
    for name, cls in ours.items():
        said = dict(re.findall(r"`(\w+)(?:: ([^`]+))?`", rows[name].split("|")[3]))
        for field, default in declared(cls):
            value = yaml.safe_load(said[field])
            known = None if default is MISSING else list(default) if isinstance(default, tuple) else default
            assert value == known, f"{name}.{field}"
