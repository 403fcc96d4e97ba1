"""What is asked for and what came of it, as data: the words that study, strategy and executor share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import ClassVar, cast

from search_spaces.block import Whole
from search_spaces.data import Data, register
from search_spaces.serialise import key

from .recipe import Candidate


class Kind(StrEnum):
    """What a proposal is for, in the order in which a run comes to it; `KINDS` has what else is to be known."""

    SUPERNET = "supernet"  # train one network with shared weights: all members of the space, or many
    INHERIT = "inherit"  # score a member on the validation part with the weights of a supernet, its parent
    RUNG = "rung"  # the first epochs of a training alone; a promotion goes on from there
    TRAIN = "train"  # train on the train part, score on the validation part
    CONFIRM = "confirm"  # the same with a fresh seed, to see past a lucky score
    FINAL = "final"  # train the named winner on train and validation, then read the test part once

    @property
    def about(self) -> About:
        """What is to be known of the kind."""
        return KINDS[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What is to be known of a kind of proposals: all that tells it apart where kinds are not named one by one."""

    phase: str  # what a run is at that does such, to people
    short: str = ""  # the same in a column; as `phase` by default
    searches: bool = True  # strategies ask for it; else the study itself does
    candidate: bool = False  # the training of a candidate in a search, or a part of it
    alone: bool = True  # an architecture with weights of its own; else with shared ones
    splits: bool = False  # several devices do it together
    named: bool = False  # it reads more than candidate, budget and seed, which its identity has to say


KINDS: Mapping[Kind, About] = {
    Kind.SUPERNET: About(phase="supernet", alone=False, named=True),
    Kind.INHERIT: About(phase="inherited weights", short="inherited", alone=False, named=True),
    Kind.RUNG: About(phase="search", candidate=True, named=True),
    Kind.TRAIN: About(phase="search", candidate=True, splits=True),
    Kind.CONFIRM: About(phase="confirmation", short="confirming", searches=False, splits=True),
    Kind.FINAL: About(phase="final training", short="final", searches=False, splits=True),
}
SEARCHING = tuple(kind for kind in Kind if kind.about.searches)


class Settings(Data):
    """What a job needs to know beside a candidate, as data; subclasses are registered dataclasses, one a job."""

    __slots__ = ()
    tagged: ClassVar[bool] = True
    open: ClassVar[bool] = True


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Rung(Settings):
    """That a training is the beginning of one `of` so many epochs, whose learning rates it follows."""

    of: Whole


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
    """One evaluation to be made. Equal (key, recipe, epochs, seed, job) is the same one, never made twice."""

    number: int
    kind: Kind
    candidate: Candidate  # of a supernet: the space itself, nothing in it resolved
    epochs: int  # the budget
    seed: int
    parent: int | None = None  # the proposal that it continues or follows from
    parent_key: str | None = None
    settings: Settings | None = None  # of a job that trains by more than a recipe
    trained: int = 0  # of a promotion: epochs that its parent, a rung, has trained already

    @property
    def key(self) -> str:
        """The architecture's key, or the space's."""
        return key(self.candidate.network)

    @property
    def identity(self) -> Identity:
        """What makes two evaluations the same."""
        job = job_name(self.kind, self.settings, self.parent)
        return Identity(self.key, key(self.candidate.recipe), self.epochs, self.seed, job)


@dataclass(frozen=True, slots=True)
class Identity:
    """An evaluation's identity: architecture key, recipe key, budget in epochs, seed, what else its job reads."""

    key: str
    recipe: str
    epochs: int
    seed: int
    job: str = ""  # of trainings nothing: how an architecture is trained does not depend on what it is for


def job_name(kind: Kind, settings: Settings | None, parent: int | None) -> str:
    """Return what tells jobs apart that share a candidate, budget and seed; nothing for a training."""
    if not kind.about.named:
        return ""
    said = "" if settings is None else f" by {key(settings)}"
    return f"{kind.value}{said}{f' of {parent}' if kind is Kind.INHERIT else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one attempt. Metrics and weights are finite, or the status says `diverged`.

    `weights` are a mixture's architecture weights, by the path of each choice: what a strategy derives from.
    """

    status: Status
    metrics: Mapping[str, float] = field(default_factory=dict)
    note: str = ""  # for a failure: what happened, bounded in length
    seconds: float = 0.0
    weights: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


def weights_from(said: object) -> dict[str, tuple[float, ...]]:
    """Return architecture weights as JSON holds them: a list of numbers a path."""
    return {path: tuple(vector) for path, vector in cast("Mapping[str, list[float]]", said).items()}


LONGEST_NOTE = 4000  # characters
MOST_RETRIES = 2  # of a trial whose process, actor or node died


def settled(outcome: Outcome) -> Outcome:
    """Return the outcome with a bounded note, and as `diverged` where a metric is not finite."""
    note = outcome.note if len(outcome.note) <= LONGEST_NOTE else outcome.note[:LONGEST_NOTE] + " ..."
    bad = [name for name, value in outcome.metrics.items() if not math.isfinite(value)]
    bad += [name for name, vector in outcome.weights.items() if not all(map(math.isfinite, vector))]
    if outcome.status is Status.DONE and bad:
        return Outcome(status=Status.DIVERGED, note=f"{', '.join(bad)} not finite", seconds=outcome.seconds)
    return replace(outcome, note=note)
