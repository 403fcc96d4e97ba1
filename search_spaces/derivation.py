"""From the vectors of a mixture to architectures, and from an architecture to the entries it takes.

The paper's rule (Liu et al. 2019, section 2.4): each slot takes its largest entry; of a `Pick` of k edges, those k
stay whose largest operation, "no connection" left out, is largest.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, product
from typing import cast

from .automaton import automaton
from .block import Block
from .cells import Cell, Edge
from .choice import Choice, Pick, picks
from .errors import BadInput
from .mixed import Mixed
from .mixture import Mixture, Slot
from .moves import keeps_conditions
from .network import Network, placed
from .rewriting import Node, edge_places, rewritten

Weights = Mapping[str, Sequence[float]]  # by a vector's path; of a slot what its entries weigh, none below 0
SMALLEST = 1e-30  # of a weight: what has less of it is as far behind
OUT = 1e6  # nats: how far behind all others an option is that is not to be taken while there is another
MOST_A_GROUP = 256  # alternatives of one group that are looked at


@dataclass(frozen=True, slots=True)
class Ranked:
    """What one place may become, best first: how far behind the best each is, in nats, and what it is."""

    losses: tuple[float, ...]
    values: tuple[object, ...]


def derive(mixture: Mixture, weights: Weights) -> Network:
    """Return the architecture that the vectors stand for, by the paper's rule.

    `BadInput` says where the weights are of another space.
    """
    return next(derived(mixture, weights))


def derived(mixture: Mixture, weights: Weights) -> Iterator[Network]:
    """Yield members of the space, best first by the product of what they take; each keeps the space's conditions.

    Places are independent of each other, so that the next best differs least. Of a node of many alternatives only
    the best 256 are looked at.
    """
    check_weights(mixture, weights)
    groups = _groups(mixture, weights)
    for chosen in best_first([group.losses for group in groups.values()]):
        values = {path: group.values[i] for (path, group), i in zip(groups.items(), chosen, strict=True)}
        network = rewritten(
            mixture.space,
            lambda path, _, values=values: cast(Block, values[path]),  # type: ignore[misc]
            lambda path, node, values=values: _edges(path, node, values),  # type: ignore[misc]
        )
        if not automaton(mixture.space).conditions or keeps_conditions(mixture.space, network):
            yield network


def taken(mixture: Mixture, network: Network) -> dict[str, int]:
    """Return the entry that each slot takes in a member of the space; slots of edges that it has not are left out."""
    found: dict[str, int] = {}
    for _, ours, theirs in pairs(mixture, network):
        if isinstance(ours, Mixed):
            found[ours.slot] = entry_of(ours, theirs)
        elif isinstance(ours, Cell):
            for pair, _ in edge_pairs(ours, cast(Cell, theirs)):
                if pair.entry is not None:
                    found[pair.slot] = pair.entry
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgePair:
    """An edge of a resolved cell, and where the opened cell has it."""

    node: int
    edge: int  # its place in the opened cell's node
    slot: str
    entry: int | None  # None: it is no choice


def pairs(mixture: Mixture, network: Network) -> Iterator[tuple[str, Block, Block]]:
    """Yield, place by place, its name, what the opened network has there and what a member of the space has."""
    ours, theirs = list(placed(mixture.network)), list(placed(network))
    if [place[0] for place in ours] != [place[0] for place in theirs]:
        raise BadInput(
            "lift: got an architecture of other stages than the supernet's, expected a member of its space"
        )
    for (name, block, *_), (_, resolved, *_) in zip(ours, theirs, strict=True):
        yield name, block, resolved


def edge_pairs(ours: Cell, theirs: Cell) -> list[tuple[EdgePair, Block]]:
    """Match the edges of a resolved cell, node by node, with those of the opened one; with their operations."""
    found = []
    if len(ours.nodes) != len(theirs.nodes):
        raise BadInput(
            f"lift: got a cell of {len(theirs.nodes)} nodes, expected {len(ours.nodes)}, a member of the space"
        )
    for number, (node, edges) in enumerate(zip(ours.nodes, theirs.nodes, strict=True), start=ours.inputs):
        free = cast("list[tuple[int, Edge]]", list(enumerate(cast("tuple[Edge, ...]", node))))
        for edge in cast("tuple[Edge, ...]", edges):
            place, slot, entry = next(
                (
                    (i, _slot(candidate, i), entry)
                    for i, candidate in free
                    if candidate.source == edge.source
                    for entry in _entries(candidate.op, edge.op)
                ),
                (-1, "", None),
            )
            if place < 0:
                raise BadInput(
                    f"lift: got an edge {edge} of node {number}, expected one of the supernet's space"
                )
            # In order, and no slot twice: an edge that may read several values stands once for each of them.
            free = [(i, other) for i, other in free if i > place and _slot(other, i) != slot]
            pair = EdgePair(node=number, edge=place, slot=slot, entry=entry)
            found.append((pair, cast(Block, edge.op)))
    return found


def check_weights(mixture: Mixture, weights: Weights) -> None:
    """Refuse vectors of another space."""
    for path, entries in mixture.vectors.items():
        got = weights.get(path)
        if got is None or len(got) != entries:
            raise BadInput(
                f"weights: {path}: got {'nothing' if got is None else f'{len(got)} numbers'}, expected {entries}; were "
                "they written for another space?"
            )


def best_first(losses: Sequence[Sequence[float]]) -> Iterator[tuple[int, ...]]:
    """Yield one index of each ascending row, the smallest sum first; every combination comes once.

    >>> list(best_first([(0.0, 2.0), (0.0, 1.0)]))
    [(0, 0), (0, 1), (1, 0), (1, 1)]
    """
    ticket = count()  # first come, first served among equals, so that the order is the same everywhere
    start = (0,) * len(losses)
    queue = [(0.0, next(ticket), start, 0)]
    while queue:
        loss, _, chosen, first = heapq.heappop(queue)
        yield chosen
        for i in range(first, len(chosen)):
            if chosen[i] + 1 < len(losses[i]):
                step = (*chosen[:i], chosen[i] + 1, *chosen[i + 1 :])
                worse = loss + losses[i][step[i]] - losses[i][chosen[i]]
                heapq.heappush(queue, (worse, next(ticket), step, i))


def _groups(mixture: Mixture, weights: Weights) -> dict[str, Ranked]:
    """Return what every place that chooses may become, by its path."""
    groups: dict[str, Ranked] = {}

    def block(path: str, item: object) -> Block:
        slot = mixture.slots[named(item, path)]
        groups[path] = _ranked(weights[slot.path], slot)
        return cast(Block, slot.options[0])

    def node(path: str, edges: Node) -> tuple[Edge, ...]:
        places = edge_places(path, edges)
        slots = [mixture.slots.get(named(item, at)) for at, item in places]
        if isinstance(edges, Pick):
            groups[path] = _picked(mixture, weights, path, edges)
        else:
            for (at, _), slot in zip(places, slots, strict=True):
                if slot is not None:
                    groups[at] = _ranked(weights[slot.path], slot, zero=mixture.mixing.derive_zero)
        return ()

    rewritten(mixture.space, block, node)
    return groups


def _ranked(vector: Sequence[float], slot: Slot, *, zero: bool = True) -> Ranked:
    """Rank a slot's options, the earlier one of equals first; without `zero`, those that connect nothing last."""
    logs = [math.log(max(weight, SMALLEST)) for weight in vector[: len(slot.options)]]
    if not zero:
        logs = [log - (OUT if entry in slot.zeros else 0) for entry, log in enumerate(logs)]
    order = sorted(range(len(logs)), key=lambda entry: -logs[entry])
    return Ranked(
        tuple(logs[order[0]] - logs[entry] for entry in order), tuple(slot.options[entry] for entry in order)
    )


