"""A study's past, folded from its journal's events: the one reading of what happened.

Driver, `nas status` and `nas compare` all see a study through this. Loads neither torch nor pandas.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import cast

from scaling.constraints import bound_broken, excess
from search_spaces.errors import StorageError
from search_spaces.serialise import Json

from .journal import Event
from .measured import Measurement, measured_from
from .proposal import Identity, Kind, Outcome, Status, weights_from
from .spending import Capacity, gpu_seconds

INHERITED = re.compile(
    "^inherited_"
)  # in the names of scores that are a supernet's, never an architecture's own
BUILDABLE = "buildable"  # a rejection's metric: 0 of 1, for layers that do not fit the input
MEASURED = "measured"  # likewise, for those that were left out because enough others had been measured


@dataclass(slots=True, kw_only=True)
class Trial:
    """One proposal and what came of it."""

    number: int
    kind: Kind
    code: tuple[int, ...]
    identity: Identity
    cost: Mapping[str, float]  # params, macs, activations, peak_bytes
    parent: int | None = None
    rejected: int = 0  # candidates turned away by the limits before this one
    attempts: int = 0  # that ended without an outcome
    attempt_notes: list[str] = field(default_factory=list)
    outcome: Outcome | None = None
    asked_at: float = 0.0
    told_at: float = 0.0
    epoch: int = 0  # the last one reported
    settings: Json = None  # of its job, as the journal says them
    began_at: float | None = None  # of the attempt that runs, as far as is known

    @property
    def key(self) -> str:
        """The architecture's key; of a supernet, the space's."""
        return self.identity.key

    @property
    def schedule(self) -> int:
        """The epochs of the whole training; a rung makes fewer of them, its budget."""
        if self.kind is not Kind.RUNG:
            return self.identity.epochs
        return cast(int, cast("Mapping[str, Json]", self.settings)["of"])

    @property
    def alone(self) -> bool:
        """Whether nothing may run beside its next attempt, because an earlier one ran out of memory."""
        return any(note.startswith(f"{Status.OUT_OF_MEMORY.value}:") for note in self.attempt_notes)

    @property
    def metrics(self) -> dict[str, float]:
        """What is known of it: its costs, and its scores once it is done."""
        done = self.outcome is not None and self.outcome.status is Status.DONE
        return {**self.cost, **(self.outcome.metrics if self.outcome and done else {})}

    @property
    def done(self) -> bool:
        """Whether it ended with metrics."""
        return self.outcome is not None and self.outcome.status is Status.DONE


@dataclass(slots=True)
class History:
    """Everything the events say."""

    header: Mapping[str, Json] = field(default_factory=dict)
    trials: dict[int, Trial] = field(default_factory=dict)
    by_kind: dict[Kind, list[Trial]] = field(default_factory=lambda: {kind: [] for kind in Kind})
    begun: dict[int, int] = field(default_factory=dict)  # how many before it, by a candidate's first trial
    untold: dict[int, Trial] = field(default_factory=dict)  # asked, and no outcome yet
    told: list[int] = field(default_factory=list)  # numbers, in the order told
    told_of: Counter[Kind] = field(default_factory=Counter)  # how many, by kind
    begun_told: int = 0  # how many of the candidates' first trials
    searched_epochs: int = 0  # of the search's trainings and rungs that were told, each from where it began
    trained_epochs: int = 0  # of architectures' own trainings that were done, in the search or later
    trained_seconds: float = 0.0  # likewise
    ledger: list[Rejection] = field(default_factory=list)
    rejected: int = 0
    turned_away: Counter[str] = field(default_factory=Counter)  # by the limit that was broken first
    walked: int = 0  # members that the last search within the limits came by, beside those drawn
    nearest: tuple[str, tuple[Rejection, ...]] | None = (
        None  # its closest miss: a key, and all that it breaks
    )
    carried: dict[Identity, Outcome] = field(default_factory=dict)  # told to the run this one is a fork of
    measured: dict[tuple[str, str], Measurement] = field(default_factory=dict)  # by key and metric
    winners: dict[tuple[str, str], Measurement] = field(default_factory=dict)  # measured at the end
    exhausted: bool = False
    ended: bool = False
    amended: dict[str, Json] = field(default_factory=dict)
    spent_seconds: float = 0.0  # in earlier drivers
    began_at: float | None = None  # of the driver at work
    last_at: float = 0.0
    capacity: Capacity | None = None  # of the place where trials run now; journals of old say nothing of it
    gpu_seconds: float = 0.0  # of all attempts that ended

    def of(self, kind: Kind) -> list[Trial]:
        """List the trials of a kind, in the order asked."""
        return self.by_kind[kind]

    @property
    def candidates(self) -> list[Trial]:
        """The first training of each candidate, in the order asked; promotions go on with it."""
        return [self.trials[number] for number in self.begun]

    def rung_below(self, trial: Trial) -> Trial | None:
        """Return the rung that a trial was promoted from, whose training it goes on with."""
        parent = None if trial.parent is None else self.trials[trial.parent]
        promoted = parent is not None and parent.kind is Kind.RUNG and trial.kind in (Kind.RUNG, Kind.TRAIN)
        return parent if promoted else None

    def trained(self, trial: Trial) -> int:
        """Return how many epochs of a trial's budget were trained before it."""
        below = self.rung_below(trial)
        return 0 if below is None else below.identity.epochs

    def waits_for(self, *kinds: Kind) -> bool:
        """Tell whether a trial of these kinds was asked and not told."""
        return any(trial.kind in kinds for trial in self.untold.values())

    def apply(self, event: Event) -> None:
        """Fold in one event."""
        _FOLDS.get(event.type, _ignore)(self, event)
        self.last_at = event.time


