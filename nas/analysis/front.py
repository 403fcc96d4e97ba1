"""Which points are not beaten: dominance, Pareto fronts, ranks and crowding. Standard library only.

A point is a mapping from metric names to numbers; what else it holds is not looked at. A point is *usable*
when each objective's metric is there and a finite number. One that is not is on no front, in no rank, and
neither dominates nor is dominated.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from numbers import Real
from typing import Literal, Self, TypeAlias

from search_spaces.errors import BadInput

from ..dominance import Costs, covers, ranks_of, room_of

Point: TypeAlias = Mapping[str, object]


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
    """Positions by rank: the front, the front of what is left without it, and so on; see `ranks_of`.

    Raises BadInput without objectives.
    """
    places = _places(points, objectives)
    return tuple(_spread(rank, places) for rank in ranks_of(places))


def crowding_distance(points: Sequence[Point], objectives: Sequence[Objective]) -> tuple[float, ...]:
    """How much room each point of one rank has, see `room_of`; an unusable point has 0."""
    vectors = {i: costs(point, objectives) for i, point in enumerate(points)}
    room = room_of({i: vector for i, vector in vectors.items() if vector is not None})
    return tuple(room.get(i, 0.0) for i in vectors)


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
