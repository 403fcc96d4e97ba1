"""What a series of timings says, and whether it can be believed: medians, intervals, and reasons for doubt.

Pure arithmetic on numbers in the order in which they were taken; any unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, hypot, sqrt
from statistics import fmean, median

METHOD = (
    "order statistics, widened by the autocorrelation of above and below the median, and by what differs from one "
    "process to the next"
)
NORMAL_95 = 1.959964  # standard deviations that hold 95 % of a normal distribution
ROBUST = 1.4826  # standard deviations of a normal distribution in a median absolute deviation
MEDIAN_ERROR = 1.2533  # of a median in standard errors of a mean, for a normal distribution

PROCESSES = (
    0.02  # standard deviation between processes, as a share: benchmarks/latency_repeat.py, two virtual cores
)
FEWEST = 20  # samples
PARTS = (3, 5)  # of a series, whose medians should agree: least and most ...
IN_A_PART = 8  # ... with so many samples in one, if they suffice
DRIFT = 0.03  # how far the medians of the parts may lie apart, as a share of the whole median ...
DRIFT_ERRORS = 9.0  # ... unless that is within chance: in standard errors of one of them
TREND_DEVIATIONS = 4.5  # of Spearman's rank correlation with time
SPIKE = 0.2  # above the median by so much of it
SPIKES = 0.04  # share of samples that may be spikes
FEW_SPIKES = 2  # in however short a series
MODES_APART = 0.05  # the middles of two groups, as a share of the median
MODES_SPREADS = (
    4.0  # the same in spreads within the groups (Ashman's D; halves of a normal: 2.7, of a uniform: 3.5)
)
FEW_SPREADS = 20.0  # more of them, over the number of samples: few samples fall into groups by chance
LESSER_MODE = 0.2  # share of samples in the smaller group
SPREAD = 0.1  # between the quartiles, as a share of the median
HALF_INTERVAL = 0.05  # of the 95 % interval, as a share of the median


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The middle of a series, how well that is known, and why it should not be believed, if so.

    `interval` holds with 95 % confidence the median that another process would see: that of what the series was
    drawn from (Woodruff 1952: order statistics; their distance grows with the autocorrelation time of the signs
    around the median), and by how much processes differ, which a series cannot tell.
    """

    median: float
    quartiles: tuple[float, float]
    interval: tuple[float, float]
    minimum: float
    n: int
    doubt: str | None


def estimate(series: Sequence[float]) -> Estimate:
    """Return what a series of positive numbers says; it needs at least one.

    >>> estimate([3.0, 1.0, 2.0]).median
    2.0
    """
    ordered = sorted(series)
    return Estimate(
        median=median(ordered),
        quartiles=(quantile(ordered, 0.25), quantile(ordered, 0.75)),
        interval=_between_processes(median(ordered), *median_interval(series)),
        minimum=ordered[0],
        n=len(ordered),
        doubt=doubt(series),
    )