@dataclass(frozen=True, slots=True)
class Rejection:
    """A candidate that was never trained, and the limit it breaks first."""

    before: int  # the number of the proposal it was drawn for
    key: str
    metric: str
    value: float
    bound: float

    @property
    def limit(self) -> str:
        """The limit in words: `macs <= 5M`, or `buildable`, or `measured`."""
        if self.metric in (BUILDABLE, MEASURED):
            return self.metric
        return str(bound_broken(self.metric, self.value, self.bound))

    @property
    def excess(self) -> float:
        """By which part of the bound the value misses it."""
        return excess(self.value, self.bound)


def history_of(events: Iterable[Event]) -> History:
    """Fold a journal's events."""
    history = History()
    for event in events:
        history.apply(event)
    return history


def as_judged(trial: Trial) -> dict[str, float]:
    """Return a trial's metrics as objectives read them: in a search on inherited weights, their scores stand in."""
    if trial.kind is not Kind.INHERIT:
        return trial.metrics
    return {INHERITED.sub("validation_", name): value for name, value in trial.metrics.items()}


def ask_payload(trial: Trial, ledger: Mapping[str, Json]) -> dict[str, Json]:
    """Return the journal's record of a proposal, with that of what was turned away before it; `_asked` reads it."""
    who = trial.identity
    payload: dict[str, Json] = {
        "number": trial.number, "kind": trial.kind.value, "code": list(trial.code), "key": who.key,
        "recipe": who.recipe, "epochs": who.epochs, "seed": who.seed, "cost": dict(trial.cost),
        "rejected": trial.rejected,
    }  # fmt: skip
    if trial.parent is not None:
        payload["parent"] = trial.parent
    if who.job:
        payload |= {"job": who.job, "settings": trial.settings}
    return payload | dict(ledger)


def carry_payload(trial: Trial, run: str) -> dict[str, Json]:
    """Return the journal's record of an evaluation that another run made; `_carried` reads it."""
    who, outcome = trial.identity, trial.outcome
    assert outcome is not None
    return {
        "run": run, "key": who.key, "recipe": who.recipe, "epochs": who.epochs, "seed": who.seed,
        "metrics": dict(outcome.metrics), "seconds": outcome.seconds,
    }  # fmt: skip


def tell_payload(number: int, attempt: int, outcome: Outcome) -> dict[str, Json]:
    """Return the journal's record of an outcome; `_told` reads it."""
    payload: dict[str, Json] = {
        "number": number, "attempt": attempt, "status": outcome.status.value,
        "metrics": dict(outcome.metrics), "note": outcome.note, "seconds": round(outcome.seconds, 3),
    }  # fmt: skip
    if outcome.weights:
        payload["weights"] = {path: list(vector) for path, vector in outcome.weights.items()}
    return payload


def _asked(history: History, event: Event) -> None:
    said = event.payload
    number = cast(int, said["number"])
    if number in history.trials:
        raise StorageError(
            f"journal event {event.number}: proposal {number} is asked twice; the journal was edited"
        )
    trial = Trial(
        number=number,
        kind=Kind(cast(str, said["kind"])),
        code=tuple(cast("list[int]", said["code"])),
        identity=_identity(said),
        cost=cast("dict[str, float]", said["cost"]),
        parent=cast("int | None", said.get("parent")),
        rejected=cast(int, said["rejected"]),
        asked_at=event.time,
        settings=said.get("settings"),
        began_at=event.time,
    )
    history.trials[number] = history.untold[number] = trial
    history.by_kind[trial.kind].append(trial)
    if trial.kind.about.candidate and history.rung_below(trial) is None:
        history.begun[number] = len(history.begun)
    _rejected(history, said, before=number)


