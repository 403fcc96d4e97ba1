"""Training a supernet and scoring members on its weights: bit-identical after a kill, and damage is noted."""

from __future__ import annotations

import importlib.util
import random
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from torch import Tensor

from nas.data import Crop, DataSpec
from nas.data.device import OnDevice, to_device
from nas.data.load import load_search_data
from nas.evaluation import Workspace, checkpoint, run
from nas.evaluation import entangled as job
from nas.evaluation.supernet_file import SUPERNET, supernet_in
from nas.proposal import Kind, Outcome, Proposal, Status
from nas.recipe import Candidate, Recipe
from nas.sharing import Fair, Inherited, Sampler, Sandwich, SharedTraining, Uniform
from search_spaces import Choice, Classifier, Conv, DepthwiseSeparable, MBConv, Network, Repeat, Stage, sample
from search_spaces.errors import StorageError
from search_spaces.serialise import to_json

DATA = to_device(load_search_data(DataSpec(limit=100)), "cpu")
SPACE = Network(
    input=(1, 8, 8),
    stem=Stage(blocks=(Conv(),), width=4),
    stages=(
        Stage(
            blocks=Repeat(
                Choice(Conv(kernel=Choice(1, 3)), DepthwiseSeparable(), MBConv(expand=2.0)), Choice(1, 2)
            ),
            width=Choice(8, 12),
            stride=2,
        ),
    ),
    head=Classifier(classes=10, dropout=0.3),  # draws from the global generator
)
RECIPE = Recipe(augment=(Crop(padding=1),), batch=16)
STEPS = DATA.train.steps(16)
SAMPLERS = [Uniform(), Fair(), Sandwich()]


class Killed(BaseException):
    """Stands for a SIGKILL: nothing of ours handles it."""


def unread() -> NoReturn:
    pytest.fail("the test part was read")


def proposal(sampler: Sampler = Sandwich(), **changes: object) -> Proposal:  # noqa: B008 - frozen
    base = Proposal(
        number=0, kind=Kind.SUPERNET, candidate=Candidate(network=SPACE, recipe=RECIPE), epochs=2, seed=5,
        settings=SharedTraining(sampler=sampler),
    )  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]


def workspace(folder: Path, *, data: OnDevice = DATA) -> Workspace:
    return Workspace(folder=folder, device="cpu", data=data, held_out=unread, checkpoint_seconds=0.0)


def killed(folder: Path, monkeypatch: pytest.MonkeyPatch, *, after: int, **asked: object) -> list[Path]:
    """Kill a training once so many steps are checkpointed; return its checkpoints, the newest first."""
    taken, step = [0], job._step

    def counted(*given: object) -> float:
        if taken[0] == after:
            raise Killed
        taken[0] += 1
        return step(*given)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(job, "_step", counted)
        with pytest.raises(Killed):
            job.train_shared(proposal(**asked), workspace(folder))  # type: ignore[arg-type]
    return sorted(folder.iterdir(), reverse=True)


@dataclass(frozen=True)
class Straight:
    weights: Mapping[str, Tensor]
    metrics: Mapping[str, float]


def trained(folder: Path, **asked: object) -> tuple[Straight, tuple[str, ...]]:
    asked_for = proposal(**asked)  # type: ignore[arg-type]
    done = job.train_shared(asked_for, workspace(folder))
    metrics = {name: value for name, value in done.metrics.items() if name != "supernet_seconds"}
    return Straight(supernet_in(folder, of=asked_for.key).state_dict(), metrics), done.notes


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Straight:
    return trained(tmp_path_factory.mktemp("straight"))[0]


def check_same(done: Straight, straight: Straight) -> None:
    assert done.metrics == straight.metrics
    assert done.weights.keys() == straight.weights.keys()
    assert all(torch.equal(done.weights[name], straight.weights[name]) for name in straight.weights)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: type(sampler).__name__)
