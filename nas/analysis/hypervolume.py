"""How much a front attains: the volume between it and a reference point, exactly. Standard library only.

References and ideals are in the metrics' own units, one number per objective in the objectives' order.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import inf, isfinite, log, prod
from sys import float_info

from nas.analysis.front import Objective, Point, costs, finite
from nas.dominance import Costs, covers
from search_spaces.errors import BadInput

MARGIN = 0.1  # of the range, from the worst value to the reference
ROUNDING = 1e-12  # of the value; a range below it counts as zero


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """The yardstick that several sets share: the best and a worse-than-worst value of each metric."""

    ideal: tuple[float, ...]
    reference: tuple[float, ...]


def hypervolume(
    points: Sequence[Point], objectives: Sequence[Objective], *, reference: Sequence[float]
) -> float:
    """The volume that the points dominate, up to `reference`, in the product of the metrics' units.

    Exact for any number of objectives: a sweep for two, slices along the last objective for more (While et
    al. 2006), O(n^(m-1) log n). Points that are not better than the reference in every metric add nothing.
    The product of values near 1e308 may be infinite. Raises BadInput for a reference of the wrong length.
    """
    corner = _corner(reference, objectives)
    vectors = {vector for point in points if (vector := costs(point, objectives)) is not None}
    return _volume([vector for vector in vectors if _inside(vector, corner)], corner)


def normalised_hypervolume(
    points: Sequence[Point], objectives: Sequence[Objective], *, box: Box, logarithmic: Collection[str] = ()
) -> float:
    """The share, 0 to 1, of the box between ideal and reference that the points dominate.

    Metrics named in `logarithmic` are measured by their logarithm, so that each doubling of, say, MACs weighs
    the same; their box must be above zero. Values beyond the ideal count as ideal. Raises BadInput.
    """
    _check_box(box, objectives, logarithmic)
    vectors = {shares for point in points if (shares := _shares(point, objectives, box, logarithmic))}
    ones = (1.0,) * len(objectives)
    return min(1.0, _volume([vector for vector in vectors if _inside(vector, ones)], ones))


def common_box(sets: Sequence[Sequence[Point]], objectives: Sequence[Objective]) -> Box:
    """One box for several sets: the best of each metric over all usable points, and `common_reference`."""
    best, _ = _extremes(sets, objectives)
    return Box(ideal=_own_units(best, objectives), reference=common_reference(sets, objectives))


def common_reference(sets: Sequence[Sequence[Point]], objectives: Sequence[Objective]) -> tuple[float, ...]:
    """One reference for several sets: the worst of each metric over the union of all usable points, moved
    outward by 10 % of the range between best and worst.

    Where the range is zero, by 10 % of the value, or by 1 if that is zero too, so that a lone point counts.
    Raises BadInput when no point has all the metrics.

    >>> runs = [[{"macs": 10}, {"macs": 20}], [{"macs": 30}]]
    >>> common_reference(runs, [Objective.parse("macs:min")])
    (32.0,)
    """
    best, worst = _extremes(sets, objectives)
    return _own_units([_outward(low, high) for low, high in zip(best, worst, strict=True)], objectives)


def _extremes(sets: Sequence[Sequence[Point]], objectives: Sequence[Objective]) -> tuple[Costs, Costs]:
    everything = (costs(point, objectives) for points in sets for point in points)
    vectors = [vector for vector in everything if vector is not None]
    if not vectors:
        names = ", ".join(objective.metric for objective in objectives)
        raise BadInput(f"points: got none with finite {names}, expected at least one; give a finished trial")
    columns = list(zip(*vectors, strict=True))
    return tuple(map(min, columns)), tuple(map(max, columns))


def _outward(best: float, worst: float) -> float:
    margin = worst * MARGIN - best * MARGIN
    if margin <= abs(worst) * ROUNDING:
        margin = abs(worst) * MARGIN or 1.0
    return min(worst + margin, float_info.max)


def _check_box(box: Box, objectives: Sequence[Objective], logarithmic: Collection[str]) -> None:
    ideals, references = _corner(box.ideal, objectives), _corner(box.reference, objectives)
    for ideal, reference, objective in zip(ideals, references, objectives, strict=True):
        if ideal >= reference:
            raise BadInput(f"box: the ideal {objective} is no better than its reference; take common_box")
    for name, low in zip((o.metric for o in objectives), map(min, box.ideal, box.reference), strict=True):
        if name in logarithmic and low <= 0:
            raise BadInput(f"box: {name} reaches {low:g}, expected above zero; leave it out of logarithmic")


def _shares(
    point: Point, objectives: Sequence[Objective], box: Box, logarithmic: Collection[str]
) -> Costs | None:
    shares = []
    for objective, ideal, reference in zip(objectives, box.ideal, box.reference, strict=True):
        value = finite(point, objective.metric)
        if value is None:
            return None
        shares.append(_share(value, ideal, reference, is_log=objective.metric in logarithmic))
    return tuple(shares)


def _share(value: float, ideal: float, reference: float, *, is_log: bool) -> float:
    """How far from the ideal, 0, to the reference, 1; both directions alike."""
    place = _log if is_log else _half
    return max(0.0, (place(value) - place(ideal)) / (place(reference) - place(ideal)))


def _half(value: float) -> float:
    return value / 2  # so that no range overflows


def _log(value: float) -> float:
    return log(value) if value > 0 else -inf


def _corner(values: Sequence[float], objectives: Sequence[Objective]) -> Costs:
    """The costs of a point that is given as plain numbers."""
    if not objectives or len(values) != len(objectives):
        raise BadInput(
            f"reference: got {len(values)} numbers, expected {len(objectives)}, one for each of "
            f"{', '.join(map(str, objectives)) or 'no objectives'}"
        )
    if not all(map(isfinite, values)):
        raise BadInput(f"reference: got {tuple(values)}, expected finite numbers; take common_reference")
    return _own_units(values, objectives)  # the same change of sign, there and back


def _own_units(vector: Sequence[float], objectives: Sequence[Objective]) -> tuple[float, ...]:
    return tuple(
        cost if objective.direction == "min" else -cost
        for cost, objective in zip(vector, objectives, strict=True)
    )


def _inside(vector: Costs, corner: Costs) -> bool:
    return all(cost < bound for cost, bound in zip(vector, corner, strict=True))


def _volume(vectors: Sequence[Costs], corner: Costs) -> float:
    """The volume below `corner` of vectors that are all strictly below it."""
    if not vectors:
        return 0.0
    if len(vectors) == 1:
        return prod(bound - cost for cost, bound in zip(vectors[0], corner, strict=True))
    if len(corner) == 1:
        return corner[0] - min(vectors)[0]
    return _area(sorted(vectors), corner) if len(corner) == 2 else _slices(vectors, corner)


def _area(ordered: Sequence[Costs], corner: Costs) -> float:
    """Each step down of the staircase adds a rectangle as wide as what is left of the first objective."""
    area, lowest = 0.0, corner[1]
    for first, second in ordered:
        if second < lowest:
            area += (corner[0] - first) * (lowest - second)
            lowest = second
    return area


def _slices(vectors: Sequence[Costs], corner: Costs) -> float:
    """Between two values of the last objective, the volume of those that have begun, one dimension lower."""
    ordered = sorted(vectors, key=lambda vector: vector[-1])
    ends = [vector[-1] for vector in ordered[1:]] + [corner[-1]]
    volume = 0.0
    begun: list[Costs] = []
    for vector, end in zip(ordered, ends, strict=True):
        begun = _with(begun, vector[:-1])
        if end > vector[-1]:
            volume += (end - vector[-1]) * _volume(begun, corner[:-1])
    return volume


def _with(front: Sequence[Costs], vector: Costs) -> list[Costs]:
    """A front after one more vector: unchanged if it is covered, else without what it covers."""
    if any(covers(other, vector) for other in front):
        return list(front)
    return [other for other in front if not covers(vector, other)] + [vector]
