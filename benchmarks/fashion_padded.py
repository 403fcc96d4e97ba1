"""Fashion-MNIST with two pixels of black on each side: 32x32, as `data.source: fashion_padded:padded`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nas.data import DataSpec
from nas.data.dataset import Dataset
from nas.data.sources.fashion_mnist import load

PAD = ((0, 0), (0, 0), (2, 2), (2, 2))


def padded(path: str) -> Dataset:
    """Return the data in a folder of the four IDX files as uint8 (N, 1, 32, 32)."""
    data = load(DataSpec(source="fashion_mnist", path=path))
    assert data.test_x is not None
    return replace(data, name="fashion_mnist_32", x=np.pad(data.x, PAD), test_x=np.pad(data.test_x, PAD))
