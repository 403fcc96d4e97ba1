"""CIFAR-100: 60,000 colour pictures of a hundred things (Krizhevsky 2009), by their fine labels."""

from __future__ import annotations

from ..dataset import Dataset
from ..spec import DataSpec
from .cifar import BINARY, PYTHON, Edition, read
from .settings import existing, refuse_unused

EDITIONS = (
    Edition(
        version=PYTHON,
        folder="cifar-100-python",
        train=("train",),
        test="test",
        labels="fine_labels",
        meta="meta",
        names="fine_label_names",
        classes=100,
    ),
    Edition(
        version=BINARY,
        folder="cifar-100-binary",
        train=("train.bin",),
        test="test.bin",
        label_bytes=2,  # coarse, then fine
        meta="fine_label_names.txt",
        classes=100,
    ),
)


def load(spec: DataSpec) -> Dataset:
    """Return CIFAR-100 as uint8 (50000, 3, 32, 32), the official 10,000 as its test part."""
    refuse_unused(spec, "keys", "layout", "size")
    return read("cifar100", existing(spec, "the folder of the CIFAR-100 files"), EDITIONS)
