"""Several readings of one quantity: their mean and how far they scatter."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The mean of n readings and their sample standard deviation, None of a single one."""

    mean: float
    sd: float | None
    n: int


def spread(values: Sequence[float]) -> Spread:
    """Return the mean and spread of some readings.

    >>> spread([1.0, 3.0]), spread([2.0])
    (Spread(mean=2.0, sd=1.4142135623730951, n=2), Spread(mean=2.0, sd=None, n=1))
    """
    return Spread(
        mean=statistics.fmean(values),
        sd=statistics.stdev(values) if len(values) > 1 else None,
        n=len(values),
    )


def means(readings: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each metric that all readings have; nothing of none.

    >>> means([{"a": 1.0, "b": 2.0}, {"a": 3.0}])
    {'a': 2.0}
    """
    shared = [name for name in (readings[0] if readings else ()) if all(name in one for one in readings)]
    return {name: statistics.fmean(one[name] for one in readings) for name in shared}
