"""Limits on what a network may cost: said in text, held against costs and against what a space reaches."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import isfinite, sqrt

from search_spaces.data import Data
from search_spaces.errors import BadInput, Infeasible, Unbuildable
from search_spaces.moves import sample
from search_spaces.network import Network

from .cost import Cost, cost
from .ranges import METRICS, Range, bounds

__all__ = [
    "METRICS", "Limit", "Range", "Share", "Violation", "bounds", "feasible_share", "in_units", "parse_limit",
    "prove_feasible", "refuse_contradictions", "violations",
]  # fmt: skip

UNITS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
NORMAL_95 = 1.959964  # standard deviations that hold 95 % of a normal distribution
TEXT = re.compile(r"\s*([a-z][a-z0-9_]*)\s*(<=|>=)\s*([0-9]+(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?)\s*([kMG]?)\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit(Data):
    """The most or the least, or both, that a metric may be; the metric's name carries its unit."""

    metric: str
    at_most: float | None = None
    at_least: float | None = None

    def __post_init__(self) -> None:
        given = [bound for bound in (self.at_least, self.at_most) if bound is not None]
        if not given or not all(map(isfinite, given)) or given != sorted(given):
            raise BadInput(
                f"limit on {self.metric}: got at_least={self.at_least}, at_most={self.at_most}, expected one "
                "of them or both, finite and the least not above the most"
            )

    def __str__(self) -> str:
        least = [f"{self.metric} >= {in_units(self.at_least)}"] if self.at_least is not None else []
        most = [f"{self.metric} <= {in_units(self.at_most)}"] if self.at_most is not None else []
        return " and ".join(least + most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A limit that is broken: the value, the bound it breaks, and by which part of that bound."""

    metric: str
    value: float
    bound: float
    excess: float  # |value - bound| / |bound|; the plain difference where the bound is 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The share of `n` random members that keep the limits, and its 95 % interval (Wilson 1927)."""

    share: float
    low: float
    high: float
    n: int


def parse_limit(text: str) -> Limit:
    """Return the limit that text such as `macs <= 5M` says; units are k, M and G.

    >>> parse_limit("macs<=5M")
    Limit(metric='macs', at_most=5000000.0, at_least=None)
    """
    found = TEXT.fullmatch(text)
    if found is None:
        raise BadInput(f"limit: got {text!r}, expected a metric, <= or >=, and a number, such as macs <= 5M")
    metric, sign, number, unit = found.groups()
    bound = float(number) * UNITS[unit]
    return Limit(metric=metric, at_most=bound) if sign == "<=" else Limit(metric=metric, at_least=bound)


def violations(metrics: Cost | Mapping[str, float], limits: Sequence[Limit]) -> tuple[Violation, ...]:
    """Return every limit that is broken; one on a metric that is not known yet is passed over."""
    known = {name: getattr(metrics, name) for name in METRICS} if isinstance(metrics, Cost) else metrics
    broken = []
    for limit in limits:
        value = known.get(limit.metric)
        if value is None:
            continue
        if limit.at_most is not None and not value <= limit.at_most:
            broken.append(_violation(limit.metric, value, limit.at_most))
        if limit.at_least is not None and not value >= limit.at_least:
            broken.append(_violation(limit.metric, value, limit.at_least))
    return tuple(broken)


def prove_feasible(space: Network, limits: Sequence[Limit]) -> None:
    """Raise `Infeasible`, naming the limit, where no member of the space can keep one of the limits.

    Each limit is held against the range of its metric alone: passing proves nothing of several together, of
    metrics that are measured, or where a range is known from samples only.
    """
    for limit in limits:
        if limit.metric not in METRICS:
            continue
        reach = bounds(space, limit.metric)
        if reach.known == "sampled":
            continue
        if limit.at_most is not None and reach.low > limit.at_most:
            raise _infeasible(limit, reach, f"raise the limit to {reach.low:,} or more", "smaller")
        if limit.at_least is not None and reach.high < limit.at_least:
            raise _infeasible(limit, reach, f"lower the limit to {reach.high:,} or less", "larger")


def refuse_contradictions(limits: Sequence[Limit]) -> None:
    """Raise `Infeasible` where the most that one limit allows of a metric is less than another asks for."""
    for least, most in product(limits, limits):
        if least.metric != most.metric or least.at_least is None or most.at_most is None:
            continue
        if least.at_least > most.at_most:
            raise Infeasible(f"limits {most} and {least}: no network can keep both; change one")


def feasible_share(space: Network, limits: Sequence[Limit], *, rng: random.Random, n: int = 1000) -> Share:
    """Return which share of a space keeps the limits, from `n` members drawn with equal chances.

    A member that cannot be built keeps none; limits on metrics that only measuring gives are passed over.
    """
    kept = sum(_keeps(sample(space, rng, by="member"), limits) for _ in range(n))
    return _wilson(kept, n)


def in_units(value: float) -> str:
    """Return a number with the largest of the units k, M and G that it fills.

    >>> in_units(5e6), in_units(231211008), in_units(0.25)
    ('5M', '231.2M', '0.25')
    """
    unit = max((u for u in UNITS if abs(value) >= UNITS[u]), key=UNITS.__getitem__, default="")
    return f"{value / UNITS[unit]:.4g}{unit}"


def _keeps(member: Network, limits: Sequence[Limit]) -> bool:
    try:
        return not violations(cost(member), limits)
    except Unbuildable:
        return False


def _wilson(kept: int, n: int) -> Share:
    share, z = kept / n, NORMAL_95**2 / n
    middle, half = share + z / 2, sqrt(z * share * (1 - share) + z * z / 4)
    low, high = (middle - half) / (1 + z), (middle + half) / (1 + z)
    return Share(share=share, low=max(0.0, low), high=min(1.0, high), n=n)


def _violation(metric: str, value: float, bound: float) -> Violation:
    return Violation(metric=metric, value=value, bound=bound, excess=abs(value - bound) / (abs(bound) or 1.0))


def _infeasible(limit: Limit, reach: Range, change: str, wanted: str) -> Infeasible:
    return Infeasible(
        f"limit {limit}: no architecture of this space can keep it; {limit.metric} can be {reach.low:,} to "
        f"{reach.high:,}; {change}, or give the space {wanted} widths, depths, kernels or resolutions"
    )
