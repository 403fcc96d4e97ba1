"""The job of a mixture supernet: train it, say after each epoch how it goes, hand back what its options weigh.

What it scores is never an architecture's result: its metrics are named `supernet_...` and `derived_...`, and an
architecture is trained from scratch by another job. On the CPU, with the number of threads fixed, equal seeds give
equal parameters bit for bit, whether or not the search was cut short in between, at whatever step.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import cast

import torch

from scaling.training_memory import training_bytes
from search_spaces.block import fixed
from search_spaces.derivation import derive
from search_spaces.errors import BadInput, StorageError
from search_spaces.genotype import to_genotype
from search_spaces.mixture import Mixture, label
from search_spaces.modules import available_bytes
from search_spaces.network import Network
from search_spaces.serialise import Json, to_data
from search_spaces.supernet import one_path

from ..gradient import HISTORY, Gradient, check_gradient, expected_cost, mixture_of
from ..proposal import Proposal, Status
from ..storage import make_folder, replace_file
from ..strict_json import dump_json
from . import checkpoint
from .failures import TrialFailure
from .learner import seeded
from .precision import precision
from .result import Result
from .scoring import evaluate, finite, scoring
from .supernet_search import Search, begun, restore, state_of
from .supernet_signs import CALIBRATING, Path, entropy, recalibrated, skip_share, skips, warnings
from .supernet_step import expectation, step
from .workspace import Workspace

LOOK_STEPS = 50  # between two looks at the loss within an epoch


class TooLarge(TrialFailure):
    """A supernet that the device's memory cannot hold, told by formula before anything is made."""

    status = Status.OUT_OF_MEMORY


def train_mixture(proposal: Proposal, workspace: Workspace) -> Result:
    """Train a space's mixture supernet by the proposal's `Gradient` settings.

    Metrics of the last epoch: train_loss, alpha_loss, entropy (of what options weigh, a part of the largest),
    skip_share (of the derived architecture's choices), supernet_validation_accuracy (not where one path is sampled),
    derived_validation_accuracy (the derived path on the supernet's weights, its norms fitted anew; of a regression
    _rmse, _r2), epochs, train_seconds. Weights: what each option weighs, by the path of its slot. `supernet.json` in
    the trial's folder has all of it for every epoch.
    """
    settings = cast(Gradient, proposal.settings)
    mixture = mixture_of(proposal.candidate.network, settings)
    check_gradient(proposal.candidate, settings)
    _check_room(mixture, settings, workspace.device)
    rule = precision(workspace.device)
    workspace = _sized(workspace, proposal.candidate.network)
    identity = _identity(proposal, workspace)
    try:
        with seeded(proposal.seed, rule.device):
            search = begun(
                proposal, settings, mixture, workspace.data, rule=rule,
                by=scoring(workspace.data.train, smoothing=0.0),
                cost=expected_cost(mixture, settings, space=proposal.candidate.network),
                augment=tuple(fixed(a) for a in proposal.candidate.recipe.augment),
            )  # fmt: skip
            resumed, notes = checkpoint.resume(
                workspace.folder, identity=identity, expected_bytes=_state_bytes(search),
                restore=partial(restore, search), unit="step",
            )  # fmt: skip
            more = _trained(search if resumed is None else resumed, proposal, workspace, identity)
    except TrialFailure:
        checkpoint.clear(workspace.folder, identity=identity)
        raise
    checkpoint.clear(workspace.folder, identity=identity)
    return _result(search, notes + more)


def _trained(search: Search, proposal: Proposal, workspace: Workspace, identity: str) -> tuple[str, ...]:
    """Take all steps that are left, with a look after each epoch and checkpoints in between; return remarks."""
    notes: tuple[str, ...] = ()
    pace = checkpoint.Pace(workspace.clock, workspace.checkpoint_seconds)
    total = search.epochs * search.weights.steps
    while search.done < total and not _stops(search):
        workspace.check_time()
        began = workspace.clock()
        step(search)
        search.seconds += workspace.clock() - began
        if search.done % LOOK_STEPS == 0:
            finite({"train_loss": search.sums[0].item()})
        if search.done % search.weights.steps == 0:
            metrics = _look(search, workspace)
            workspace.report(search.epoch, metrics)
            _write_history(search, workspace.folder)
        if search.done < total:
            notes += pace.when_due(lambda: _saved(search, workspace, identity))
    return notes


def _look(search: Search, workspace: Workspace) -> Mapping[str, float]:
    """Score the supernet and what would be derived now, and keep that with what the options weigh."""
    lost, of_parameters, steps, of_steps = search.sums.tolist()
    finite({"train_loss": lost, "alpha_loss": of_parameters})
    search.sums.zero_()
    shares = search.shares()
    network = derive(search.mixture, shares)
    metrics = {
        "train_loss": lost / max(1.0, steps),
        **({"alpha_loss": of_parameters / of_steps} if of_steps else {}),
        **({f"expected_{search.settings.cost}": expectation(search)} if search.cost else {}),
        "entropy": entropy(search.mixture, shares),
        "skip_share": skip_share(search.mixture, network),
        **_scores(search, network, workspace),
    }
    search.seen.append(dict(finite(metrics)))
    search.trace.append(torch.tensor([number for vector in shares.values() for number in vector]))
    return metrics


