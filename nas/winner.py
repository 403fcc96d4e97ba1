"""Which trial is named: the best of the search, trained again with fresh seeds before one is believed."""

from __future__ import annotations

import statistics

from .analysis.front import costs, front
from .history import History, Trial
from .plan import Plan
from .proposal import Kind


def ranked(history: History, plan: Plan) -> list[Trial]:
    """List the finished trials, best first: by the first objective, then the next ones, then the number."""
    scored = [(costs(t.metrics, plan.objectives), t) for t in history.of(Kind.TRAIN) if t.done]
    usable = [(vector, t.number, t) for vector, t in scored if vector is not None]
    return [t for _, _, t in sorted(usable, key=lambda entry: entry[:2])]


def finalists(history: History, plan: Plan) -> list[Trial]:
    """List the trials to confirm: the best ones, of the front alone where there are several objectives."""
    best = ranked(history, plan)
    if len(plan.objectives) > 1:
        best = [best[i] for i in front([t.metrics for t in best], plan.objectives)]
    return best[: plan.confirm_top]


def confirmed(history: History, plan: Plan) -> dict[int, float]:
    """Return the mean of the first objective over each finalist's fresh seeds, by trial number."""
    metric = plan.objectives[0].metric
    scores: dict[int, list[float]] = {}
    for trial in history.of(Kind.CONFIRM):
        if trial.done and trial.parent is not None and metric in trial.metrics:
            scores.setdefault(trial.parent, []).append(trial.metrics[metric])
    return {number: statistics.fmean(values) for number, values in scores.items()}


def winner(history: History, plan: Plan) -> Trial | None:
    """Return the trial to name: the best by confirmation where there is one, else the best as told."""
    return best_confirmed(history, plan) or next(iter(ranked(history, plan)), None)


def best_confirmed(history: History, plan: Plan) -> Trial | None:
    """Return the finalist of the best mean over fresh seeds; None before one is confirmed."""
    means = confirmed(history, plan)
    if not means:
        return None
    sign = -1 if plan.objectives[0].direction == "max" else 1
    return history.trials[min(means, key=lambda n: (sign * means[n], n))]
