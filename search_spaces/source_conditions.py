"""What decides, in a class, whether a part is there: a rule over the arguments, or else an argument of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from .source_classes import spelt
from .source_form import Value
from .source_params import Param, Params
from .source_text import snake, unused
from .source_units import HALVED, TAKEN


def choose(found: Params) -> None:
    """Find what decides whether a part is there, and which of two it is."""
    family = found.family
    parts = family.whole.parts
    for number, part in enumerate(parts):
        variants = family.variants(number, found.made)
        if len(variants) > 1:
            second = variants[1].skeleton()
            modules = [spelt(own, found.made).module if own else None for own in family.column(number)]
            picked = [module is not None and module.skeleton() == second for module in modules]
            word = variants[1].pattern.partition("(")[0]
            verb = "halve" if word == HALVED else snake(word)
            found.choices[number] = _flag(found, f"{verb}_{snake(part.path)}", picked)
    for run in family.runs():
        found.conditions[run] = _condition(found, run)


def _flag(found: Params, wanted: str, values: Sequence[Value | None]) -> Param:
    known = next((p for p in found.every if p.kind == "flag" and p.values == list(values)), None)
    if known is not None:
        return known
    taken = {p.name for p in found.every} | {part.path for part in found.family.whole.parts} | TAKEN
    param = Param("flag", list(values), unused(wanted, taken), default=False)
    found.every.append(param)
    return param


def _condition(found: Params, run: tuple[int, ...]) -> tuple[str, str]:
    """Return the name of a condition and its text over the arguments: a rule that holds for all members, or a flag."""
    parts = found.family.whole.parts
    present = found.family.present(run[0])
    inputs = len(found.family.whole.inputs)
    residual = len(run) == 1 and any(s < inputs for s in parts[run[0]].sources)
    taken = {p.name for p in found.every} | {p.path for p in parts} | TAKEN
    taken |= {name for name, _ in found.conditions.values()}
    name = unused("residual" if residual else f"has_{snake(_head(found, run))}", taken)
    for text, holds in _rules(found, run, residual):
        if tuple(holds) == present:
            return name, text
    param = _flag(found, name, present)
    return param.name, param.name


def _head(found: Params, run: tuple[int, ...]) -> str:
    """Return the first of some parts that holds weights, or else the first."""
    parts = [found.family.whole.parts[i] for i in run]
    return next((part.path for part in parts if spelt(part, found.made).weights), parts[0].path)


def _rules(found: Params, run: tuple[int, ...], residual: bool) -> Iterator[tuple[str, list[bool]]]:
    """Yield conditions over the arguments, as one would write them, with what they say of each member."""
    present = found.family.present(run[0])
    channels = [p for p in found.every if p.kind == "channels"]
    for p in channels:
        if [v is not None for v in p.values] == list(present) and 0 not in p.values:
            p.values = [0 if v is None else v for v in p.values]
            p.default = 0
            yield f"{p.name} > 0", list(present)
    inside = [
        p for p in channels
        if not p.seed and None not in p.values and any(place[0] in run for place, _ in p.places)
    ]  # fmt: skip
    ends = [p for p in channels if p.seed]
    between = [_differ(a, b) for a, b in pairwise(ends)]
    for text, holds in [_differ(a, b) for a in inside for b in ends]:
        yield text, holds
    for stride in (p for p in found.every if p.kind == "stride"):
        moves = [v != 1 for v in stride.values]
        for text, holds in between:
            changes = [a or b for a, b in zip(moves, holds, strict=True)]
            yield _told(residual, f"{stride.name} != 1 or {text}", changes)
        yield _told(residual, f"{stride.name} != 1", moves)
    for text, holds in between:
        yield _told(residual, text, holds)


def _told(residual: bool, text: str, changes: list[bool]) -> tuple[str, list[bool]]:
    """Return a condition for where the shape changes, or for a residual's, where it does not."""
    if not residual:
        return text, changes
    return text.replace("!=", "==").replace(" or ", " and "), [not change for change in changes]


def _differ(one: Param, other: Param) -> tuple[str, list[bool]]:
    pairs = zip(one.values, other.values, strict=True)
    return f"{one.name} != {other.name}", [a != b for a, b in pairs]
