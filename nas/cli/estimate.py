"""How long a run still takes, from how long its epochs took so far."""

from __future__ import annotations

from ..history import History
from ..plan import Plan, finals
from ..proposal import Kind


def seconds_spent(history: History, now: float | None = None) -> float:
    """Return the seconds that drivers were at work, up to `now`, or up to the last event where none is."""
    if history.began_at is None:
        return 0.0
    return history.spent_seconds + (history.last_at if now is None else now) - history.began_at


def seconds_left(history: History, plan: Plan, *, workers: int, now: float) -> float | None:
    """Return the seconds until the last final training ends; None while no trial has ended.

    An epoch counts as long as the mean one so far; trials run side by side as far as there are workers.
    """
    ended = [t for t in history.trials.values() if t.done and t.kind not in (Kind.SUPERNET, Kind.INHERIT)]
    epochs = sum(t.identity.epochs - history.trained(t) for t in ended)
    if not epochs:
        return None
    epoch_seconds = sum(t.outcome.seconds for t in ended if t.outcome) / epochs
    search = epoch_seconds * _search_left(history, plan, workers)
    if plan.minutes is not None:
        search = min(search, max(0.0, 60 * plan.minutes - seconds_spent(history, now)))
    confirmations = _confirmations(history, plan)
    later = _epochs_left(history, Kind.CONFIRM, [plan.epochs] * confirmations, workers)
    later += _epochs_left(history, Kind.FINAL, [plan.final_epochs or plan.epochs] * finals(plan), workers)
    return search + epoch_seconds * later


def _search_left(history: History, plan: Plan, workers: int) -> float:
    """Return the epochs of the search that are left; where trainings stop early, what is trained in the mean."""
    over = history.exhausted or history.of(Kind.CONFIRM) or history.of(Kind.FINAL)
    if not history.of(Kind.RUNG):
        trials = len(history.of(Kind.TRAIN)) if over else plan.trials
        return _epochs_left(history, Kind.TRAIN, [plan.epochs] * trials, workers)
    trained = sum(
        (t.identity.epochs if t.outcome else max(t.epoch, history.trained(t))) - history.trained(t)
        for kind in (Kind.RUNG, Kind.TRAIN)
        for t in history.of(kind)
    )
    planned = 0.0 if over else plan.trials * plan.strategy.mean_epochs(plan.epochs)
    return max(0.0, planned - trained) / max(1, workers)


def _confirmations(history: History, plan: Plan) -> int:
    asked = len(history.of(Kind.CONFIRM))
    return asked if history.of(Kind.FINAL) else max(asked, plan.confirm_top * plan.confirm_seeds)


def _epochs_left(history: History, kind: Kind, planned: list[int], workers: int) -> float:
    """Return the epochs of a kind that are left, as many one after the other as there are no workers for."""
    told = [t for t in history.of(kind) if t.outcome is not None]
    left = planned[len(told) :]
    reported = sum(t.epoch for t in history.untold.values() if t.kind is kind)
    return max(0, sum(left) - reported) / max(1, min(workers, len(left)))
