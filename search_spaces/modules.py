"""A network as a `torch.nn.Module`: the interpreter of a graph of layers.

How weights start, as published: convolutions normal with variance 2 / fan_out, fan_out counted within a
group (He et al. 2015, eq. 14; so do Tan & Le 2019); dense layers uniform within 1 / sqrt(fan_in) (LeCun et
al. 1998, "Efficient BackProp", section 4.6); norms 1 and 0; biases 0; slopes of `prelu` 0.25 (He et al.).
"""

from __future__ import annotations

import os
from math import prod
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from .errors import Unbuildable
from .graph import Graph, Node
from .layers import parameter_count
from .network import Network, lower
from .torch_layers import layer_module

MODULE_BYTES = 10_000  # what a module of few weights takes (measured: 11 kB on average over conv, norm, act)
Seed = int | torch.Generator


def build(network: Network, *, seed: Seed = 0) -> BuiltNetwork:
    """Return a resolved network as a module: (N, channels, *spatial) -> the head's (N, classes).

    Equal seeds give equal weights, bit for bit; torch's global generator is left alone. The module is on the
    CPU, float32, in training mode. Raises `Unbuildable` where layers do not fit together or weights do not
    fit into memory.
    """
    return build_graph(lower(network), seed=seed)


def build_graph(graph: Graph, *, seed: Seed = 0) -> BuiltNetwork:
    """Return any graph of layers, such as one block's, as a module that takes one tensor an input."""
    check_room(graph)
    module = BuiltNetwork(graph)
    module.to_empty(device="cpu")
    initialise(module, seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed))
    return module


class BuiltNetwork(nn.Module):
    """Runs a graph's nodes in order and lets go of each value after its last reader.

    Submodules nest as node names do (`stages.0.blocks.1.depthwise`), and one put in another's place is used.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        steps = []
        for node, gone in zip(graph.nodes, released(graph), strict=True):
            parent, leaf = home(self, node)
            parent.add_module(leaf, layer_module(node.layer, tuple(map(graph.shape, node.sources))))
            # Looked up by name at each run, so that a module put in another's place takes effect.
            children = cast("dict[str, nn.Module]", parent._modules)
            steps.append((children, leaf, node.sources, gone))
        self.steps = tuple(steps)
        self.output = graph.output

    def forward(self, *inputs: Tensor) -> Tensor:
        values: list[Tensor | None] = [*inputs]
        del inputs
        for children, leaf, sources, released in self.steps:
            values.append(children[leaf](*[values[i] for i in sources]))
            for i in released:
                values[i] = None
        output = values[self.output]
        assert output is not None  # it is never released
        return output


def available_bytes() -> int:
    """Return the memory that can still be had: the system's estimate, or its container's limit if lower."""
    try:
        fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        room = int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):  # not Linux: all the machine has
        room = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        limit, used = (int(Path(f"/sys/fs/cgroup/memory.{name}").read_text()) for name in ("max", "current"))
    except (OSError, ValueError):  # no container, or "max": no limit
        return room
    return min(room, limit - used)


def check_room(graph: Graph) -> None:
    """Refuse by formula what memory cannot hold; nothing has been allocated yet."""
    counts = [parameter_count(node.layer, tuple(map(graph.shape, node.sources))) for node in graph.nodes]
    needed, room = 4 * sum(counts) + MODULE_BYTES * len(counts), available_bytes()
    if needed > room:
        largest = graph.nodes[counts.index(max(counts))].name
        raise Unbuildable(
            f"{largest}: got {len(counts):,} layers with {sum(counts):,} weights, {needed / 2**30:,.1f} GiB, "
            f"expected at most the {room / 2**30:,.1f} GiB of memory that are free; lower widths or depths, "
            "first of this layer, the largest"
        )


def released(graph: Graph) -> list[tuple[int, ...]]:
    """Return, for each node, the values that nobody reads after it."""
    first = len(graph.inputs)
    last = {first + i: i for i in range(len(graph.nodes))}  # what nobody reads goes at once
    last |= {value: i for i, node in enumerate(graph.nodes) for value in node.sources}
    last.pop(graph.output, None)
    released: list[list[int]] = [[] for _ in graph.nodes]
    for value, reader in last.items():
        released[reader].append(value)
    return [tuple(values) for values in released]


def home(root: nn.Module, node: Node) -> tuple[nn.Module, str]:
    """Return the module that is to hold a node's, made where it is missing, and the node's name there."""
    *path, leaf = node.name.split(".")
    parent = root
    for part in path:
        if part not in parent._modules:
            _check_free(parent, part, node)
            parent.add_module(part, nn.Module())
        parent = parent.get_submodule(part)
    _check_free(parent, leaf, node)
    return parent, leaf


def _check_free(parent: nn.Module, name: str, node: Node) -> None:
    if not name or hasattr(parent, name):
        raise Unbuildable(f"{node.name}: got {name!r}, which torch's modules use themselves; rename it")


@torch.no_grad()
def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Give every weight its start, as the top of this file says, in the order of the modules."""
    for part in module.modules():
        if isinstance(part, _ConvNd):
            fan_out = part.out_channels // part.groups * prod(part.kernel_size)
            part.weight.normal_(0, (2 / fan_out) ** 0.5, generator=generator)
        elif isinstance(part, nn.Linear):
            bound = part.in_features**-0.5
            part.weight.uniform_(-bound, bound, generator=generator)
        elif isinstance(part, _BatchNorm | nn.GroupNorm | nn.PReLU):
            part.reset_parameters()  # constants: nothing is drawn
        if isinstance(part, _ConvNd | nn.Linear) and part.bias is not None:
            part.bias.zero_()
