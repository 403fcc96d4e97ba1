"""Scaling rules as data: phi -> how much deeper, wider and larger. A rule of your own is one registered dataclass.

Expected cost: `depth * width^2 * resolution^n` times the base's, for inputs of n axes (n = 2 in the papers).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, log
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.data import Checked, Data, register
from search_spaces.errors import BadInput, BadSpec
from search_spaces.zoo.efficientnet import SCALING

Dimension = Literal["depth", "width", "resolution"]
DIMENSIONS: tuple[Dimension, ...] = ("depth", "width", "resolution")
Step = Annotated[float, Field(gt=0, le=16, allow_inf_nan=False)]
Growth = Annotated[float, Field(gt=1, le=1024, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
NOTHING = 1e-9  # the logarithm of a factor that changes nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Factors:
    """How much deeper, wider and larger than the base; `dropout` is added to the head's rates."""

    depth: float = 1.0
    width: float = 1.0
    resolution: float = 1.0
    dropout: float = 0.0

    def cost(self, axes: int) -> float:
        """Return the expected cost over the base's."""
        return float(self.depth * self.width**2 * self.resolution**axes)


class Rule(Checked):
    """What to multiply at each phi; subclasses are registered frozen dataclasses whose factors are 1 at phi 0.

    Factors that never fall as phi rises give families that never shrink; others are allowed.
    """

    __slots__ = ()
    tagged: ClassVar[bool] = True
    open: ClassVar[bool] = True

    def factors(self, phi: float, axes: int) -> Factors:
        """Return the factors at a phi for inputs of that many spatial axes."""
        raise NotImplementedError

    def points(self) -> tuple[float, ...] | None:
        """Return the only phi the rule knows, rising, or None where it knows every real one."""
        return None

    def label(self, phi: float) -> str:
        """Return what a member at this phi is called."""
        return f"phi {phi:g}"


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Compound(Rule):
    """`alpha^phi` deeper, `beta^phi` wider, `gamma^phi` larger (Tan & Le 2019, eq. 3; their coefficients)."""

    alpha: Step = 1.2
    beta: Step = 1.1
    gamma: Step = 1.15

    def factors(self, phi: float, axes: int) -> Factors:
        return Factors(depth=self.alpha**phi, width=self.beta**phi, resolution=self.gamma**phi)


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class DWr(Rule):
    """`growth^phi` times the cost, shared out by exponents (Dollar, Singh & Girshick 2021, fast compound scaling).

    Of a cost factor s, depth takes `s^depth`, width `s^(width / 2)`, resolution `s^(resolution / n)`, n axes. The
    paper's weight of 0.8 on width, the rest halved, is the default: s^0.1, s^0.4 and, for images, s^0.05.
    """

    growth: Growth = 2.0
    depth: Share = 0.1
    width: Share = 0.8
    resolution: Share = 0.1

    def check(self) -> None:
        """Raise `BadSpec` where the shares do not make a whole."""
        whole = self.depth + self.width + self.resolution
        if abs(whole - 1) > 1e-6:
            raise BadSpec(f"DWr: got shares that sum to {whole:g}, expected 1 of depth, width and resolution")

    def factors(self, phi: float, axes: int) -> Factors:
        return Factors(
            depth=self.growth ** (phi * self.depth),
            width=self.growth ** (phi * self.width / 2),
            resolution=self.growth ** (phi * self.resolution / axes),
        )


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class DepthOnly(Rule):
    """All growth goes to layers: `growth^phi` times as many."""

    growth: Growth = 2.0

    def factors(self, phi: float, axes: int) -> Factors:
        return Factors(depth=self.growth**phi)


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class WidthOnly(Rule):
    """All growth goes to channels: `growth^(phi / 2)` times as many, so that the cost grows by `growth^phi`."""

    growth: Growth = 2.0

    def factors(self, phi: float, axes: int) -> Factors:
        return Factors(width=self.growth ** (phi / 2))


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ResolutionOnly(Rule):
    """All growth goes to the input: `growth^(phi / n)` times as large along each of its n axes."""

    growth: Growth = 2.0

    def factors(self, phi: float, axes: int) -> Factors:
        return Factors(resolution=self.growth ** (phi / axes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row(Data):
    """One published member: factors of width and depth, the resolution itself, the head's dropout."""

    name: str
    width: Step
    depth: Step
    resolution: Annotated[float, Field(gt=0, le=65536)]
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


EFFICIENTNET = tuple(
    Row(name=name, width=width, depth=depth, resolution=resolution, dropout=dropout)
    for name, (width, depth, resolution, dropout) in SCALING.items()
)


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Table(Rule):
    """Published rows, phi 0 being the first: by default EfficientNet-B0 to B7 (the authors' code).

    Resolution and dropout go by what a row has more than the first one: twice its resolution is twice the base's.
    """

    rows: Annotated[tuple[Row, ...], Field(min_length=1, max_length=64)] = EFFICIENTNET

    def check(self) -> None:
        """Raise `BadSpec` where the first row is not the base or two have one name."""
        first, names = self.rows[0], [row.name for row in self.rows]
        if (first.width, first.depth) != (1.0, 1.0):
            raise BadSpec(
                f"rows[0]: got width {first.width:g}, depth {first.depth:g}, expected 1 and 1, the base"
            )
        if len(set(names)) < len(names):
            raise BadSpec(f"rows: got the names {', '.join(names)}, expected each once")

    def factors(self, phi: float, axes: int) -> Factors:
        row, first = self._row(phi), self.rows[0]
        return Factors(
            depth=row.depth,
            width=row.width,
            resolution=row.resolution / first.resolution,
            dropout=round(row.dropout - first.dropout, 6),
        )

    def points(self) -> tuple[float, ...]:
        return tuple(map(float, range(len(self.rows))))

    def label(self, phi: float) -> str:
        return self._row(phi).name

    def phi(self, name: str) -> float:
        """Return the phi of a row by its name; `BadInput` where there is none such."""
        names = [row.name for row in self.rows]
        if name not in names:
            raise BadInput(f"row: got {name!r}, expected one of {', '.join(names)}")
        return float(names.index(name))

    def _row(self, phi: float) -> Row:
        if phi not in range(len(self.rows)):
            raise BadInput(
                f"phi: got {phi:g}, expected one of the table's rows, 0 to {len(self.rows) - 1}; use the rule "
                "Compound for what lies between or beyond"
            )
        return self.rows[int(phi)]


def factors_of(rule: Rule, phi: float, axes: int, *, fix: tuple[Dimension, ...] = ()) -> Factors:
    """Return a rule's factors, the growth of fixed dimensions shared out among the others.

    With s the expected cost and t what the free dimensions make of it, each free factor is raised to
    `log(s) / log(t)`: the expected cost stays s, and the free dimensions keep their proportion to each other.
    `BadInput` where phi is not finite or nothing free would grow that way.
    """
    if not isfinite(phi):
        raise BadInput(f"phi: got {phi}, expected a finite number")
    try:
        asked = rule.factors(phi, axes)
    except OverflowError:
        raise BadInput(f"phi: got {phi:g}, expected one that this rule can be worked out at") from None
    factors = {name: float(getattr(asked, name)) for name in DIMENSIONS}
    wrong = {name: value for name, value in factors.items() if not (isfinite(value) and value > 0)}
    if wrong:
        name, value = next(iter(wrong.items()))
        raise BadInput(
            f"rule {type(rule).__name__}: got a {name} factor of {value} at phi {phi:g}, expected one above 0"
        )
    if all(factors[name] == 1.0 for name in fix):
        return asked
    free = {name: 1.0 if name in fix else value for name, value in factors.items()}
    whole, rest = log(asked.cost(axes)), log(Factors(**free).cost(axes))
    if max(abs(log(factor)) for factor in factors.values()) < NOTHING:
        return Factors(**free, dropout=asked.dropout)
    if abs(rest) < NOTHING or whole / rest <= 0:
        raise BadInput(
            f"fix {', '.join(fix)}: rule {type(rule).__name__} has nothing left to grow at phi {phi:g}; use another "
            "rule or fix less"
        )
    return Factors(**{name: value ** (whole / rest) for name, value in free.items()}, dropout=asked.dropout)
