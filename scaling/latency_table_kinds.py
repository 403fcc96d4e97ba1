"""Block kinds: what a block is where it stands, as far as its time goes, and what that time may depend on.

Two blocks are of one kind where they lower to the same layers on the same shapes. A kind's features are sums
over its layers, by family of layer: how many there are, their multiply-adds, the numbers they read and write,
and their weights.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from math import prod

from search_spaces.choice import Same
from search_spaces.graph import Graph, Node
from search_spaces.layers import (
    Activation,
    AdaptivePooling,
    Convolution,
    Dropout,
    Flatten,
    Layer,
    Shape,
    parameter_count,
)
from search_spaces.network import Network, steps

from .cost import macs


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """A block at a place; `key` is equal for equal kinds, `features` are (name, amount) pairs."""

    key: str
    name: str
    features: tuple[tuple[str, float], ...]


def kinds(network: Network) -> tuple[Kind, ...]:
    """Return the kind of each block of a resolved network, in order; `Unbuildable` names one that does not fit."""
    return tuple(_kind(type(step.block).__name__, Same(step.graph)) for step in steps(network))


@lru_cache(maxsize=65536)
def _kind(block: str, same: Same) -> Kind:
    graph = same.node
    assert isinstance(graph, Graph)
    text = repr((graph.inputs, tuple((node.layer, node.sources) for node in graph.nodes), graph.output))
    shapes = " and ".join(map(_by, graph.inputs))
    return Kind(
        hashlib.sha256(text.encode()).hexdigest()[:12],
        f"{block} {shapes} to {_by(graph.shape(graph.output))}",
        tuple(sorted(_features(graph).items())),
    )


def _features(graph: Graph) -> Counter[str]:
    found: Counter[str] = Counter()
    for node in graph.nodes:
        shapes = tuple(graph.shape(source) for source in node.sources)
        if family := _family(node.layer, shapes):
            amounts = _amounts(node, shapes)
            found.update({f"{family} {what}": amount for what, amount in amounts.items() if amount})
    return found


def _amounts(node: Node, shapes: tuple[Shape, ...]) -> dict[str, int]:
    return {
        "layers": 1,
        "macs": macs(node.layer, shapes, node.shape),
        "read": sum(map(prod, shapes)),
        "written": prod(node.shape),
        "weights": parameter_count(node.layer, shapes),
    }


def _family(layer: Layer, shapes: tuple[Shape, ...]) -> str | None:
    """Return the layers that one is timed like; None for those that do nothing in evaluation."""
    match layer:
        case Convolution() if layer.groups > 1:
            return "depthwise" if layer.groups == shapes[0][0] else "grouped"
        case Convolution():
            return "pointwise" if set(layer.kernel) == {1} else "convolution"
        case Activation():
            return layer.kind
        case AdaptivePooling():
            return "adaptive pooling"
        case Flatten() | Dropout():
            return None
        case _:
            return type(layer).__name__.lower()


def _by(shape: Shape) -> str:
    return "x".join(map(str, shape))
