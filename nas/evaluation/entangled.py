"""The training of a supernet of sliced weights, by sampled members.

A step takes the gradients of a few members, one after the other, so that memory holds one at a time. On the CPU,
equal seeds give equal weights bit for bit, killed in between or not: checkpoints hold the place in the epoch, the
order of an epoch and its members follow from (seed, epoch, step).
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Generator, Tensor

from scaling.saved import saved_bytes, step_bytes
from search_spaces.block import fixed
from search_spaces.errors import Unbuildable
from search_spaces.extremes import extreme
from search_spaces.modules import available_bytes
from search_spaces.network import Network, lower
from search_spaces.supernet_entangled import Entangled

from ..data.augment import Targets
from ..data.device import resized
from ..proposal import Proposal
from ..recipe import Recipe
from ..sharing import Paths, SharedTraining, Space, space_for
from . import checkpoint
from .failures import TrialFailure
from .learner import Learner, Progress, seeded, state_of, stream_seed, taken_over
from .optimiser import Optimiser, learning_rate
from .precision import Precision, precision
from .result import Result
from .scoring import Scoring, finite, scoring, training_loss
from .supernet_file import keep_supernet
from .workspace import Workspace

LOOKED_AT = 8  # members whose memory is worked out before the training begins, beside the largest
OUTSIDE = (
    "no member within the limits was found, so that steps trained others, the nearest of some draws each"
)
COPIES = 4  # of the weights that a checkpoint holds at most


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shared:
    """The training of a supernet: what is asked, where members are drawn from, and where it runs."""

    proposal: Proposal
    workspace: Workspace
    settings: SharedTraining
    space: Space

    @property
    def identity(self) -> str:
        """What makes a checkpoint this training's."""
        of, device = self.proposal.identity, torch.device(self.workspace.device).type
        return (
            f"supernet of {of.key} by recipe {of.recipe} and {of.job} for {of.epochs} epochs with seed {of.seed} "
            f"on {len(self.workspace.data.train)} examples on {device}"
        )

    @property
    def recipe(self) -> Recipe:
        """Its recipe, nothing in it searched."""
        return self.proposal.candidate.recipe

    @property
    def rule(self) -> Precision:
        """How its device computes."""
        return precision(self.workspace.device)

    @property
    def by(self) -> Scoring:
        """Its loss."""
        return scoring(self.workspace.data.train, smoothing=fixed(self.recipe.label_smoothing))

    @property
    def steps(self) -> int:
        """The number of batches in an epoch."""
        return self.workspace.data.train.steps(fixed(self.recipe.batch))


def train_shared(proposal: Proposal, workspace: Workspace) -> Result:
    """Train a space's supernet by sampled members and leave its weights in the folder.

    Metrics: supernet_train_loss, the mean over members and batches of the last epoch; supernet_seconds; epochs;
    step_bytes, the memory of a step by formula. Raises `Unbuildable` where members cannot share or the device cannot
    hold a step.
    """
    settings = cast(SharedTraining, proposal.settings)
    rng = random.Random(f"{proposal.seed} space")
    space = space_for(proposal.candidate.network, settings, rng)
    shared = Shared(proposal=proposal, workspace=workspace, settings=settings, space=space)
    try:
        with seeded(proposal.seed, shared.rule.device):
            learner = _fresh(shared)
            needed = _check_room(shared, learner)
            learner, notes = _begun(shared, learner)
            metrics, more = _epochs(shared, learner)
    except TrialFailure:  # such a trial is not tried again
        checkpoint.clear(workspace.folder, identity=shared.identity)
        raise
    keep_supernet(workspace.folder, learner.model, epochs=proposal.epochs)
    checkpoint.clear(workspace.folder, identity=shared.identity)
    spent = {"supernet_seconds": learner.progress.seconds, "epochs": float(learner.progress.epoch)}
    notes += more if space.keeps(space.one(rng)) else (OUTSIDE, *more)
    return Result(metrics={**metrics, **spent, "step_bytes": float(needed)}, notes=notes)


def _fresh(shared: Shared) -> Learner:
    """Return a learner before its first step; its weights follow from the proposal's seed."""
    seed, rule = shared.proposal.seed, shared.rule
    weights = Generator().manual_seed(stream_seed(seed, "weights"))
    model = rule.place(Entangled(shared.space.network, seed=weights))
    return Learner(
        model=model,
        optimiser=Optimiser(model, shared.recipe),
        batches=Generator(rule.device).manual_seed(stream_seed(seed, "batches")),
        progress=Progress(),
    )


def _check_room(shared: Shared, learner: Learner) -> int:
    """Return the bytes of the largest step that was looked for; `Unbuildable` where the device cannot hold them.

    By formula, over the largest member, where limits allow it, and those of the first steps; the supernet itself is
    there already.
    """
    rng, batch = random.Random(f"{shared.proposal.seed} memory"), fixed(shared.recipe.batch)
    largest = extreme(shared.space.network, "largest", rng)
    members = [largest] if shared.space.keeps(largest) else []
    members += [member for step in range(LOOKED_AT) for member in _members(shared, 0, step)]
    saved = max(map(partial(_saved, batch=batch), members))
    weights = sum(weight.numel() for weight in learner.model.parameters())
    needed = step_bytes(weights=weights, saved=saved, optimiser=fixed(shared.recipe.optimiser))
    held, room = 4 * weights, _room(shared.rule.device)
    if needed - held > room:
        raise Unbuildable(
            f"supernet: got a step of {needed / 2**30:,.2f} GiB for batches of {batch}, expected at most the "
            f"{(room + held) / 2**30:,.2f} GiB that {shared.rule.device} has; lower recipe.batch, or the largest widths"
        )
    return needed


