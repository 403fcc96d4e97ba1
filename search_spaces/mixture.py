"""Spaces whose choices are mixed instead of made: every option of a block or of a cell's edge stands side by side.

A slot is a place that chooses: a block, or an edge of a cell. It has one vector of numbers, an entry an option, in
the order of `enumerate_members`; cells that are shared share theirs. `opened` turns a space into a network with a
`Mixed` block in each slot, which lowers like any other: its graph holds all options and joins them in `Mix` nodes.
A `Pick` of k edges keeps them all, and each has one entry more, the last, for "no connection" (Liu et al. 2019).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

from .automaton import count
from .block import Block
from .blocks import Identity, Pool
from .cell_blocks import Skip, Zero
from .cells import Cell, Edge
from .check import combinators
from .choice import Choice, Pick, Repeat, Searchable
from .data import declared
from .errors import BadSpec
from .explain import short
from .graph import Graph
from .layers import Normalisation
from .mixed import Mixed
from .moves import enumerate_members
from .network import Network, placed
from .rewriting import Node, edge_places, rewritten

MOST_MIXED = 64  # options of one slot: all of them run at each step


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixing:
    """How options stand side by side, apart from the numbers that weigh them.

    `partial` k sends one k-th of an edge's channels through its options and the others past them (PC-DARTS, Xu et
    al. 2020); `edges` gives each node a vector over its edges as well (the same, eq. 3). `pool_norm` puts a norm
    behind pools, as DARTS does while it searches; `zero` is the entry for no connection of picked edges, which is never
    derived, for so many edges are to stay (Liu et al. 2019, section 2.4). Where all edges stay and a space has `Zero`
    among an edge's own options, it is an option like the others, as NAS-Bench-201's authors derive it (Dong & Yang
    2020); without `derive_zero` the next best is taken. `auxiliary` gives each edge that can skip one more branch, of
    weights of its own where it strides (DARTS-, Chu et al. 2021); the vector `AUXILIARY`, one number, weighs it, and
    where a run is given none it weighs 0.
    """

    partial: int = 1
    edges: bool = False
    pool_norm: bool = True
    zero: bool = True
    derive_zero: bool = True
    auxiliary: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A place that chooses: its path, its options in the order of its vector, and whether none is one more."""

    path: str
    options: tuple[Block | Edge, ...]
    zero: bool = False

    @property
    def entries(self) -> int:
        """How many numbers its vector has."""
        return len(self.options) + self.zero

    @property
    def zeros(self) -> tuple[int, ...]:
        """The entries of options that connect nothing."""
        return tuple(
            entry
            for entry, option in enumerate(self.options)
            if isinstance(option, Edge) and isinstance(option.op, Zero)
        )

    @property
    def skips(self) -> tuple[int, ...]:
        """The entries that hand the input on as it is."""
        return self._of(Skip, Identity)

    @property
    def weightless(self) -> tuple[int, ...]:
        """The entries that learn nothing, where they change no shape."""
        return self._of(Skip, Identity, Pool, Zero)

    def _of(self, *kinds: type[Block]) -> tuple[int, ...]:
        ops = [option.op if isinstance(option, Edge) else option for option in self.options]
        return tuple(entry for entry, op in enumerate(ops) if isinstance(op, kinds))


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """A space opened: the network that holds all options, and its slots by path."""

    space: Network
    mixing: Mixing
    network: Network
    slots: dict[str, Slot]
    edges: dict[str, int]  # vectors over a node's edges: the node's path, and how many edges it has

    @property
    def vectors(self) -> dict[str, int]:
        """How many numbers each vector has, by path: first the slots', then those over edges."""
        return {path: slot.entries for path, slot in self.slots.items()} | self.edges

    def mixed(self) -> Iterator[Mixed]:
        """Yield what stands where options are, place by place."""
        for _, block, *_ in placed(self.network):
            if isinstance(block, Mixed):
                yield block
            elif isinstance(block, Cell):
                edges = (edge for node in block.nodes for edge in cast("tuple[Edge, ...]", node))
                yield from (edge.op for edge in edges if isinstance(edge.op, Mixed))


def opened(space: Network, mixing: Mixing = Mixing()) -> Mixture:
    """Return a space with all that can be mixed opened.

    `BadSpec` names the path of a choice that cannot be, because shapes depend on it, and says how to settle it;
    it also says where nothing is left to mix.
    """
    opening = _Opening(mixing)
    network = rewritten(space, opening.block, opening.node)
    left = next(combinators(network), None)
    if left is not None:
        _refuse(*left)
    if not any(slot.entries > 1 for slot in opening.slots.values()):
        raise BadSpec(
            "space: got nothing to mix, expected a choice among blocks or among a cell's operations; take a space "
            "with one, or a strategy that trains architectures one by one"
        )
    return Mixture(space, mixing, network, opening.slots, opening.edges)