def _scores(search: Search, network: Network, workspace: Workspace) -> Mapping[str, float]:
    """Score the supernet as it is, and the path of an architecture with its norms fitted to that path."""
    part, batch = workspace.data.validation.first(search.settings.look), search.settings.batch
    vectors, only = one_path(search.mixture, network)
    path = Path({name: vector.to(search.rule.device) for name, vector in vectors.items()}, only, search.net)

    def score(through: Path, name: str) -> Mapping[str, float]:
        return evaluate(
            through,
            part,
            name=name,
            by=search.by,
            rule=search.rule,
            batch=batch,
            check_time=workspace.check_time,
        )

    # One who samples paths never trains two options side by side: there is no supernet as a whole to score.
    sampled = search.settings.mixing == "gumbel"
    scores = {} if sampled else score(Path(search.vectors(), None, search.net), "supernet_validation")
    few = search.weights.numbers[: CALIBRATING * batch]
    whole = len(few) // batch * batch or len(few)  # a rest would count as much as a batch
    fitting = [
        search.rule.arrange(workspace.data.train.pick(numbers)) for numbers in torch.split(few[:whole], batch)
    ]
    with recalibrated(search.net, path, fitting):
        return {**scores, **score(path, "derived_validation")}


def _stops(search: Search) -> bool:
    """Tell whether skips have come to dominate a cell, where that ends a search (Liang et al. 2019, DARTS+)."""
    most = search.settings.stop_at_skips
    unmoved = search.epoch <= search.settings.warmup
    if most is None or unmoved or not search.trace or search.done % search.weights.steps:
        return False
    counts = skips(search.mixture, derive(search.mixture, search.shares()))
    return any(skipping >= most for skipping, _ in counts.values())


def _result(search: Search, notes: tuple[str, ...]) -> Result:
    shares = search.shares()
    network = derive(search.mixture, shares)
    if _stops(search) and search.epoch < search.epochs:
        notes += (f"stopped after epoch {search.epoch}: {search.settings.stop_at_skips} skips in one cell",)
    if search.captured is not None and search.captured.note:
        notes += (search.captured.note,)
    times = {"epochs": float(search.epoch), "train_seconds": search.seconds}
    return Result(
        metrics=finite({**search.seen[-1], **times}),
        notes=notes + warnings(search.mixture, network, search.seen[-1], shares),
        weights={path: tuple(vector) for path, vector in shares.items()},
    )


def _sized(workspace: Workspace, network: Network) -> Workspace:
    """Return the workspace with examples resized to what a network takes."""
    shape = tuple(fixed(n) for n in network.input)
    parts = (workspace.data.train.sized(shape), workspace.data.validation.sized(shape))
    return replace(workspace, data=replace(workspace.data, train=parts[0], validation=parts[1]))


def _check_room(mixture: Mixture, settings: Gradient, device: str) -> None:
    """Refuse by formula what the device cannot hold; nothing has been made yet."""
    needed = training_bytes(
        mixture, batch=settings.batch, one_path=settings.mixing == "gumbel",
        second_order=settings.order == 2,
    )  # fmt: skip
    room = torch.cuda.mem_get_info(device)[0] if device.startswith("cuda") else available_bytes()
    if needed > room:
        raise TooLarge(
            f"supernet: a step of batch {settings.batch} takes {needed / 2**30:,.1f} GiB by formula, expected "
            f"at most the {room / 2**30:,.1f} GiB that are free on {device}; lower supernet.batch or the "
            "space's widths, set supernet.partial, or take mixing: gumbel, which runs one path at a time"
        )


def _write_history(search: Search, folder: pathlib.Path) -> None:
    """Write what every epoch was like; a disk that refuses costs the file, not the search."""
    slots = {path: [label(option) for option in slot.options] for path, slot in search.mixture.slots.items()}
    sizes = list(search.rows.sizes.items())
    epochs: list[Json] = []
    for number, (metrics, flat) in enumerate(zip(search.seen, search.trace, strict=True), start=1):
        parts = torch.split(flat, [size for _, size in sizes])
        weights = {path: part.tolist() for (path, _), part in zip(sizes, parts, strict=True)}
        epochs.append({"epoch": number, **metrics, "weights": weights})
    network = derive(search.mixture, search.shares())
    held: dict[str, Json] = {"version": 1, "slots": slots, "epochs": epochs, "derived": to_data(network)}
    with suppress(BadInput):  # a space whose cells no paper has a notation for
        held["genotype"] = to_genotype(network)
    with suppress(StorageError):
        make_folder(folder)
        replace_file(folder / HISTORY, dump_json(held).encode())


def _identity(proposal: Proposal, workspace: Workspace) -> str:
    """Return what makes a checkpoint this search's: space, settings, budget, seed, data and kind of device."""
    of, device = proposal.identity, torch.device(workspace.device).type
    table = cast(Gradient, proposal.settings).cost_table
    costs = "" if table is None else f", costs of {sha256(pathlib.Path(table).read_bytes()).hexdigest()[:16]}"
    return (
        f"{of.job} on the space {of.key}, recipe {of.recipe}, for {of.epochs} epochs with seed {of.seed} "
        f"on {len(workspace.data.train)} examples on {device}{costs}"
    )


def _state_bytes(search: Search) -> int:
    weights = sum(weight.numel() for weight in search.net.parameters())
    buffers = sum(buffer.numel() for buffer in search.net.buffers())
    trace = (search.epochs + 4) * search.rows.valid.numel()
    return 8 * (2 * weights + buffers + trace + 2 * len(search.weights.part))


def _saved(search: Search, workspace: Workspace, identity: str) -> tuple[str, ...]:
    """Write a checkpoint; return remarks."""
    return checkpoint.try_to_save(
        workspace.folder, identity=identity, epoch=search.done, state=state_of(search), unit="step"
    )
