"""Scoring a member on a supernet's weights, without training it."""

from __future__ import annotations

from itertools import islice
from typing import cast

import torch
from torch import Generator

from search_spaces.block import fixed
from search_spaces.errors import BadInput
from search_spaces.supernet_entangled import lift, recalibrate

from ..proposal import Proposal
from ..sharing import Inherited
from .learner import stream_seed
from .precision import precision
from .result import Result
from .scoring import evaluate, scoring
from .supernet_file import supernet_in
from .workspace import Workspace


def score_inherited(proposal: Proposal, workspace: Workspace) -> Result:
    """Score a member with the weights of its parent, a supernet: lifted out, its batch norms measured anew.

    Metrics: inherited_loss, inherited_accuracy (of a regression: _rmse, _r2) on the validation part. They are the
    supernet's, never the architecture's own. Raises `StorageError` where the weights are not there or damaged.
    """
    settings, member = cast(Inherited, proposal.settings), proposal.candidate.network
    recipe, rule, data = proposal.candidate.recipe, precision(workspace.device), workspace.data
    if workspace.parent is None:
        raise BadInput("parent: got none, expected the supernet whose weights are inherited")
    supernet = supernet_in(workspace.parent, of=proposal.parent_key or "")
    model = rule.place(lift(supernet, member))
    batch = fixed(recipe.batch)
    order = Generator().manual_seed(stream_seed(proposal.seed, "recalibration"))
    shape = tuple(fixed(n) for n in member.input)
    part, shuffled = data.train.sized(shape), torch.randperm(len(data.train), generator=order)
    with rule.computing():
        recalibrate(
            model,
            (
                rule.arrange(part.pick(indices.to(rule.device)))
                for indices in islice(torch.split(shuffled, max(batch, 2)), settings.batches)
                if len(indices) > 1
            ),
        )
    scores = evaluate(
        model, data.validation.sized(shape), name="inherited", by=scoring(data.train, smoothing=0.0), rule=rule,
        batch=batch, check_time=workspace.check_time,
    )  # fmt: skip
    return Result(metrics=scores)
