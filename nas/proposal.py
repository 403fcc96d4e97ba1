"""What is asked for and what came of it, as data: the words that study, strategy and executor share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from search_spaces.serialise import key

from .recipe import Candidate


class Kind(StrEnum):
    """What a proposal is for; each kind is one job."""

    TRAIN = "train"  # train on the train part, score on the validation part
    CONFIRM = "confirm"  # the same with a fresh seed, to see past a lucky score
    FINAL = "final"  # train the named winner on train and validation, then read the test part once


class Status(StrEnum):
    """How a proposal ended."""

    DONE = "done"
    LOST = "lost"  # its process died; says nothing of the architecture
    OUT_OF_MEMORY = "out_of_memory"
    DIVERGED = "diverged"  # a loss or metric that is not finite
    TIMED_OUT = "timed_out"
    BUG = "bug"  # an exception of ours or the user's


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One evaluation to be made. Equal (key, recipe, epochs, seed) is the same evaluation, never made twice."""

    number: int
    kind: Kind
    candidate: Candidate
    epochs: int  # the budget
    seed: int
    parent: int | None = None  # the proposal whose checkpoint it continues

    @property
    def key(self) -> str:
        """The architecture's key."""
        return key(self.candidate.network)

    @property
    def identity(self) -> Identity:
        """What makes two evaluations the same."""
        return Identity(self.key, key(self.candidate.recipe), self.epochs, self.seed)


@dataclass(frozen=True, slots=True)
class Identity:
    """An evaluation's identity: architecture key, recipe key, budget in epochs, seed."""

    key: str
    recipe: str
    epochs: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one attempt. Metrics are finite, or the status says `diverged`."""

    status: Status
    metrics: Mapping[str, float] = field(default_factory=dict)
    note: str = ""  # for a failure: what happened, bounded in length
    seconds: float = 0.0


LONGEST_NOTE = 4000  # characters


def settled(outcome: Outcome) -> Outcome:
    """Return the outcome with a bounded note, and as `diverged` where a metric is not finite."""
    note = outcome.note if len(outcome.note) <= LONGEST_NOTE else outcome.note[:LONGEST_NOTE] + " ..."
    bad = [name for name, value in outcome.metrics.items() if not math.isfinite(value)]
    if outcome.status is Status.DONE and bad:
        return Outcome(status=Status.DIVERGED, note=f"{', '.join(bad)} not finite", seconds=outcome.seconds)
    return Outcome(status=outcome.status, metrics=outcome.metrics, note=note, seconds=outcome.seconds)
