"""How well latencies are predicted: errors, rank correlation, and intervals by a bootstrap over networks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .latency_table import Score

Array = NDArray[np.float64]
RESAMPLES = 1000
INTERVAL = (0.025, 0.975)
CLOSE = 0.1  # a relative error that `within_10` counts


def relative_errors(predicted: Sequence[float], measured: Sequence[float]) -> Array:
    """Return |predicted / measured - 1| of each network."""
    errors: Array = np.abs(np.array(predicted) / np.array(measured) - 1)
    return errors


def score(predicted: Sequence[float], measured: Sequence[float]) -> Score:
    """Return errors and rank correlation of two predictions of the same networks, at least two."""
    errors = relative_errors(predicted, measured)
    low, high = np.quantile(_taus(predicted, measured), INTERVAL)
    return Score(
        mape=float(errors.mean()),
        within_10=float((errors <= CLOSE).mean()),
        tau=kendall(predicted, measured),
        tau_low=float(low),
        tau_high=float(high),
    )


def lead(
    ours: Sequence[float], others: Sequence[float], measured: Sequence[float]
) -> tuple[float, float, float]:
    """Return by how much our tau exceeds the others', and the 95 % interval of that over the same resamples."""
    by = kendall(ours, measured) - kendall(others, measured)
    low, high = np.quantile(_taus(ours, measured) - _taus(others, measured), INTERVAL)
    return by, float(low), float(high)


def kendall(a: Sequence[float], b: Sequence[float]) -> float:
    """Return Kendall's tau-b (1945) of two series; 0 where one is constant.

    >>> kendall([1, 2, 3, 4], [1, 2, 4, 3])
    0.6666666666666667
    """
    return _tau(_signs(a), _signs(b))


def _taus(a: Sequence[float], b: Sequence[float]) -> Array:
    """Return tau in resamples of the networks, the same ones for equal numbers of them."""
    n, rng = len(a), np.random.default_rng(0)
    ours, theirs = _signs(a), _signs(b)
    drawn = (rng.integers(0, n, n) for _ in range(RESAMPLES))
    return np.array([_tau(ours[np.ix_(i, i)], theirs[np.ix_(i, i)]) for i in drawn])


def _signs(series: Sequence[float]) -> Array:
    """Return (n, n): the sign of each difference."""
    values = np.array(series, dtype=np.float32)
    signs: Array = np.sign(values[:, None] - values[None, :])
    return signs


def _tau(ours: Array, theirs: Array) -> float:
    apart = float(np.count_nonzero(ours)) * float(np.count_nonzero(theirs))
    return float((ours * theirs).sum()) / apart**0.5 if apart else 0.0
