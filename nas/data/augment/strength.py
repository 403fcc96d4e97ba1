"""How strong an augmentation is, as one number that can be raised or lowered."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from search_spaces.errors import BadInput

from .base import Augmentation

AugmentationT = TypeVar("AugmentationT", bound=Augmentation)


def stronger(augmentation: AugmentationT, factor: float) -> AugmentationT:
    """Return an augmentation whose strengths, those given as a number, are `factor` times as high.

    Whole numbers are rounded to the nearest, at least 1; ranges stay, for they say exactly what is drawn; what has no
    strength, or would leave its bounds, stays too. Probabilities are no strengths.

    >>> from nas.data.augment import Crop, Flip, Rotate
    >>> stronger(Crop(padding=4), 1.5).padding, stronger(Rotate(degrees=(-5.0, 5.0)), 2.0).degrees
    (6, (-5.0, 5.0))
    """
    for name in type(augmentation).strengths:
        value = getattr(augmentation, name)
        if isinstance(value, int):
            value = max(1, round(value * factor))
        elif isinstance(value, float):
            value = round(value * factor, 6)
        try:
            augmentation = replace(augmentation, **{name: value})  # type: ignore[type-var]
        except BadInput:  # beyond what the field can be
            continue
    return augmentation
