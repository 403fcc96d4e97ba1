"""Augmentations as data: what a recipe holds; loads no torch until one is applied."""

from .base import Augmentation, Mixed, Targets, augmented
from .geometry import Crop, Flip, Rotate, Scale
from .intensity import Blur, Cutout, Intensity, Noise
from .mixing import Mixup

__all__ = [
    "Augmentation",
    "Blur",
    "Crop",
    "Cutout",
    "Flip",
    "Intensity",
    "Mixed",
    "Mixup",
    "Noise",
    "Rotate",
    "Scale",
    "Targets",
    "augmented",
]
