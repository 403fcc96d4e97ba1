"""CIFAR-10: 60,000 colour pictures of ten things (Krizhevsky 2009), official files or WebP strips."""

from __future__ import annotations

from ..dataset import Dataset
from ..spec import DataSpec
from . import cifar_strips
from .cifar import BINARY, PYTHON, Edition, find, read
from .settings import existing, refuse_unused

TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
EDITIONS = (
    Edition(
        version=PYTHON,
        folder="cifar-10-batches-py",
        train=TRAIN,
        test="test_batch",
        labels="labels",
        meta="batches.meta",
        names="label_names",
        classes=10,
    ),
    Edition(
        version=BINARY,
        folder="cifar-10-batches-bin",
        train=tuple(f"{name}.bin" for name in TRAIN),
        test="test_batch.bin",
        label_bytes=1,
        meta="batches.meta.txt",
        classes=10,
    ),
)


def load(spec: DataSpec) -> Dataset:
    """Return CIFAR-10 as uint8 (50000, 3, 32, 32), the official 10,000 as its test part.

    Where a folder holds several versions, the python one is read, then the binary one, then the strips.
    """
    refuse_unused(spec, "keys", "layout", "size")
    path = existing(spec, "the folder of the CIFAR-10 files")
    strips = path if path.is_file() else path / cifar_strips.FILE
    if strips.is_file() and (path.is_file() or find(path, EDITIONS) is None):
        return cifar_strips.load(strips)
    return read("cifar10", path, EDITIONS, also=cifar_strips.FILE)
