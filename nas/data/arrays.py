"""From arrays as people keep them to a `Dataset`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from search_spaces.errors import BadInput

from .dataset import Array, Dataset
from .spec import Layout

COLOURS = (1, 3)  # channels that mark a uint8 image as channels-last
LONG = 4  # sides of a grey image are less unequal than this; signals of several channels seldom are


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
        x=channels_first(arrays["x"], layout, where=f"{name}: x"),
        y=y,
        classes=classes,
        groups=arrays.get("groups"),
        test_x=None if x_test is None else channels_first(x_test, layout, where=f"{name}: x_test"),
        test_y=y_test,
    )


def channels_first(x: Array, layout: Layout = "auto", *, where: str = "x") -> Array:
    """Return `x` as (N, C, *spatial).

    By itself ("auto"): (N, L) becomes (N, 1, L); (N, 1, L) and (N, L, 1) are signals of one channel; (N, H, W)
    becomes (N, 1, H, W); (N, H, W, C) of uint8 with C of 1 or 3, unless the second axis is 1 or 3, becomes
    (N, C, H, W); anything else is taken as (N, C, *spatial). Signals with several channels look like grey
    images: where one axis is four times the other, `BadInput` asks for the layout, unless x is uint8.
    """
    if layout == "channels_last" and x.ndim > 2:
        return np.moveaxis(x, -1, 1)
    if layout == "channels_first" and x.ndim > 2:
        return x
    if layout == "one_channel" or x.ndim == 2:
        return x[:, None]
    if x.ndim == 3:
        return _three_axes(x, where)
    if x.ndim == 4 and x.dtype == np.uint8 and x.shape[-1] in COLOURS and x.shape[1] not in COLOURS:
        return np.moveaxis(x, -1, 1)
    return x


def _three_axes(x: Array, where: str) -> Array:
    """Return signals of one channel or grey images, whichever (N, A, B) is for sure."""
    _, a, b = x.shape
    if a == 1 or b == 1:
        return x if a == 1 else np.moveaxis(x, -1, 1)
    if x.dtype != np.uint8 and max(a, b) >= LONG * min(a, b):
        raise BadInput(
            f"{where}: got the shape {x.shape}, which may be signals of several channels or grey images; say which: "
            "data.layout=channels_first for signals (N, C, L), channels_last for signals (N, L, C), one_channel "
            "for grey images (N, H, W)"
        )
    return x[:, None]


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
