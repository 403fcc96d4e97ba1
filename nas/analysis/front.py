"""Which points are not beaten: dominance, Pareto fronts, ranks and crowding. Standard library only.

A point is a mapping from metric names to numbers; what else it holds is not looked at. A point is *usable*
when each objective's metric is there and a finite number. One that is not is on no front, in no rank, and
neither dominates nor is dominated.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from numbers import Real
from operator import le
from typing import Literal, Self, TypeAlias

from search_spaces.errors import BadInput

Point: TypeAlias = Mapping[str, object]
Costs: TypeAlias = tuple[float, ...]  # one per objective, less is better


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """A metric and the direction in which it gets better."""

    metric: str
    direction: Literal["min", "max"]

    def __post_init__(self) -> None:
        """Refuse an empty name and any other direction."""
        if not self.metric or self.direction not in ("min", "max"):
            raise BadInput(
                f"objective: got metric {self.metric!r} and direction {self.direction!r}, expected a name "
                "and min or max; write it as validation_accuracy:max or macs:min"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `metric:direction`; raises BadInput.

        >>> Objective.parse("macs:min")
        Objective(metric='macs', direction='min')
        """
        metric, _, direction = (part.strip() for part in text.rpartition(":"))
        if metric and direction == "min":
            return cls(metric=metric, direction="min")
        if metric and direction == "max":
            return cls(metric=metric, direction="max")
        raise BadInput(
            f"objective: got {text!r}, expected metric:min or metric:max; write validation_accuracy:max, say"
        )

    def __str__(self) -> str:
        """The text that `parse` reads."""
        return f"{self.metric}:{self.direction}"


def front(points: Sequence[Point], objectives: Sequence[Objective]) -> tuple[int, ...]:
    """The positions, ascending, of the points that no other dominates; equal ones stay together.

    O(n log n) for two objectives, O(n * front) for another number. Raises BadInput without objectives.
    """
    places = _places(points, objectives)
    best = _lower_staircase if len(objectives) == 2 else _undominated
    return _spread(best(sorted(places)), places)


def dominates(a: Point, b: Point, objectives: Sequence[Objective]) -> bool:
    """Whether `a` is nowhere worse than `b` and somewhere better; False when either is not usable.

    >>> both = Objective.parse("accuracy:max"), Objective.parse("macs:min")
    >>> dominates({"accuracy": 0.9, "macs": 10}, {"accuracy": 0.9, "macs": 12}, both)
    True
    """
    better, worse = costs(a, objectives), costs(b, objectives)
    return better is not None and worse is not None and better != worse and covers(better, worse)


def nondominated_sort(
    points: Sequence[Point], objectives: Sequence[Objective]
) -> tuple[tuple[int, ...], ...]:
    """Positions by rank: the front, the front of what is left without it, and so on.

    Each vector, in lexicographic order, joins the first rank where none dominates it, found by bisection
    (Zhang et al. 2015, ENS-BS): O(n log n) for two objectives. Raises BadInput without objectives.
    """
    places = _places(points, objectives)
    ranks: list[list[Costs]] = []
    for vector in sorted(places):
        index = _first_rank(ranks, vector)
        if index == len(ranks):
            ranks.append([])
        ranks[index].append(vector)
    return tuple(_spread(rank, places) for rank in ranks)


def crowding_distance(points: Sequence[Point], objectives: Sequence[Objective]) -> tuple[float, ...]:
    """How much room each point of one rank has: the perimeter of its neighbours' box, in ranges.

    The first and last of each objective have infinity, an unusable point 0; an objective in which all are
    equal adds nothing, and equal values keep their order (Deb et al. 2002, section III-B).
    """
    vectors = {i: costs(point, objectives) for i, point in enumerate(points)}
    usable = {i: vector for i, vector in vectors.items() if vector is not None}
    room = [0.0] * len(points)
    for axis in range(len(objectives)) if usable else ():
        _add_room(room, {i: vector[axis] / 2 for i, vector in usable.items()})  # halves: no range overflows
    return tuple(room)


def costs(point: Point, objectives: Sequence[Objective]) -> Costs | None:
    """The values to be made small, one per objective; None when the point is not usable. Raises BadInput."""
    if not objectives:
        raise BadInput("objectives: got none, expected at least one such as accuracy:max; name one")
    vector = []
    for objective in objectives:
        value = finite(point, objective.metric)
        if value is None:
            return None
        vector.append(value if objective.direction == "min" else -value)
    return tuple(vector)


def covers(a: Costs, b: Costs) -> bool:
    """Whether `a` is nowhere worse than `b`."""
    return all(map(le, a, b))


def finite(point: Point, metric: str) -> float | None:
    """The point's value as a finite number, or None where it is missing, no number, NaN or infinite.

    >>> finite({"macs": 10}, "macs"), finite({"macs": True}, "macs"), finite({}, "macs")
    (10.0, None, None)
    """
    value = point.get(metric)
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer past 1e308
        return None
    return number if isfinite(number) else None


def _places(points: Sequence[Point], objectives: Sequence[Objective]) -> Mapping[Costs, Sequence[int]]:
    """Each distinct vector of costs with the positions that have it."""
    if not objectives:
        costs({}, objectives)
    places: defaultdict[Costs, list[int]] = defaultdict(list)
    for i, point in enumerate(points):
        vector = costs(point, objectives)
        if vector is not None:
            places[vector].append(i)
    return places


def _spread(vectors: Sequence[Costs], places: Mapping[Costs, Sequence[int]]) -> tuple[int, ...]:
    return tuple(sorted(i for vector in vectors for i in places[vector]))


def _lower_staircase(ordered: Sequence[Costs]) -> Sequence[Costs]:
    """Of distinct pairs in lexicographic order, those whose second cost is below all before them."""
    lowest, stairs = inf, []
    for vector in ordered:
        if vector[1] < lowest:
            lowest = vector[1]
            stairs.append(vector)
    return stairs


def _undominated(ordered: Sequence[Costs]) -> Sequence[Costs]:
    """The front of distinct vectors in lexicographic order, where only an earlier one can dominate."""
    best: list[Costs] = []
    for vector in ordered:
        if not any(covers(other, vector) for other in best):
            best.append(vector)
    return best


def _first_rank(ranks: Sequence[Sequence[Costs]], vector: Costs) -> int:
    """The first rank with none that dominates `vector`; if rank k has one, so has every rank before it."""
    return bisect_right(ranks, False, key=lambda rank: not _beaten(vector, rank))


def _beaten(vector: Costs, rank: Sequence[Costs]) -> bool:
    if len(vector) == 2:  # the last to join has the least second cost of its rank
        return rank[-1][1] <= vector[1]
    return any(covers(other, vector) for other in reversed(rank))


def _add_room(room: list[float], values: Mapping[int, float]) -> None:
    order = sorted(values, key=values.__getitem__)
    span = values[order[-1]] - values[order[0]]
    room[order[0]] = room[order[-1]] = inf
    for before, i, after in zip(order, order[1:], order[2:], strict=False):
        if span > 0:
            room[i] += (values[after] - values[before]) / span
