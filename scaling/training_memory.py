"""The memory that a training step of a supernet takes, by formula: what its backward pass needs of its forward pass.

Counted are the maps that operators keep (each once, however many keep it), the positions that a max pool keeps, and a
norm's two numbers a channel. Weights are counted apart: themselves, their gradients and the optimiser's memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from search_spaces.graph import Graph, Node
from search_spaces.layers import (
    Activation,
    AdaptivePooling,
    Convolution,
    Dropout,
    Linear,
    Normalisation,
    Pooling,
    Product,
    Shape,
    parameter_count,
)
from search_spaces.mixture import Mixture, plain_norms
from search_spaces.network import lower
from search_spaces.pooling import needs_windows
from search_spaces.supernet_plan import Plan, PlanStep, planned

NUMBER, POSITION = 4, 8  # bytes: float32, int64
OF_WEIGHTS = 3  # times a weight: itself, its gradient, its momentum
OF_SECOND_ORDER = 3  # times a weight more: a copy, and two gradients
RESULT_KEPT = ("relu", "relu6", "sigmoid", "tanh", "elu", "leaky_relu")  # activations that keep their result


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
    return saved_bytes(mixture, batch=batch, one_path=one_path) + NUMBER * copies * weights


def _path(mixture: Mixture, plan: Plan, entry: int) -> tuple[PlanStep, ...]:
    chosen: Mapping[str, int] = {path: min(entry, slot.entries - 1) for path, slot in mixture.slots.items()}
    return plan.path(lambda path, number: path not in chosen or chosen[path] == number)


def _kept(graph: Graph, steps: tuple[PlanStep, ...], batch: int) -> int:
    maps: dict[object, int] = {}  # bytes an example, by what is kept: a value, or a temporary of a node
    constant = 0
    same_store = {step.node + 1: step.sources[0] for step in steps if step.in_place}
    for step in steps:
        for term in step.terms:
            if term.factors:
                maps[same_store.get(term.value, term.value)] = NUMBER * prod(graph.shape(term.value))
            constant += 2 * NUMBER * step.shape[0] if term.norm is not None else 0
        if not step.sums:
            node = graph.nodes[step.node]
            shapes = [graph.shape(source) for source in step.sources]
            for name, size in _of_layer(node, step, shapes).items():
                value = name if isinstance(name, int) else (name, step.node)
                maps[same_store.get(value, value) if isinstance(value, int) else value] = size
            if isinstance(node.layer, Normalisation):
                constant += 2 * NUMBER * node.shape[0]
    return batch * sum(maps.values()) + constant


def _of_layer(node: Node, step: PlanStep, shapes: list[Shape]) -> dict[int | str, int]:
    """Return what a layer keeps, in bytes an example: values by number, its own temporaries by name."""
    source, into = step.sources[0], NUMBER * prod(shapes[0])
    out = NUMBER * prod(node.shape)
    layer = node.layer
    match layer:
        case Convolution() if any(before != after for before, after in layer.padding):
            return {"padded": _padded(layer, shapes[0])}
        case Convolution() | Linear() | Normalisation():
            return {source: into}
        case Activation():
            return {step.node + 1: out} if layer.kind in RESULT_KEPT else {source: into}
        case Pooling():
            windows = needs_windows(layer, shapes[0][1:])
            positions = {"positions": POSITION * prod(node.shape)} if layer.kind == "max" else {}
            return {("padded" if windows else source): into} | positions
        case AdaptivePooling():
            return {} if prod(layer.size) == 1 and layer.kind == "average" else {source: into}
        case Product():
            return {s: NUMBER * prod(shape) for s, shape in zip(step.sources, shapes, strict=True)}
        case Dropout():
            return {"mask": prod(node.shape)}
        case _:
            return {}


def _padded(layer: Convolution, shape: Shape) -> int:
    sizes = (n + before + after for n, (before, after) in zip(shape[1:], layer.padding, strict=True))
    return NUMBER * shape[0] * prod(sizes)
