"""A killed training goes on from its last good checkpoint, as if nothing had been; damage is noted."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Literal, NoReturn

import pytest
import torch
from torch import Tensor

from nas.data import Crop, DataSpec
from nas.data.device import to_device
from nas.data.load import load_search_data
from nas.evaluation import Workspace, checkpoint, run, training
from nas.evaluation.training import Trained, Training, train
from nas.proposal import Kind, Proposal, Status
from nas.recipe import Candidate, Recipe
from search_spaces import Classifier, Conv, MBConv, Network, Stage
from search_spaces.errors import StorageError

DATA = to_device(load_search_data(DataSpec(limit=100)), "cpu")
NETWORK = Network(
    input=(1, 8, 8),
    stem=Stage(blocks=(Conv(),), width=4),
    stages=(Stage(blocks=(MBConv(expand=2.0),), width=8, stride=2),),
    head=Classifier(classes=10, dropout=0.3),  # draws from the global generator
)
PROPOSAL = Proposal(
    number=0,
    kind=Kind.TRAIN,
    candidate=Candidate(network=NETWORK, recipe=Recipe(augment=(Crop(padding=1),), batch=32)),
    epochs=6,
    seed=5,
)


class Killed(BaseException):
    """Stands for a SIGKILL: nothing of ours handles it."""


def unread() -> NoReturn:
    pytest.fail("the test part was read")


def stop_after(epoch: int | None) -> Callable[[int, Mapping[str, float]], None]:
    def report(done: int, _metrics: Mapping[str, float]) -> None:
        if epoch is not None and done > epoch:
            raise Killed

    return report


def workspace(folder: Path, *, stop: int | None = None) -> Workspace:
    """Return one with a checkpoint every epoch, in which a training dies once `stop` epochs are saved."""
    return Workspace(
        folder=folder,
        device="cpu",
        data=DATA,
        held_out=unread,
        report=stop_after(stop),
        checkpoint_seconds=0.0,
    )


def trained(folder: Path, *, stop: int | None = None, proposal: Proposal = PROPOSAL) -> Trained:
    space = workspace(folder, stop=stop)
    return train(Training(proposal=proposal, part=DATA.train, watched=DATA.validation, workspace=space))


def killed(folder: Path, *, after: int, proposal: Proposal = PROPOSAL) -> list[Path]:
    """Kill a training after so many epochs; return its checkpoints, the newest first."""
    with pytest.raises(Killed):
        trained(folder, stop=after, proposal=proposal)
    return sorted(folder.iterdir(), reverse=True)


@dataclass(frozen=True)
class Straight:
    weights: Mapping[str, Tensor]
    metrics: Mapping[str, float]


def timeless(metrics: Mapping[str, float]) -> Mapping[str, float]:
    return {name: value for name, value in metrics.items() if name != "train_seconds"}


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Straight:
    """Return what an unbroken training gives."""
    done = trained(tmp_path_factory.mktemp("straight"))
    return Straight(done.model.state_dict(), timeless(done.metrics))


def check_same(done: Trained, straight: Straight) -> None:
    assert timeless(done.metrics) == straight.metrics
    weights = done.model.state_dict()
    assert weights.keys() == straight.weights.keys()
    assert all(torch.equal(weights[name], straight.weights[name]) for name in weights)


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_a_training_stopped_after_three_of_six_epochs_ends_with_equal_weights(
    tmp_path: Path, optimiser: Literal["adamw", "sgd"]
) -> None:
    recipe = replace(PROPOSAL.candidate.recipe, optimiser=optimiser)
    proposal = replace(PROPOSAL, candidate=Candidate(network=NETWORK, recipe=recipe))
    whole = trained(tmp_path / "whole", proposal=proposal)
    killed(tmp_path / "broken", after=3, proposal=proposal)
    done = trained(tmp_path / "broken", proposal=proposal)
    check_same(done, Straight(whole.model.state_dict(), timeless(whole.metrics)))
    assert done.notes == ("continued after epoch 3",)


def test_a_training_killed_after_every_epoch_ends_with_equal_weights(
    tmp_path: Path, straight: Straight
) -> None:
    for epoch in range(1, 6):
        killed(tmp_path, after=epoch)
    check_same(trained(tmp_path), straight)


def test_the_last_two_checkpoints_are_kept_and_none_once_it_is_done(tmp_path: Path) -> None:
    names = [path.name[-9:] for path in killed(tmp_path, after=4)]
    assert names == ["000004.pt", "000003.pt"]
    trained(tmp_path)
    assert list(tmp_path.iterdir()) == []


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def cut_in_half(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def cut_to_its_head(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: checkpoint.HEAD_BYTES])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip(at: float) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[int(at * (len(data) - 1))] ^= 1
        path.write_bytes(data)

    return damage


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


def huge(path: Path) -> None:
    os.truncate(path, 1 << 40)  # a sparse file of 1 TiB: read, it would fill the memory


def sealed(body: bytes) -> bytes:
    return checkpoint.HEAD + sha256(body).hexdigest().encode() + b"\n" + body


def of_another_training(path: Path) -> None:
    held = torch.load(io.BytesIO(path.read_bytes()[checkpoint.HEAD_BYTES :]), weights_only=True)
    buffer = io.BytesIO()
    torch.save({**held, "identity": "another"}, buffer)  # whole, and of a network of this very shape
    path.write_bytes(sealed(buffer.getvalue()))


def of_another_shape(path: Path) -> None:
    held = torch.load(io.BytesIO(path.read_bytes()[checkpoint.HEAD_BYTES :]), weights_only=True)
    held["state"]["model"] = {name: w.new_zeros(3) for name, w in held["state"]["model"].items()}
    buffer = io.BytesIO()
    torch.save(held, buffer)
    path.write_bytes(sealed(buffer.getvalue()))


def a_pickle(path: Path) -> None:
    body = f"cposix\nsystem\n(S'touch {path.parent}/ran'\ntR.".encode()
    path.write_bytes(sealed(body))


DAMAGES = {
    "cut by one byte": cut,
    "cut in half": cut_in_half,
    "cut to its head": cut_to_its_head,
    "empty": empty,
    "a bit flipped in the head": flip(0.0),
    "a bit flipped in the hash": flip(0.002),
    "a bit flipped in the middle": flip(0.5),
    "a bit flipped at the end": flip(1.0),
    "longer than written": lengthen,
    "zeros": zeros,
    "a folder in its place": folder_instead,
    "1 TiB long": huge,
    "of another training": of_another_training,
    "of another shape": of_another_shape,
    "a pickle in place of tensors": a_pickle,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_the_earlier_checkpoint_serves_where_the_last_is_damaged(
    tmp_path: Path, straight: Straight, damage: Callable[[Path], None]
) -> None:
    last, _ = killed(tmp_path, after=4)
    damage(last)
    done = trained(tmp_path)
    check_same(done, straight)
    assert last.name in done.notes[0]
    assert done.notes[1] == "continued after epoch 3"
    assert not (tmp_path / "ran").exists()


def test_the_earlier_checkpoint_serves_where_the_last_is_missing(tmp_path: Path, straight: Straight) -> None:
    killed(tmp_path, after=4)[0].unlink()
    done = trained(tmp_path)
    check_same(done, straight)
    assert done.notes == ("continued after epoch 3",)


@pytest.mark.parametrize("damage", [cut_in_half, empty, flip(0.5)])
def test_a_training_starts_afresh_where_both_checkpoints_are_damaged(
    tmp_path: Path, straight: Straight, damage: Callable[[Path], None]
) -> None:
    for path in killed(tmp_path, after=4):
        damage(path)
    outcome = run(PROPOSAL, workspace(tmp_path))
    assert outcome.status is Status.DONE
    assert timeless(outcome.metrics) == straight.metrics
    assert outcome.note.count("was not used") == 2
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_checkpoint_does_not_push_out_a_good_one(tmp_path: Path) -> None:
    cut(killed(tmp_path, after=4)[0])
    cut(killed(tmp_path, after=4)[0])
    assert trained(tmp_path).notes[-1] == "continued after epoch 3"


def test_what_a_kill_left_of_a_checkpoint_is_not_read_and_goes_in_the_end(
    tmp_path: Path, straight: Straight
) -> None:
    last, _ = killed(tmp_path, after=4)
    (tmp_path / f".{last.name}.0123abcd.tmp").write_bytes(last.read_bytes()[:1000])
    done = trained(tmp_path)
    check_same(done, straight)
    assert done.notes == ("continued after epoch 4",)
    assert list(tmp_path.iterdir()) == []


def test_trainings_that_share_a_folder_leave_each_others_checkpoints_alone(
    tmp_path: Path, straight: Straight
) -> None:
    theirs = killed(tmp_path, after=2, proposal=replace(PROPOSAL, seed=6))
    check_same(trained(tmp_path), straight)
    assert sorted(tmp_path.iterdir(), reverse=True) == theirs


def test_a_full_disk_costs_the_checkpoint_and_not_the_training(
    tmp_path: Path, straight: Straight, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, _data: bytes) -> NoReturn:
        raise StorageError(f"{path}: No space left on device; free some space")

    monkeypatch.setattr(checkpoint, "replace_file", full)
    done = trained(tmp_path)
    check_same(done, straight)
    assert len(done.notes) == 5
    assert "No space left" in done.notes[0]


def test_checkpoints_are_as_far_apart_as_stated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    monkeypatch.setattr(checkpoint, "save", lambda _folder, *, epoch, **_rest: written.append(epoch))
    now = 0.0

    def pass_two_seconds(_epoch: int, _metrics: Mapping[str, float]) -> None:
        nonlocal now
        now += 2.0

    space = replace(workspace(tmp_path), clock=lambda: now, report=pass_two_seconds, checkpoint_seconds=4.0)
    assert run(PROPOSAL, space).status is Status.DONE
    assert written == [2, 4]  # the last epoch needs none


def test_a_process_killed_in_mid_training_goes_on_from_its_checkpoint(
    tmp_path: Path, straight: Straight
) -> None:
    code = """
        import os, signal, sys
        from pathlib import Path
        sys.path.insert(0, sys.argv[2])
        import test_checkpoint_faults as t
        from dataclasses import replace
        def report(epoch, metrics):
            if epoch == 4:
                os.kill(os.getpid(), signal.SIGKILL)
        t.run(t.PROPOSAL, replace(t.workspace(Path(sys.argv[1])), report=report))
    """
    here = str(Path(__file__).parent)
    process = subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(tmp_path), here], check=False)
    assert process.returncode == -signal.SIGKILL
    done = trained(tmp_path)
    assert done.notes == ("continued after epoch 3",)
    check_same(done, straight)


def test_only_one_place_loads_tensors_and_it_loads_no_code() -> None:
    folder = Path(training.__file__).parent
    lines = [line for path in folder.glob("*.py") for line in path.read_text().splitlines()]
    [call] = [line for line in lines if "torch.load(" in line]
    assert "weights_only=True" in call


def test_where_writing_takes_long_checkpoints_come_more_rarely() -> None:
    now = 0.0
    pace = checkpoint.Pace(lambda: now, 5.0)

    def write_one() -> tuple[str, ...]:
        nonlocal now
        now += 3.0
        return ("written",)

    heard = []
    for _ in range(130):
        now += 1.0
        if pace.when_due(write_one):
            heard.append(now)
    assert heard == [8.0, 71.0, 134.0]  # 20 times what the writing took lies between


def test_without_seconds_between_them_a_checkpoint_is_always_due() -> None:
    pace = checkpoint.Pace(lambda: 1.0, 0.0)
    assert [pace.when_due(lambda: ("written",)) for _ in range(3)] == [("written",)] * 3


def test_the_newest_checkpoint_is_the_one_of_the_largest_number(tmp_path: Path) -> None:
    for epoch in (999_999, 1_000_000, 1_000_001):
        checkpoint.save(tmp_path, identity="a", epoch=epoch, state={"at": epoch})
    found, _ = checkpoint.resume(tmp_path, identity="a", expected_bytes=0, restore=lambda state: state["at"])
    assert found == 1_000_001
    assert len(list(tmp_path.iterdir())) == checkpoint.KEPT
