"""Training: the loop, and how it goes on after it was killed.

On the CPU, with the number of threads fixed, equal seeds give equal weights bit for bit, whether or not the
training was cut short in between: every random number comes from a generator whose state is checkpointed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from search_spaces.block import fixed
from search_spaces.layers import parameter_count
from search_spaces.network import Network, lower

from ..data.augment import Augmentation
from ..data.device import DevicePart
from ..proposal import Proposal, Rung
from . import checkpoint
from .failures import TrialFailure
from .learner import Learner, fresh, restored, seeded, state_of, stream_seed
from .optimiser import learning_rate
from .precision import Precision, precision
from .ranks import CutOff
from .scoring import Scoring, evaluate, finite, scoring, training_loss
from .workspace import Workspace

LOOK_STEPS = 50  # between two looks at the loss within an epoch: each makes a GPU wait
COPIES = 4  # of its weights that a checkpoint holds at most: the weights, two moments, and room


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Training:
    """A proposal, the part it is trained on, and the part (or none) that is scored after each epoch.

    A rung is a beginning of a training: with the identity of the whole, whose learning rates it follows.
    """

    proposal: Proposal
    part: DevicePart
    watched: DevicePart | None
    workspace: Workspace

    @property
    def identity(self) -> str:
        """What makes a checkpoint this training's: the same evaluation, on as much data, on such a device."""
        of, device = self.proposal.identity, torch.device(self.workspace.device).type
        ranks = self.workspace.ranks.count
        return (
            f"{of.key} by recipe {of.recipe} for {self.schedule} epochs with seed {of.seed} "
            f"on {len(self.part)} examples on {device}{f' by {ranks} ranks' if ranks > 1 else ''}"
        )

    @property
    def schedule(self) -> int:
        """The epochs of the whole training."""
        settings = self.proposal.settings
        return settings.of if isinstance(settings, Rung) else self.proposal.epochs

    @property
    def goes_on(self) -> bool:
        """Whether a promotion may go on where it ends."""
        return self.proposal.epochs < self.schedule

    @property
    def rule(self) -> Precision:
        """How its device computes."""
        return precision(self.workspace.device)

    @property
    def by(self) -> Scoring:
        """Its loss and scores."""
        return scoring(self.part, smoothing=fixed(self.proposal.candidate.recipe.label_smoothing))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained:
    """A trained model, the metrics of the training and of its last epoch, and remarks on how it went."""

    model: nn.Module
    metrics: Mapping[str, float]
    notes: tuple[str, ...]


def train(training: Training) -> Trained:
    """Train from the start, or from the last good checkpoint; checkpoints are gone when it is done.

    A promotion goes on from the checkpoint that a rung leaves at its end, and removes it when it is done.
    Raises `Diverged`, `TimedOut`, `CutOff`, and whatever the network raises.
    """
    ranks = training.workspace.ranks
    ranks.check_batch(min(fixed(training.proposal.candidate.recipe.batch), len(training.part)))
    try:
        with seeded(training.proposal.seed, training.rule.device), ranks.together():
            with ranks.in_turn():  # the first one removes what cannot be used
                learner, notes = _begun(training)
            ranks.check_agreed(learner.progress.epoch, training.rule.device)
            metrics, more = _epochs(training, learner)
    except CutOff:
        raise
    except TrialFailure:  # such a trial is not tried again
        _clear(training, own=True)
        raise
    _clear(training, own=not training.goes_on)
    done = learner.progress
    of_training = {"train_seconds": done.seconds, "epochs": float(done.epoch)}
    if done.best is not None:
        of_training["best_epoch"] = float(done.best_epoch)
    return Trained(model=learner.model, metrics={**metrics, **of_training}, notes=notes + more)


def score(training: Training, model: nn.Module, part: DevicePart, *, name: str) -> Mapping[str, float]:
    """Return a model's scores on a part, as `<name>_loss` and so on; raises `Diverged`."""
    return evaluate(
        model,
        part,
        name=name,
        by=training.by,
        rule=training.rule,
        batch=fixed(training.proposal.candidate.recipe.batch),
        check_time=training.workspace.check_time,
    )


def _begun(training: Training) -> tuple[Learner, tuple[str, ...]]:
    """Return a learner that goes on after the last good checkpoint, or a fresh one, with remarks."""
    notes: tuple[str, ...] = ()
    for folder in _folders(training):
        resumed, more = checkpoint.resume(
            folder,
            identity=training.identity,
            expected_bytes=COPIES * _weight_bytes(training.proposal.candidate.network),
            restore=partial(restored, training.proposal, training.rule),
        )
        notes += more
        if resumed is not None:
            return resumed, notes
    if training.proposal.trained:
        notes += (f"no checkpoint of {training.proposal.trained} epochs, so trained from the start",)
    return fresh(training.proposal, training.rule), notes


