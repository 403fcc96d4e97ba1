"""What a training step keeps for its backward pass, by formula over the graph of layers: torch's own rules, float32.

Each rule names what torch saves when a layer runs in training: what it reads (a convolution needs its input for the
weights' gradient), what it gives (ReLU), or maps of its own (a dropout's mask). A map is counted once however many
layers save it, and a view counts as the map behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from search_spaces.graph import Graph
from search_spaces.layers import (
    Activation,
    AdaptivePooling,
    Convolution,
    Dropout,
    Flatten,
    Layer,
    Linear,
    Normalisation,
    Pads,
    Pooling,
    Product,
    Shape,
    Slice,
    parameter_count,
)
from search_spaces.pooling import needs_windows

BYTES, INDEX_BYTES = 4, 8  # of a float32, and of a position that max pooling remembers
BY_RESULT = frozenset({"relu", "sigmoid", "tanh"})  # activations whose slope follows from what they give
STATE = {"sgd": 1, "adamw": 2}  # numbers that an optimiser keeps for each weight


@dataclass(frozen=True, slots=True)
class Kept:
    """What one layer saves, weights left out: values that it reads, the value that it gives, and bytes of its own."""

    sources: bool = False
    result: bool = False
    own: int = 0  # bytes an example
    fixed: int = 0  # bytes, however many examples


def kept_by(layer: Layer, shapes: tuple[Shape, ...], shape: Shape) -> Kept:
    """Return what a layer saves that reads maps of `shapes` and gives one of `shape`, both without the batch."""
    match layer:
        case Convolution() if any(before != after for before, after in layer.padding):
            return Kept(own=_padded(shapes[0], layer.padding))
        case Convolution() | Linear() | Product():
            return Kept(sources=True)
        case Normalisation(kind="batch"):
            return Kept(sources=True, fixed=2 * BYTES * shapes[0][0])  # a mean and a scale each
        case Normalisation():
            groups = {"group": layer.groups, "layer": 1, "instance": shapes[0][0]}[layer.kind]
            return Kept(sources=True, own=2 * BYTES * groups)
        case Activation():
            by_result = layer.kind in BY_RESULT
            return Kept(sources=not by_result, result=by_result)
        case Pooling():
            positions = INDEX_BYTES * prod(shape) if layer.kind == "max" else 0
            if needs_windows(layer, shapes[0][1:]):
                counts = BYTES * prod(shape[1:]) if layer.kind == "average" else 0  # that it divides by
                return Kept(own=positions + _windowed(layer, shape), fixed=counts)
            return Kept(sources=True, own=positions)
        case AdaptivePooling(kind="max"):
            return Kept(sources=True, own=INDEX_BYTES * prod(shape))
        case AdaptivePooling():
            return Kept(sources=set(layer.size) != {1})  # a mean over all needs no map
        case Dropout():
            per = {"value": prod(shapes[0]), "channel": shapes[0][0], "sample": 1}[layer.of]
            return Kept(own=BYTES * per)
        case _:
            return Kept()


def saved_bytes(graph: Graph, batch: int) -> int:
    """Return the bytes of tensors that autograd saves in one training step of a batch, weights included."""
    behind = stores(graph)
    kept: set[int] = set()
    own = fixed = 0
    for number, node in enumerate(graph.nodes):
        shapes = tuple(map(graph.shape, node.sources))
        found = kept_by(node.layer, shapes, node.shape)
        values = (node.sources if found.sources else ()) + (
            (len(graph.inputs) + number,) if found.result else ()
        )
        kept |= {behind[value] for value in values}
        own, fixed = own + found.own, fixed + found.fixed + BYTES * _weights(node.layer, shapes)
    maps = BYTES * sum(prod(graph.shape(value)) for value in kept)
    return batch * (maps + own) + fixed


def step_bytes(*, weights: int, saved: int, optimiser: str) -> int:
    """Return the bytes of a whole step: weights, their gradients, what the optimiser keeps, and what is saved."""
    return BYTES * weights * (2 + STATE[optimiser]) + saved


def stores(graph: Graph) -> list[int]:
    """Return the value behind each value: a view's is that of what it looks at."""
    found = list(range(len(graph.inputs)))
    for number, node in enumerate(graph.nodes):
        own = len(graph.inputs) + number
        found.append(found[node.sources[0]] if isinstance(node.layer, Flatten | Slice) else own)
    return found


def _weights(layer: Layer, shapes: tuple[Shape, ...]) -> int:
    """Count the weights that a layer saves: all but what is added."""
    if isinstance(layer, Convolution | Linear):
        return parameter_count(layer, shapes) - layer.out * layer.bias
    if isinstance(layer, Normalisation):
        return shapes[0][0]
    return parameter_count(layer, shapes) if isinstance(layer, Activation) else 0


def _padded(shape: Shape, padding: Pads) -> int:
    sizes = (n + before + after for n, (before, after) in zip(shape[1:], padding, strict=True))
    return BYTES * shape[0] * prod(sizes)


def _windowed(layer: Pooling, shape: Shape) -> int:
    """Return the bytes of the map that windows are cut from, padded or cut so that the last one just fits."""
    axes = zip(shape[1:], layer.stride, layer.kernel, strict=True)
    return BYTES * shape[0] * prod((n - 1) * stride + k for n, stride, k in axes)
