"""Which share of a space keeps limits, estimated from members drawn with equal chances."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

from search_spaces.errors import Unbuildable
from search_spaces.moves import sample
from search_spaces.network import Network

from .constraints import Limit, violations
from .providers import ANALYTIC, Provider, values

Drawn = Sequence[Mapping[str, float] | None]  # the metrics of each member drawn; None: it cannot be built
NORMAL_95 = 1.959964  # standard deviations that hold 95 % of a normal distribution


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The share of `n` random members that keep the limits, and its 95 % interval (Wilson 1927)."""

    share: float
    low: float
    high: float
    n: int


def drawn(
    space: Network,
    metrics: Sequence[str],
    *,
    rng: random.Random,
    n: int,
    providers: Sequence[Provider] = (ANALYTIC,),
) -> Drawn:
    """Return what is known of these metrics of `n` random members, all members equally likely each time."""
    return [_values(sample(space, rng, by="member"), metrics, providers) for _ in range(n)]


def share(found: Drawn, limits: Sequence[Limit]) -> Share:
    """Return which share of the members drawn keeps the limits; a member that cannot be built keeps none."""
    kept = sum(known is not None and not violations(known, limits) for known in found)
    return _wilson(kept, len(found))


def feasible_share(space: Network, limits: Sequence[Limit], *, rng: random.Random, n: int = 1000) -> Share:
    """Return which share of a space keeps the limits; those on metrics that no formula gives are passed over."""
    return share(drawn(space, [limit.metric for limit in limits], rng=rng, n=n), limits)


def _values(
    member: Network, metrics: Sequence[str], providers: Sequence[Provider]
) -> Mapping[str, float] | None:
    try:
        ANALYTIC.of(member)  # which says whether it can be built, whatever is asked
        return values(member, metrics, providers=providers)
    except Unbuildable:
        return None


def _wilson(kept: int, n: int) -> Share:
    part, z = kept / n, NORMAL_95**2 / n
    middle, half = part + z / 2, sqrt(z * part * (1 - part) + z * z / 4)
    low, high = (middle - half) / (1 + z), (middle + half) / (1 + z)
    return Share(share=part, low=max(0.0, low), high=min(1.0, high), n=n)
