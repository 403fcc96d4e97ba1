"""What a mixture costs in expectation, as a linear function of what weighs its options.

Each option's share is told from members of the space that differ in it alone, so that any metric of a network will
do: MACs by formula, a latency by a table. For metrics that add up over layers it is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import cast

from search_spaces.block import Block
from search_spaces.cells import Cell, Edge
from search_spaces.choice import Pick
from search_spaces.derivation import named
from search_spaces.mixture import Mixture, searches
from search_spaces.network import Network, placed
from search_spaces.rewriting import Node, edge_places, rewritten

from .latency_table import LatencyTable, Predictor

Metric = Callable[[Network], float]


@dataclass(frozen=True, slots=True)
class Expected:
    """`base` plus, over all slots, the sum of `slopes[path][entry]` by the entry's share.

    Shares are an entry's part of what all operations of its slot weigh, "no connection" left out. Edges that are
    picked count by the part of them that is kept.
    """

    base: float
    slopes: Mapping[str, tuple[float, ...]]
    low: float  # of any member, as far as the metric is additive
    high: float


def expected(mixture: Mixture, metric: Metric) -> Expected:
    """Work out a metric's expectation over the members of a mixture's space; `Unbuildable` passes."""
    picked = _picked(mixture)
    start = _start(mixture)
    base = metric(_member(mixture, start, {}))
    slopes: dict[str, tuple[float, ...]] = {}
    low = high = base
    for path, slot in mixture.slots.items():
        if path in picked:
            continue
        own = tuple(metric(_member(mixture, {**start, path: i}, {})) - base for i in range(len(slot.options)))
        slopes[path] = own
        low, high = low + min(own), high + max(own)
    for node, (k, paths) in _nodes(picked).items():
        slots = [(path, len(mixture.slots[path].options)) for path in paths]
        edges = _edge_costs(partial(_measured, mixture, metric, node), slots, k)
        rest = sum(own[start[path]] for own, path in zip(edges[:k], paths, strict=False))
        base, low, high = base - rest, low - rest, high - rest
        low += sum(sorted(min(own) for own in edges)[:k])
        high += sum(sorted(max(own) for own in edges)[-k:])
        slopes |= {
            path: tuple(k / len(paths) * c for c in own) for path, own in zip(paths, edges, strict=True)
        }
    return Expected(base, slopes, low, high)


def expected_latency(mixture: Mixture, table: LatencyTable) -> Expected:
    """Work out the expectation of a table's latency, in milliseconds.

    Blocks go by the table's entries, so that it is that of the predicted latencies; cells whose edges are mixed go by
    its coefficients, for there are no entries of edges.
    """
    by_edge = [isinstance(block, Cell) and searches(block) for _, block, *_ in placed(mixture.network)]
    predictor = Predictor(table)
    return expected(mixture, lambda network: predictor.additive(network, by_edge))


def _edge_costs(
    measure: Callable[[dict[str, int], tuple[int, ...]], float], slots: list[tuple[str, int]], k: int
) -> list[tuple[float, ...]]:
    """Return what each operation of each edge costs, where one edge stands for another: as the k-th, as at the start.

    Where all edges are kept nothing stands for anything, and only their sum is told.
    """
    first = tuple(range(k))
    base = measure({}, first)
    costs = []
    for edge, (path, options) in enumerate(slots):
        kept = first if edge < k else (*range(k - 1), edge)
        with_it = measure({}, kept)
        head = with_it - base
        if edge < k < len(slots):
            swapped = tuple(i for i in (*first, k) if i != edge)
            head = measure({}, (*range(k - 1), k)) - measure({}, swapped)
        costs.append(tuple(head + measure({path: i}, kept) - with_it for i in range(options)))
    return costs


def _measured(
    mixture: Mixture, metric: Metric, node: str, entries: Mapping[str, int], kept: tuple[int, ...]
) -> float:
    return metric(_member(mixture, {**_start(mixture), **entries}, {node: kept}))


def _start(mixture: Mixture) -> dict[str, int]:
    """Return the member that others are told from: all is connected, for what adds up only nearly does so best then."""
    return {
        path: next((i for i in range(len(slot.options)) if i not in slot.zeros), 0)
        for path, slot in mixture.slots.items()
    }


def _member(mixture: Mixture, entries: Mapping[str, int], kept: Mapping[str, tuple[int, ...]]) -> Network:
    def block(path: str, item: object) -> Block:
        slot = mixture.slots[named(item, path)]
        return cast(Block, slot.options[entries[slot.path]])

    def node(path: str, edges: Node) -> tuple[Edge, ...]:
        made = []
        for at, item in edge_places(path, edges):
            slot = mixture.slots.get(named(item, at))
            made.append(cast(Edge, item if slot is None else slot.options[entries[slot.path]]))
        if isinstance(edges, Pick):
            return tuple(made[i] for i in kept.get(path, tuple(range(edges.k))))
        return tuple(made)

    return rewritten(mixture.space, block, node)


def _picked(mixture: Mixture) -> dict[str, tuple[str, int]]:
    """Return, for the slot of every edge that may be picked, its node and how many that one keeps."""
    found: dict[str, tuple[str, int]] = {}

    def node(path: str, edges: Node) -> tuple[Edge, ...]:
        if isinstance(edges, Pick):
            found.update({named(item, at): (path, edges.k) for at, item in edge_places(path, edges)})
        return ()

    rewritten(mixture.space, lambda _path, item: cast(Block, item), node)
    return found


def _nodes(picked: Mapping[str, tuple[str, int]]) -> dict[str, tuple[int, list[str]]]:
    nodes: dict[str, tuple[int, list[str]]] = {}
    for slot, (node, k) in picked.items():
        nodes.setdefault(node, (k, []))[1].append(slot)
    return nodes