def median_interval(series: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of the median: two of the series' own values."""
    ordered, n = sorted(series), len(series)
    time = _correlation_time(_signs(series, median(ordered)))
    half = _student_95(n / time - 1) * sqrt(n * time) / 2
    low, high = floor(n / 2 - half), ceil(n / 2 + half) + 1  # ranks, from 1
    return ordered[max(low, 1) - 1], ordered[min(high, n) - 1]


def _between_processes(middle: float, low: float, high: float) -> tuple[float, float]:
    """Return an interval widened by what differs from one process to the next, as independent errors add up."""
    more = NORMAL_95 * PROCESSES * middle
    return middle - hypot(middle - low, more), middle + hypot(high - middle, more)


def doubt(series: Sequence[float]) -> str | None:
    """Return why the median of a series should not be believed, None where it may be.

    Each reason asks for an effect that matters (a share of the median) and that chance does not explain.
    """
    if len(series) < FEWEST:
        return f"few: {len(series)} samples, {FEWEST} are needed; give more time"
    for look in (_drift, _modes, _spikes, _spread):
        found = look(series)
        if found:
            return found
    return None


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return a quantile of sorted numbers, between neighbours where it falls between them."""
    place = share * (len(ordered) - 1)
    at = min(int(place), len(ordered) - 2) if len(ordered) > 1 else 0
    after = ordered[min(at + 1, len(ordered) - 1)]
    return ordered[at] + (place - at) * (after - ordered[at])


def _drift(series: Sequence[float]) -> str | None:
    n, middle = len(series), median(series)
    number = min(max(n // IN_A_PART, PARTS[0]), PARTS[1])
    parts = [series[n * i // number : n * (i + 1) // number] for i in range(number)]
    middles = [median(part) for part in parts]
    apart = (max(middles) - min(middles)) / middle
    if apart <= DRIFT:
        return None
    within, time = _short_noise(parts, middles)
    error = MEDIAN_ERROR * within * sqrt(time * number / n)
    trend = abs(_rank_correlation(series)) * sqrt((n - 1) / time)
    if apart * middle <= DRIFT_ERRORS * error and trend <= TREND_DEVIATIONS:
        return None
    shown = ", ".join(f"{100 * (m / middle - 1):+.1f}" for m in middles)
    return f"drift: the medians of {number} successive parts lie {shown} % off the whole one"


def _modes(series: Sequence[float]) -> str | None:
    """Look for two groups: the split of the sorted series that leaves least within them (Otsu 1979)."""
    ordered, n = sorted(series), len(series)
    least = max(2, ceil(LESSER_MODE * n))
    total, low_sum = sum(ordered), sum(ordered[: least - 1])
    best, split = -1.0, least
    for i in range(least, n - least + 1):
        low_sum += ordered[i - 1]
        apart = low_sum / i - (total - low_sum) / (n - i)
        if (between := i * (n - i) * apart * apart) > best:
            best, split = between, i
    low, high = ordered[:split], ordered[split:]
    below, above = fmean(low), fmean(high)
    spread = sqrt(_variance(low, below) + _variance(high, above))
    clear = sqrt(2) * (above - below) > (MODES_SPREADS + FEW_SPREADS / n) * spread
    if not clear or above - below <= MODES_APART * median(ordered):
        return None
    return f"bimodal: {100 * split / n:.0f} % of the samples lie around {1 / above * below:.2f} of the others"


def _spikes(series: Sequence[float]) -> str | None:
    middle = median(series)
    spikes = sum(value > (1 + SPIKE) * middle for value in series)
    if spikes <= max(FEW_SPIKES, SPIKES * len(series)):
        return None
    return f"spikes: {spikes} of {len(series)} samples are more than {100 * SPIKE:.0f} % above the median"


def _spread(series: Sequence[float]) -> str | None:
    ordered, middle = sorted(series), median(series)
    between = (quantile(ordered, 0.75) - quantile(ordered, 0.25)) / middle
    if between > SPREAD:
        return f"spread: the quartiles lie {100 * between:.0f} % of the median apart"
    low, high = median_interval(series)
    if high - low > 2 * HALF_INTERVAL * middle:
        return f"spread: the 95 % interval is {100 * (high - low) / middle:.0f} % of the median wide; give more time"
    return None


def _student_95(freedom: float) -> float:
    """Return the deviations that hold 95 % of Student's distribution (Cornish & Fisher's first term)."""
    return NORMAL_95 * (1 + (NORMAL_95**2 + 1) / (4 * max(1.0, freedom)))


def _signs(series: Sequence[float], middle: float) -> list[int]:
    return [(value > middle) - (value < middle) for value in series]


def _correlation_time(signs: Sequence[int]) -> float:
    """Return how many samples count for one: the integrated autocorrelation time, at least 1 (Geyer 1992).

    Correlations are summed in pairs of lags for as long as a pair's sum is positive.
    """
    own = sum(s * s for s in signs)
    time, lag = -1.0, 0
    while own and lag < len(signs) // 3:
        pair = sum(_product(signs, k) for k in (lag, lag + 1)) / own
        if pair <= 0:
            break
        time, lag = time + 2 * pair, lag + 2
    return max(1.0, time)


def _product(signs: Sequence[int], lag: int) -> int:
    return sum(a * b for a, b in zip(signs, signs[lag:], strict=False))


def _short_noise(parts: Sequence[Sequence[float]], middles: Sequence[float]) -> tuple[float, float]:
    """Return the standard deviation within the parts, and how many samples count for one there.

    Both are robust, and blind to what differs between parts.
    """
    off = [[value - m for value in part] for part, m in zip(parts, middles, strict=True)]
    every = sorted(abs(value) for part in off for value in part)
    deviation = ROBUST * median(every) * sqrt(len(every) / (len(every) - len(parts)))
    most = 3 * deviation
    held = [[max(-most, min(most, value)) for value in part] for part in off]
    own = sum(value * value for part in held for value in part)
    next_to = sum(a * b for part in held for a, b in pairwise(part))
    one = (next_to / own if own else 0.0) + 2 * len(parts) / len(every)  # taking off medians lowers it
    one = max(0.0, min(0.8, one))
    return deviation, (1 + one) / (1 - one)


def _rank_correlation(series: Sequence[float]) -> float:
    """Return Spearman's correlation of a series with time."""
    n = len(series)
    places = sorted(range(n), key=series.__getitem__)
    squares = sum((rank - place) ** 2 for rank, place in enumerate(places))
    return 1 - 6 * squares / (n * (n * n - 1))


def _variance(values: Sequence[float], mean: float) -> float:
    return sum((value - mean) ** 2 for value in values) / max(1, len(values) - 1)
