"""How members are made: a space is read once, paths included, and then resolved as often as wanted.

A maker answers for one node; None stands for a node whose only member is itself. Small nodes, a block with
its kernel and expansion open, keep each member they made, so that equal blocks are mostly the same object.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from math import prod
from typing import TypeVar, cast

from .choice import LEAVES, Choice, Decisions, Pick, Repeat, Same, layout, picks
from .errors import OutOfSpace

SpaceT = TypeVar("SpaceT")
Choose = Callable[[str, tuple[object, ...]], int]
Maker = Callable[[Choose, Decisions], object]  # Decisions: the tied options so far, by name
MOST_KEPT = 4096


def resolve(space: SpaceT | Choice[SpaceT], choose: Choose) -> SpaceT:
    """Return the member of `space` that `choose(path, options) -> index` describes.

    `choose` is asked once a decision, outer before inner, a repeat's count before its items; a tied
    choice is asked once. Fields that only a space has (its conditions) are emptied.
    """
    make = _maker_of(Same(space))
    return cast(SpaceT, space if make is None else make(choose, {}))


def from_decisions(space: SpaceT | Choice[SpaceT], chosen: Mapping[str, int]) -> SpaceT:
    """Resolve by a mapping path -> option index; `OutOfSpace` where an open decision has no valid entry."""

    def choose(path: str, options: tuple[object, ...]) -> int:
        index = chosen.get(path, -1)
        if not 0 <= index < len(options):
            raise OutOfSpace(f"{path}: got option {index}, expected 0 to {len(options) - 1}")
        return index

    return resolve(space, choose)


@lru_cache(maxsize=64)
def _maker_of(key: Same) -> Maker | None:
    return _maker(key.node, "")


def _maker(node: object, path: str) -> Maker | None:
    """Work out, paths included, how a node's members are made; None where it is its only member."""
    match node:
        case Choice():
            return _choice_maker(node, path)
        case Repeat():
            return _repeat_maker(node, path)
        case Pick():
            return _pick_maker(node, path)
        case tuple():
            makers = [_maker(item, f"{path}[{i}]") for i, item in enumerate(node)]
            return _tuple_maker(node, makers) if any(makers) else None
        case _ if type(node) in LEAVES:
            return None
    return _fields_maker(node, path)


def _choice_maker(choice: Choice[object], path: str) -> Maker:
    options, name = choice.options, choice.name
    makers = [_maker(option, f"{path}{{{i}}}") for i, option in enumerate(options)]

    def tied(choose: Choose, ties: Decisions) -> int:
        assert name is not None
        if name not in ties:
            ties[name] = choose("@" + name, options)
        return ties[name]

    def make(choose: Choose, ties: Decisions) -> object:
        index = choose(path, options) if name is None else tied(choose, ties)
        inner = makers[index]
        return options[index] if inner is None else inner(choose, ties)

    return make


def _repeat_maker(repeat: Repeat[object], path: str) -> Maker:
    counts = repeat.count.options if isinstance(repeat.count, Choice) else (repeat.count,)
    count_maker = _maker(repeat.count, path + ".count")
    paths = [f"{path}[{i}]" for i in range(max(counts))] if repeat.independent else [path + ".item"]
    makers = [_maker(repeat.item, inner) for inner in paths]

    def make(choose: Choose, ties: Decisions) -> object:
        count = repeat.count if count_maker is None else count_maker(choose, ties)
        assert isinstance(count, int)
        if makers[0] is None:
            return (repeat.item,) * count
        if not repeat.independent:
            return (makers[0](choose, ties),) * count
        return tuple([inner(choose, ties) for inner in makers[:count] if inner])

    return make


def _pick_maker(pick: Pick[object], path: str) -> Maker:
    combos = picks(pick)
    makers = [_maker(option, f"{path}{{{i}}}") for i, option in enumerate(pick.options)]
    chosen = [_tuple_maker(tuple(pick.options[i] for i in c), [makers[i] for i in c]) for c in combos]
    return lambda choose, ties: chosen[choose(path, combos)](choose, ties)


def _tuple_maker(items: tuple[object, ...], makers: Sequence[Maker | None]) -> Maker:
    parts = tuple(zip(items, makers, strict=True))
    return lambda choose, ties: tuple([make(choose, ties) if make else item for item, make in parts])


def _fields_maker(node: object, path: str) -> Maker | None:
    names, blanks = layout(type(node))
    values = [getattr(node, name) for name in names]
    hidden = {position for position, _ in blanks}
    found = [
        (i, _maker(value, f"{path}.{names[i]}" if path else names[i]))
        for i, value in enumerate(values)
        if i not in hidden
    ]
    makers = [(i, make) for i, make in found if make]
    if not makers and all(values[position] is blank for position, blank in blanks):
        return None
    for position, blank in blanks:
        values[position] = blank

    def make(choose: Choose, ties: Decisions) -> object:
        news = values.copy()
        for i, inner in makers:
            news[i] = inner(choose, ties)
        return rebuilt(node, names, news)

    def kept(choose: Choose, ties: Decisions) -> object:
        chosen = [inner(choose, ties) for _, inner in makers]
        label = tuple(map(id, chosen))  # an option is one object, and 1 == True == 1.0 cannot be mixed up
        if label not in made:
            news = values.copy()
            for (i, _), value in zip(makers, chosen, strict=True):
                news[i] = value
            made[label] = rebuilt(node, names, news)
        return made[label]

    made: dict[tuple[int, ...], object] = {}
    return kept if _few([values[i] for i, _ in makers]) else make


def _few(fields: Sequence[object]) -> bool:
    """Tell whether open fields are choices among plain values with few combinations."""
    plain = all(isinstance(f, Choice) and all(type(option) in LEAVES for option in f.options) for f in fields)
    return plain and prod(len(f.options) for f in fields if isinstance(f, Choice)) <= MOST_KEPT


def rebuilt(node: object, names: tuple[str, ...], values: list[object]) -> object:
    """Copy a frozen node with other field values, past its constructor: they were checked with the space."""
    copy = object.__new__(type(node))
    for name, value in zip(names, values, strict=True):
        object.__setattr__(copy, name, value)
    return copy
