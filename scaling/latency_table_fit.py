"""Fits a latency table to timings of whole networks.

First the coefficients: latency linear in features of layers, by non-negative least squares with a little ridge.
Then each kind of block gets a factor on what the coefficients say of it, drawn to 1: the fewer networks it stood
in, the more. How much factors may differ from 1 is chosen by cross-validation, and may be not at all: it is the
noise of the device that says what a few hundred timings can tell of as many kinds. All errors are relative.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls  # type: ignore[import-untyped]

from search_spaces.network import Network

from .latency_table import by_coefficients
from .latency_table_kinds import Kind, kinds

Array = NDArray[np.float64]
Rows = NDArray[np.bool_]
RIDGE = 2e-3  # on shares of the latency, beside mean squared relative errors
SPREADS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # of factors, in the coefficients' own error
FOLDS = 5
MOST_STEPS = 10_000
LEAST_ERROR = 0.02  # relative, of any timing: a narrower interval does not count for more


@dataclass(frozen=True, slots=True)
class Timing:
    """A network, its latency in any unit, and the relative standard error of that."""

    network: Network
    latency: float
    error: float


@dataclass(frozen=True, slots=True)
class Fit:
    """A constant, what a unit of each feature takes, and kinds with what each takes and how often it was seen."""

    constant: float
    coefficients: Mapping[str, float]
    entries: Mapping[str, tuple[Kind, float, int]]
    spread: float

    def predict(self, network: Network) -> float:
        """Return the latency of a network, in the unit of the timings."""
        return self.constant + sum(
            self.entries[kind.key][1]
            if kind.key in self.entries
            else by_coefficients(kind.features, self.coefficients)
            for kind in kinds(network)
        )


@dataclass(frozen=True, slots=True)
class Problem:
    """Timings as arrays: latencies (n), weights (n), features of each kind (k, f), counts of kinds (n, k)."""

    latency: Array
    weight: Array  # of a relative error; their squares are 1 in the mean
    features: Array
    counts: Array

    def part(self, rows: Rows) -> Problem:
        """Return the problem with some of the timings."""
        return Problem(self.latency[rows], self.weight[rows], self.features, self.counts[rows])


def fit(timings: Sequence[Timing]) -> Fit:
    """Return the table that timings of whole networks say."""
    inside = [Counter(kind.key for kind in kinds(timing.network)) for timing in timings]
    known = {kind.key: kind for timing in timings for kind in kinds(timing.network)}
    names = sorted({name for kind in known.values() for name, _ in kind.features})
    problem = _problem(timings, inside, known, names)
    spread = _best_spread(problem)
    constant, coefficients, factors = _solved(problem, spread)
    took = factors * (problem.features @ coefficients)
    seen = (problem.counts > 0).sum(0)
    return Fit(
        constant,
        dict(zip(names, map(float, coefficients), strict=True)),
        {k: (known[k], float(took[i]), int(seen[i])) for i, k in enumerate(known)},
        spread,
    )


def linear(amounts: Sequence[Sequence[float]], timings: Sequence[Timing]) -> tuple[float, ...]:
    """Return the constant and slopes, none negative, that predict latencies from amounts; errors are relative."""
    latency, weight = _latencies(timings)
    constant, slopes = _non_negative(np.array(amounts, dtype=float), latency, weight, ridge=0.0)
    return (constant, *map(float, slopes))


def _problem(
    timings: Sequence[Timing],
    inside: Sequence[Counter[str]],
    known: Mapping[str, Kind],
    names: Sequence[str],
) -> Problem:
    place = {name: i for i, name in enumerate(names)}
    features = np.zeros((len(known), len(names)))
    for row, kind in enumerate(known.values()):
        for name, amount in kind.features:
            features[row, place[name]] = amount
    counts = np.array([[counted[k] for k in known] for counted in inside], dtype=float)
    return Problem(*_latencies(timings), features, counts)


def _latencies(timings: Sequence[Timing]) -> tuple[Array, Array]:
    latency = np.array([timing.latency for timing in timings])
    weight = 1 / np.hypot(LEAST_ERROR, [timing.error for timing in timings])
    return latency, weight / np.sqrt(np.mean(weight**2))


def _best_spread(problem: Problem) -> float:
    """Return the spread of factors that predicts networks best that were not fitted, if by more than chance."""
    n = len(problem.latency)
    if n < 2 * FOLDS:
        return 0.0
    fold = np.random.default_rng(0).permutation(n) % FOLDS
    errors = np.array(
        [np.concatenate([_missed(problem, fold == i, spread) for i in range(FOLDS)]) for spread in SPREADS]
    )
    best = int(np.argmin(errors.mean(1)))
    gain = errors[0] - errors[best]
    return SPREADS[best] if gain.mean() > gain.std() / np.sqrt(n) else 0.0


def _missed(problem: Problem, out: Rows, spread: float) -> Array:
    """Return how far off the timings are that were left out, as parts of them."""
    constant, coefficients, factors = _solved(problem.part(~out), spread)
    rest = problem.part(out)
    predicted: Array = constant + rest.counts @ (factors * (rest.features @ coefficients))
    return np.abs(predicted / rest.latency - 1)


def _solved(problem: Problem, spread: float) -> tuple[float, Array, Array]:
    """Return the constant, the coefficients and a factor for each kind."""
    whole = problem.counts @ problem.features
    constant, coefficients = _non_negative(whole, problem.latency, problem.weight, ridge=RIDGE)
    by_kind = problem.features @ coefficients
    share = problem.counts * by_kind / problem.latency[:, None]
    missing = 1 - constant / problem.latency - share.sum(1)
    common = float(np.mean((problem.weight * missing) ** 2))
    factors = _factors(share, missing, common / problem.weight**2, spread**2 * common)
    return constant, coefficients, factors


def _factors(share: Array, missing: Array, noise: Array, variance: float) -> Array:
    """Return a factor for each kind, around 1: ridge regression of what the coefficients miss of each network.

    `share` (n, k) is what they say of each kind in each network, all as shares of its latency; `noise` is the
    variance of each network's `missing`. A factor that would be negative is 0, and the others are found again.
    """
    factors = np.ones(share.shape[1])
    left = np.ones(share.shape[1], dtype=bool)
    while variance > 0:
        target = missing + share[:, ~left].sum(1)
        some = share[:, left]
        factors[left] = 1 + variance * some.T @ np.linalg.solve(
            variance * some @ some.T + np.diag(noise), target
        )
        negative = left & (factors < 0)
        if not negative.any():
            break
        factors[negative] = 0.0
        left &= ~negative
    return factors


def _non_negative(amounts: Array, latency: Array, weight: Array, *, ridge: float) -> tuple[float, Array]:
    """Return constant and slopes by non-negative least squares on relative errors, amounts scaled alike."""
    rows = np.column_stack([np.ones(len(latency)), amounts]) / latency[:, None]
    scale = rows.mean(0)
    used = scale > 0
    scaled = rows[:, used] / scale[used] * weight[:, None]
    bound = np.sqrt(ridge * len(latency)) * np.eye(scaled.shape[1])
    solved, _ = nnls(
        np.vstack([scaled, bound]), np.concatenate([weight, np.zeros(len(bound))]), maxiter=MOST_STEPS
    )
    found = np.zeros(len(scale))
    found[used] = solved / scale[used]
    return float(found[0]), found[1:]
