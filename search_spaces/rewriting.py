"""A space with other blocks in the places that choose: what opening, deriving and costing one all do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from .block import Block
from .cells import Cell, Edge
from .check import combinators
from .choice import Pick, Repeat, Searchable, layout
from .making import rebuilt
from .network import Network, Shared, Stage

T = TypeVar("T")
Node = tuple[Searchable[Edge], ...] | Pick[Edge]  # of a cell


def rewritten(
    space: Network, block: Callable[[str, object], Block], node: Callable[[str, Node], tuple[Edge, ...]]
) -> Network:
    """Return a copy with every open block, and every node of a cell with an open one, made anew.

    Blocks that choose nothing stay the same object. The copy is made past the checks of a network: what is put in
    may be no registered block.
    """

    def of_block(path: str, item: object) -> object:
        if next(combinators(item), None) is None:
            return item
        if isinstance(item, Cell):
            nodes = tuple(node(f"{path}.nodes[{i}]", one) for i, one in enumerate(item.nodes))
            return _changed(item, nodes=nodes)
        return block(path, item)

    def of_stage(path: str, stage: object) -> object:
        if not isinstance(stage, Stage):
            return stage
        blocks = stage.blocks
        if isinstance(blocks, Repeat) and isinstance(blocks.count, int):
            paths = [f"[{i}]" if blocks.independent else ".item" for i in range(blocks.count)]
            return _changed(stage, blocks=tuple(of_block(f"{path}.blocks{p}", blocks.item) for p in paths))
        if isinstance(blocks, tuple):
            inner = tuple(of_block(f"{path}.blocks[{i}]", one) for i, one in enumerate(blocks))
            return _changed(stage, blocks=inner)
        return stage

    return _changed(
        space,
        stem=of_stage("stem", space.stem),
        stages=tuple(of_stage(f"stages[{i}]", stage) for i, stage in enumerate(space.stages)),
        head=of_block("head", space.head),
        shared=tuple(
            Shared(name=one.name, block=cast(Block, of_block(f"shared[{i}].block", one.block)))
            for i, one in enumerate(space.shared)
        ),
        conditions=(),
    )


def edge_places(path: str, node: Node) -> list[tuple[str, Searchable[Edge]]]:
    """List what a node chooses its edges among, each with its path."""
    if isinstance(node, Pick):
        return [(f"{path}{{{i}}}", item) for i, item in enumerate(node.options)]
    return [(f"{path}[{i}]", item) for i, item in enumerate(node)]


def _changed(node: T, **fields: object) -> T:
    names = layout(type(node))[0]
    return cast(T, rebuilt(node, names, [fields.get(name, getattr(node, name)) for name in names]))
