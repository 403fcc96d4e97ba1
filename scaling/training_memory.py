"""The memory that a training step of a supernet takes, by formula: what its backward pass needs of its forward pass.

Which layer keeps what is told by the rules of `scaling.saved`; here they go over the steps of a plan, where what stands
twice is done once. Weights are counted apart: themselves, their gradients and the optimiser's memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from search_spaces.graph import Graph
from search_spaces.layers import parameter_count
from search_spaces.mixture import Mixture, plain_norms
from search_spaces.network import lower
from search_spaces.supernet_plan import Plan, PlanStep, planned

from .saved import BYTES, kept_by, stores

OF_WEIGHTS = 3  # times a weight: itself, its gradient, its momentum
OF_SECOND_ORDER = 3  # times a weight more: a copy, and two gradients


def saved_bytes(mixture: Mixture, *, batch: int, one_path: bool = False) -> int:
    """Return the bytes of feature maps that a step of the architecture parameters keeps, for `batch` examples.

    With `one_path`, one option of each slot is run: the entry of the same number everywhere that takes most.
    """
    graph = lower(mixture.network)
    plan = planned(graph, plain_norms=plain_norms(mixture, graph))
    if not one_path:
        return _kept(graph, plan.steps, batch)
    widest = max(slot.entries for slot in mixture.slots.values())
    return max(_kept(graph, _path(mixture, plan, entry), batch) for entry in range(widest))


def training_bytes(
    mixture: Mixture, *, batch: int, one_path: bool = False, second_order: bool = False
) -> int:
    """Return the bytes that training a supernet takes in all: what a step keeps, and the weights with theirs."""
    graph = lower(mixture.network)
    weights = sum(parameter_count(n.layer, tuple(map(graph.shape, n.sources))) for n in graph.nodes)
    copies = OF_WEIGHTS + OF_SECOND_ORDER * second_order
    return saved_bytes(mixture, batch=batch, one_path=one_path) + BYTES * copies * weights


def _path(mixture: Mixture, plan: Plan, entry: int) -> tuple[PlanStep, ...]:
    chosen: Mapping[str, int] = {path: min(entry, slot.entries - 1) for path, slot in mixture.slots.items()}
    return plan.path(lambda path, number: path not in chosen or chosen[path] == number)


def _kept(graph: Graph, steps: tuple[PlanStep, ...], batch: int) -> int:
    behind = stores(graph)
    for step in steps:
        if step.in_place:
            behind[step.node + 1] = behind[step.sources[0]]
    kept: set[int] = set()
    own = fixed = 0
    for step in steps:
        kept |= {behind[term.value] for term in step.terms if term.factors}
        fixed += sum(2 * BYTES * step.shape[0] for term in step.terms if term.norm is not None)
        if not step.sums:
            node = graph.nodes[step.node]
            found = kept_by(node.layer, tuple(map(graph.shape, step.sources)), node.shape)
            values = (step.sources if found.sources else ()) + ((step.node + 1,) if found.result else ())
            kept |= {behind[value] for value in values}
            own, fixed = own + found.own, fixed + found.fixed
    maps = BYTES * sum(prod(graph.shape(value)) for value in kept)
    return batch * (maps + own) + fixed
