"""One fixed split into train, validation and test, the same on every machine.

Only raw PCG64 words are used: numpy promises those for ever, but not what its `Generator` makes of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search_spaces.errors import BadInput

from .dataset import Dataset
from .spec import DataSpec

Indices = NDArray[np.int64]
TEST, VALIDATION, LIMIT = 0, 1, 2  # streams of the split's seed


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """Ascending indices of the parts; `test` is None where the source has its own test part."""

    train: Indices
    validation: Indices
    test: Indices | None


def split(dataset: Dataset, spec: DataSpec) -> Split:
    """Split by group where there are groups, else with equal shares of every class, else at random.

    Who is in the test part depends on `split_seed` and `test` alone; a smaller `limit` keeps a subset of a
    larger one's train part.
    """
    rest = np.arange(len(dataset.x), dtype=np.int64)
    share, given, test = spec.validation, dataset.test_count is not None, None
    if not given:
        test, rest = _hold_out(dataset, rest, spec.test, seed=spec.split_seed, stream=TEST)
        share = spec.validation / (1 - spec.test)
    validation, train = _hold_out(dataset, rest, share, seed=spec.split_seed, stream=VALIDATION)
    _check(dataset, spec, train=train, validation=validation, test=test)
    if spec.limit is not None:
        train = np.sort(train[shuffled(len(train), seed=spec.split_seed, stream=LIMIT)][: spec.limit])
    return Split(train=train, validation=validation, test=test)


def shuffled(count: int, *, seed: int, stream: int) -> Indices:
    """Return the numbers below `count` in an order that depends on (count, seed, stream) alone."""
    words = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(stream,))).random_raw(count)
    return np.argsort(words, kind="stable").astype(np.int64)


def _hold_out(
    dataset: Dataset, indices: Indices, share: float, *, seed: int, stream: int
) -> tuple[Indices, Indices]:
    """Return (held, kept), each ascending."""
    order = indices[shuffled(len(indices), seed=seed, stream=stream)]
    if share == 0:
        held = order[:0]
    elif dataset.groups is not None:
        held = _hold_groups(dataset, order, share, spare=2 if stream == TEST else 1)
    else:
        strata = (
            dataset.y[order] if dataset.task == "classification" else np.zeros(len(order), dtype=np.int64)
        )
        held = _hold_strata(order, strata.astype(np.int64), share)
    return np.sort(held), np.setdiff1d(indices, held, assume_unique=True)


def _hold_strata(order: Indices, strata: Indices, share: float) -> Indices:
    """Hold the nearest whole number to `share` of each stratum, but never all of it."""
    by_stratum = np.argsort(strata, kind="stable")
    sizes = np.unique(strata, return_counts=True)[1]
    runs = np.split(order[by_stratum], np.cumsum(sizes)[:-1])
    return np.concatenate([run[: min(int(len(run) * share + 0.5), len(run) - 1)] for run in runs])


def _hold_groups(dataset: Dataset, order: Indices, share: float, *, spare: int) -> Indices:
    """Hold each whole group that still fits into `share`, or the smallest where none does; leave `spare`."""
    groups = np.asarray(dataset.groups)
    names, first, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    if len(names) <= spare:
        raise BadInput(
            f"{dataset.name}: got {len(np.unique(groups))} groups, expected at least one for each part to be "
            "split off; collect more groups, or split without them"
        )
    room, held = share * len(order), list[np.int64]()
    for i in np.argsort(first):  # groups in the order in which the shuffle meets them
        if sizes[i] <= room and len(names) - len(held) > spare:
            held.append(names[i])
            room -= sizes[i]
    return order[np.isin(groups[order], held or [names[np.argmin(sizes)]])]


def _check(
    dataset: Dataset, spec: DataSpec, *, train: Indices, validation: Indices, test: Indices | None
) -> None:
    sizes = {"train": len(train), "validation": len(validation)}
    if test is not None and spec.test > 0:
        sizes["test"] = len(test)
    for part, size in sizes.items():
        least = 2 if part == "train" else 1
        if size < least:
            raise BadInput(
                f"{dataset.name}: got {size} examples in the {part} part of {len(dataset.x)}, expected at "
                f"least {least}; add data or change data.validation and data.test"
            )
    if dataset.task == "classification" and len(np.unique(dataset.y[train])) < 2:
        raise BadInput(
            f"{dataset.name}: got one class only in the train part, expected two; change data.split_seed"
        )
