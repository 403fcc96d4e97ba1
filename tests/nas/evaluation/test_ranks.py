"""Several ranks train one network: a step is that of the whole batch; whoever dies, the trial ends and says why."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, distributed, nn

from nas.config import read_config
from nas.data import Crop, DataSpec, Mixup
from nas.data.augment import Augmentation, Mixed, augmented
from nas.data.load import load_search_data
from nas.evaluation.ranks import Ranks
from nas.evaluation.scoring import Classes, training_loss
from nas.launch import create
from nas.model import load
from nas.proposal import Kind, Outcome, Proposal, Status
from nas.rank_processes import RankProcesses
from nas.recipe import Candidate, Recipe
from nas.sharing import SharedTraining
from nas.workbench import Workbench
from search_spaces import Classifier, Conv, MBConv, Network, Stage
from search_spaces.choice import Choice
from search_spaces.errors import BadInput
from search_spaces.graph import Norm
from search_spaces.serialise import Json, to_data

PROGRAM = (sys.executable, "-P", str(Path(__file__).parent / "rank_worker.py"))
DIGITS = DataSpec(limit=300)
DIVIDED = Network(  # no batch norm, no dropout
    input=(1, 8, 8),
    stem=Stage(blocks=(Conv(norm=Norm(kind="group", groups=4)),), width=8),
    stages=(Stage(blocks=(MBConv(expand=2.0, norm=Norm(kind="group", groups=4)),), width=8, stride=2),),
    head=Classifier(classes=10),
)
USUAL = Network(
    input=(1, 8, 8), stem=Stage(blocks=(Conv(),), width=8),
    stages=(Stage(blocks=(MBConv(expand=2.0),), width=16, stride=2),), head=Classifier(classes=10, dropout=0.3),
)  # fmt: skip
MIXING = (Crop(padding=1), Mixup(alpha=0.5))


@given(
    count=st.integers(1, 5), more=st.integers(0, 7), seed=st.integers(0, 9), mixing=st.booleans()
)  # fmt: skip
def test_the_parts_of_a_batch_average_to_the_gradients_of_the_whole(
    count: int, more: int, seed: int, mixing: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)
    model, by = nn.Linear(3, 4, dtype=torch.float64), Classes(smoothing=0.1)
    x = torch.randn(2 * count + more, 3, generator=generator, dtype=torch.float64)
    augment: tuple[Augmentation, ...] = (Mixup(alpha=1.0),) if mixing else ()
    x, y = augmented(x, torch.randint(4, (len(x),), generator=generator), augment, generator=generator)
    whole = torch.autograd.grad(training_loss(model(x), y, by=by), model.weight)[0]
    parts, seen = torch.zeros_like(whole), 0
    for number in range(count):
        mine, targets, share = Ranks(number=number, count=count).part(x, y)
        parts += (
            torch.autograd.grad(share * training_loss(model(mine), targets, by=by), model.weight)[0] / count
        )
        seen += len(mine)
        assert len(mine) == len(targets.first if isinstance(targets, Mixed) else targets) >= 2
    assert seen == len(x)
    assert torch.allclose(parts, whole, rtol=1e-12, atol=1e-14)


def test_a_batch_too_small_to_split_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    says = r"recipe\.batch: got 7, to be split over gpus=4, expected 8 or more"
    config = "space: mixed\nexecution: {cluster: auto, gpus: 4}\nrecipe: {batch: {choice: [16, 7]}}"
    with pytest.raises(BadInput, match=says):
        create(read_config(config, source="test"), name="run", results=tmp_path)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("execution", "says"),
    [
        ("{cluster: auto, gpus: 2, device: 'cuda:1'}", "device: got cuda:1 with gpus=2, expected cuda"),
        ("{cluster: auto, gpus: 2.5}", "gpus: got 2.5"),
    ],
)
def test_devices_that_cannot_be_meant_are_refused(execution: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        read_config(f"space: mixed\nexecution: {execution}", source="test")


def setup(folder: Path, **more: Json) -> Mapping[str, Json]:
    fingerprint = load_search_data(DIGITS).fingerprint
    return {
        "data": to_data(DIGITS), "device": "cpu", "folder": str(folder), "fingerprint": fingerprint, "imports": [],
        "threads": 1, "trial_seconds": None, **more,
    }  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def two(folder: Path) -> Iterator[RankProcesses]:
    """Return two ranks that checkpoint every epoch."""
    ranks = RankProcesses(setup(folder, ranks=2), program=PROGRAM)
    yield ranks
    ranks._end()


def proposal(
    number: int,
    network: Network = USUAL,
    *,
    kind: Kind = Kind.TRAIN,
    epochs: int = 1,
    seed: int = 0,
    **recipe: object,
) -> Proposal:
    candidate = Candidate(network=network, recipe=Recipe(**recipe))  # type: ignore[arg-type]
    return Proposal(number=number, kind=kind, candidate=candidate, epochs=epochs, seed=seed)


def unheard(epoch: int, metrics: Mapping[str, float]) -> None:
    pass


def timeless(outcome: Outcome) -> Mapping[str, float]:
    assert outcome.status is Status.DONE, outcome.note
    return {name: value for name, value in outcome.metrics.items() if name != "train_seconds"}


def weights(folder: Path, asked: Proposal) -> Mapping[str, Tensor]:
    return load(folder / f"trained/{asked.key}/{asked.number}").module.state_dict()


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe",
    [
        {"batch": 63},  # uneven, and the last one short
        {"batch": 64, "augment": MIXING, "clip": 0.5},
        {"batch": 64, "optimiser": "adamw", "lr": 0.003, "augment": MIXING},
    ],
    ids=["sgd", "clipped and mixed", "adamw"],
)
def test_two_ranks_train_the_network_that_one_trains(
    two: RankProcesses, folder: Path, tmp_path: Path, recipe: dict[str, object]
) -> None:
    asked = proposal(0, DIVIDED, kind=Kind.FINAL, epochs=2, **recipe)
    split = two.run(asked, unheard)
    alone = Workbench.of(setup(tmp_path)).run(asked, unheard)
    assert timeless(split) == pytest.approx(timeless(alone), rel=1e-3)
    ours, theirs = weights(folder, asked), weights(tmp_path, asked)
    assert {name: float((ours[name] - theirs[name]).abs().max()) for name in ours} == pytest.approx(
        dict.fromkeys(ours, 0.0), abs=2e-5
    )


@pytest.mark.slow
def test_a_training_that_lost_a_rank_goes_on_as_if_nothing_had_been_bit_for_bit(
    two: RankProcesses, folder: Path
) -> None:
    unbroken = two.run(proposal(10, epochs=5, augment=MIXING), unheard)

    def kill(epoch: int, metrics: Mapping[str, float]) -> None:
        if epoch == 3:
            os.kill(two._ranks[1].pid, signal.SIGKILL)

    again = proposal(11, epochs=5, augment=MIXING)
    lost = two.run(again, kill)
    assert lost.status is Status.LOST
    assert "rank 1 of 2: its process ended with signal SIGKILL" in lost.note
    resumed = two.run(again, unheard)
    assert "continued after epoch" in resumed.note
    assert timeless(resumed) == timeless(unbroken)
    assert list((folder / f"trials/{again.key}/11").glob("*.pt")) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("play", "status", "says"),
    [
        ("raise", Status.BUG, "rank 1 of 2: ValueError: what rank 1 alone knows"),
        ("out of memory", Status.OUT_OF_MEMORY, "rank 1 of 2: MemoryError: of rank 1"),
        ("leave", Status.LOST, "rank 1 of 2: its process ended with exit code 3"),
        ("diverge", Status.DIVERGED, "rank 0 of 2: train_loss is nan"),
        ("hang", Status.LOST, "rank 0 of 2: another rank is gone, or says nothing"),
    ],
)
def test_what_happened_to_one_rank_is_what_came_of_the_trial(
    two: RankProcesses, folder: Path, play: str, status: Status, says: str
) -> None:
    (folder / "misbehave").write_text(play)
    began = time.monotonic()
    outcome = two.run(proposal(20), unheard)
    assert (outcome.status, outcome.note[: len(says)]) == (status, says)
    assert time.monotonic() - began < 60
    assert two._ranks == []


@pytest.mark.slow
def test_a_weight_that_nothing_reaches_keeps_no_gradient() -> None:
    model = nn.ModuleDict({"used": nn.Linear(3, 3), "dead": nn.Linear(3, 3)})
    model.forward = lambda x: model["used"](x)  # type: ignore[method-assign]
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        over = Ranks(count=2).over(model)
        for _ in range(3):
            torch.autograd.backward(over(torch.ones(2, 3)).sum())
            assert model["used"].weight.grad is not None
            assert model["dead"].weight.grad is None
            model["used"].weight.grad = None
    finally:
        distributed.destroy_process_group()


@pytest.mark.slow
def test_a_supernet_is_trained_on_one_device_and_says_so(two: RankProcesses) -> None:
    space = replace(USUAL, stem=Stage(blocks=(Conv(kernel=Choice(3, 5)),), width=8))
    candidate = Candidate(network=space)
    asked = Proposal(
        number=30, kind=Kind.SUPERNET, candidate=candidate, epochs=1, seed=0, settings=SharedTraining()
    )
    outcome = two.run(asked, unheard)
    assert outcome.status is Status.DONE, outcome.note
    assert outcome.note == "on one of 2 devices"
    assert two.run(proposal(31), unheard).status is Status.DONE  # the other one stood by


@pytest.mark.slow
def test_the_ranks_die_with_the_worker_that_began_them_and_listen_to_this_machine_alone(folder: Path) -> None:
    program = (
        "import json, sys, time; from nas.rank_processes import RankProcesses\n"
        "ranks = RankProcesses(json.loads(sys.argv[1])); print(*(rank.pid for rank in ranks._ranks), flush=True)\n"
        "time.sleep(600)"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", program, json.dumps(setup(folder, ranks=2))], stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None
    pids = [int(pid) for pid in worker.stdout.readline().split()]
    assert [os.getpgid(pid) for pid in pids] == [os.getpgid(worker.pid)] * 2
    assert {address for pid in pids for address in listened_to(pid)} <= {"0100007F"}
    worker.kill()
    worker.communicate()
    until = time.monotonic() + 10
    while any(Path(f"/proc/{pid}/stat").exists() for pid in pids) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(Path(f"/proc/{pid}/stat").exists() for pid in pids)


def listened_to(pid: int) -> set[str]:
    """Return the addresses that a process listens on, as the kernel writes them; 0100007F is 127.0.0.1."""
    open_ones = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    lines = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]
    ]
    return {
        at.split(":")[0]
        for _, at, _, state, *_, inode in (line[:10] for line in lines)
        if state == "0A" and f"socket:[{inode}]" in open_ones
    }
