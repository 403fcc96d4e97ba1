"""How asked widths, depths and sizes become whole numbers: rules as data, each a step function that never falls."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, lcm
from typing import Annotated, Literal

from pydantic import Field

from search_spaces.block import Whole
from search_spaces.choice import DEEPEST
from search_spaces.data import Checked

SLACK = 1e-9  # by which a product may pass a whole number and still be it: 1.1 * 10 is 11.000000000000002
LARGEST = 2**31  # what a width may be


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounding(Checked):
    """Widths to the nearest multiple of `divisor`, at least one of it and never below `keep` of what was asked.

    Numbers of layers go up (`ceil`), down or to the nearest, at least one; sizes to the nearest multiple of
    `resolution_multiple`. Defaults are EfficientNet's (Tan & Le 2019, the authors' code). A factor of exactly 1
    changes nothing; one above 1 never makes less of a number, one below 1 never more, whatever it rounds to.
    """

    divisor: Whole = 8
    keep: Annotated[float, Field(ge=0, le=1)] = 0.9
    repeats: Literal["ceil", "round", "floor"] = "ceil"
    resolution_multiple: Whole = 1

    def width(self, base: int, factor: float, multiple: int = 1) -> int:
        """Return a scaled width; it is a whole multiple of `multiple` too, as groups ask for.

        >>> Rounding().width(32, 1.1), Rounding().width(13, 1.0), Rounding().width(6, 0.9)
        (32, 13, 6)
        """
        step, asked = lcm(self.divisor, multiple), base * factor
        nearest = max(step, int(asked + step / 2) // step * step)
        rounded = nearest if nearest >= self.keep * asked else nearest + step
        return _towards(base, min(rounded, LARGEST // step * step), factor)

    def depth(self, base: int, factor: float) -> int:
        """Return a scaled number of layers; none stays none.

        >>> Rounding().depth(4, 1.1), Rounding(repeats="floor").depth(4, 1.1), Rounding().depth(10, 1.1)
        (5, 4, 11)
        """
        asked = base * factor
        whole = {"ceil": ceil(asked - SLACK), "round": floor(asked + 0.5), "floor": floor(asked + SLACK)}
        return _towards(base, min(max(1, whole[self.repeats]), DEEPEST), factor)

    def size(self, base: int, factor: float) -> int:
        """Return a scaled number of positions along an axis.

        >>> Rounding().size(224, 1.15), Rounding(resolution_multiple=32).size(224, 1.15)
        (258, 256)
        """
        step = self.resolution_multiple
        return _towards(base, max(step, floor(base * factor / step + 0.5) * step), factor)


def _towards(base: int, rounded: int, factor: float) -> int:
    """Return what was rounded, or the base where that lies the other way from the factor."""
    if factor == 1.0 or base == 0:
        return base
    return max(base, rounded) if factor > 1.0 else min(base, rounded)
