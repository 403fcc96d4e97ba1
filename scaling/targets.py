"""The largest network of a curve that keeps a target's budgets, exactly: no larger phi keeps them.

Along a stretch of the curve on which the same numbers of channels are equal, layers only get larger, and so do
params, MACs, activations and peak memory: a budget is kept up to some point of it and not beyond. So each stretch
is halved, the highest first. Between stretches costs may fall, by a convolution that only adapts widths; none falls
to a quarter, and there the search stops looking up. What is measured has no such law: it is asked for last, at few
points; what is found and its neighbours are then measured again with more care, until one keeps the budgets and the
next point of the curve does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import inf

from search_spaces.errors import BadInput, Infeasible

from .constraints import Limit, Violation, in_units, refuse_contradictions, violations
from .curve import Curve, Point, pattern
from .providers import LATENCY, Confirming, check_known, who_knows

Target = tuple[Limit, ...]  # to be kept together
FAR = 4.0  # times a budget: no larger network keeps it


@dataclass(frozen=True, slots=True)
class Found:
    """The point that answers a target, and the one behind it, which breaks the target; None where the curve ends."""

    point: Point
    behind: Point | None
    breaks: tuple[Violation, ...]  # by the one behind, the worst first


def largest(curve: Curve, target: Target) -> Found:
    """Return the largest network of a curve within a target's budgets; `Infeasible` says what stands against it."""
    _check(target, curve)
    search = _Search(curve, target)
    low = search.low()
    points = search.points(low, search.high(low))
    kept = _last_kept(search, points)
    if kept is None:
        raise Infeasible(_too_small(search, points))
    _refuse_too_little(search, points[kept])
    if kept + 1 < len(points):
        behind = points[kept + 1]
        breaks = sorted(search.broken(behind), key=lambda violation: -violation.excess)
        return Found(points[kept], behind, tuple(breaks))
    if curve.scaling.rule.points() is None and points[kept].sizes != curve.parts.sizes:
        raise Infeasible(_too_large(search, points[kept]))
    return Found(points[kept], None, ())


@dataclass(slots=True, eq=False)
class _Search:
    curve: Curve
    target: Target

    def broken(self, point: Point, limits: Sequence[Limit] | None = None) -> list[Violation]:
        """Return the budgets a point breaks: those of the first provider that has one broken."""
        for part in self._by_provider(budgets(self.target) if limits is None else limits):
            if broken := violations(self.values(point, part), part):
                return list(broken)
        return []

    def values(self, point: Point, limits: Sequence[Limit]) -> dict[str, float]:
        """Return what limits ask about, infinite where the point cannot be built."""
        found: dict[str, float] = {}
        for limit in limits:
            provider = who_knows(limit.metric, self.curve.providers)
            assert provider is not None
            known = self.curve.values(point, provider)
            found[limit.metric] = inf if known is None else known[limit.metric]
        return found

    def builds(self, point: Point) -> bool:
        """Tell whether a point's network can be built."""
        return self.values(point, self.target[:1])[self.target[0].metric] < inf

    def quick(self) -> list[Limit]:
        """Return the budgets that may be asked about at any point."""
        return [limit for limit in budgets(self.target) if self._is_quick(limit)]

    def confirming(self) -> list[Confirming]:
        """Return those who measure what the budgets are on."""
        known = (who_knows(limit.metric, self.curve.providers) for limit in budgets(self.target))
        return [provider for provider in known if isinstance(provider, Confirming)]

    def low(self) -> int:
        """Return a cell whose first point keeps the target, or the one in which networks begin to be built."""
        at = 0
        while self.broken(self.curve.corner(at)) and at > self.curve.first:
            below = max(self.curve.first, 2 * at or -1)
            if not self.builds(self.curve.corner(below)):
                return _edge(below, at, lambda n: not self.builds(self.curve.corner(n)))
            at = below
        return at

    def high(self, low: int) -> int:
        """Return the lowest cell above whose first point no network keeps the target; the last where all may."""
        last = self.curve.last
        above = max(0, low)
        while above < last and not self._far(above):
            above = min(last, 2 * above or 1)
        inside = low if self.builds(self.curve.corner(low)) else min(low + 1, above)
        if self._far(inside):
            return inside
        return _edge(inside, above, lambda n: not self._far(n)) + 1 if self._far(above) else above

    def points(self, low: int, high: int) -> list[Point]:
        """Return the points to look at, the lowest one that can be built first."""
        if high > low and not self.broken(self.curve.corner(low)):
            low = _edge(low, high, lambda n: not self.broken(self.curve.corner(n)))
        points = self.curve.between(low, high)
        start = next((i for i, point in enumerate(points) if self.builds(point)), 0)
        return points[start:]

    def _far(self, cell: int) -> bool:
        point, quick = self.curve.corner(cell), self.quick()
        values = self.values(point, quick)
        if any(values[limit.metric] > FAR * _most(limit) for limit in quick):
            return True
        slow = [limit for limit in budgets(self.target) if limit not in quick]
        return bool(self.broken(point, slow))

    def _by_provider(self, limits: Sequence[Limit]) -> Iterator[list[Limit]]:
        yield [limit for limit in limits if self._is_quick(limit)]
        yield from ([limit] for limit in limits if not self._is_quick(limit))

    def _is_quick(self, limit: Limit) -> bool:
        provider = who_knows(limit.metric, self.curve.providers)
        return provider is not None and provider.quick


