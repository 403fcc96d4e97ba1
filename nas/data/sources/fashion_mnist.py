"""Fashion-MNIST from a folder of its four IDX files, as they are or gzipped (Xiao et al. 2017).

An IDX file is a big-endian header (magic number, then one size an axis, 4 bytes each) and then the bytes.
"""

from __future__ import annotations

import gzip
import zlib
from math import prod
from pathlib import Path

import numpy as np

from search_spaces.errors import BadInput

from ..dataset import Array, Dataset
from ..spec import DataSpec
from .settings import existing, refuse_unused

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
SIDE = 28
MOST = 1_000_000  # examples; a header that promises more is damaged
IMAGES_MAGIC, LABELS_MAGIC = 0x0803, 0x0801
AGAIN = "download the file again"


def load(spec: DataSpec) -> Dataset:
    """Return Fashion-MNIST as uint8 (N, 1, 28, 28); the official t10k files are its test part."""
    refuse_unused(spec, "keys", "layout", "size")
    folder = existing(spec, "the folder of the four Fashion-MNIST files")
    x, y = _part(folder, "train")
    test_x, test_y = _part(folder, "t10k")
    return Dataset(name="fashion_mnist", x=x, y=y, classes=CLASSES, test_x=test_x, test_y=test_y)


def _part(folder: Path, prefix: str) -> tuple[Array, Array]:
    images, labels = (
        _find(folder, f"{prefix}-images-idx3-ubyte"),
        _find(folder, f"{prefix}-labels-idx1-ubyte"),
    )
    x, y = _read(images, IMAGES_MAGIC, sides=(SIDE, SIDE)), _read(labels, LABELS_MAGIC, sides=())
    if len(x) != len(y):
        raise BadInput(f"{labels}: got {len(y)} labels, expected {len(x)} as in {images.name}; {AGAIN}")
    return x[:, None], y


def _find(folder: Path, name: str) -> Path:
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            return path
    raise BadInput(f"{folder}: got no {name}.gz and no {name}, expected one of them; check data.path")


def _read(path: Path, magic: int, *, sides: tuple[int, ...]) -> Array:
    """Read one IDX file of bytes shaped (N, *sides)."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            shape = _shape(path, file.read(8 + 4 * len(sides)), magic=magic, sides=sides)
            count = prod(shape)
            data = file.read(count + 1)  # one more, to notice what should not be there
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"{path}: got {error}, expected a whole IDX file; {AGAIN}") from error
    if len(data) != count:
        got = f"{len(data)} bytes" if len(data) < count else "more bytes"
        raise BadInput(f"{path}: got {got} after the header, expected {count} for {shape}; {AGAIN}")
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)


def _shape(path: Path, header: bytes, *, magic: int, sides: tuple[int, ...]) -> tuple[int, ...]:
    """Read (N, *sides) from a header; bytes that are missing read as 0 and are refused as such."""
    got, count, *rest = (int.from_bytes(header[i : i + 4], "big") for i in range(0, 8 + 4 * len(sides), 4))
    if got != magic:
        raise BadInput(f"{path}: got the magic number {got:#010x}, expected {magic:#010x}; {AGAIN}")
    if tuple(rest) != sides or not 0 < count <= MOST:
        raise BadInput(f"{path}: got sizes {(count, *rest)}, expected (1 to {MOST}, *{sides}); {AGAIN}")
    return (count, *sides)
