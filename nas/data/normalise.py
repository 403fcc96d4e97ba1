"""The numbers that bring inputs to mean 0 and standard deviation 1, reckoned in double precision.

Shapes: x is (N, C, *spatial).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .dataset import Array
from .spec import Normalise

CHUNK = 4096  # examples that are widened to float64 at a time
ROUNDING = 1e-12  # a spread below this share of the largest value is the rounding of a constant


def moments(x: Array, normalise: Normalise) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and the standard deviation of each channel, in two passes; a spread of 0 counts as 1.

    They are 0 and 1 where inputs are not normalised by channel.
    """
    if normalise != "per_channel":
        return (0.0,) * x.shape[1], (1.0,) * x.shape[1]
    axes = (0, *range(2, x.ndim))
    count = x.size // x.shape[1]
    chunks = [x[start : start + CHUNK] for start in range(0, len(x), CHUNK)]
    zero = np.zeros((1, x.shape[1]) + (1,) * (x.ndim - 2))
    mean = sum((_total(chunk, zero, axes, power=1) for chunk in chunks), zero) / count
    std = np.sqrt(sum((_total(chunk, mean, axes, power=2) for chunk in chunks), zero) / count)
    std[std == 0] = 1
    return tuple(mean.reshape(-1).tolist()), tuple(std.reshape(-1).tolist())


def by_example(x: Array, normalise: Normalise) -> Array:
    """Return `x` with each example brought to its own scale where that is how inputs are normalised, else as it is."""
    return standardised(x) if normalise == "per_example" else x


def standardised(x: Array) -> Array:
    """Return float32 in which each channel of each example has mean 0 and standard deviation 1.

    A channel that never varies in an example becomes 0.
    """
    result = np.empty(x.shape, dtype="<f4")
    axes = tuple(range(2, x.ndim))
    for start in range(0, len(x), CHUNK):
        chunk = x[start : start + CHUNK].astype(np.float64)
        least = ROUNDING * np.abs(chunk).max(axis=axes, keepdims=True)
        chunk -= chunk.mean(axis=axes, keepdims=True)
        std = chunk.std(axis=axes, keepdims=True)
        result[start : start + CHUNK] = chunk / np.where(std <= least, 1, std)
    return result


def _total(
    x: Array, centre: NDArray[np.float64], axes: tuple[int, ...], *, power: int
) -> NDArray[np.float64]:
    total: NDArray[np.float64] = ((x.astype(np.float64) - centre) ** power).sum(axis=axes, keepdims=True)
    return total
