"""Who runs trials: what a driver asks of an executor, and the messages between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ..proposal import Outcome, Proposal
from ..spending import Capacity


@dataclass(frozen=True, slots=True)
class Report:
    """A trial says how far it has come."""

    number: int
    epoch: int
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt at a trial ended."""

    number: int
    attempt: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Notice:
    """What a user should know of the place where trials run, such as that nothing is left to run them.

    One that is `over` says that what an earlier one told of has passed.
    """

    text: str
    over: bool = False


Happening = Report | Ended | Notice


class Executor(Protocol):
    """Runs trials side by side; one thread talks to it."""

    @property
    def capacity(self) -> Capacity:
        """How many trials can run side by side now, and with how many GPUs."""

    @property
    def free(self) -> int:
        """How many more trials can be taken on now."""

    def submit(self, proposal: Proposal, attempt: int, *, alone: bool = False) -> None:
        """Begin a trial; one to run `alone` has run out of memory, and nothing runs beside it."""

    def wait(self, seconds: float) -> Sequence[Happening]:
        """Return what has happened, waiting up to `seconds` for something to."""

    def interrupt(self) -> None:
        """Cut short a `wait` that would last; called within a signal's handler, when told to stop."""

    def close(self) -> None:
        """Kill what runs and let go of everything; harmless when done twice."""
