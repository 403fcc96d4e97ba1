"""The 8x8 handwritten digits that come with scikit-learn: 1,797 real examples, ten classes, values 0 to 16.

Source: Alpaydin & Kaynak 1998, UCI Optical Recognition of Handwritten Digits (its test part).
"""

from __future__ import annotations

import numpy as np

from ..dataset import Dataset
from ..spec import DataSpec
from .settings import refuse_unused


def load(spec: DataSpec) -> Dataset:
    """Return the digits as uint8 (1797, 1, 8, 8); they have no test part of their own."""
    from sklearn.datasets import load_digits  # here, because the import takes a second

    refuse_unused(spec, "path", "keys", "layout", "size")
    pixels, labels = load_digits(return_X_y=True)
    return Dataset(name="digits", x=pixels.reshape(-1, 1, 8, 8).astype(np.uint8), y=labels)
