"""Checkpoints that nobody can go on from any more, and their removal.

A training removes its own when it ends, a promotion its rung's. Left are those of trials whose worker died and that are
not tried again, those of rungs that come too late in the order ever to be promoted, and when the search is over those
of all rungs that were not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .history import Trial
from .proposal import Kind
from .storage import inside
from .strategies import Promoting
from .study import Study

LEFT = ("checkpoint-*.pt", ".checkpoint-*.tmp")  # as `nas.evaluation.checkpoint` names them


class Tidying:
    """Removes, each time it is called, what has become of no use in a run's folder since."""

    def __init__(self, study: Study, folder: Path) -> None:
        self._study = study
        self._folder = folder
        self._gone: set[int] = set()
        self._heard = 0  # how many of the trials that were told were looked at

    def __call__(self) -> None:
        """Remove the checkpoints that have become of no use; a file that will not go does no harm."""
        told = self._study.history.told
        new = [self._study.history.trials[number] for number in told[self._heard :]]
        self._heard = len(told)
        for trial in (*(one for one in new if not one.done), *rungs_of_no_use(self._study)):
            if trial.number not in self._gone:
                self._gone.add(trial.number)
                _remove(inside(self._folder, f"trials/{trial.key}/{trial.number}"))


def rungs_of_no_use(study: Study) -> Iterator[Trial]:
    """Yield the rungs that were told and that nothing will go on from, nor does now."""
    history = study.history
    used = {trial.parent for trial in history.untold.values()}
    told = [
        trial for trial in history.of(Kind.RUNG) if trial.outcome is not None and trial.number not in used
    ]
    if told and not study.searching:
        yield from told
    elif told and isinstance(study.strategy, Promoting):
        hopeless = set(study.strategy.hopeless())
        yield from (trial for trial in told if trial.number in hopeless)


def _remove(home: Path) -> None:
    for path in (path for pattern in LEFT for path in home.glob(pattern)):
        with suppress(OSError):
            path.unlink()
    with suppress(OSError):  # it may hold more, or never have been made
        home.rmdir()
