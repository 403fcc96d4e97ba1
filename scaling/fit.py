"""Fitting compound coefficients: a small grid of them, and which of its points is best.

Tan & Le 2019, section 3.3: fix phi = 1, assume twice the resources, and search alpha, beta, gamma on a small grid under
`alpha * beta^2 * gamma^2` of about 2 (eq. 3; gamma^n for inputs of n axes). What doubles may be a metric too, MACs as
counted or a measured latency, of the network itself (Li et al. 2021, "Searching for fast model families on
datacenter accelerators").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import sqrt
from statistics import fmean, variance
from typing import Annotated

from pydantic import Field

from search_spaces.data import Checked
from search_spaces.errors import BadInput, Unbuildable
from search_spaces.network import Network
from search_spaces.serialise import key

from .anatomy import anatomy
from .compound import DEFAULT, Scaled, Scaling, scale, unusual_growth
from .cost import cost
from .providers import ANALYTIC, LATENCY, Provider, check_known, who_knows
from .rules import DIMENSIONS, Compound, Dimension, Growth

EXPECTED = "expected"  # cost, alpha * beta^2 * gamma^n, as opposed to a metric's name
ROOM = 2.0  # where a metric doubles, expected growths from its square root to its square are looked at
STANDARD_ERRORS = 2.0  # of a difference, within which a lead is noise

Step = Annotated[float, Field(ge=0.01, le=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
Most = Annotated[float, Field(ge=1, le=4)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid(Checked):
    """Coefficients from 1 up in steps, whose growth lies near the one that is wanted."""

    step: Step = 0.1
    most: Most = 2.0  # of each coefficient
    growth: Growth = 2.0  # of what doubles
    tolerance: Share = 0.05  # the part of the growth by which a point may miss it
    drift: Share = 0.35  # likewise for its network's MACs, once rounded, where the expected cost doubles

    def values(self) -> tuple[float, ...]:
        """Return the values of one coefficient."""
        return tuple(round(1 + i * self.step, 6) for i in range(1 + int((self.most - 1) / self.step + 1e-9)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A network of the grid and the coefficients that come to it, the nearest to the wanted growth first."""

    rules: tuple[Compound, ...]
    scaled: Scaled
    growth: float  # of what doubles

    @property
    def network(self) -> Network:
        """The base at phi 1."""
        return self.scaled.network


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """A base's grid, and what is to be said of it."""

    points: tuple[Point, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Which of several is best, and whom its lead does not surely leave behind."""

    best: int
    tied: tuple[int, ...]  # others within the noise; empty where there is no noise to tell by
    lead: float | None  # over the second; None without one
    noise: float | None  # two standard errors of the difference to the second; None without repetitions


def grid_of(
    base: Network,
    grid: Grid | None = None,
    *,
    scaling: Scaling = DEFAULT,
    doubles: str = EXPECTED,
    providers: Sequence[Provider] = (ANALYTIC,),
) -> Points:
    """Return the distinct networks that a base comes to at phi 1 with coefficients whose growth is near the wanted one.

    `scaling` says how sizes are rounded and what is fixed; its rule is not used. `doubles` is the expected cost or a
    metric that a provider knows; it is asked about the base and about each distinct network once. `BadInput` for an
    empty grid or an unknown metric.
    """
    grid = grid or Grid()
    fixed, notes = _fixed(base, scaling)
    axes = len(base.input) - 1
    made, left_out = _made(base, grid, list(_rules(grid, fixed)), scaling, _span(grid, doubles, axes))
    growths = _growths(base, made, doubles, providers, axes)
    near = {name: found for name, found in growths.items() if _is_near(found, grid)}
    if doubles == EXPECTED:
        drifted = [name for name in near if not _keeps(base, made[name][0].network, grid)]
        left_out += [f"{len(drifted)} networks whose MACs, rounded, miss {grid.growth:g} times the base's by more "
                     f"than {100 * grid.drift:g} %"] if drifted else []  # fmt: skip
        near = {name: found for name, found in near.items() if name not in drifted}
    if not near:
        raise BadInput(_empty(grid, growths, doubles, left_out))
    points = [Point(rules=made[name][1], scaled=made[name][0], growth=found) for name, found in near.items()]
    strange = unusual_growth(Scaling(rule=Compound(alpha=grid.growth, beta=1.0, gamma=1.0)), axes)
    notes += [strange] if strange else []
    notes += [f"left out: {'; '.join(left_out)}"] if left_out else []
    return Points(points=tuple(sorted(points, key=_order)), notes=tuple(notes))


def best_of(scores: Sequence[Sequence[float]], *, costs: Sequence[float]) -> Verdict:
    """Return whose mean is highest, the cheaper one where two are equal, and who is within the noise of it.

    The noise is two standard errors of the difference of two means, by the deviation pooled over all that were
    repeated. The best of many flatters itself: within the noise means not told apart, not equal.
    """
    means = [fmean(own) for own in scores]
    order = sorted(range(len(scores)), key=lambda i: (-means[i], costs[i], i))
    best, others = order[0], order[1:]
    deviation = _pooled(scores)
    if not others:
        return Verdict(best=best, tied=(), lead=None, noise=None)
    noises = {
        i: None
        if deviation is None
        else STANDARD_ERRORS * deviation * sqrt(1 / len(scores[best]) + 1 / len(scores[i]))
        for i in others
    }
    tied = tuple(i for i in others if (noise := noises[i]) is not None and means[best] - means[i] <= noise)
    return Verdict(best=best, tied=tied, lead=means[best] - means[others[0]], noise=noises[others[0]])


def _fixed(base: Network, scaling: Scaling) -> tuple[tuple[Dimension, ...], list[str]]:
    rigid = anatomy(base).rigid
    if rigid is None or "resolution" in scaling.fix:
        return scaling.fix, []
    said = f"gamma is fixed at 1, for the dense layers of the head ({rigid}) fit one size of map"
    return (*scaling.fix, "resolution"), [said]


def _rules(grid: Grid, fixed: tuple[Dimension, ...]) -> Iterator[Compound]:
    values = [(1.0,) if name in fixed else grid.values() for name in DIMENSIONS]
    for alpha, beta, gamma in product(*values):
        yield Compound(alpha=alpha, beta=beta, gamma=gamma)


def _span(grid: Grid, doubles: str, axes: int) -> tuple[float, float]:
    """Return the expected growths that are looked at."""
    if doubles == EXPECTED:
        return grid.growth * (1 - grid.tolerance), grid.growth * (1 + grid.tolerance)
    return grid.growth ** (1 / ROOM), grid.growth**ROOM


Made = dict[
    str, tuple[Scaled, tuple[Compound, ...]]
]  # distinct networks by key, and the rules that come to each


def _made(
    base: Network, grid: Grid, rules: Sequence[Compound], scaling: Scaling, span: tuple[float, float]
) -> tuple[Made, list[str]]:
    """Return the networks of rules within a span of growth, the nearest rules first, and what was left out."""
    axes, own = len(base.input) - 1, key(base)
    made: Made = {}
    unbuilt = same = 0
    for rule in rules:
        if not span[0] - 1e-9 <= rule.factors(1.0, axes).cost(axes) <= span[1] + 1e-9:
            continue
        try:
            scaled = scale(base, 1.0, scaling=replace(scaling, rule=rule, fix=()))
        except Unbuildable:
            unbuilt += 1
            continue
        if (name := key(scaled.network)) == own:
            same += 1
            continue
        first, known = made.get(name, (scaled, ()))
        made[name] = first, tuple(sorted((*known, rule), key=lambda r: _miss(r, grid, axes)))
    said = [f"{_points(unbuilt)} that cannot be built"] if unbuilt else []
    said += [f"{_points(same)} rounded to the base itself"] if same else []
    return made, said


def _points(n: int) -> str:
    return "1 point" if n == 1 else f"{n} points"


def _growths(
    base: Network, made: Made, doubles: str, providers: Sequence[Provider], axes: int
) -> dict[str, float]:
    if doubles == EXPECTED:
        return {name: rules[0].factors(1.0, axes).cost(axes) for name, (_, rules) in made.items()}
    check_known((doubles,), where="--doubles", providers=providers, also=(LATENCY,))
    provider = who_knows(doubles, providers)
    assert provider is not None, "it was just found to be known"
    own = provider.of(base)[doubles]
    return {name: provider.of(scaled.network)[doubles] / own for name, (scaled, _) in made.items()}


def _is_near(growth: float, grid: Grid) -> bool:
    return abs(growth / grid.growth - 1) <= grid.tolerance + 1e-9


def _keeps(base: Network, network: Network, grid: Grid) -> bool:
    return abs(cost(network).macs / cost(base).macs / grid.growth - 1) <= grid.drift


def _miss(rule: Compound, grid: Grid, axes: int) -> float:
    return abs(rule.factors(1.0, axes).cost(axes) / grid.growth - 1)


def _order(point: Point) -> tuple[float, float, float]:
    rule = point.rules[0]
    return rule.alpha, rule.beta, rule.gamma


def _empty(grid: Grid, growths: dict[str, float], doubles: str, left_out: Sequence[str]) -> str:
    what = "alpha * beta^2 * gamma^n" if doubles == EXPECTED else doubles
    nearest = min(growths.values(), key=lambda g: abs(g / grid.growth - 1), default=None)
    came = "no point comes near" if nearest is None else f"the nearest point has {nearest:.3g}"
    came += f" ({'; '.join(left_out)} left out)" if left_out else ""
    return (
        f"grid: got no coefficients in steps of {grid.step:g} up to {grid.most:g} whose {what} is within "
        f"{100 * grid.tolerance:g} % of {grid.growth:g}, {came}; raise the tolerance, drift or most, or "
        "lower the step or the divisor of widths"
    )


def _pooled(scores: Sequence[Sequence[float]]) -> float | None:
    """Return the standard deviation within, pooled; None where nothing was repeated."""
    repeated = [own for own in scores if len(own) > 1]
    if not repeated:
        return None
    return sqrt(
        sum((len(own) - 1) * variance(own) for own in repeated) / sum(len(own) - 1 for own in repeated)
    )
