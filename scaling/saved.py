"""What a training step keeps for its backward pass, by formula over the graph of layers: torch's own rules, float32.

Each rule names the maps that torch saves when a layer runs in training: what it reads (a convolution needs its input
for the weights' gradient), what it gives (ReLU), or a map of its own (a dropout's mask). A map is counted once however
many layers save it, and a view counts as the map behind it.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from search_spaces.graph import Graph, Node
from search_spaces.layers import (
    Activation,
    AdaptivePooling,
    Convolution,
    Dropout,
    Flatten,
    Linear,
    Normalisation,
    Pooling,
    Product,
    Slice,
    parameter_count,
)
from search_spaces.pooling import needs_windows

BYTES, INDEX_BYTES = 4, 8  # of a float32, and of a position that max pooling remembers
BY_RESULT = frozenset({"relu", "sigmoid", "tanh"})  # activations whose slope follows from what they give
STATE = {"sgd": 1, "adamw": 2}  # numbers that an optimiser keeps for each weight


def saved_bytes(graph: Graph, batch: int) -> int:
    """Return the bytes of tensors that autograd saves in one training step of a batch, weights included."""
    stores = _stores(graph)
    kept: set[int] = set()
    extra = 0
    for number, node in enumerate(graph.nodes):
        kept |= {stores[value] for value in _kept(node, number + len(graph.inputs))}
        extra += sum(_extra(graph, node, batch))
    return batch * BYTES * sum(prod(graph.shape(value)) for value in kept) + extra


def step_bytes(*, weights: int, saved: int, optimiser: str) -> int:
    """Return the bytes of a whole step: weights, their gradients, what the optimiser keeps, and what is saved."""
    return BYTES * weights * (2 + STATE[optimiser]) + saved


def _kept(node: Node, own: int) -> tuple[int, ...]:
    """Return the values of the graph that a layer saves."""
    match node.layer:
        case Convolution() | Linear() | Normalisation() | Pooling():
            return node.sources
        case Activation(kind=kind):
            return (own,) if kind in BY_RESULT else node.sources
        case AdaptivePooling():
            mean = node.layer.kind == "average" and set(node.layer.size) == {1}
            return () if mean else node.sources
        case Product():
            return node.sources
        case _:
            return ()


def _extra(graph: Graph, node: Node, batch: int) -> Iterator[int]:
    """Yield the bytes of what a layer saves beside values of the graph."""
    shape = graph.shape(node.sources[0])
    weights = parameter_count(node.layer, tuple(map(graph.shape, node.sources)))
    match node.layer:
        case Convolution() | Linear():
            yield BYTES * (weights - node.layer.out * node.layer.bias)
        case Normalisation():
            groups = {"group": node.layer.groups, "layer": 1, "instance": shape[0]}.get(node.layer.kind)
            yield BYTES * (shape[0] + (2 * shape[0] if groups is None else 2 * batch * groups))
        case Activation(kind="prelu"):
            yield BYTES * weights
        case Pooling() | AdaptivePooling() if node.layer.kind == "max":
            yield INDEX_BYTES * batch * prod(node.shape)
            if isinstance(node.layer, Pooling) and needs_windows(node.layer, shape[1:]):
                yield BYTES * batch * prod(shape)  # the padded map that it pools
        case Dropout():
            per = {"value": prod(shape), "channel": shape[0], "sample": 1}[node.layer.of]
            yield BYTES * batch * per


def _stores(graph: Graph) -> list[int]:
    """Return the value behind each value: a view's is that of what it looks at."""
    stores = list(range(len(graph.inputs)))
    for number, node in enumerate(graph.nodes):
        own = len(graph.inputs) + number
        stores.append(stores[node.sources[0]] if isinstance(node.layer, Flatten | Slice) else own)
    return stores
