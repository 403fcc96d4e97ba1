"""Limits on what a network may cost: said in text, held against what is known of a network and of a space."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import isfinite
from typing import Literal

from search_spaces.data import Data
from search_spaces.errors import BadInput, Infeasible
from search_spaces.network import Network

from .cost import Cost
from .providers import ANALYTIC, Provider, who_knows
from .ranges import METRICS, Range, bounds

__all__ = [
    "METRICS", "Limit", "Range", "Sign", "Violation", "bound_broken", "bounds", "broken", "excess", "in_units",
    "parse_limit", "prove_feasible", "refuse_contradictions", "violations",
]  # fmt: skip

Sign = Literal["≥", "≤"]
UNITS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
_METRIC = r"([A-Za-z][A-Za-z0-9_]*(?:@[A-Za-z0-9][A-Za-z0-9._-]*)?)"  # latency_ms@desk: on the device desk
_NUMBER = r"([0-9]+(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?)\s*([kMG]?)"
ONE = re.compile(rf"\s*{_METRIC}\s*(<=|>=)\s*{_NUMBER}\s*")
BOTH = re.compile(rf"\s*{_NUMBER}\s*<=\s*{_METRIC}\s*<=\s*{_NUMBER}\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit(Data):
    """The most or the least, or both, that a metric may be; the metric's name carries its unit."""

    metric: str
    at_most: float | None = None
    at_least: float | None = None

    def __post_init__(self) -> None:
        given = [bound for _, bound in self.bounds]
        if not given or not all(map(isfinite, given)) or given != sorted(given):
            raise BadInput(
                f"limit on {self.metric}: got at_least={self.at_least}, at_most={self.at_most}, expected one "
                "finite bound or two in ascending order"
            )

    @property
    def bounds(self) -> tuple[tuple[Sign, float], ...]:
        """The bounds that there are, the lower first."""
        both: tuple[tuple[Sign, float | None], ...] = (("≥", self.at_least), ("≤", self.at_most))
        return tuple((sign, bound) for sign, bound in both if bound is not None)

    def __str__(self) -> str:
        """Write it as `parse_limit` reads it, to the last digit."""
        least, most = (None if b is None else _exact(b) for b in (self.at_least, self.at_most))
        if least is None or most is None:
            return f"{self.metric} <= {most}" if least is None else f"{self.metric} >= {least}"
        return f"{least} <= {self.metric} <= {most}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A limit that is broken: the value, the bound it breaks, and by which part of that bound."""

    metric: str
    value: float
    bound: float
    excess: float


def parse_limit(text: str, *, where: str = "limit") -> Limit:
    """Return the limit that text such as `macs <= 5M` or `1M <= macs <= 5M` says; units are k, M and G.

    `where` is what an error calls it.

    >>> parse_limit("macs<=5M")
    Limit(metric='macs', at_most=5000000.0, at_least=None)
    """
    if both := BOTH.fullmatch(text):
        least, its_unit, metric, most, unit = both.groups()
        return Limit(
            metric=metric, at_least=float(least) * UNITS[its_unit], at_most=float(most) * UNITS[unit]
        )
    one = ONE.fullmatch(text)
    if one is None:
        raise BadInput(
            f"{where}: got {text!r}, expected a metric, <= or >=, and a number, such as macs <= 5M, params >= 100k, "
            "1M <= macs <= 5M or latency_ms@desk <= 4"
        )
    metric, sign, number, unit = one.groups()
    bound = float(number) * UNITS[unit]
    return Limit(metric=metric, at_most=bound) if sign == "<=" else Limit(metric=metric, at_least=bound)


def violations(metrics: Cost | Mapping[str, float], limits: Sequence[Limit]) -> tuple[Violation, ...]:
    """Return every limit that is broken; one on a metric that is not known yet is passed over."""
    known = {name: getattr(metrics, name) for name in METRICS} if isinstance(metrics, Cost) else metrics
    return tuple(
        violation
        for limit in limits
        if limit.metric in known
        for violation in _broken_by(known[limit.metric], limit)
    )


def broken(
    network: Network, limits: Sequence[Limit], *, providers: Sequence[Provider] = (ANALYTIC,)
) -> Iterator[Violation]:
    """Yield the limits that a network breaks, provider by provider: who wants the first asks no further.

    Raises `Unbuildable`; limits on what none of these providers knows are passed over.
    """
    for provider in providers:
        mine = [limit for limit in limits if who_knows(limit.metric, providers) is provider]
        if mine:
            yield from violations(provider.of(network), mine)


def bound_broken(metric: str, value: float, bound: float) -> Limit:
    """Return the limit that a value breaks, told by the bound it misses."""
    return Limit(metric=metric, at_least=bound) if value < bound else Limit(metric=metric, at_most=bound)


def excess(value: float, bound: float) -> float:
    """Return by which part of a bound a value misses it; the plain difference where the bound is 0."""
    return abs(value - bound) / (abs(bound) or 1.0)


def prove_feasible(
    space: Network, limits: Sequence[Limit], *, providers: Sequence[Provider] = (ANALYTIC,)
) -> None:
    """Raise `Infeasible`, naming the limit, where no member of the space can keep one of the limits.

    Each limit is held against the range of its metric alone: passing proves nothing of several together, of
    metrics that are measured, or where a range is known from samples only.
    """
    for limit in limits:
        provider = who_knows(limit.metric, providers)
        reach = None if provider is None else provider.reach(space, limit.metric)
        if reach is None or reach.known == "sampled":
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


def in_units(value: float) -> str:
    """Return a number with the largest of the units k, M and G that it fills, to four digits.

    >>> in_units(5e6), in_units(231211008), in_units(0.25)
    ('5M', '231.2M', '0.25')
    """
    unit = _unit(value)
    return f"{value / UNITS[unit]:.4g}{unit}"


def _exact(value: float) -> str:
    """Return a number with a unit where that reads back equal.

    >>> _exact(5e6), _exact(1234567.0), _exact(0.1 + 0.2)
    ('5M', '1.234567M', '0.30000000000000004')
    """
    unit = _unit(value)
    text = f"{value / UNITS[unit]:.15g}"
    return f"{text}{unit}" if float(text) * UNITS[unit] == value else repr(float(value))


def _unit(value: float) -> str:
    return max((u for u in UNITS if abs(value) >= UNITS[u]), key=UNITS.__getitem__, default="")


def _broken_by(value: float, limit: Limit) -> Iterator[Violation]:
    for sign, bound in limit.bounds:
        if not (value >= bound if sign == "≥" else value <= bound):  # which a NaN is neither
            yield Violation(metric=limit.metric, value=value, bound=bound, excess=excess(value, bound))


def _infeasible(limit: Limit, reach: Range, change: str, wanted: str) -> Infeasible:
    return Infeasible(
        f"limit {limit}: no architecture of this space can keep it; {limit.metric} can be {reach.low:,} to "
        f"{reach.high:,}; {change}, or give the space {wanted} widths, depths, kernels or resolutions"
    )
