"""A dataset in memory, checked once when it is made.

Shapes: N examples, C channels, K targets; spatial is (L,), (H, W) or (D, H, W).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from search_spaces.errors import BadInput

Array = NDArray[np.generic]
Task = Literal["classification", "regression"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Undecoded:
    """A test part that stays as it is stored until the final report asks for it.

    `stored` is the SHA-256, in hex, of what `decode` makes x and y of; it stands in their place in the
    dataset's fingerprint.
    """

    count: int
    stored: str
    decode: Callable[[], tuple[Array, Array]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """Examples with their labels, and the test part where the source comes with one.

    `x` is (N, C, *spatial): uint8 stays, other numbers become float32. `y` is (N,) whole numbers from 0, one
    a class, which become int64, or (N, K) floats for a regression, which become float32. `groups` is (N,)
    whole numbers or strings: examples of one group stay together when the set is split. Without `classes`
    the classes are named "0", "1", ... The arrays held are read-only. A test part comes as arrays or, where
    decoding it takes time, as `test`.

    Raises `BadInput` for anything that cannot be trained on: nothing, one class, NaN, unequal lengths.
    """

    name: str
    x: Array
    y: Array
    classes: tuple[str, ...] | None = None
    groups: Array | None = None
    test_x: Array | None = None
    test_y: Array | None = None
    test: Undecoded | None = None

    def __post_init__(self) -> None:
        """Bring the arrays to their types and refuse what does not fit."""
        x, y = examples(self.x, f"{self.name}: x"), _targets(self.y, f"{self.name}: y")
        _check_lengths(self.name, x=x, y=y)
        fixed: dict[str, Array | tuple[str, ...] | None] = {"x": x, "y": y}
        fixed["classes"] = classes = _classes(self.name, y, self.classes)
        if self.groups is not None:
            fixed["groups"] = _groups(self.name, self.groups, count=len(x))
        if (self.test_x is None) != (self.test_y is None):
            raise BadInput(
                f"{self.name}: got one of test_x and test_y, expected both or neither; give the other"
            )
        if self.test_x is not None and self.test_y is not None:
            test_x, test_y = (
                examples(self.test_x, f"{self.name}: test_x"),
                _targets(self.test_y, f"{self.name}: test_y"),
            )
            _check_test(self.name, test_x, test_y, x=x, y=y, classes=classes)
            fixed |= {"test_x": test_x, "test_y": test_y}
        for name, value in fixed.items():
            object.__setattr__(self, name, value)

    @property
    def task(self) -> Task:
        """Classification where `y` holds whole numbers."""
        return "classification" if self.y.dtype == np.int64 else "regression"

    @property
    def test_count(self) -> int | None:
        """The number of examples in the source's own test part, None where it has none."""
        if self.test is not None:
            return self.test.count
        return None if self.test_x is None else len(self.test_x)


def examples(array: Array, where: str) -> Array:
    """Return an array as uint8 or finite float32 (N, C, *spatial), read-only; `BadInput`, which begins with `where`."""
    array = np.asarray(array)
    if array.dtype.kind not in "biuf":
        raise BadInput(f"{where}: got the type {array.dtype}, expected numbers; convert it, say to float32")
    if not 3 <= array.ndim <= 5 or array.size == 0:
        raise BadInput(
            f"{where}: got the shape {array.shape}, expected (N, C, *spatial) with 1 to 3 spatial axes and "
            "at least one example; reshape it"
        )
    if array.dtype == np.uint8:
        return _sealed(array)
    with np.errstate(over="ignore"):
        array = array.astype("<f4", copy=False)
    _check_finite(array, where)
    return _sealed(array)


def decoded(dataset: Dataset) -> Dataset:
    """Return the dataset with its test part, if it has one, as arrays; its fingerprint is another."""
    if dataset.test is None:
        return dataset
    x, y = dataset.test.decode()
    return replace(dataset, test=None, test_x=x, test_y=y)


