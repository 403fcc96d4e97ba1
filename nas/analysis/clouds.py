"""What a picture of fronts shows, before any drawing: who is on a front, its staircase, whom to name.

Standard library only. Pairs are (x, y) in the metrics' own units.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from re import fullmatch
from typing import TypeAlias

from nas.analysis.front import Objective, finite
from nas.analysis.hypervolume import Box, normalised_hypervolume
from nas.analysis.series import Limit, Series, front_within, keeps

XY: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """A series seen in two metrics; points without a drawable value of both are left out.

    `front` runs along x, and `keys` has its keys or empty texts; `beaten` keep the limits, `broken` do not.
    """

    series: Series
    front: tuple[XY, ...]
    keys: tuple[str, ...]
    beaten: tuple[XY, ...]
    broken: tuple[XY, ...]
    hypervolume: float

    @property
    def points(self) -> tuple[XY, ...]:
        """All that is drawn."""
        return self.front + self.beaten + self.broken


def cloud(series: Series, *, x: Objective, y: Objective, limits: Sequence[Limit], box: Box) -> Cloud:
    """Sort a series' points into its front, those beaten, and those that break a limit."""
    places = {i: xy for i in range(len(series.points)) if (xy := _place(series, i, x, y)) is not None}
    kept = {i for i in places if keeps(series.points[i], limits)}
    front = front_within(series.points, (x, y), limits=limits)
    best = sorted(places.keys() & set(front), key=lambda i: (places[i], i))
    return Cloud(
        series=series,
        front=tuple(places[i] for i in best),
        keys=tuple(series.keys[i] if series.keys else "" for i in best),
        beaten=tuple(places[i] for i in sorted(kept.difference(best))),
        broken=tuple(places[i] for i in sorted(places.keys() - kept)),
        hypervolume=normalised_hypervolume([series.points[i] for i in sorted(kept)], (x, y), box=box),
    )


def staircase(front: Sequence[XY], *, x: Objective) -> tuple[XY, ...]:
    """The corners of the edge of what a front attains, given along x.

    Where less of x is better, what is attained at some x is what the last point before it attains; where more
    is better, the next point after it. So the corner between two points is the worse one in both metrics.

    >>> staircase([(1.0, 5.0), (3.0, 8.0)], x=Objective.parse("macs:min"))
    ((1.0, 5.0), (3.0, 5.0), (3.0, 8.0))
    """
    corners = list(front[:1])
    for before, after in pairwise(front):
        corner = (after[0], before[1]) if x.direction == "min" else (before[0], after[1])
        corners += [corner, after]
    return tuple(corners)


def named(cloud: Cloud, *, x: Objective, at_most: int) -> tuple[tuple[str, XY], ...]:
    """The tags and places of a few points of the front, evenly along it: the best in y, in x, then others."""
    tags: dict[XY, str] = {}
    for key, place in zip(cloud.keys, cloud.front, strict=True):
        if key:
            tags.setdefault(place, tag(key))
    best_first = [(text, place) for place, text in tags.items()]
    if x.direction == "min":  # then y gets better along x
        best_first.reverse()
    count = min(at_most, len(best_first))
    if count < 2:
        return tuple(best_first[:count])
    picked = [best_first[round(i * (len(best_first) - 1) / (count - 1))] for i in range(count)]
    return (picked[0], picked[-1], *picked[1:-1])


def tag(key: str) -> str:
    """The first six digits of a hexadecimal key, or a model's name with the middle left out if it is long.

    >>> tag("9f86d081884c7d65"), tag("efficientnet_b0")
    ('9f86d0', 'efficientnet_b0')
    """
    if fullmatch("[0-9a-f]{8,}", key):
        return key[:6]
    return key if len(key) <= 20 else f"{key[:9]}…{key[-10:]}"


def drawable(value: float | None) -> float | None:
    """The value, or None where there is none or it is too large for an axis, past 1e100."""
    return value if value is not None and abs(value) <= 1e100 else None


def _place(series: Series, index: int, x: Objective, y: Objective) -> XY | None:
    point = series.points[index]
    across, up = drawable(finite(point, x.metric)), drawable(finite(point, y.metric))
    return None if across is None or up is None else (across, up)
