"""Members whose layers are named after the options they come from, so that members can share weights by name.

A block's mark is its path in the space, `stages[0].blocks[1]{2}`: layers are numbered, options that are blocks
keep their index, plain values leave no trace. A marked block lowers to just the layers of its plain twin, each
named `|<mark>|<name>`, wherever it stands in another block: an edge's operation has the same name in every cell
that takes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import TypeVar, cast

from .block import Block
from .choice import LEAVES, Choice, Pick, Repeat, decisions, layout, picks
from .data import by_class
from .graph import Feature, Place
from .making import rebuilt
from .network import Network

NodeT = TypeVar("NodeT")
BAR = "|"  # on either side of a mark


def marked(space: Network, member: Network) -> Network:
    """Return the member with its blocks marked; raises `OutOfSpace` where it is of another space."""
    return cast(Network, marked_node(space, decisions(space, member)))


def marked_node(node: object, chosen: Mapping[str, int], *, path: str = "", mark: str = "") -> object:
    """Return the member of a node that decisions describe, its blocks marked; `path` is where they begin."""
    match node:
        case Choice():
            index = chosen[path if node.name is None else "@" + node.name]
            return marked_node(
                node.options[index], chosen, path=f"{path}{{{index}}}", mark=f"{mark}{{{index}}}"
            )
        case Repeat():
            return _repeated(node, chosen, path, mark)
        case Pick():
            return tuple(
                marked_node(node.options[i], chosen, path=f"{path}{{{i}}}", mark=f"{mark}{{{i}}}")
                for i in picks(node)[chosen[path]]
            )
        case tuple():
            return tuple(
                marked_node(item, chosen, path=f"{path}[{i}]", mark=f"{mark}[{i}]")
                for i, item in enumerate(node)
            )
        case _ if type(node) in LEAVES:
            return node
    return _with_fields(node, chosen, path, mark)


def _repeated(repeat: Repeat[object], chosen: Mapping[str, int], path: str, mark: str) -> tuple[object, ...]:
    count = cast(int, marked_node(repeat.count, chosen, path=path + ".count"))
    paths = [f"{path}[{i}]" if repeat.independent else path + ".item" for i in range(count)]
    return tuple(
        marked_node(repeat.item, chosen, path=inner, mark=f"{mark}[{i}]") for i, inner in enumerate(paths)
    )


def _with_fields(node: object, chosen: Mapping[str, int], path: str, mark: str) -> object:
    names, blanks = layout(type(node))
    values = [
        marked_node(
            getattr(node, name),
            chosen,
            path=f"{path}.{name}" if path else name,
            mark=f"{mark}.{name}" if mark else name,
        )
        for name in names
    ]
    for position, blank in blanks:
        values[position] = blank
    made = rebuilt(node, names, values)
    return _marked_block(made, names, values, mark) if isinstance(made, Block) else made


def _marked_block(block: Block, names: tuple[str, ...], values: list[object], mark: str) -> Block:
    kind = _marking_class(type(block))(mark)
    return cast(Block, rebuilt(object.__new__(kind), names, values))


@by_class
def _marking_class(kind: type) -> Callable[[str], type]:
    """Return what makes a block's marking classes, one a mark."""
    return cache(partial(_marking, kind))


def _marking(kind: type[Block], mark: str) -> type:
    """Return a class that differs from a block's in the names of its layers alone.

    One class a mark: blocks of unlike marks are not equal, and what is remembered of one is not taken for another.
    """

    def lower(self: Block, place: Place) -> Feature:
        tracer = place.input.tracer
        outer, tracer.prefix = tracer.prefix, BAR + mark + BAR
        try:
            return kind.lower(self, place)
        finally:
            tracer.prefix = outer

    return type(kind.__name__, (kind,), {"__slots__": (), "__module__": kind.__module__, "lower": lower})