def budgets(target: Target) -> list[Limit]:
    """Return the upper bounds of a target."""
    return [Limit(metric=one.metric, at_most=one.at_most) for one in target if one.at_most is not None]


def _check(target: Target, curve: Curve) -> None:
    said = ", ".join(map(str, target))
    check_known(
        (limit.metric for limit in target), where=f"target {said}", providers=curve.providers, also=(LATENCY,)
    )
    if not budgets(target):
        raise BadInput(f"target: got {said or 'no limit'}, expected a budget, such as macs <= 300M")
    refuse_contradictions(target)


def _last_kept(search: _Search, points: Sequence[Point]) -> int | None:
    """Return the number of the last point within all budgets, None where there is none."""
    quick = search.quick()
    last = _last_of_stretches(search.curve, points, lambda i: not search.broken(points[i], quick))
    if last is None:
        return None
    if search.broken(points[last]):
        if search.broken(points[0]):
            return None
        last = _edge(0, last, lambda i: not search.broken(points[i]))
    return _confirmed(search, points, last)


def _confirmed(search: _Search, points: Sequence[Point], last: int) -> int | None:
    """Walk on from a number, by measurements for good, to one that keeps the budgets while the next does not.

    Each point is confirmed once, so that the walk ends: below what breaks them, or at what keeps them.
    """
    confirming = search.confirming()
    if not confirming:
        return last
    at, kept = last, None
    while 0 <= at < len(points):
        for provider in confirming:
            provider.confirm([search.curve.network(point) for point in points[at : at + 2]])
        if search.broken(points[at]):
            if kept is not None:
                return kept
            at -= 1
        elif at + 1 == len(points) or search.broken(points[at + 1]):
            return at
        else:
            kept, at = at + 1, at + 2
    return kept


def _last_of_stretches(curve: Curve, points: Sequence[Point], keeps: Callable[[int], bool]) -> int | None:
    """Return the last number that is kept, where in each stretch the kept ones come first."""
    runs = groupby(range(len(points)), key=lambda i: pattern(curve, points[i].sizes))
    for run in reversed([list(run) for _, run in runs]):
        if keeps(run[-1]):
            return run[-1]
        if keeps(run[0]):
            return _edge(run[0], run[-1], keeps)
    return None


def _edge(inside: int, outside: int, holds: Callable[[int], bool]) -> int:
    """Return a number at which something holds and at the next no more, between one of each."""
    while outside - inside > 1:
        middle = (inside + outside) // 2
        inside, outside = (middle, outside) if holds(middle) else (inside, middle)
    return inside


def _most(limit: Limit) -> float:
    return inf if limit.at_most is None else limit.at_most


def _refuse_too_little(search: _Search, point: Point) -> None:
    """Raise `Infeasible` where the largest network within the budgets has less than the target asks for."""
    for short in violations(search.values(point, search.target), search.target):
        raise Infeasible(
            f"target {_said(search)}: the largest network within the budgets has {short.metric} "
            f"{in_units(short.value)}, less than {in_units(short.bound)}; no member of this family keeps both, raise "
            "the budget or lower the least"
        )


def _too_small(search: _Search, points: Sequence[Point]) -> str:
    least = points[0]
    broken = search.broken(least)[0]
    return (
        f"target {_said(search)}: the smallest network of this family (phi {least.phi:.3g}) has {broken.metric} "
        f"{in_units(broken.value)}, above {in_units(broken.bound)}; {_what_binds(search.curve, least)}; raise the "
        "budget, or take a smaller base, a smaller divisor or a rule that shrinks more"
    )


def _what_binds(curve: Curve, least: Point) -> str:
    """Say of each dimension why the smallest network is no smaller."""
    scaling, own = curve.scaling, curve.parts.sizes
    factors = curve.scaled(least).asked
    held = [name for name in ("depth", "width", "resolution") if getattr(factors, name) >= 1.0]
    said = [f"{name} is not made smaller by the rule" for name in held]
    if "width" not in held:
        said.append(f"widths are {min(least.sizes.widths)} and more, rounded to {scaling.rounding.divisor}")
    if "depth" not in held:
        deepest = max(least.sizes.depths, default=0)
        said.append(f"stages have {deepest} repeated layer{'s' * (deepest != 1)} at most")
    if "resolution" not in held:
        size = "x".join(map(str, least.sizes.spatial))
        ends = least.sizes.spatial != own.spatial and least.phi > curve.corner(curve.first).phi
        said.append(f"the input is {size}" + (", and a smaller one no longer fits the layers" * ends))
    return ", ".join(said)


def _too_large(search: _Search, point: Point) -> str:
    return (
        f"target {_said(search)}: even at phi {point.phi:.3g}, as far as this rule goes here, no budget is reached "
        f"({', '.join(f'{n} {in_units(v)}' for n, v in search.values(point, search.target).items())}); lower the "
        "budget, or use a rule that grows what it counts"
    )


def _said(search: _Search) -> str:
    return ", ".join(map(str, search.target))
