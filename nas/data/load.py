"""Read a dataset and hand out its parts: what a search may see, and, by another call, the test part.

**A search never sees the test part.** `load_search_data` returns copies of the train and validation
examples and nothing that leads to the others: no test array, no view into a larger array, no index.
`load_test` is the only way to the test part and is called once, for the final report.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Literal, cast

import numpy as np

from search_spaces.errors import BadInput

from .dataset import Array, Dataset, Task, decoded, fingerprint
from .inputs import Inputs
from .normalise import by_example, moments
from .sources.register import OWN, SOURCES
from .spec import DataSpec, Normalise
from .split import Indices, split


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

    `mean` and `std`, one a channel, in the units of `x`, are what a model's input is normalised by: those of
    the train part, with a std of 1 for a channel that never varies, unless the spec says to normalise
    otherwise; then they are 0 and 1. `fingerprint` is of the whole dataset, to notice that it changed.
    """

    name: str
    task: Task
    input_shape: tuple[int, ...]  # (C, *spatial)
    dtype: Literal["uint8", "float32"]  # of examples as the dataset has them
    normalise: Normalise
    outputs: int  # classes, or targets of a regression
    classes: tuple[str, ...] | None  # None for a regression
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    train: Part
    validation: Part
    held_out: int  # how many examples the test part has

    @property
    def inputs(self) -> Inputs:
        """What a model trained on it takes and gives; classes that are only numbered have no names."""
        names = None if self.classes is None else tuple(map(str, self.classes))
        return Inputs(
            shape=self.input_shape,
            dtype=self.dtype,
            normalise=self.normalise,
            mean=self.mean,
            std=self.std,
            task=self.task,
            outputs=self.outputs,
            classes=None if names == tuple(map(str, range(self.outputs))) else names,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeldOut:
    """The test part, for the final report alone, with the mean and std that the search was given."""

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
    train = _part(dataset.x, dataset.y, at=parts.train, normalise=spec.normalise)
    mean, std = moments(train.x, spec.normalise)
    return SearchData(
        name=dataset.name,
        task=dataset.task,
        input_shape=dataset.x.shape[1:],
        dtype="uint8" if dataset.x.dtype == np.uint8 else "float32",
        normalise=spec.normalise,
        outputs=dataset.y.shape[1] if dataset.classes is None else len(dataset.classes),
        classes=dataset.classes,
        mean=mean,
        std=std,
        fingerprint=fingerprint(dataset),
        train=train,
        validation=_part(dataset.x, dataset.y, at=parts.validation, normalise=spec.normalise),
        held_out=len(parts.test) if parts.test is not None else cast(int, dataset.test_count),
    )


def load_test(spec: DataSpec) -> HeldOut:
    """Read the test part: for the final report, after the search and its confirmation, never before.

    Raises `BadInput` as `load_search_data` does, and where the spec leaves no test part.
    """
    stored = _dataset(spec)
    dataset, parts = decoded(stored), split(stored, spec)
    mean, std = moments(
        _part(dataset.x, dataset.y, at=parts.train, normalise=spec.normalise).x, spec.normalise
    )
    if dataset.test_x is not None and dataset.test_y is not None:
        everyone = np.arange(len(dataset.test_x))
        test = _part(dataset.test_x, dataset.test_y, at=everyone, normalise=spec.normalise)
    elif parts.test is not None and len(parts.test):
        test = _part(dataset.x, dataset.y, at=parts.test, normalise=spec.normalise)
    else:
        raise BadInput(f"{dataset.name}: got data.test of 0, expected a share to test on; set data.test")
    return HeldOut(test=test, mean=mean, std=std, fingerprint=fingerprint(stored))


def _dataset(spec: DataSpec) -> Dataset:
    module = import_module(OWN if ":" in spec.source else SOURCES[spec.source])
    return cast("Callable[[DataSpec], Dataset]", module.load)(spec)


def _part(x: Array, y: Array, *, at: Indices, normalise: Normalise) -> Part:
    """Copy some examples, so that what is handed out holds no others."""
    copied = x.take(at, axis=0)
    part = Part(x=by_example(copied, normalise), y=y.take(at, axis=0))
    for array in (part.x, part.y):
        array.flags.writeable = False
    return part
