"""Compound scaling of any network: rule, rounding and phi -> the network, what was asked and what was got."""

from __future__ import annotations

from dataclasses import dataclass

from search_spaces.data import Checked
from search_spaces.errors import BadInput, Unbuildable
from search_spaces.network import Network, steps

from .anatomy import Anatomy, Sizes, anatomy
from .grow import Unlike, asked_sizes, got_factors, grown
from .rounding import Rounding
from .rules import DIMENSIONS, Compound, Dimension, Factors, Rule, factors_of

MOST, LEAST = 256.0, 1 / 256  # of any factor; far beyond what is ever built, but finite
USUAL_GROWTH = (1.8, 2.2)  # of the cost a step of phi; the paper asks for about 2, its own is 1.92


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling(Checked):
    """How a network grows: all that a file must say so that the same family comes out again.

    What `fix` names stays as it is, and the other dimensions grow in its stead (see `rules.factors_of`). `unlike`
    says how a stage of unlike layers grows (see `grow.grown`).
    """

    rule: Rule = Compound()
    rounding: Rounding = Rounding()
    unlike: Unlike = "stretch"
    fix: tuple[Dimension, ...] = ()

    def check(self) -> None:
        """Raise `BadInput` where nothing is left to grow or phi 0 is not the base."""
        if set(self.fix) >= set(DIMENSIONS):
            raise BadInput(
                "fix: got depth, width and resolution, expected two of them at most; free one to grow"
            )
        start, points = self.rule.factors(0.0, 2), self.rule.points()
        if start != Factors() or (points is not None and 0.0 not in points):
            raise BadInput(
                f"rule {type(self.rule).__name__}: got {start} at phi 0, expected factors of 1 there, the base itself"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaled:
    """A network that scaling made, and its factors over the base before and after rounding."""

    phi: float
    network: Network
    asked: Factors
    got: Factors


DEFAULT = Scaling()


def scale(base: Network, phi: float, *, scaling: Scaling = DEFAULT) -> Scaled:
    """Return a resolved network scaled to a phi, negative ones too; phi 0 gives the base itself.

    `BadSpec` where the base is a space, `BadInput` where the rule or the base cannot go there, `Unbuildable` where
    what is left of the maps no longer fits the layers.
    """
    parts = anatomy(base)
    asked = asked_factors(parts, phi, scaling)
    most = max(asked.depth, asked.width, asked.resolution)
    least = min(asked.depth, asked.width, asked.resolution)
    if most > MOST or least < LEAST:
        raise BadInput(
            f"phi: got {phi:g}, at which a factor is {most if most > MOST else least:.3g}, expected factors of "
            f"1/{MOST:.0f} to {MOST:.0f}; use a phi nearer to 0"
        )
    found = scaled_to(parts, asked_sizes(parts, asked, scaling.rounding), scaling, phi)
    try:
        steps(found.network)
    except Unbuildable as error:
        raise Unbuildable(f"phi {phi:g}: {error}; use a larger phi, or --fix resolution") from None
    return found


def asked_factors(parts: Anatomy, phi: float, scaling: Scaling) -> Factors:
    """Return the factors that the rule asks for at a phi, before any rounding."""
    return factors_of(scaling.rule, phi, len(parts.base.input) - 1, fix=scaling.fix)


def scaled_to(parts: Anatomy, sizes: Sizes, scaling: Scaling, phi: float) -> Scaled:
    """Return the network of those sizes, which a phi comes to."""
    network = grown(parts, sizes, unlike=scaling.unlike, step=scaling.rounding.divisor)
    asked, got = asked_factors(parts, phi, scaling), got_factors(parts, sizes, network)
    return Scaled(phi=phi, network=network, asked=asked, got=got)


def growth(scaling: Scaling, axes: int) -> float | None:
    """Return how many times the expected cost a step of phi makes, None for rules that have rows.

    >>> round(growth(Scaling(), 2), 2)
    1.92
    """
    return None if scaling.rule.points() is not None else scaling.rule.factors(1.0, axes).cost(axes)


def unusual_growth(scaling: Scaling, axes: int) -> str | None:
    """Say by how much a step of phi grows the cost where that is far from the usual 2; None where it is near."""
    own = growth(scaling, axes)
    if own is None or USUAL_GROWTH[0] <= own <= USUAL_GROWTH[1]:
        return None
    power = {1: "", 2: "^2", 3: "^3"}[axes]
    return (
        f"depth * width^2 * resolution{power} is {own:.3g} at phi 1, far from 2: each step of phi makes the expected "
        f"cost {own:.3g} times as high"
    )
