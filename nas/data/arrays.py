"""From arrays as people keep them to a `Dataset`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from search_spaces.errors import BadInput

from .dataset import Array, Dataset
from .spec import Layout

COLOURS = (1, 3)  # channels that mark a uint8 image as channels-last


def assemble(
    name: str, arrays: Mapping[str, Array], *, classes: tuple[str, ...] | None = None, layout: Layout = "auto"
) -> Dataset:
    """Return a `Dataset` of arrays by role: x, y and perhaps x_test, y_test, groups.

    String labels are numbered in the sorted order of their names.
    """
    y, y_test = arrays["y"], arrays.get("y_test")
    if y.dtype.kind in "US":
        y, y_test, classes = _numbered(name, y, y_test, classes=classes)
    x_test = arrays.get("x_test")
    return Dataset(
        name=name,
        x=channels_first(arrays["x"], layout),
        y=y,
        classes=classes,
        groups=arrays.get("groups"),
        test_x=None if x_test is None else channels_first(x_test, layout),
        test_y=y_test,
    )


def channels_first(x: Array, layout: Layout = "auto") -> Array:
    """Return `x` as (N, C, *spatial).

    By itself ("auto"): (N, L) becomes (N, 1, L); (N, H, W) becomes (N, 1, H, W); (N, H, W, C) of uint8 with
    C of 1 or 3, unless the second axis is 1 or 3, becomes (N, C, H, W); anything else is taken as
    (N, C, *spatial). Signals with several channels, (N, C, L), look like grey images: state
    "channels_first" for them.
    """
    if layout == "channels_last" and x.ndim > 2:
        return np.moveaxis(x, -1, 1)
    if layout == "channels_first" and x.ndim > 2:
        return x
    if x.ndim in (2, 3):
        return x[:, None]
    if x.ndim == 4 and x.dtype == np.uint8 and x.shape[-1] in COLOURS and x.shape[1] not in COLOURS:
        return np.moveaxis(x, -1, 1)
    return x


def _numbered(
    name: str, y: Array, y_test: Array | None, *, classes: tuple[str, ...] | None
) -> tuple[Array, Array | None, tuple[str, ...]]:
    """Return string labels as numbers, with the names in order."""
    names = classes or tuple(sorted(str(label) for label in np.unique(y)))
    numbers = {label: number for number, label in enumerate(names)}

    def numbered(labels: Array) -> Array:
        texts = [str(label) for label in labels.reshape(-1).tolist()]
        foreign = sorted(set(texts) - set(numbers))
        if foreign:
            raise BadInput(
                f"{name}: got the label {foreign[0]!r}, expected one of {', '.join(names)}; name all classes"
            )
        return np.array([numbers[text] for text in texts], dtype=np.int64)

    return numbered(y), None if y_test is None else numbered(y_test), names