def _rejected(history: History, said: Mapping[str, object], *, before: int) -> None:
    history.rejected += cast(int, said["rejected"])
    ledger = cast("list[tuple[str, str, float, float]]", said.get("ledger", []))
    entries = [Rejection(before, *entry) for entry in ledger]
    history.ledger += entries
    counts = cast("dict[str, int] | None", said.get("turned_away"))  # where more were than are kept
    history.turned_away.update(counts or [entry.limit for entry in entries])


def _carried(history: History, event: Event) -> None:
    said = event.payload
    history.carried[_identity(said)] = Outcome(
        status=Status.DONE,
        metrics=cast("dict[str, float]", said["metrics"]),
        note=f"not trained again: made by the run {said['run']}",
        seconds=cast(float, said["seconds"]),
    )


def _measured(history: History, event: Event) -> None:
    found = measured_from(event.payload)
    (history.winners if found.winner else history.measured)[found.key, found.metric] = found


def _identity(said: Mapping[str, Json]) -> Identity:
    key, recipe = cast(str, said["key"]), cast(str, said["recipe"])
    job = cast(str, said.get("job", ""))
    return Identity(key, recipe, cast(int, said["epochs"]), cast(int, said["seed"]), job)


def _told(history: History, event: Event) -> None:
    said = event.payload
    trial = history.trials[cast(int, said["number"])]
    if trial.outcome is None:  # the first outcome of a proposal wins
        trial.outcome = _outcome(said)
        if trial.kind is Kind.FINAL or trial.identity not in history.carried:  # which another run paid for
            history.gpu_seconds += gpu_seconds(history, trial, trial.outcome.seconds)
        trial.told_at = event.time
        del history.untold[trial.number]
        history.told.append(trial.number)
        _counted(history, trial, trial.outcome)


def _counted(history: History, trial: Trial, outcome: Outcome) -> None:
    history.told_of[trial.kind] += 1
    history.begun_told += trial.number in history.begun
    epochs = trial.identity.epochs - history.trained(trial)
    if trial.kind.about.candidate:
        history.searched_epochs += epochs
    if trial.done and trial.kind.about.alone:
        history.trained_epochs += epochs
        history.trained_seconds += outcome.seconds


def _retried(history: History, event: Event) -> None:
    trial = history.trials[cast(int, event.payload["number"])]
    history.gpu_seconds += gpu_seconds(history, trial, cast(float, event.payload["seconds"]))
    trial.began_at = None  # until it is heard of: it may wait for its turn
    trial.attempts += 1
    trial.attempt_notes.append(f"{event.payload['status']}: {event.payload['note']}")


def _outcome(said: Mapping[str, object]) -> Outcome:
    return Outcome(
        status=Status(cast(str, said["status"])),
        metrics=cast("dict[str, float]", said["metrics"]),
        note=cast(str, said["note"]),
        seconds=cast(float, said["seconds"]),
        weights=weights_from(said.get("weights", {})),
    )


def _reported(history: History, event: Event) -> None:
    trial = history.trials[cast(int, event.payload["number"])]
    trial.epoch = cast(int, event.payload["epoch"])
    trial.began_at = trial.began_at or event.time


def _header(history: History, event: Event) -> None:
    history.header = cast("Mapping[str, Json]", event.payload["header"])


def _placed(history: History, event: Event) -> None:
    said = cast("Mapping[str, float]", event.payload)
    history.capacity = Capacity(
        workers=int(said["workers"]), gpus=said["gpus"], gpus_alone=said["gpus_alone"]
    )


def _started(history: History, event: Event) -> None:
    for trial in history.untold.values():  # their driver has gone, and they with it
        if trial.began_at is not None:
            history.gpu_seconds += gpu_seconds(history, trial, history.last_at - trial.began_at)
            trial.began_at = None
    if history.began_at is not None:
        history.spent_seconds += history.last_at - history.began_at
    history.began_at = event.time
    history.ended = False
    history.amended.update(cast("dict[str, Json]", event.payload.get("amended", {})))
    if event.payload.get("amended"):
        history.exhausted = False


def _exhausted(history: History, event: Event) -> None:
    history.exhausted = True
    _rejected(history, event.payload, before=len(history.trials))
    history.walked = cast(int, event.payload.get("walked", 0))
    nearest = cast("dict[str, object] | None", event.payload.get("nearest"))
    if nearest is not None:
        name = cast(str, nearest["key"])
        breaks = cast("list[tuple[str, float, float]]", nearest["breaks"])
        history.nearest = name, tuple(Rejection(len(history.trials), name, *one) for one in breaks)


def _ended(history: History, event: Event) -> None:
    history.ended = True


def _ignore(history: History, event: Event) -> None:
    """An event that a later version adds says nothing to this one."""


_FOLDS = {
    "header": _header, "start": _started, "ask": _asked, "tell": _told, "carry": _carried, "retry": _retried,
    "report": _reported, "capacity": _placed, "measured": _measured, "exhausted": _exhausted, "end": _ended,
}  # fmt: skip
