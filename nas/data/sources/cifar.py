"""The official CIFAR files: the python version, whose pickles are read as data, and the binary version.

A picture is 3,072 bytes: 32 x 32 of red, then of green, then of blue, each row by row.
Source: Krizhevsky 2009, and the README of each archive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from search_spaces.errors import BadInput

from ..dataset import Array, Dataset
from .plain_pickle import NotPlain, read_plain

PYTHON, BINARY = "python", "binary"
PICTURE = (3, 32, 32)
PIXELS = 3 * 32 * 32
MOST = 1 << 28  # bytes of one file; the largest official one has 155 million
AGAIN = "unpack the archive again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """Where one version of a set keeps what."""

    version: str
    folder: str  # as the archive unpacks
    train: tuple[str, ...]
    test: str
    meta: str  # the file that names the classes
    classes: int
    labels: str = ""  # python: the key of the labels in a batch
    names: str = ""  # python: the key of the classes' names in `meta`
    label_bytes: int = 0  # binary: before each picture; the last one counts


def read(name: str, folder: Path, editions: Sequence[Edition], *, also: str = "") -> Dataset:
    """Return the first edition that is in `folder`, or in the subfolder that its archive unpacks to."""
    found = find(folder, editions)
    if found is None:
        files = ", ".join([edition.train[0] for edition in editions] + [also] * bool(also))
        raise BadInput(
            f"{folder}: got none of {files}, expected the unpacked files of {name}; unpack the archive, or "
            "check data.path"
        )
    place, edition = found
    classes = _classes(place / edition.meta, edition)
    x, y = _train(place, edition)
    test_x, test_y = _batch(place / edition.test, edition)
    return Dataset(name=name, x=x, y=y, classes=classes, test_x=test_x, test_y=test_y)


def find(folder: Path, editions: Sequence[Edition]) -> tuple[Path, Edition] | None:
    """Return the first edition whose first file is there, and the folder it is in."""
    for edition in editions:
        for place in (folder, folder / edition.folder):
            if (place / edition.train[0]).is_file():
                return place, edition
    return None


def _train(folder: Path, edition: Edition) -> tuple[Array, Array]:
    batches = [_batch(folder / name, edition) for name in edition.train]
    for name, (x, _) in zip(edition.train, batches, strict=True):
        if len(x) != len(batches[0][0]):
            raise BadInput(
                f"{folder / name}: got {len(x)} pictures, expected {len(batches[0][0])} as in "
                f"{edition.train[0]}; {AGAIN}"
            )
    return np.concatenate([x for x, _ in batches]), np.concatenate([y for _, y in batches])


def _batch(path: Path, edition: Edition) -> tuple[Array, Array]:
    """Return the pictures (N, 3, 32, 32) and labels (N,) of one file."""
    x, y = _pickled(path, edition) if edition.version == PYTHON else _records(path, edition)
    if len(x) == 0 or len(x) != len(y):
        raise BadInput(
            f"{path}: got {len(x)} pictures and {len(y)} labels, expected as many, not none; {AGAIN}"
        )
    if min(y) < 0 or max(y) >= edition.classes:
        raise BadInput(
            f"{path}: got labels from {min(y)} to {max(y)}, expected 0 to {edition.classes - 1}; {AGAIN}"
        )
    return x.reshape(-1, *PICTURE), np.array(y, dtype=np.int64)


def _pickled(path: Path, edition: Edition) -> tuple[Array, Sequence[int]]:
    batch = _unpickled(path)
    x, y = _entry(batch, "data", path), _entry(batch, edition.labels, path)
    if not isinstance(x, np.ndarray) or x.dtype != np.uint8 or x.ndim != 2 or x.shape[1] != PIXELS:
        raise BadInput(f"{path}: got something else as data, expected bytes of shape (N, {PIXELS}); {AGAIN}")
    y = y.tolist() if isinstance(y, np.ndarray) else y
    if not isinstance(y, list) or not all(type(label) is int for label in y):
        raise BadInput(
            f"{path}: got something else as {edition.labels}, expected a list of whole numbers; {AGAIN}"
        )
    return x, y


def _records(path: Path, edition: Edition) -> tuple[Array, Sequence[int]]:
    record = edition.label_bytes + PIXELS
    size = _size(path)
    if size % record:
        raise BadInput(f"{path}: got {size} bytes, expected a multiple of {record}; {AGAIN}")
    records = np.fromfile(path, dtype=np.uint8).reshape(-1, record)
    return records[:, edition.label_bytes :], records[:, edition.label_bytes - 1].tolist()


def _classes(path: Path, edition: Edition) -> tuple[str, ...]:
    """Return the names of the classes, which both versions keep in a file of their own."""
    if edition.version == PYTHON:
        names = _entry(_unpickled(path), edition.names, path)
        texts = [_text(name) for name in names] if isinstance(names, list) else []
    else:
        _size(path)
        texts = [line.strip() for line in path.read_bytes().decode("latin-1").splitlines() if line.strip()]
    if len(texts) != edition.classes or not all(texts):
        raise BadInput(
            f"{path}: got {len(texts)} names, expected those of {edition.classes} classes; {AGAIN}"
        )
    return tuple(texts)


def _unpickled(path: Path) -> object:
    size = _size(path)
    try:
        with path.open("rb") as file:
            return read_plain(file, size=size)
    except NotPlain as error:
        raise BadInput(
            f"{path}: got {error}, expected plain values and arrays as in the official files; nothing in it was "
            f"run; {AGAIN}, from its official place"
        ) from error


def _entry(batch: object, key: str, path: Path) -> object:
    """Return what a batch has under a key, which Python 2 wrote as a text and Python 3 as bytes."""
    for form in (key, key.encode()):
        if isinstance(batch, dict) and form in batch:
            return cast("dict[object, object]", batch)[form]
    raise BadInput(f"{path}: got no {key!r}, expected a batch of the python version; {AGAIN}")


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return value if isinstance(value, str) else ""


def _size(path: Path) -> int:
    """Return the bytes of a file, or refuse one that is missing or too large to be one of these."""
    if not path.is_file():
        raise BadInput(f"{path.parent}: got no {path.name}, expected it beside the other files; {AGAIN}")
    size = path.stat().st_size
    if size > MOST:
        raise BadInput(f"{path}: got {size} bytes, expected at most {MOST}; is it another file?")
    return size
