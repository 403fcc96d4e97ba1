"""Feature maps alive at once, by liveness over the graph of layers; the rules stand at the top of cost.py.

A store is the memory behind a map and all views of it. In a graph, the inputs' stores are numbered first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import NamedTuple

from search_spaces.choice import Same
from search_spaces.graph import Graph
from search_spaces.layers import Dropout, Flatten, Shape, Slice
from search_spaces.network import Step

BYTES_PER_NUMBER = 4  # float32


class Held(NamedTuple):
    """A map that a graph is given; equal `store`s share memory, and what is read later on too `stays`."""

    store: int
    size: int
    stays: bool


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """What a graph does to the lifetime of the maps around it."""

    reads: tuple[bool, ...]  # of its inputs, those that a layer reads
    view_of: int | None  # the input that the output is, or is a view of
    holds: int  # bytes that the output keeps alive, where it is no such view


def n_bytes(shape: Shape) -> int:
    """Return the bytes of a map of that shape."""
    return BYTES_PER_NUMBER * prod(shape)


def graph_peak(graph: Graph) -> int:
    """Return the most bytes alive at once while a graph runs."""
    inputs = tuple(Held(i, n_bytes(shape), False) for i, shape in enumerate(graph.inputs))
    return peak_within(graph, inputs, output_stays=True)


def peak_within(graph: Graph, inputs: tuple[Held, ...], *, output_stays: bool) -> int:
    """Return the most bytes alive at once of a graph's inputs and of what it makes, while it runs."""
    first = len(inputs)
    stores = _stores(graph, [held.store for held in inputs])
    sizes = {held.store: held.size for held in inputs}
    ends: dict[int, int] = {}
    for time, node in enumerate(graph.nodes):
        sizes.setdefault(stores[first + time], n_bytes(node.shape))
        ends[stores[first + time]] = time
        ends.update((stores[source], time) for source in node.sources)
    ends.update((held.store, len(graph.nodes)) for held in inputs if held.stays)
    if output_stays:
        ends[stores[graph.output]] = len(graph.nodes)
    freed = [0] * (len(graph.nodes) + 1)
    for store, time in ends.items():
        freed[time] += sizes[store]
    alive, peak = sum(sizes[store] for store in {held.store for held in inputs} if store in ends), 0
    for time in range(len(graph.nodes)):
        if stores[first + time] == first + time:  # no view: memory of its own
            alive += sizes[first + time]
        peak = max(peak, alive)
        alive -= freed[time]
    return peak


def lifetimes(graph: Graph) -> Lifetimes:
    """Return what a graph does to its inputs' lifetime and what its output keeps alive."""
    stores = _stores(graph, range(len(graph.inputs)))
    read = {stores[source] for node in graph.nodes for source in node.sources}
    output = stores[graph.output]
    return Lifetimes(
        reads=tuple(i in read for i in range(len(graph.inputs))),
        view_of=output if output < len(graph.inputs) else None,
        holds=n_bytes(graph.shape(output)),
    )


def chain_peak(graph: Graph) -> int | None:
    """Return the peak of a block whose one input nobody else reads; None where its lifetimes are less plain.

    In a chain of plain blocks the largest of these is the network's peak: each is given just the map that the
    one before it made.
    """
    if not graph.nodes:
        return 0
    own = lifetimes(graph)
    plain = own.reads == (True,) and own.view_of is None and own.holds == n_bytes(graph.shape(graph.output))
    return graph_peak(graph) if plain else None


def steps_peak(done: Sequence[Step], shape: Shape) -> int:
    """Return the most bytes alive at once over all blocks, which may read several maps (cells, taps)."""
    sizes, given, made = _stores_of_steps(done, shape)
    last = {
        store: k
        for k, step in enumerate(done)
        for store, read in zip(given[k], _known(step).reads, strict=True)
        if read
    }
    last[made[-1]] = len(done)
    alive = {0} if 0 in last else set()
    peak = 0
    for k, step in enumerate(done):
        held = tuple(Held(given[k].index(s), sizes[s], last.get(s, -1) > k) for s in given[k])
        outside = sum(sizes[s] for s in alive.difference(given[k]))
        inside = _peak_within(Same(step.graph), held, last.get(made[k], -1) > k)
        peak = max(peak, outside + inside)
        alive = {s for s in (*alive, made[k]) if last.get(s, -1) > k}
    return peak


def _stores_of_steps(
    done: Sequence[Step], shape: Shape
) -> tuple[list[int], list[tuple[int, ...]], list[int]]:
    """Return the size of every store, and for each step the stores it is given and the one it makes."""
    sizes = [n_bytes(shape)]
    given: list[tuple[int, ...]] = []
    made: list[int] = []
    for step in done:
        own = _known(step)
        stores = tuple(made[source] if source >= 0 else 0 for source in step.sources)
        if own.view_of is None:
            sizes.append(own.holds)
        given.append(stores)
        made.append(len(sizes) - 1 if own.view_of is None else stores[own.view_of])
    return sizes, given, made


def _stores(graph: Graph, of_inputs: Sequence[int]) -> list[int]:
    """Return the store behind every value of a graph."""
    stores = list(of_inputs)
    for node in graph.nodes:
        view = isinstance(node.layer, Flatten | Slice | Dropout)
        stores.append(stores[node.sources[0]] if view else len(stores))
    return stores


def _known(step: Step) -> Lifetimes:
    return _lifetimes(Same(step.graph))


# Blocks that are alike share one graph object, so these are worked out once for each kind of block.
@lru_cache(maxsize=65536)
def _lifetimes(key: Same) -> Lifetimes:
    assert isinstance(key.node, Graph)
    return lifetimes(key.node)


@lru_cache(maxsize=65536)
def _peak_within(key: Same, inputs: tuple[Held, ...], output_stays: bool) -> int:
    assert isinstance(key.node, Graph)
    return peak_within(key.node, inputs, output_stays=output_stays)
