"""What a network costs, worked out from its layers; nothing is built and no torch is needed.

Units, all at batch 1 and in the evaluation graph:

- `macs`: multiply-adds of convolutions and dense layers; biases, norms, activations and pools do not count.
- `params`: numbers that are learnt: weights, biases, the affine part of norms, slopes of `prelu`.
- `activations`: numbers that convolutions and dense layers put out. The paper names convolutions only
  (Radosavovic et al. 2020, section 3.1); its code and fvcore count dense layers as well, and so does this.
- `peak_bytes`: the most bytes of feature maps alive at once, in float32. A map lives from the layer that
  makes it to the last one that reads it; a layer's output stands beside its inputs, nothing is done in
  place. Flatten, Slice and Dropout give views, which keep their source alive. The input counts; the output
  lives to the end. Weights and working memory inside a layer do not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import prod

from search_spaces.block import Amount, Block, fixed
from search_spaces.choice import Same
from search_spaces.errors import BadInput
from search_spaces.graph import Graph, Node
from search_spaces.layers import Convolution, Layer, Linear, Shape, parameter_count
from search_spaces.network import Network, block_graph, lower, placed, steps

from .memory import chain_peak, graph_peak, steps_peak


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a network costs; the units stand at the top of this file."""

    params: int
    macs: int
    activations: int
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class LayerCost:
    """One layer of a network: its name, what it is, its output's shape and its share of the cost."""

    name: str
    layer: str
    shape: Shape
    params: int
    macs: int
    activations: int


def cost(network: Network) -> Cost:
    """Return the cost of a resolved network, block by block from what is known of equal blocks.

    `Unbuildable` names the block that does not fit, `BadSpec` the choice that was left open.

    >>> from search_spaces.zoo import model
    >>> cost(model("efficientnet_b0")).macs
    385814752
    """
    try:
        chained = _chained(network)
    except BadInput:  # met again block by block, which says where
        chained = None
    return chained or _folded(network)


def _chained(network: Network) -> Cost | None:
    """Return the cost of a plain chain of blocks, None of any other network."""
    shape = tuple(fixed(n) for n in network.input)
    params = counted = made = peak = 0
    for _, block, width, stride, _ in placed(network):
        if block.memory() != 1 or block.reads():
            return None
        own = block_cost(block, shape, width, stride)
        if own.chain_bytes is None:
            return None
        shape = own.shape
        params += own.params
        counted += own.macs
        made += own.activations
        peak = max(peak, own.chain_bytes)
    return Cost(params=params, macs=counted, activations=made, peak_bytes=peak)


def layer_costs(network: Network) -> tuple[LayerCost, ...]:
    """Return the cost of every layer of a resolved network, in the order in which they run."""
    graph = lower(network)
    return tuple(
        LayerCost(node.name, type(node.layer).__name__, node.shape, *_layer_sums(graph, node))
        for node in graph.nodes
    )


def macs(layer: Layer, shapes: tuple[Shape, ...], shape: Shape) -> int:
    """Return a layer's multiply-adds from the shapes of its inputs and its output.

    >>> point = Convolution(out=8, kernel=(1, 1), stride=(1, 1), dilation=(1, 1), padding=((0, 0), (0, 0)))
    >>> macs(point, ((3, 32, 32),), (8, 32, 32))
    24576
    """
    match layer:
        case Convolution():
            return prod(shape) * (shapes[0][0] // layer.groups) * prod(layer.kernel)
        case Linear():
            return shapes[0][0] * layer.out
        case _:
            return 0


def activations(layer: Layer, shape: Shape) -> int:
    """Return the numbers a convolution or dense layer puts out, 0 for other layers."""
    return prod(shape) if isinstance(layer, Convolution | Linear) else 0


def graph_cost(graph: Graph) -> Cost:
    """Return the cost of a graph by going over all its layers; `cost` of a network is the same, faster."""
    own = _sums(graph)
    return Cost(params=own[0], macs=own[1], activations=own[2], peak_bytes=graph_peak(graph))


@dataclass(frozen=True, slots=True)
class BlockCost:
    """What one block costs where it stands, and the shape it hands on."""

    shape: Shape
    params: int
    macs: int
    activations: int
    chain_bytes: int | None  # its peak where no other block reads its input; None where a chain does not tell


@lru_cache(maxsize=65536)
def block_cost(block: Block, shape: Shape, width: int, stride: Amount) -> BlockCost:
    """Return the cost of a resolved block with one input; `Unbuildable` where it does not fit its place."""
    graph = block_graph.__wrapped__(block, (shape,), width, stride)  # the graph itself is not kept
    return BlockCost(graph.shape(graph.output), *_sums(graph), chain_peak(graph))


def _folded(network: Network) -> Cost:
    """Return the cost of a network whose blocks may read several earlier maps."""
    done = steps(network)
    sums = [_known_sums(Same(step.graph)) for step in done]
    return Cost(
        params=sum(own[0] for own in sums),
        macs=sum(own[1] for own in sums),
        activations=sum(own[2] for own in sums),
        peak_bytes=steps_peak(done, tuple(fixed(n) for n in network.input)),
    )


@lru_cache(maxsize=65536)
def _known_sums(key: Same) -> tuple[int, int, int]:
    assert isinstance(key.node, Graph)
    return _sums(key.node)


def _sums(graph: Graph) -> tuple[int, int, int]:
    """Return params, macs and activations summed over a graph's layers."""
    own = [_layer_sums(graph, node) for node in graph.nodes]
    return sum(n[0] for n in own), sum(n[1] for n in own), sum(n[2] for n in own)


def _layer_sums(graph: Graph, node: Node) -> tuple[int, int, int]:
    shapes = tuple(graph.shape(source) for source in node.sources)
    return (
        parameter_count(node.layer, shapes),
        macs(node.layer, shapes, node.shape),
        activations(node.layer, node.shape),
    )
