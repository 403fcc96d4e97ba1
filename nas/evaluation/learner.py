"""A network in training: all that changes, as an object and as the state that a checkpoint holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import cast

import torch
from torch import Generator, Tensor, nn

from search_spaces.modules import build

from ..proposal import Proposal
from .checkpoint import State
from .optimiser import Optimiser
from .precision import Precision


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far a training has come."""

    epoch: int = 0  # epochs done
    seconds: float = 0.0  # spent on them, without evaluations
    best: float | None = None  # the best validation score so far, and after which epoch it was
    best_epoch: int = 0
    step: int = 0  # within the epoch, of a training that is checkpointed there too
    lost: float = 0.0  # in those steps: the loss summed over examples, and their number
    seen: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)  # of the last epoch


@dataclass(slots=True, kw_only=True, eq=False)
class Learner:
    """A model, its optimiser, the generator of shuffling and augmentation, and how far it has come."""

    model: nn.Module
    optimiser: Optimiser
    batches: Generator
    progress: Progress


def fresh(proposal: Proposal, rule: Precision) -> Learner:
    """Return a learner before its first step; its weights follow from the proposal's seed."""
    weights = Generator().manual_seed(stream_seed(proposal.seed, "weights"))
    model = rule.place(build(proposal.candidate.network, seed=weights))
    return Learner(
        model=model,
        optimiser=Optimiser(model, proposal.candidate.recipe),
        batches=Generator(rule.device).manual_seed(stream_seed(proposal.seed, "batches")),
        progress=Progress(),
    )


def state_of(learner: Learner) -> State:
    """Return all of a learner that its next step depends on, torch's global generators included."""
    return {
        "model": learner.model.state_dict(),
        "optimiser": learner.optimiser.state(),
        "generators": {"batches": learner.batches.get_state(), **global_generators(learner.batches.device)},
        "progress": asdict(learner.progress),
    }


def restored(proposal: Proposal, rule: Precision, state: State) -> Learner:
    """Return the learner whose state this is; raises whatever torch does where it is not of this proposal."""
    learner = fresh(proposal, rule)
    progress = Progress(**cast("dict[str, float]", state["progress"]))  # type: ignore[arg-type]  # checked below
    last = proposal.epochs if progress.metrics else proposal.epochs - 1  # its scores are needed
    if not 0 < progress.epoch <= last:
        raise ValueError(f"it says {progress.epoch} of {proposal.epochs} epochs are done")
    return taken_over(learner, progress, state)


def taken_over(learner: Learner, progress: Progress, state: State) -> Learner:
    """Return a learner with a state put in, and torch's global generators set; raises whatever torch does."""
    learner.progress = progress
    learner.model.load_state_dict(cast("Mapping[str, Tensor]", state["model"]))
    learner.optimiser.restore(cast("list[list[Tensor]]", state["optimiser"]))
    generators = cast("Mapping[str, Tensor]", state["generators"])
    learner.batches.set_state(generators["batches"])
    set_global_generators(generators, learner.batches.device)
    return learner


def global_generators(device: torch.device) -> dict[str, Tensor]:
    """Return the states of torch's global generators, which dropout draws from: the processor's and the device's."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_global_generators(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Put torch's global generators where `global_generators` found them."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators, which dropout draws from, and put them back afterwards.

    This is the one place that does so; all else has generators of its own.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(stream_seed(seed, "global"))
        yield


def stream_seed(seed: int, stream: str) -> int:
    """Return a seed of its own for each use of a trial's seed, so that no two uses draw alike."""
    return int.from_bytes(sha256(f"{seed} {stream}".encode()).digest()[:8])
