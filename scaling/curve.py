"""The curve of a rule: every network that one base comes to as phi rises, in order, and what each costs.

Between two neighbours something is rounded differently. They are found by halving: where two phi give the same
sizes, so does all between them, for rounding never falls where factors never do. Phi is taken a quarter at a time
(a row at a time where a rule has rows), so that rules that rise and fall slowly are followed too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

from search_spaces.errors import BadInput, Unbuildable
from search_spaces.network import Network

from .anatomy import Anatomy, Sizes, anatomy
from .compound import LEAST, MOST, Scaled, Scaling, asked_factors, scaled_to
from .grow import asked_sizes
from .providers import Provider

CELLS = 4  # a step of phi
FINEST = 2.0**-24  # of phi: changes that are nearer to each other are one
FARTHEST = 1024 * CELLS  # cells on either side of phi 0, for rules that hardly grow


@dataclass(frozen=True, slots=True)
class Point:
    """A network of the curve, as its sizes, and the phi it begins at."""

    phi: float
    sizes: Sizes


@dataclass(slots=True, eq=False)
class Curve:
    """What a base grows to; points and costs are worked out when asked for, and once."""

    base: Network
    scaling: Scaling
    providers: Sequence[Provider]
    parts: Anatomy = field(init=False)
    first: int = field(init=False)  # the lowest cell: of the first row, or where a factor would get too small
    last: int = field(init=False)  # the highest
    corners: dict[int, Point] = field(default_factory=dict)
    cells: dict[int, tuple[Point, ...]] = field(default_factory=dict)
    networks: dict[Sizes, Network] = field(default_factory=dict)
    known: dict[tuple[Sizes, int], Mapping[str, float] | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.parts = anatomy(self.base)
        rows = self.scaling.rule.points()
        if rows is None:
            asked_factors(self.parts, 1 / CELLS, self.scaling)  # says what is wrong with the rule
            self.first, self.last = _furthest(self._reaches, -1), _furthest(self._reaches, 1)
        else:
            self.first, self.last = -rows.index(0.0), len(rows) - 1 - rows.index(0.0)

    def sizes(self, phi: float) -> Sizes:
        """Return the sizes that a phi comes to."""
        return asked_sizes(self.parts, asked_factors(self.parts, phi, self.scaling), self.scaling.rounding)

    def scaled(self, point: Point) -> Scaled:
        """Return a point's network and factors."""
        return scaled_to(self.parts, point.sizes, self.scaling, point.phi)

    def values(self, point: Point, provider: Provider) -> Mapping[str, float] | None:
        """Return what a provider tells of a point's network; None where it cannot be built."""
        place = (point.sizes, self.providers.index(provider))
        if place not in self.known or not provider.quick:  # who measures remembers, and may learn better
            try:
                self.known[place] = provider.of(self.network(point))
            except Unbuildable:
                self.known[place] = None
        return self.known[place]

    def network(self, point: Point) -> Network:
        """Return a point's network."""
        if point.sizes not in self.networks:
            self.networks[point.sizes] = self.scaled(point).network
        return self.networks[point.sizes]

    def corner(self, number: int) -> Point:
        """Return the point at which a cell begins; that of cell 0 is the base."""
        if number not in self.corners:
            self.corners[number] = Point(self._left(number), self.sizes(self._left(number)))
        return self.corners[number]

    def cell(self, number: int) -> tuple[Point, ...]:
        """Return the points of one quarter of phi, or the one of a row."""
        if number not in self.cells:
            left = self.corner(number)
            self.cells[number] = (left,) if self.scaling.rule.points() else tuple(self._within(left, number))
        return self.cells[number]

    def between(self, first: int, last: int) -> list[Point]:
        """Return the points of some cells, and the first of the cell behind them where there is one."""
        points: list[Point] = []
        for number in range(first, last + 1):
            points += (p for p in self.cell(number) if not points or p.sizes != points[-1].sizes)
        if last < self.last and (behind := self.corner(last + 1)).sizes != points[-1].sizes:
            points.append(behind)
        return points

    def plain_phi(self, point: Point, behind: Point | None) -> float:
        """Return the phi of the fewest digits that comes to a point, which ends where the one behind it begins."""
        if self.scaling.rule.points() is not None or behind is None:
            return point.phi
        for digits in range(9):
            phi = ceil(point.phi * 10.0**digits) / 10.0**digits
            if phi < behind.phi and self.sizes(phi) == point.sizes:
                return phi
        return point.phi

    def _within(self, left: Point, number: int) -> Iterator[Point]:
        right = self.corner(number + 1)
        yield left
        yield from (p for p in self._halved(left, right) if p.phi < right.phi)

    def _halved(self, left: Point, right: Point) -> Iterator[Point]:
        """Yield the points that begin behind the left one, up to the right one."""
        if left.sizes == right.sizes:
            return
        if right.phi - left.phi <= FINEST:
            yield right
            return
        phi = (left.phi + right.phi) / 2
        middle = Point(phi, self.sizes(phi))
        yield from self._halved(left, middle)
        yield from self._halved(middle, right)

    def _left(self, number: int) -> float:
        rows = self.scaling.rule.points()
        return number / CELLS if rows is None else rows[number - self.first]

    def _reaches(self, number: int) -> bool:
        try:
            asked = asked_factors(self.parts, self._left(number), self.scaling)
        except BadInput:
            return number == 0
        return all(LEAST <= factor <= MOST for factor in (asked.depth, asked.width, asked.resolution))


def pattern(curve: Curve, sizes: Sizes) -> tuple[int, ...]:
    """Return which numbers of channels are equal: while that stays, layers only get larger along a curve.

    Where two become equal or unequal, a convolution between them may come or go, and costs may fall.
    """
    width = dict(zip(curve.parts.widths, sizes.widths, strict=True))
    numbers = [curve.base.input[0], *width.values()]
    first: dict[object, int] = {}
    return tuple(first.setdefault(number, i) for i, number in enumerate(numbers))


def _furthest(reaches: Callable[[int], bool], way: int) -> int:
    """Return the furthest cell that is reached one way, up or down."""
    inside, outside = 0, 1
    while outside <= FARTHEST and reaches(way * outside):
        inside, outside = outside, 2 * outside
    while outside - inside > 1:
        middle = (inside + outside) // 2
        inside, outside = (middle, outside) if reaches(way * middle) else (inside, middle)
    return way * inside
