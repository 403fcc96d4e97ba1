"""Units that differ in numbers alone, or lack some parts of another, as one class with arguments.

A part that some members lack, such as a residual sum or a shortcut's convolution, stands under a condition; where it
is missing, what it reads is passed on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from .layers import Activation, Flatten, Normalisation, Product, Shuffle, Sum
from .source_form import Form
from .source_layers import Written, written
from .source_units import Label, Part, Unit

MOST_PARTS = 300  # of units that are compared part by part
MOST_OPTIONS = 4  # conditions in one class; beyond, another class is easier to read
Made = Mapping[Unit, Form]  # how each unit is made by its parent


@dataclass(frozen=True, slots=True)
class Member:
    """A unit in a family: for each part of the largest, its own, or None where it has none."""

    unit: Unit
    parts: tuple[Part | None, ...]


@dataclass(slots=True)
class Family:
    """Units that one class serves; the first member has every part."""

    label: Label
    members: list[Member]
    passes: dict[int, int] = field(
        default_factory=dict
    )  # part -> the source that stands for it where it is missing

    @property
    def whole(self) -> Unit:
        """The member that has every part."""
        return self.members[0].unit

    def column(self, part: int) -> list[Part | None]:
        """Return what each member has for a part."""
        return [member.parts[part] for member in self.members]

    def present(self, part: int) -> tuple[bool, ...]:
        """Tell which members have a part."""
        return tuple(own is not None for own in self.column(part))

    def variants(self, part: int, made: Made) -> list[Form]:
        """Return the modules that stand for a part, up to numbers; at most two."""
        forms = (spelt(own, made).module for own in self.column(part) if own is not None)
        return list({form.skeleton(): form for form in forms if form is not None}.values())

    def runs(self) -> list[tuple[int, ...]]:
        """Return the parts that are missing together, each run side by side."""
        every = [self.present(i) for i in range(len(self.whole.parts))]
        grouped = groupby(range(len(every)), key=lambda i: every[i])
        return [tuple(parts) for present, parts in grouped if not all(present)]


def spelt(part: Part, made: Made) -> Written:
    """Return how a part is written: a layer's text, or the class that a unit has become."""
    if isinstance(part.what, Unit):
        places = ", ".join(f"{{{i}}}" for i in range(len(part.sources)))
        return Written(Form(f"{{self}}({places})"), made[part.what], weights=True)
    return written(part.what, part.shapes)


def families(units: Sequence[Unit], made: Made) -> list[Family]:
    """Put units of one height into as few families as read well, in the order in which they first appear."""
    found: list[Family] = []
    first = {unit.label.name: i for i, unit in reversed(list(enumerate(units)))}
    order = sorted(units, key=lambda u: (first[u.label.name], -len(u.parts), units.index(u)))
    for unit in order:
        if not any(family.label.name == unit.label.name and _joins(unit, family, made) for family in found):
            found.append(Family(unit.label, [Member(unit, unit.parts)]))
    for family in found:  # calls read best in the order of the network
        whole, *rest = family.members
        family.members = [whole, *sorted(rest, key=lambda member: units.index(member.unit))]
    return found


def nests(part: Part) -> bool:
    """Tell whether the call of a part's source may stand inside its own."""
    return isinstance(part.what, Normalisation | Activation | Flatten | Shuffle)


def _joins(unit: Unit, family: Family, made: Made) -> bool:
    """Add a unit to a family where it is the largest member less some parts; False where it is not."""
    whole = family.whole
    if unit.inputs != whole.inputs or len(whole.parts) > MOST_PARTS:
        return False
    own = {part.path: (len(unit.inputs) + i, part) for i, part in enumerate(unit.parts)}
    if not own.keys() <= {part.path for part in whole.parts}:
        return False
    passes = dict(family.passes)
    match = _match(unit, family, own, made, [*range(len(unit.inputs))], [], passes)
    if match is None:
        return False
    family.members.append(Member(unit, tuple(match)))
    if len(family.runs()) > MOST_OPTIONS:
        family.members.pop()
        return False
    family.passes = passes
    return True


def _match(
    unit: Unit,
    family: Family,
    own: Mapping[str, tuple[int, Part]],
    made: Made,
    values: list[int],
    parts: list[Part | None],
    passes: dict[int, int],
) -> list[Part | None] | None:
    """Walk the parts of the largest member, with the unit's value for each; try each source as what passes."""
    whole = family.whole
    if len(parts) == len(whole.parts):
        return parts if values[whole.output] == unit.output else None
    part = whole.parts[len(parts)]
    sources = tuple(values[s] for s in part.sources)
    if part.path in own:
        value, mine = own[part.path]
        if (part.live and mine.sources != sources) or not _alike(part, mine, family, len(parts), made):
            return None
        return _match(unit, family, own, made, [*values, value], [*parts, mine], passes)
    for choice in _choices(part, passes.get(len(parts))):
        tried = passes | {len(parts): choice}
        rest = _match(unit, family, own, made, [*values, sources[choice]], [*parts, None], tried)
        if rest is not None:
            passes |= tried
            return rest
    return None


def _choices(part: Part, decided: int | None) -> Iterator[int]:
    """Yield the sources that may stand for a part where it is missing."""
    if decided is not None:
        yield decided
    elif len(part.sources) == 1 or isinstance(part.what, Sum | Product):
        yield from reversed(range(len(part.sources)))


def _alike(part: Part, mine: Part, family: Family, number: int, made: Made) -> bool:
    one, other = spelt(part, made), spelt(mine, made)
    if one.call.skeleton() != other.call.skeleton() or part.live != mine.live:
        return False
    if one.module is None or other.module is None:
        return one.module is other.module
    known = [form.skeleton() for form in family.variants(number, made)]
    both_units = isinstance(part.what, Unit) and isinstance(mine.what, Unit)
    return other.module.skeleton() in known or (both_units and len(known) < 2)


def by_height(units: Sequence[Unit]) -> Iterator[list[Unit]]:
    """Yield all units, those inside others too and each once, the lowest first."""
    every: dict[Unit, None] = {}

    def visit(unit: Unit) -> None:
        if unit not in every:
            for part in unit.parts:
                if isinstance(part.what, Unit):
                    visit(part.what)
            every[unit] = None

    for unit in units:
        visit(unit)
    height: Callable[[Unit], int] = lambda unit: unit.height  # noqa: E731
    for _, group in groupby(sorted(every, key=height), key=height):
        yield list(group)