@dataclass(frozen=True, slots=True)
class _Opening:
    """Makes `Mixed` blocks, and remembers the slots."""

    mixing: Mixing
    slots: dict[str, Slot] = field(default_factory=dict)
    edges: dict[str, int] = field(default_factory=dict)

    def block(self, path: str, item: object) -> Block:
        slot = self._slot(path, item)
        return self._mixed(slot, list(enumerate(cast("tuple[Block, ...]", slot.options))))

    def node(self, path: str, node: Node) -> tuple[Edge, ...]:
        if next(combinators(node), None) is None:
            return cast("tuple[Edge, ...]", node)
        made: list[tuple[int, Slot, list[tuple[int, Block]]]] = []
        for at, item in edge_places(path, node):
            slot = self._slot(at, item, zero=self.mixing.zero and isinstance(node, Pick))
            members = cast("tuple[Edge, ...]", slot.options)
            sources = list(dict.fromkeys(cast(int, edge.source) for edge in members))
            if isinstance(node, Pick) and len(sources) > 1:
                _refuse(f"{at}.source", cast(Choice[object], cast(Edge, item).source))
            made += [
                (s, slot, [(e, cast(Block, m.op)) for e, m in enumerate(members) if m.source == s])
                for s in sources
            ]
        if self.mixing.edges and len(made) > 1:
            self.edges[path] = len(made)
        return tuple(
            Edge(source=source, op=self._mixed(slot, ops, (path, i) if path in self.edges else None))
            for i, (source, slot, ops) in enumerate(made)
        )

    def _slot(self, path: str, item: object, *, zero: bool = False) -> Slot:
        path = f"@{item.name}" if isinstance(item, Choice) and item.name is not None else path
        for at, inner in combinators(item, path):
            if isinstance(inner, Choice) and inner.name is not None and inner is not item:
                raise BadSpec(
                    f"{at}: got a choice tied as {inner.name!r} inside of what is mixed, expected options that stand "
                    f"on their own; {remedy('@' + inner.name)}, or take the name away"
                )
        if count(item) > MOST_MIXED:
            raise BadSpec(
                f"{path}: got {count(item):,} options to be mixed, expected at most {MOST_MIXED}, all of which run at "
                f"each step; {remedy(next(at for at, _ in combinators(item, path)))}"
            )
        members = tuple(enumerate_members(item))
        slot = Slot(path=path, options=cast("tuple[Block | Edge, ...]", members), zero=zero)
        return self.slots.setdefault(path, slot)

    def _mixed(
        self,
        slot: Slot,
        options: Sequence[tuple[int, Searchable[Block]]],
        edge: tuple[str, int] | None = None,
    ) -> Mixed:
        partial = self.mixing.partial if edge_like(slot) else 1
        given = cast("tuple[tuple[int, Block], ...]", tuple(options))
        skips = [block for entry, block in given if entry in slot.skips] if self.mixing.auxiliary else []
        return Mixed(
            slot=slot.path, options=given, edge=edge, partial=partial, pool_norm=self.mixing.pool_norm,
            auxiliary=skips[0] if skips else None,
        )  # fmt: skip


def plain_norms(mixture: Mixture, graph: Graph) -> frozenset[int]:
    """Return the nodes that are batch norms within what is mixed, which have no weights of their own."""
    searched = tuple(f"{name}." for name, block, *_ in placed(mixture.network) if searches(block))
    return frozenset(
        i
        for i, node in enumerate(graph.nodes)
        if isinstance(node.layer, Normalisation)
        and node.layer.kind == "batch"
        and node.name.startswith(searched)
    )


def searches(block: Block) -> bool:
    """Tell whether a block of an opened network mixes options."""
    if isinstance(block, Cell):
        return any(
            isinstance(edge.op, Mixed) for node in block.nodes for edge in cast("tuple[Edge, ...]", node)
        )
    return isinstance(block, Mixed)


def label(option: Block | Edge) -> str:
    """Return an option in a few words: its class, and the fields that are not as always.

    >>> label(Edge(source=0, op=Pool(kind="average")))
    'Pool average'
    """
    block = option.op if isinstance(option, Edge) else option
    fields = [
        (name, getattr(block, name))
        for name, default in declared(type(block))
        if getattr(block, name) != default
    ]
    said = [str(value) if isinstance(value, str) else f"{name} {value}" for name, value in fields]
    return " ".join([type(block).__name__, *said])


def edge_like(slot: Slot) -> bool:
    """Tell whether a slot is an edge of a cell."""
    return isinstance(slot.options[0], Edge)


def remedy(path: str) -> str:
    """Say how a choice is settled."""
    return f'settle it: fix=["{path} = option 0"], or another option or value'


def _refuse(path: str, node: object) -> None:
    if isinstance(node, Repeat):
        path, node = f"{path}.count", node.count
    among = short(node.options) if isinstance(node, Choice | Pick) else short(node)
    raise BadSpec(
        f"{path}: got a choice among {among}, on which shapes or depths depend, expected one value in a supernet that "
        f"mixes; {remedy(path)}"
    )
