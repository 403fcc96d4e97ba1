"""How long a run still takes, from how long its epochs took so far."""

from __future__ import annotations

from ..history import History
from ..plan import Plan, confirmations, finals
from ..proposal import Kind
from ..spending import HOUR, gpu_hours, seconds_spent


def seconds_left(history: History, plan: Plan, *, workers: int, now: float) -> float | None:
    """Return the seconds until the last final training ends; None while no trial has ended.

    An epoch counts as long as the mean one so far; trials run side by side as far as there are workers.
    """
    if not history.trained_epochs:
        return None
    epoch_seconds = history.trained_seconds / history.trained_epochs
    search = epoch_seconds * _search_left(history, plan, workers)
    if plan.minutes is not None:
        search = min(search, max(0.0, 60 * plan.minutes - seconds_spent(history, now)))
    if plan.gpu_hours is not None and history.capacity is not None and history.capacity.gpus:
        hours = max(0.0, plan.gpu_hours - gpu_hours(history, now))
        search = min(search, HOUR * hours / (history.capacity.gpus * workers))
    later = _epochs_left(history, Kind.CONFIRM, _confirmations(history, plan), plan.epochs, workers)
    later += _epochs_left(history, Kind.FINAL, finals(plan), plan.final_epochs or plan.epochs, workers)
    return search + epoch_seconds * later


def workers_in(history: History, *, otherwise: int = 1) -> int:
    """Return how many trials run side by side as the journal says it last; `otherwise` where it says nothing."""
    return otherwise if history.capacity is None else history.capacity.workers


def _search_left(history: History, plan: Plan, workers: int) -> float:
    """Return the epochs of the search that are left; where trainings stop early, what is trained in the mean."""
    over = history.exhausted or history.of(Kind.CONFIRM) or history.of(Kind.FINAL)
    if not history.of(Kind.RUNG):
        trials = len(history.of(Kind.TRAIN)) if over else plan.trials
        return _epochs_left(history, Kind.TRAIN, trials, plan.epochs, workers)
    flying = (t for t in history.untold.values() if t.kind.about.candidate)
    trained = history.searched_epochs + sum(max(0, t.epoch - history.trained(t)) for t in flying)
    planned = 0.0 if over else plan.trials * plan.strategy.mean_epochs(plan.epochs)
    return max(0.0, planned - trained) / max(1, workers)


def _confirmations(history: History, plan: Plan) -> int:
    asked = len(history.of(Kind.CONFIRM))
    return asked if history.of(Kind.FINAL) else max(asked, confirmations(plan))


def _epochs_left(history: History, kind: Kind, planned: int, epochs: int, workers: int) -> float:
    """Return the epochs of a kind that are left, as many one after the other as there are no workers for."""
    left = max(0, planned - history.told_of[kind])
    reported = sum(t.epoch for t in history.untold.values() if t.kind is kind)
    return max(0, left * epochs - reported) / max(1, min(workers, left))
