"""How trials stand, counted: done, running, cut short, failed and of what; and how many workers are at work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..history import History, Trial
from ..proposal import Status

FAILED = tuple(status for status in Status if status is not Status.DONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Counts of some trials; of attempts that failed and were made again, in `retried`."""

    done: int
    running: int
    interrupted: int  # since their driver left: they are repeated
    failed: Mapping[Status, int]  # every kind, also of which there are none
    retried: Mapping[Status, int]

    @property
    def text(self) -> str:
        """The counts but for `done`, in words, those that are none left out: `2 running, 1 failed (1 lost)`."""
        failed = sum(self.failed.values())
        parts = [f"{self.running} running"] if self.running else []
        parts += [f"{self.interrupted} cut short, to be repeated"] if self.interrupted else []
        parts += [f"{failed} failed ({by_kind(self.failed)})"] if failed else []
        return ", ".join(parts)


def tally(trials: Iterable[Trial], *, driven: bool) -> Tally:
    """Count trials; `driven` says that a driver is at work on those without an outcome."""
    known = list(trials)
    ended = Counter(trial.outcome.status for trial in known if trial.outcome is not None)
    again = Counter(note.partition(":")[0] for trial in known for note in trial.attempt_notes)
    untold = sum(trial.outcome is None for trial in known)
    return Tally(
        done=ended[Status.DONE],
        running=untold if driven else 0,
        interrupted=0 if driven else untold,
        failed={status: ended[status] for status in FAILED},
        retried={status: again[status.value] for status in FAILED},
    )


def by_kind(counts: Mapping[Status, int]) -> str:
    """Return counts by kind in words, those that are none left out: `2 lost, 1 out of memory`."""
    return ", ".join(f"{n} {status.value.replace('_', ' ')}" for status, n in counts.items() if n)


def at_work(history: History, workers: int, *, driven: bool) -> int:
    """Return how many workers have a trial."""
    return min(len(history.untold), workers) if driven else 0
