"""Read a dataset and hand out its parts: what a search may see, and, by another call, the test part.

**A search never sees the test part.** `load_search_data` returns copies of the train and validation
examples and nothing that leads to the others: no test array, no view into a larger array, no index.
`load_test` is the only way to the test part and is called once, for the final report.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import cast

import numpy as np
from numpy.typing import NDArray

from search_spaces.errors import BadInput

from .dataset import Array, Dataset, Task, fingerprint
from .sources.register import OWN, SOURCES
from .spec import DataSpec
from .split import Indices, split

CHUNK = 4096  # examples that are widened to float64 at a time


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """Read-only copies of some examples.

    `x` is (N, C, *spatial), uint8 or float32; `y` is (N,) int64 or (N, K) float32.
    """

    x: Array
    y: Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SearchData:
    """All that a search gets: the train and validation parts; nothing in here leads to the test part.

    `mean` and `std` are of the train part, one a channel, in the units of `x`; a channel that never varies
    has a std of 1. `fingerprint` is of the whole dataset, to notice that it changed.
    """

    name: str
    task: Task
    input_shape: tuple[int, ...]  # (C, *spatial)
    outputs: int  # classes, or targets of a regression
    classes: tuple[str, ...] | None  # None for a regression
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    train: Part
    validation: Part
    held_out: int  # how many examples the test part has


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeldOut:
    """The test part, for the final report alone, with the mean and std of the train part."""

    test: Part
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str


def load_search_data(spec: DataSpec) -> SearchData:
    """Read, check and split the data; return the train and validation parts.

    Raises `BadInput` for a source, file or array that cannot be used.
    """
    dataset = _dataset(spec)
    parts = split(dataset, spec)
    train = _part(dataset.x, dataset.y, at=parts.train)
    mean, std = _moments(train.x)
    return SearchData(
        name=dataset.name,
        task=dataset.task,
        input_shape=dataset.x.shape[1:],
        outputs=dataset.y.shape[1] if dataset.classes is None else len(dataset.classes),
        classes=dataset.classes,
        mean=mean,
        std=std,
        fingerprint=fingerprint(dataset),
        train=train,
        validation=_part(dataset.x, dataset.y, at=parts.validation),
        held_out=len(parts.test) if parts.test is not None else len(cast(Array, dataset.test_x)),
    )


def load_test(spec: DataSpec) -> HeldOut:
    """Read the test part: for the final report, after the search and its confirmation, never before.

    Raises `BadInput` as `load_search_data` does, and where the spec leaves no test part.
    """
    dataset = _dataset(spec)
    parts = split(dataset, spec)
    mean, std = _moments(_part(dataset.x, dataset.y, at=parts.train).x)
    if dataset.test_x is not None and dataset.test_y is not None:
        test = _part(dataset.test_x, dataset.test_y, at=np.arange(len(dataset.test_x)))
    elif parts.test is not None and len(parts.test):
        test = _part(dataset.x, dataset.y, at=parts.test)
    else:
        raise BadInput(f"{dataset.name}: got data.test of 0, expected a share to test on; set data.test")
    return HeldOut(test=test, mean=mean, std=std, fingerprint=fingerprint(dataset))


def _dataset(spec: DataSpec) -> Dataset:
    module = import_module(OWN if ":" in spec.source else SOURCES[spec.source])
    return cast("Callable[[DataSpec], Dataset]", module.load)(spec)


def _part(x: Array, y: Array, *, at: Indices) -> Part:
    """Copy some examples, so that what is handed out holds no others."""
    part = Part(x=x.take(at, axis=0), y=y.take(at, axis=0))
    for array in (part.x, part.y):
        array.flags.writeable = False
    return part


def _moments(x: Array) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and the standard deviation of each channel, in two passes in double precision."""
    axes = (0, *range(2, x.ndim))
    count = x.size // x.shape[1]
    chunks = [x[start : start + CHUNK] for start in range(0, len(x), CHUNK)]
    zero = np.zeros((1, x.shape[1]) + (1,) * (x.ndim - 2))
    mean = sum((_total(chunk, zero, axes, power=1) for chunk in chunks), zero) / count
    std = np.sqrt(sum((_total(chunk, mean, axes, power=2) for chunk in chunks), zero) / count)
    std[std == 0] = 1
    return tuple(mean.reshape(-1).tolist()), tuple(std.reshape(-1).tolist())


def _total(
    x: Array, centre: NDArray[np.float64], axes: tuple[int, ...], *, power: int
) -> NDArray[np.float64]:
    total: NDArray[np.float64] = ((x.astype(np.float64) - centre) ** power).sum(axis=axes, keepdims=True)
    return total