@pytest.mark.parametrize("after", [3, STEPS, STEPS + 2])
def test_a_supernet_killed_in_mid_epoch_ends_with_equal_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sampler: Sampler, after: int
) -> None:
    whole, _ = trained(tmp_path / "whole", sampler=sampler)
    killed(tmp_path / "broken", monkeypatch, after=after, sampler=sampler)
    done, notes = trained(tmp_path / "broken", sampler=sampler)
    check_same(done, whole)
    assert notes[-1].startswith("continued after step ")
    assert [path.name for path in (tmp_path / "broken").iterdir()] == [SUPERNET]


def damages() -> Mapping[str, Callable[[Path], None]]:
    """Return the damages of fault test 9, as the tests of plain trainings have them."""
    path = Path(__file__).parents[2] / "faults" / "test_checkpoint_faults.py"
    spec = importlib.util.spec_from_file_location("checkpoint_faults", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look their types up
    spec.loader.exec_module(module)
    return module.DAMAGES  # type: ignore[no-any-return]


DAMAGES = damages()


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_the_earlier_checkpoint_serves_where_the_last_is_damaged(
    tmp_path: Path, straight: Straight, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    last, _ = killed(tmp_path, monkeypatch, after=5)
    damage(last)
    done, notes = trained(tmp_path)
    check_same(done, straight)
    assert last.name in notes[0]
    assert notes[1] == "continued after step 4"
    assert not (tmp_path / "ran").exists()


def test_the_earlier_checkpoint_serves_where_the_last_is_missing(
    tmp_path: Path, straight: Straight, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(tmp_path, monkeypatch, after=5)[0].unlink()
    done, notes = trained(tmp_path)
    check_same(done, straight)
    assert notes == ("continued after step 4",)


def test_a_supernet_starts_afresh_where_both_checkpoints_are_damaged(
    tmp_path: Path, straight: Straight, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in killed(tmp_path, monkeypatch, after=5):
        DAMAGES["empty"](path)
    done, notes = trained(tmp_path)
    check_same(done, straight)
    assert len(notes) == 2


def test_a_checkpoint_of_another_space_or_sampler_is_not_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = killed(tmp_path, monkeypatch, after=5)
    other = replace(SPACE, head=Classifier(classes=10))
    _, notes = trained(tmp_path, candidate=Candidate(network=other, recipe=RECIPE))
    assert notes == ()
    assert set(theirs) <= set(tmp_path.iterdir())


def inherited(folder: Path, network: Network, **changes: object) -> Outcome:
    base = replace(
        proposal(), number=1, kind=Kind.INHERIT, candidate=Candidate(network=network, recipe=RECIPE),
        settings=Inherited(batches=3), parent=0, parent_key=proposal().key,
    )  # fmt: skip
    return run(replace(base, **changes), replace(workspace(folder / "own"), parent=folder))  # type: ignore[arg-type]


def test_a_member_is_scored_under_names_that_say_whose_weights_they_are(tmp_path: Path) -> None:
    trained(tmp_path)
    network = sample(SPACE, random.Random(0))
    outcome = inherited(tmp_path, network)
    assert outcome.status is Status.DONE, outcome.note
    assert set(outcome.metrics) == {"inherited_loss", "inherited_accuracy"}
    assert inherited(tmp_path, network).metrics == outcome.metrics  # nothing is drawn


@pytest.mark.parametrize(
    "damage", ["missing", "cut in half", "empty", "a bit flipped in the middle", "1 TiB long"]
)
def test_damaged_weights_of_a_supernet_are_the_disks_fault_and_no_architectures(
    tmp_path: Path, damage: str
) -> None:
    trained(tmp_path)
    if damage == "missing":
        (tmp_path / SUPERNET).unlink()
    else:
        DAMAGES[damage](tmp_path / SUPERNET)
    with pytest.raises(StorageError, match=r"supernet\.pt: cannot be used"):
        inherited(tmp_path, sample(SPACE, random.Random(0)))


def test_weights_of_another_space_are_refused(tmp_path: Path) -> None:
    trained(tmp_path)
    with pytest.raises(StorageError, match="another training"):
        inherited(tmp_path, sample(SPACE, random.Random(0)), parent_key="0" * 16)


def test_a_step_that_does_not_fit_is_refused_before_it_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "available_bytes", lambda: 100_000)
    outcome = run(proposal(), workspace(tmp_path))
    assert outcome.status is Status.BUG
    assert "lower recipe.batch" in outcome.note
    assert not tmp_path.exists() or not any(tmp_path.iterdir())


def test_members_of_a_smaller_resolution_are_trained_and_scored_at_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = replace(SPACE, input=(1, *(Choice(6, 8, name="resolution"),) * 2))
    seen: set[tuple[int, ...]] = set()
    plain = job.resized

    def noted(x: Tensor, size: tuple[int, ...]) -> Tensor:
        seen.add(size)
        return plain(x, size)

    monkeypatch.setattr(job, "resized", noted)
    trained(tmp_path, candidate=Candidate(network=space, recipe=RECIPE))
    assert seen == {(6, 6), (8, 8)}


def test_what_a_supernet_leaves_says_its_space(tmp_path: Path) -> None:
    trained(tmp_path)
    _, state = checkpoint.read(tmp_path / SUPERNET, identity=proposal().key, expected_bytes=1 << 20)
    assert state["space"] == to_json(SPACE)


@pytest.mark.slow
def test_members_of_a_trained_supernet_tell_digits_apart_without_training_of_their_own(
    tmp_path: Path,
) -> None:
    block = MBConv(kernel=Choice(3, 5), expand=Choice(3.0, 6.0), se=0.0)
    layers = Repeat(block, Choice(1, 2), independent=True)
    space = Network(
        input=(1, 8, 8),
        stem=Stage(blocks=(Conv(),), width=16),
        stages=(Stage(blocks=layers, width=16), Stage(blocks=layers, width=Choice(32, 48), stride=2)),
        head=Classifier(classes=10),
    )
    asked = proposal(
        Uniform(), candidate=Candidate(network=space, recipe=Recipe()), epochs=30,
        settings=SharedTraining(sampler=Uniform()),
    )  # fmt: skip
    data = to_device(load_search_data(DataSpec()), "cpu")
    job.train_shared(asked, workspace(tmp_path, data=data))
    for seed in range(5):
        member = Candidate(network=sample(space, random.Random(seed)), recipe=Recipe())
        scored = replace(
            asked,
            number=1,
            kind=Kind.INHERIT,
            candidate=member,
            settings=Inherited(),
            parent=0,
            parent_key=asked.key,
        )
        outcome = run(scored, replace(workspace(tmp_path / "own", data=data), parent=tmp_path))
        assert outcome.metrics["inherited_accuracy"] > 0.9


def test_short_epochs_are_checkpointed_too_as_often_as_seconds_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, written, save = 0.0, list[int](), checkpoint.save

    def counted(folder: Path, *, identity: str, epoch: int, state: checkpoint.State) -> None:
        written.append(epoch)
        save(folder, identity=identity, epoch=epoch, state=state)

    def pass_two_seconds(_epoch: int, _metrics: Mapping[str, float]) -> None:
        nonlocal now
        now += 2.0  # of an epoch, which is shorter than what lies between two checkpoints

    monkeypatch.setattr(checkpoint, "save", counted)
    place = replace(workspace(tmp_path), clock=lambda: now, report=pass_two_seconds, checkpoint_seconds=4.0)
    job.train_shared(proposal(epochs=6), place)
    assert written == [2 * STEPS, 4 * STEPS]  # the last epoch needs none


def test_training_outside_of_limits_that_nothing_keeps_is_remarked_on(tmp_path: Path) -> None:
    settings = SharedTraining(sampler=Uniform(), limits=("macs <= 1k",))
    done = job.train_shared(proposal(settings=settings, epochs=1), workspace(tmp_path))
    assert job.OUTSIDE in done.notes
