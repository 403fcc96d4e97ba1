"""Which vectors of costs are not beaten: ranks and crowding, for whatever looks at fronts. Standard library only.

A vector holds one finite number an objective, less is better.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from math import inf
from operator import le
from typing import TypeAlias

Costs: TypeAlias = tuple[float, ...]


def covers(a: Costs, b: Costs) -> bool:
    """Whether `a` is nowhere worse than `b`."""
    return all(map(le, a, b))


def ranks_of(distinct: Iterable[Costs]) -> list[list[Costs]]:
    """The front of distinct vectors, the front of what is left without it, and so on.

    Each vector, in lexicographic order, joins the first rank where none dominates it, found by bisection
    (Zhang et al. 2015, ENS-BS): O(n log n) for two objectives.
    """
    ranks: list[list[Costs]] = []
    for vector in sorted(distinct):
        index = _first_rank(ranks, vector)
        if index == len(ranks):
            ranks.append([])
        ranks[index].append(vector)
    return ranks


def room_of(vectors: Mapping[int, Costs]) -> dict[int, float]:
    """How much room each vector of one rank has: the perimeter of its neighbours' box, in ranges.

    The first and last of each objective have infinity; an objective in which all are equal adds nothing, and equal
    values keep their order (Deb et al. 2002, section III-B).
    """
    room = dict.fromkeys(vectors, 0.0)
    for axis in range(len(next(iter(vectors.values())))) if vectors else ():
        _add_room(room, {i: vector[axis] / 2 for i, vector in vectors.items()})  # halves: no range overflows
    return room


def best_first(vectors: Sequence[Costs]) -> list[int]:
    """The positions of vectors, best first: by rank, in a rank those with most room first, then by position.

    With one objective that is by cost. The order of NSGA-II (Deb et al. 2002).

    >>> best_first([(2, 2), (1, 3), (3, 3), (3, 1)])
    [1, 3, 0, 2]
    """
    if vectors and len(vectors[0]) == 1:
        return sorted(range(len(vectors)), key=vectors.__getitem__)
    rank = {vector: n for n, same in enumerate(ranks_of(set(vectors))) for vector in same}
    members: dict[int, dict[int, Costs]] = {}
    for position, vector in enumerate(vectors):
        members.setdefault(rank[vector], {})[position] = vector
    room = {position: value for same in members.values() for position, value in room_of(same).items()}
    return sorted(room, key=lambda position: (rank[vectors[position]], -room[position], position))


def _first_rank(ranks: Sequence[Sequence[Costs]], vector: Costs) -> int:
    """The first rank with none that dominates `vector`; if rank k has one, so has every rank before it."""
    return bisect_right(ranks, False, key=lambda rank: not _beaten(vector, rank))


def _beaten(vector: Costs, rank: Sequence[Costs]) -> bool:
    if len(vector) == 2:  # the last to join has the least second cost of its rank
        return rank[-1][1] <= vector[1]
    return any(covers(other, vector) for other in reversed(rank))


def _add_room(room: dict[int, float], values: Mapping[int, float]) -> None:
    order = sorted(values, key=values.__getitem__)
    span = values[order[-1]] - values[order[0]]
    room[order[0]] = room[order[-1]] = inf
    for before, i, after in zip(order, order[1:], order[2:], strict=False):
        if span > 0:
            room[i] += (values[after] - values[before]) / span