def _saved(member: Network, *, batch: int) -> int:
    try:
        return saved_bytes(lower(member), batch)
    except Unbuildable:  # no step trains it
        return 0


def _room(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_bytes()


def _begun(shared: Shared, learner: Learner) -> tuple[Learner, tuple[str, ...]]:
    """Return a learner that goes on after the last good checkpoint, or the fresh one, with remarks."""
    weights = sum(weight.numel() for weight in learner.model.parameters())
    resumed, notes = checkpoint.resume(
        shared.workspace.folder,
        identity=shared.identity,
        expected_bytes=4 * COPIES * weights,
        restore=partial(_restored, shared),
        unit="step",
    )
    return resumed or learner, notes


def _restored(shared: Shared, state: checkpoint.State) -> Learner:
    """Return the learner whose state this is; raises whatever torch does where it is not of this training."""
    learner = _fresh(shared)
    progress = Progress(**cast("dict[str, float]", state["progress"]))  # type: ignore[arg-type]  # checked below
    if not (0 <= progress.epoch < shared.proposal.epochs and 0 <= progress.step < shared.steps):
        raise ValueError(f"it says {progress.epoch} epochs and {progress.step} steps are done")
    return taken_over(learner, progress, state)


def _epochs(shared: Shared, learner: Learner) -> tuple[Mapping[str, float], tuple[str, ...]]:
    """Train to the last epoch, with reports and checkpoints; return the last metrics, and remarks."""
    metrics: Mapping[str, float] = {}
    notes: tuple[str, ...] = ()
    workspace, progress = shared.workspace, learner.progress
    pace = checkpoint.Pace(workspace.clock, workspace.checkpoint_seconds)
    while progress.epoch < shared.proposal.epochs:
        notes += _epoch(shared, learner, pace)
        metrics = finite({"supernet_train_loss": progress.lost / progress.seen})
        progress.epoch, progress.step, progress.lost, progress.seen = progress.epoch + 1, 0, 0.0, 0
        workspace.report(progress.epoch, metrics)
        if progress.epoch < shared.proposal.epochs:
            notes += pace.when_due(lambda: _checkpointed(shared, learner))
    return metrics, notes


def _epoch(shared: Shared, learner: Learner, pace: checkpoint.Pace) -> tuple[str, ...]:
    """Take the steps that are left of an epoch, with checkpoints as they are due; return remarks."""
    workspace, progress = shared.workspace, learner.progress
    order = Generator().manual_seed(stream_seed(shared.proposal.seed, f"order {progress.epoch}"))
    part, batch = workspace.data.train, fixed(shared.recipe.batch)
    indices = torch.split(torch.randperm(len(part), generator=order).to(shared.rule.device), batch)
    augment = tuple(fixed(a) for a in shared.recipe.augment)
    notes: tuple[str, ...] = ()
    learner.model.train()
    while progress.step < shared.steps:
        workspace.check_time()
        began = workspace.clock()
        x, y = part.drawn(indices[progress.step], learner.batches, augment=augment)
        progress.lost += _step(shared, learner, x, y) * len(x)
        progress.seen += len(x)
        progress.step += 1
        progress.seconds += workspace.clock() - began
        if progress.step < shared.steps:
            notes += pace.when_due(lambda: _checkpointed(shared, learner))
    return notes


def _step(shared: Shared, learner: Learner, x: Tensor, y: Targets) -> float:
    """Take one step down the gradients of its members, each weight's mean over who reads it; return the mean loss."""
    progress, by, rule = learner.progress, shared.by, shared.rule
    supernet = cast(Entangled, learner.model)
    members = _members(shared, progress.epoch, progress.step)
    teacher: Tensor | None = None
    total = 0.0
    for member in members:
        with rule.computing():
            output = supernet(
                rule.arrange(resized(x, tuple(fixed(n) for n in member.input[1:]))), member
            ).float()
        loss = training_loss(output, y, by=by) if teacher is None else by.distilled(output, teacher)
        torch.autograd.backward(loss)
        total += finite({"supernet_train_loss": loss.item()})["supernet_train_loss"]
        if shared.settings.sampler.distils:
            teacher = output.detach() if teacher is None else teacher
    supernet.average([supernet.path(member) for member in members])
    position = (progress.epoch * shared.steps + progress.step + 0.5) / (shared.proposal.epochs * shared.steps)
    learner.optimiser.step(learning_rate(shared.recipe, position))
    return total / len(members)


def _members(shared: Shared, epoch: int, step: int) -> Paths:
    rng = random.Random(f"{shared.proposal.seed} members {epoch} {step}")
    return shared.settings.sampler.paths(shared.space, rng)


def _checkpointed(shared: Shared, learner: Learner) -> tuple[str, ...]:
    """Write a checkpoint; return remarks."""
    return checkpoint.try_to_save(
        shared.workspace.folder, identity=shared.identity, state=state_of(learner), unit="step",
        epoch=learner.progress.epoch * shared.steps + learner.progress.step,
    )  # fmt: skip
