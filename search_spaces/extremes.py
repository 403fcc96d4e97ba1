"""The largest and the smallest member of a space, as far as sizes go; and the options behind every decision."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import lru_cache
from math import prod
from typing import Literal, TypeVar

from .automaton import automaton
from .choice import LEAVES, Choice, Decisions, Pick, Repeat, Same, layout, picks
from .making import from_decisions

SpaceT = TypeVar("SpaceT")
Size = float | None


def extreme(space: SpaceT, which: Literal["largest", "smallest"], rng: random.Random) -> SpaceT:
    """Return a member whose every number (width, depth, kernel, ratio, resolution) is as large or small as can be.

    Decisions are taken in the order of the walk, each among what the conditions leave. What is not a number, such as
    which block stands in a place, is drawn: no order of blocks is a size.
    """
    options, machine = options_of(space), automaton(space)
    found, place = Decisions(), machine.root()
    while place is not None and (cell := place[0]) is not None:
        fork = machine.fork(cell, place[1])
        if cell.path not in found:
            sizes = [size_of(options[cell.path][i]) for i in fork.live]
            found[cell.path] = fork.live[_at_the_end(sizes, which, rng)]
        place = fork.nexts[found[cell.path]]
    return from_decisions(space, found)


def size_of(option: object) -> Size:
    """Return an option's size: a number, the product of several, 0 for none; None where it has no size.

    >>> size_of((3, 5)), size_of(None), size_of(True), size_of("relu")
    (15.0, 0.0, None, None)
    """
    if option is None:
        return 0.0
    if isinstance(option, tuple) and option and all(type(part) in (int, float) for part in option):
        return float(prod(option))
    return float(option) if type(option) in (int, float) else None  # type: ignore[arg-type]  # a number


def options_of(space: object) -> Mapping[str, tuple[object, ...]]:
    """Return the options of every decision that some member has, by path; a pick's are its combinations."""
    return _options_of(Same(space))


@lru_cache(maxsize=64)
def _options_of(key: Same) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    _collect(key.node, "", found)
    return found


def _collect(node: object, path: str, found: dict[str, tuple[object, ...]]) -> None:
    match node:
        case Choice():
            found[path if node.name is None else "@" + node.name] = node.options
            for i, option in enumerate(node.options):
                _collect(option, f"{path}{{{i}}}", found)
        case Pick():
            found[path] = picks(node)
            for i, option in enumerate(node.options):
                _collect(option, f"{path}{{{i}}}", found)
        case Repeat():
            _collect(node.count, path + ".count", found)
            most = max(node.count.options) if isinstance(node.count, Choice) else node.count
            for inner in [f"{path}[{i}]" for i in range(most)] if node.independent else [path + ".item"]:
                _collect(node.item, inner, found)
        case tuple():
            for i, item in enumerate(node):
                _collect(item, f"{path}[{i}]", found)
        case _ if type(node) in LEAVES:
            return
        case _:
            names, blanks = layout(type(node))
            hidden = {names[position] for position, _ in blanks}
            for name in names:
                if name not in hidden:
                    _collect(getattr(node, name), f"{path}.{name}" if path else name, found)


def _at_the_end(sizes: list[Size], which: Literal["largest", "smallest"], rng: random.Random) -> int:
    """Return the index of the largest or smallest size, or of any where one has none."""
    known = [size for size in sizes if size is not None]
    if len(known) < len(sizes):
        return rng.randrange(len(sizes))
    return sizes.index(max(known) if which == "largest" else min(known))
