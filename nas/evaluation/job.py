"""Jobs: from a proposal and a workspace to metrics. A job knows nothing of the search.

A job trains on data, so `nas.evaluation` reads the types of `nas.data.device`; it loads none itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save as safetensors
from torch import nn

from search_spaces.block import fixed
from search_spaces.errors import BadInput, StorageError
from search_spaces.serialise import to_json

from ..data.device import DevicePart, OnDevice
from ..data.inputs import Inputs
from ..data.inputs import to_json as inputs_to_json
from ..gradient import Gradient
from ..kept import INPUT, SPEC, WEIGHTS
from ..proposal import LONGEST_NOTE, Kind, Outcome, Proposal, Rung, Settings, Status
from ..sharing import Inherited, SharedTraining
from ..storage import make_folder, replace_file
from .entangled import train_shared
from .failures import failed
from .inherited import score_inherited
from .result import Job, Result
from .supernet import train_mixture
from .training import Training, score, train
from .workspace import Workspace


def run(proposal: Proposal, workspace: Workspace) -> Outcome:
    """Do a proposal's job and return what came of it; whatever it raises becomes an outcome.

    Only KeyboardInterrupt passes, and `StorageError`: a disk that refuses is no trial's fault.
    """
    began = workspace.clock()
    try:
        result = job_of(proposal)(proposal, workspace)
    except (KeyboardInterrupt, StorageError):
        raise
    except BaseException as error:  # noqa: BLE001 - SystemExit too: a user's code must not end the worker
        return failed(error, seconds=workspace.clock() - began)
    note = "; ".join(result.notes)[:LONGEST_NOTE]
    seconds = workspace.clock() - began
    return Outcome(
        status=Status.DONE, metrics=result.metrics, note=note, seconds=seconds, weights=result.weights
    )


def train_and_validate(proposal: Proposal, workspace: Workspace) -> Result:
    """Train on the train part and score the validation part.

    Metrics: train_loss, validation_loss, validation_accuracy (of a regression: _rmse, _r2), all of the last
    epoch; best_epoch, after which validation was best; train_seconds; epochs.
    """
    data, shape = workspace.data, input_of(proposal)
    part = data.train.sized(shape)
    watched = data.validation.sized(shape) if workspace.ranks.first else None
    done = train(Training(proposal=proposal, part=part, watched=watched, workspace=workspace))
    return Result(metrics=done.metrics, notes=done.notes)


def train_and_test(proposal: Proposal, workspace: Workspace) -> Result:
    """Train on train and validation together, keep the model, then read the test part once.

    Metrics: train_loss, test_loss, test_accuracy (of a regression: _rmse, _r2), train_seconds, epochs. Kept are
    the spec, what inputs are and how they are normalised, and the weights of `search_spaces.modules.build` of the spec;
    `nas.model.load` reads them.
    """
    shape, inputs = input_of(proposal), workspace.data.inputs
    if inputs is None:
        raise BadInput(
            "data: got parts made by hand, expected those of a dataset, for a model is kept with its inputs"
        )
    part = together(workspace.data).sized(shape)
    training = Training(proposal=proposal, part=part, watched=None, workspace=workspace)
    done = train(training)
    if not workspace.ranks.first:
        return Result(metrics=done.metrics, notes=done.notes)
    _keep(done.model, proposal, inputs, workspace.folder)
    test = score(training, done.model, workspace.held_out().sized(shape), name="test")
    return Result(metrics={**done.metrics, **test}, notes=done.notes)


JOBS: Mapping[Kind, Job] = {
    Kind.TRAIN: train_and_validate,
    Kind.CONFIRM: train_and_validate,
    Kind.FINAL: train_and_test,
}
BY_SETTINGS: Mapping[tuple[Kind, type[Settings]], Job] = {  # what trains by more than a recipe
    (Kind.RUNG, Rung): train_and_validate,
    (Kind.SUPERNET, Gradient): train_mixture,
    (Kind.SUPERNET, SharedTraining): train_shared,
    (Kind.INHERIT, Inherited): score_inherited,
}


def job_of(proposal: Proposal) -> Job:
    """Return what is to be done; `BadInput` where nothing is known for such settings."""
    if proposal.settings is None and proposal.kind in JOBS:
        return JOBS[proposal.kind]
    kind = type(proposal.settings)
    job = BY_SETTINGS.get((proposal.kind, kind)) if issubclass(kind, Settings) else None
    if job is None:
        known = ", ".join(f"{of.value} by {settings.__name__}" for of, settings in BY_SETTINGS)
        raise BadInput(
            f"job: got {proposal.kind.value} by {kind.__name__}, expected one of {known or 'none'}"
        )
    return job


def input_of(proposal: Proposal) -> tuple[int, ...]:
    """Return what a proposal's network takes, (channels, *spatial); examples of other sizes are resized to it."""
    return tuple(fixed(n) for n in proposal.candidate.network.input)


def together(data: OnDevice) -> DevicePart:
    """Return train and validation as one part."""
    parts = (data.train, data.validation)
    return replace(data.train, x=torch.cat([p.x for p in parts]), y=torch.cat([p.y for p in parts]))


def _keep(model: nn.Module, proposal: Proposal, inputs: Inputs, folder: Path) -> None:
    """Write what the model is, what it takes, and last its weights: where they lie, the rest does too."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    make_folder(folder)
    replace_file(folder / SPEC, to_json(proposal.candidate.network).encode())
    replace_file(folder / INPUT, inputs_to_json(inputs).encode())
    replace_file(folder / WEIGHTS, safetensors(tensors, metadata={"key": proposal.key}))
