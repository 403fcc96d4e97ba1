"""In which steps a supernet's graph runs: what stands in it twice is done once, and sums are weighed as they are made.

Three things are told from the graph. Options that read one map often begin alike (activation, pooling, pooling's
norm): equal layers without weights on equal inputs are one step. The sum of a cell's node over edges, each of which
is a weighted sum of options, is one weighted sum. Where a branch ends in a norm without weights of its own, the
weight is that norm's scale. None of it changes what is computed, but for the order of summation.

Convolutions of one kernel on one map stay apart: as one convolution with all their channels they take longer on a CPU,
1.4 to 2.7 times, for what they give has to be cut apart again for the sums of different nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from .graph import Graph, Node
from .layers import (
    Activation,
    AdaptivePooling,
    Flatten,
    Layer,
    Normalisation,
    Pad,
    Pooling,
    Shape,
    Shift,
    Shuffle,
    Slice,
    Sum,
    Upsample,
    Zeros,
)
from .mixed import Mix

Factor = tuple[str, int]  # a vector's path and an entry of it
REPEATABLE = (Activation, Pooling, AdaptivePooling, Slice, Shuffle, Pad, Shift, Upsample, Zeros, Flatten)


@dataclass(frozen=True, slots=True)
class Term:
    """One summand: a value, what it is multiplied by, and the norm (a node's number) that comes before that."""

    value: int
    factors: tuple[Factor, ...]
    norm: int | None = None


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One thing to do: run a node's layer, or make a weighted sum of terms."""

    node: int  # whose value it makes
    sources: tuple[int, ...]
    shape: Shape
    sums: bool = False
    terms: tuple[Term, ...] = ()  # of a sum
    in_place: bool = False

    def cut(self, keeps: Callable[[str, int], bool]) -> PlanStep:
        """Return the step with those terms alone whose every factor, a vector's path and entry, is kept."""
        if not self.sums:
            return self
        terms = tuple(term for term in self.terms if all(keeps(*factor) for factor in term.factors))
        return replace(self, sources=tuple(dict.fromkeys(term.value for term in terms)), terms=terms)


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps, the value handed on, and the nodes that are the same as an earlier one."""

    steps: tuple[PlanStep, ...]
    output: int
    same: dict[int, int]  # value -> the earlier value that it equals

    def path(self, keeps: Callable[[str, int], bool]) -> tuple[PlanStep, ...]:
        """Return the steps that are left where sums keep only those terms whose every factor is kept."""
        kept: list[PlanStep] = []
        wanted = {self.output}
        for step in reversed(self.steps):
            if step.node + 1 in wanted:
                kept.append(step.cut(keeps))
                wanted.update(kept[-1].sources)
        return tuple(reversed(kept))


def planned(graph: Graph, *, plain_norms: frozenset[int]) -> Plan:
    """Work out the steps; `plain_norms` are the nodes whose batch norms have no weights of their own."""
    first = len(graph.inputs)
    same = _same(graph, plain_norms)
    nodes = [
        Node(node.layer, tuple(same.get(s, s) for s in node.sources), node.shape, node.name)
        for node in graph.nodes
    ]
    readers = _readers(nodes, same, first, same.get(graph.output, graph.output))
    inside: set[int] = set()  # values that exist only as parts of a sum
    steps: list[PlanStep] = []
    for value, node in reversed(list(enumerate(nodes, start=first))):
        if value in same or value in inside:
            continue
        if isinstance(node.layer, Sum):
            terms = _terms(value, nodes, first, readers, plain_norms, inside)
            sources = tuple(dict.fromkeys(term.value for term in terms))
            steps.append(PlanStep(value - first, sources, node.shape, True, terms))
        else:
            alone = _may_overwrite(node, nodes, first, readers)
            steps.append(PlanStep(value - first, node.sources, node.shape, in_place=alone))
    return Plan(tuple(reversed(steps)), same.get(graph.output, graph.output), same)


def last_read(steps: Sequence[PlanStep], output: int) -> list[tuple[int, ...]]:
    """Return, after each step, the values that nobody reads again."""
    last = {step.node + 1: number for number, step in enumerate(steps)}
    last |= {source: number for number, step in enumerate(steps) for source in step.sources}
    last.pop(output, None)
    over: list[list[int]] = [[] for _ in steps]
    for value, number in last.items():
        over[number].append(value)
    return [tuple(values) for values in over]


def _same(graph: Graph, plain_norms: frozenset[int]) -> dict[int, int]:
    """Find the values that equal an earlier one, whatever the weights."""
    known: dict[tuple[Layer, tuple[int, ...]], int] = {}
    same: dict[int, int] = {}
    for number, node in enumerate(graph.nodes):
        value = len(graph.inputs) + number
        plain = isinstance(node.layer, REPEATABLE) and node.layer != Activation(kind="prelu")
        if plain or number in plain_norms:
            key = node.layer, tuple(same.get(s, s) for s in node.sources)
            earlier = known.setdefault(key, value)
            if earlier != value:
                same[value] = earlier
    return same


def _readers(nodes: list[Node], same: dict[int, int], first: int, output: int) -> dict[int, int]:
    """Count how often each value is read; what is handed on counts once more."""
    readers = {output: 1}
    for value, node in enumerate(nodes, start=first):
        if value not in same:
            for source in node.sources:
                readers[source] = readers.get(source, 0) + 1
    return readers


def _terms(
    value: int,
    nodes: list[Node],
    first: int,
    readers: dict[int, int],
    norms: frozenset[int],
    inside: set[int],
) -> tuple[Term, ...]:
    """Return the summands of a sum, sums that only it reads opened."""
    terms: list[Term] = []
    todo: list[tuple[int, tuple[Factor, ...]]] = [(value, ())]
    while todo:
        at, factors = todo.pop()
        node = nodes[at - first] if at >= first else None
        alone = at == value or readers[at] == 1
        if node is not None and alone and isinstance(node.layer, Sum):
            inside.add(at)
            own: list[tuple[Factor, ...]] = [()] * len(node.sources)
            if isinstance(node.layer, Mix):
                own = [((node.layer.slot, entry),) for entry in node.layer.entries]
            todo += [(s, (*factors, *f)) for s, f in reversed(list(zip(node.sources, own, strict=True)))]
        elif node is not None and alone and factors and at - first in norms:
            inside.add(at)
            terms.append(Term(node.sources[0], factors, at - first))
        else:
            terms.append(Term(at, factors))
    inside.discard(value)
    return tuple(terms)


def _may_overwrite(node: Node, nodes: list[Node], first: int, readers: dict[int, int]) -> bool:
    """Tell whether an activation may work in place: nobody else reads its source, nor is that needed backwards."""
    if node.layer != Activation(kind="relu") or node.sources[0] < first or readers[node.sources[0]] > 1:
        return False
    return isinstance(nodes[node.sources[0] - first].layer, Normalisation)