def _folders(training: Training) -> Iterator[Path]:
    """Yield where this training's checkpoints may lie: in its own folder, then in that of the rung it goes on from."""
    yield training.workspace.folder
    if training.proposal.trained and training.workspace.parent is not None:
        yield training.workspace.parent


def _clear(training: Training, *, own: bool) -> None:
    """Remove what nobody goes on from any more: what it went on from itself, and its own."""
    for folder in _folders(training) if training.workspace.ranks.first else ():
        if own or folder != training.workspace.folder:
            checkpoint.clear(folder, identity=training.identity)


def _epochs(training: Training, learner: Learner) -> tuple[Mapping[str, float], tuple[str, ...]]:
    """Train to the last epoch, with reports and checkpoints; return its metrics, and remarks."""
    workspace, progress = training.workspace, learner.progress
    notes: tuple[str, ...] = ()
    pace = checkpoint.Pace(workspace.clock, workspace.checkpoint_seconds)
    model = workspace.ranks.over(learner.model)
    while progress.epoch < training.proposal.epochs:
        progress.metrics = _epoch(training, learner, model)
        workspace.report(progress.epoch, progress.metrics)
        if not workspace.ranks.first:
            continue
        if progress.epoch < training.proposal.epochs:
            notes += pace.when_due(lambda: _saved(training, learner))
        elif training.goes_on:
            notes += _saved(training, learner)
    return progress.metrics, notes


def _weight_bytes(network: Network) -> int:
    graph = lower(network)
    return 4 * sum(parameter_count(node.layer, tuple(map(graph.shape, node.sources))) for node in graph.nodes)


def _saved(training: Training, learner: Learner) -> tuple[str, ...]:
    """Write a checkpoint; return remarks."""
    return checkpoint.try_to_save(
        training.workspace.folder, identity=training.identity, epoch=learner.progress.epoch,
        state=state_of(learner),
    )  # fmt: skip


def _epoch(training: Training, learner: Learner, model: nn.Module) -> Mapping[str, float]:
    """Train one epoch and score the watched part; `model` is the learner's, over all ranks."""
    clock, progress, ranks = training.workspace.clock, learner.progress, training.workspace.ranks
    began = clock()
    if ranks.count > 1:  # dropout draws apart on each, and a checkpoint need not gather where
        torch.manual_seed(stream_seed(training.proposal.seed, f"global {ranks.number} {progress.epoch}"))
    metrics: Mapping[str, float] = {"train_loss": _pass(training, learner, model)}
    progress.epoch += 1
    progress.seconds += clock() - began
    if training.watched is None:
        return metrics
    scores = score(training, learner.model, training.watched, name="validation")
    by = training.by
    main = by.sign * scores[f"validation_{by.main}"]
    if progress.best is None or main > progress.best:
        progress.best, progress.best_epoch = main, progress.epoch
    return {**metrics, **scores}


def _pass(training: Training, learner: Learner, over: nn.Module) -> float:
    """Take one step for every batch of the part; return the mean loss. Raises `Diverged` and `TimedOut`."""
    recipe, rule, by = training.proposal.candidate.recipe, training.rule, training.by
    batch, model, ranks = fixed(recipe.batch), over.train(), training.workspace.ranks
    augment: tuple[Augmentation, ...] = tuple(fixed(a) for a in recipe.augment)
    steps = training.part.steps(batch, least=ranks.least)
    done, total = learner.progress.epoch * steps, training.schedule * steps
    lost, seen = torch.zeros((), dtype=torch.float64, device=rule.device), 0
    batches = training.part.batches(learner.batches, batch, augment=augment, least=ranks.least)
    for step, (whole, targets) in enumerate(batches):
        training.workspace.check_time()
        x, y, share = ranks.part(whole, targets)
        loss = training_loss(rule.outputs(model, x), y, by=by)
        torch.autograd.backward(share * loss if ranks.count > 1 else loss)
        learner.optimiser.step(learning_rate(recipe, (done + step + 0.5) / total))
        lost += loss.detach() * len(x)
        seen += len(whole)
        if step % LOOK_STEPS == LOOK_STEPS - 1:
            finite({"train_loss": ranks.total(lost.clone()).item()})
    return finite({"train_loss": ranks.total(lost).item() / seen})["train_loss"]