def _picked(mixture: Mixture, weights: Weights, path: str, node: Pick[Edge]) -> Ranked:
    """Rank the ways to pick a node's edges and their operations, by the product of what they weigh."""
    slots = [mixture.slots[named(item, at)] for at, item in edge_places(path, node)]
    shares = weights.get(path) or (1.0,) * len(slots)
    logs = [math.log(max(share, SMALLEST)) for share in shares]
    ranks = [_ranked(weights[slot.path], slot) for slot in slots]
    heads = [
        log + math.log(max(max(weights[slot.path][: len(slot.options)]), SMALLEST))
        for log, slot in zip(logs, slots, strict=True)
    ]
    ways = []
    for combination in picks(cast("Pick[object]", node)):
        each = [ranks[i] for i in combination]
        base = sum(heads[i] for i in combination)
        few = max(1, int(MOST_A_GROUP ** (1 / len(each))))
        for ops in product(*(range(min(few, len(rank.values))) for rank in each)):
            loss = sum(rank.losses[o] for rank, o in zip(each, ops, strict=True))
            ways.append((base - loss, tuple(rank.values[o] for rank, o in zip(each, ops, strict=True))))
    ways.sort(key=lambda way: -way[0])
    ways = ways[:MOST_A_GROUP]
    return Ranked(tuple(ways[0][0] - score for score, _ in ways), tuple(edges for _, edges in ways))


def _edges(path: str, node: Node, values: Mapping[str, object]) -> tuple[Edge, ...]:
    if isinstance(node, Pick):
        return cast("tuple[Edge, ...]", values[path])
    return tuple(cast(Edge, values.get(at, item)) for at, item in edge_places(path, node))


def named(item: object, path: str) -> str:
    """Return the path of a place's slot: its own, or that of the choices tied with it."""
    return f"@{item.name}" if isinstance(item, Choice) and item.name is not None else path


def _slot(edge: Edge, place: int) -> str:
    return edge.op.slot if isinstance(edge.op, Mixed) else f"edge {place}"


def _entries(op: object, resolved: object) -> list[int | None]:
    if not isinstance(op, Mixed):
        return [None] if op == resolved else []
    return [entry for entry, block in op.options if block == resolved]


def entry_of(mixed: Mixed, block: Block) -> int:
    """Return which entry of a slot a block is; `BadInput` where it is none."""
    found = _entries(mixed, block)
    if not found or found[0] is None:
        raise BadInput(
            f"lift: {mixed.slot}: got {type(block).__name__}, expected one of the supernet's options"
        )
    return found[0]