def fingerprint(dataset: Dataset) -> str:
    """Return the first 16 hex digits of the SHA-256 of everything in the dataset but its name."""
    digest = sha256(repr(dataset.classes).encode())
    for array in (dataset.x, dataset.y, dataset.groups, dataset.test_x, dataset.test_y):
        if array is None:
            digest.update(b"none")
        else:
            digest.update(f"{array.dtype.name}{array.shape}".encode())
            digest.update(array.data)
    if dataset.test is not None:
        digest.update(dataset.test.stored.encode())
    return digest.hexdigest()[:16]


def _targets(array: Array, where: str) -> Array:
    """Return `array` as int64 (N,) or float32 (N, K)."""
    array = np.asarray(array)
    if array.dtype.kind in "biu" and array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]  # a column of labels, as some datasets have it
    if array.dtype.kind in "biu" and array.ndim == 1:
        return _sealed(array.astype("<i8", copy=False))
    if array.dtype.kind == "f" and array.ndim in (1, 2):
        _check_finite(array, where)
        return _sealed(array.reshape(len(array), -1).astype("<f4", copy=False))
    raise BadInput(
        f"{where}: got {array.dtype} of shape {array.shape}, expected whole numbers (N,) to classify or "
        "floats (N, K) to regress; convert it"
    )


def _sealed(array: Array) -> Array:
    """Return a contiguous read-only view; the caller's own array keeps its flags."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def _check_finite(array: Array, where: str) -> None:
    bad = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))
    if len(bad):
        raise BadInput(
            f"{where}: got NaN, infinity or beyond float32 in {len(bad)} of {len(array)} examples, the "
            f"first at index {bad[0]}, expected finite numbers; drop or fill them"
        )


def _check_lengths(name: str, *, x: Array, y: Array) -> None:
    if len(x) != len(y):
        raise BadInput(
            f"{name}: got {len(x)} examples and {len(y)} labels, expected as many; check how they pair"
        )


def _classes(name: str, y: Array, classes: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Return the names of the classes, or None for a regression."""
    if y.dtype != np.int64:
        if classes is not None:
            raise BadInput(
                f"{name}: got classes with float labels, expected whole numbers; convert y or drop classes"
            )
        return None
    used = [int(label) for label in np.unique(y)]
    if len(used) < 2:
        raise BadInput(
            f"{name}: got one class only ({used[0]}), expected at least two; nothing can be learnt"
        )
    if classes is None:
        if used != list(range(len(used))):
            raise BadInput(
                f"{name}: got labels from {used[0]} to {used[-1]}, {len(used)} different ones, expected "
                f"each of 0 to {len(used) - 1}; renumber them, or name all classes"
            )
        return tuple(str(label) for label in used)
    _check_range(f"{name}: y", y, classes)
    return tuple(classes)


def _check_range(where: str, y: Array, classes: tuple[str, ...]) -> None:
    low, high = int(y.min()), int(y.max())
    if low < 0 or high >= len(classes):
        raise BadInput(
            f"{where}: got labels from {low} to {high}, expected 0 to {len(classes) - 1} for {len(classes)} "
            "classes; renumber them, or name all classes"
        )


def _groups(name: str, groups: Array, *, count: int) -> Array:
    """Return the groups numbered from 0 in sorted order."""
    groups = np.asarray(groups)
    if groups.dtype.kind not in "biuUS" or groups.shape != (count,):
        raise BadInput(
            f"{name}: groups: got {groups.dtype} of shape {groups.shape}, expected whole numbers or strings "
            f"of shape ({count},); convert them, say with astype(str)"
        )
    return _sealed(np.unique(groups, return_inverse=True)[1].astype("<i8"))


def _check_test(
    name: str, test_x: Array, test_y: Array, *, x: Array, y: Array, classes: tuple[str, ...] | None
) -> None:
    _check_lengths(f"{name}: test part", x=test_x, y=test_y)
    for what, one, other in (("test_x", test_x, x), ("test_y", test_y, y)):
        if one.shape[1:] != other.shape[1:] or one.dtype != other.dtype:
            raise BadInput(
                f"{name}: {what}: got {one.dtype} examples of shape {one.shape[1:]}, expected {other.dtype} "
                f"of {other.shape[1:]} as in the rest; convert them alike"
            )
    if classes is not None:
        _check_range(f"{name}: test_y", test_y, classes)
