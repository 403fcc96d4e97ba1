"""Whether scores of inherited weights rank architectures as training them on their own does (Yu et al. 2020).

Only members that were both scored and trained say so: the best few, and the others that one-shot search trains for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .history import INHERITED, History, as_judged
from .plan import Plan
from .proposal import Kind

FEWEST = 5  # pairs of which an interval can be told
SPREAD = 0.437  # of Fisher's z of tau, times n - 4 (Fieller, Hartley & Pearson 1957)
NORMAL = 1.96  # 95 % of a normal distribution lie within so many deviations


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Members that were scored on inherited weights, those of them that were trained, and Kendall's tau of the two."""

    scored: int
    trained: int
    tau: float | None  # None where fewer than two were trained
    low: float | None  # its 95 % interval; None where fewer than five were trained
    high: float | None

    @property
    def warning(self) -> str | None:
        """What to say where inherited scores are not shown to tell better from worse."""
        if self.tau is None or (self.low is not None and self.low > 0):
            return None
        if self.tau <= 0:
            return (
                "inherited scores rank architectures no better than chance; train the supernet for longer, or search "
                "with evolution on trainings of their own"
            )
        return "the rank correlation of inherited scores is not shown to be above 0; strategy.others=10 would show more"


def agreement(history: History, plan: Plan) -> Agreement | None:
    """Return how far inherited and stand-alone scores agree on the first objective that training tells.

    None without inherited scores. A cost is the same either way, and agrees with itself.
    """
    scored = [trial for trial in history.of(Kind.INHERIT) if trial.done]
    if not scored:
        return None
    known = scored[0].cost
    metric = next((one.metric for one in plan.objectives if one.metric not in known), "")
    inherited = {t.key: as_judged(t)[metric] for t in scored if metric in as_judged(t)}
    own = {t.key: t.metrics[metric] for t in history.of(Kind.TRAIN) if t.done and metric in t.metrics}
    both = [key for key in inherited if key in own]
    a, b = [inherited[key] for key in both], [own[key] for key in both]
    tau = kendall(a, b) if len(both) > 1 else None
    low, high = interval(tau, len(both)) if tau is not None and len(both) >= FEWEST else (None, None)
    return Agreement(scored=len(scored), trained=len(both), tau=tau, low=low, high=high)


def inherited_scores(history: History) -> dict[str, dict[str, float]]:
    """Return what members scored on inherited weights, by key, under the names that say so."""
    return {
        t.key: {name: value for name, value in t.metrics.items() if INHERITED.match(name)}
        for t in history.of(Kind.INHERIT)
        if t.done
    }


def kendall(a: Sequence[float], b: Sequence[float]) -> float:
    """Return Kendall's tau-b (1945) of two series; 0 where one is constant.

    >>> kendall([1, 2, 3, 4], [1, 2, 4, 3]), kendall([1, 1], [1, 2])
    (0.6666666666666666, 0.0)
    """
    pairs = [(_sign(a[i] - a[j]), _sign(b[i] - b[j])) for i in range(len(a)) for j in range(i)]
    untied = sum(x != 0 for x, _ in pairs) * sum(y != 0 for _, y in pairs)
    return sum(x * y for x, y in pairs) / math.sqrt(untied) if untied else 0.0


def interval(tau: float, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a tau of n pairs, by Fisher's z (Fieller, Hartley & Pearson 1957).

    A tau of 1 has no z: it counts as one that half a pair out of order would give.

    >>> [round(end, 2) for end in interval(0.6, 8)]
    [0.05, 0.87]
    """
    most = 1 - 2 / (n * (n - 1))
    at = math.atanh(max(-most, min(most, tau)))
    off = NORMAL * math.sqrt(SPREAD / (n - 4))
    return min(math.tanh(at - off), tau), max(math.tanh(at + off), tau)


def _sign(x: float) -> int:
    return (x > 0) - (x < 0)
