"""Training: the loop, what it has reached, and how it goes on after it was killed.

On the CPU, with the number of threads fixed, equal seeds give equal weights bit for bit, whether or not the
training was cut short in between: every random number comes from a generator whose state is checkpointed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from typing import cast

import torch
from torch import Generator, Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from search_spaces.block import fixed
from search_spaces.errors import StorageError
from search_spaces.modules import build

from ..data.device import DevicePart
from ..proposal import Proposal
from . import checkpoint
from .optimiser import learning_rate, make_optimiser
from .precision import Precision, precision
from .scoring import Scoring, evaluate, finite, scoring
from .workspace import Workspace

LOOK_STEPS = 50  # between two looks at the loss within an epoch: each makes a GPU wait
COPIES = 4  # of the weights that a checkpoint holds at most: themselves, two moments, and room


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far a training has come."""

    epoch: int = 0  # epochs done
    seconds: float = 0.0  # spent on them, without evaluations
    best: float | None = None  # the best validation score so far, and its epoch
    best_epoch: int = 0


@dataclass(slots=True, kw_only=True, eq=False)
class Learner:
    """All that changes while a network is trained."""

    model: nn.Module
    optimiser: Optimizer
    batches: Generator  # of shuffling and augmentation, on the data's device
    progress: Progress


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained:
    """A trained model, the metrics of its last epoch, how it is to be run, and remarks."""

    model: nn.Module
    metrics: Mapping[str, float]
    rule: Precision
    by: Scoring
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Training:
    """A proposal on its data; `watched` is scored after each epoch."""

    proposal: Proposal
    part: DevicePart
    watched: DevicePart | None
    workspace: Workspace

    @property
    def identity(self) -> str:
        """What makes a checkpoint this training's: the same evaluation, of the same size, on such a device."""
        i = self.proposal.identity
        return (
            f"{i.key} by {i.recipe}, {i.epochs} epochs, seed {i.seed}, {len(self.part)} examples, "
            f"on {torch.device(self.workspace.device).type}"
        )


def train(training: Training) -> Trained:
    """Train from the start, or from the last good checkpoint; checkpoints are gone when it is done.

    Raises `Diverged`, `TimedOut`, and whatever the network raises.
    """
    proposal, workspace = training.proposal, training.workspace
    recipe, rule = proposal.candidate.recipe, precision(workspace.device)
    by = scoring(training.part, smoothing=fixed(recipe.label_smoothing))
    with seeded(proposal.seed, rule.device):
        learner, notes = _begun(training, rule)
        metrics: Mapping[str, float] = {}
        saved = workspace.clock()
        while learner.progress.epoch < proposal.epochs:
            metrics = _epoch_and_score(training, learner, rule, by)
            workspace.report(learner.progress.epoch, metrics)
            due = workspace.clock() >= saved + workspace.checkpoint_seconds
            if due and learner.progress.epoch < proposal.epochs:
                notes += _save(training, learner)
                saved = workspace.clock()
    checkpoint.clear(workspace.folder, identity=training.identity)
    done = learner.progress
    metrics = {**metrics, "train_seconds": done.seconds, "epochs": float(done.epoch)}
    if done.best is not None:
        metrics["best_epoch"] = float(done.best_epoch)
    return Trained(model=learner.model, metrics=metrics, rule=rule, by=by, notes=notes)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators, which dropout draws from, and put them back afterwards.

    This is the one place that touches them; all else has generators of its own.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(stream_seed(seed, "global"))
        yield


def stream_seed(seed: int, stream: str) -> int:
    """Return a seed of its own for each use of a trial's seed, so that equal draws do not meet."""
    return int.from_bytes(sha256(f"{seed} {stream}".encode()).digest()[:8])


def _begun(training: Training, rule: Precision) -> tuple[Learner, tuple[str, ...]]:
    """Return a learner that goes on after the last good checkpoint, or a fresh one, with remarks."""
    fresh = partial(_fresh, training, rule)
    learner = fresh()
    held = sum(tensor.nbytes for tensor in learner.model.state_dict().values())
    resumed, notes = checkpoint.resume(
        training.workspace.folder,
        identity=training.identity,
        expected_bytes=COPIES * held,
        restore=partial(_restored, fresh, rule.device),
    )
    return resumed or learner, notes


def _fresh(training: Training, rule: Precision) -> Learner:
    proposal = training.proposal
    weights = Generator().manual_seed(stream_seed(proposal.seed, "weights"))
    model = rule.place(build(proposal.candidate.network, seed=weights))
    return Learner(
        model=model,
        optimiser=make_optimiser(model, proposal.candidate.recipe),
        batches=Generator(rule.device).manual_seed(stream_seed(proposal.seed, "batches")),
        progress=Progress(),
    )
