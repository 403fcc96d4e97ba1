"""Datasets in memory and batched augmentation.

What is handed on here are descriptions, which load neither torch nor numpy. `nas.data.load` reads arrays,
`nas.data.device` moves them to where a model trains.
"""

from .augment import Augmentation, Blur, Crop, Cutout, Flip, Intensity, Mixup, Noise, Rotate, Scale
from .spec import ArrayKeys, DataSpec

__all__ = [
    "ArrayKeys",
    "Augmentation",
    "Blur",
    "Crop",
    "Cutout",
    "DataSpec",
    "Flip",
    "Intensity",
    "Mixup",
    "Noise",
    "Rotate",
    "Scale",
]
