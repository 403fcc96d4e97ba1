"""The entangled supernet of a space: one module with the largest weights, of which every member is a part.

A member runs its own layers, as `modules.build` would make them, on slices of the shared weights: first channels,
first layers, the centre of kernels (Yu et al. 2019, "Slimmable neural networks"; Cai et al. 2020, "Once-for-all").
Options that are different blocks, and cell edges, have weights of their own.
Batch norms share scale and shift, never statistics: in training each batch is normalised by its own; for scoring, a
member is lifted out and its statistics are measured anew (`recalibrate`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .automaton import count
from .errors import Unbuildable
from .graph import Graph
from .largest import Largest, largest, weight_inputs
from .layers import Layer, Shape, parameter_count
from .marks import marked
from .modules import BuiltNetwork, Seed, available_bytes, build, initialise, released
from .network import Network, lower
from .serialise import key
from .supernet_cuts import Cut, cut_of
from .torch_layers import layer_module

PATHS = 1024  # members whose way through the weights is remembered
LAYERS = 65536  # modules that are remembered, one for each layer and the shapes it reads

Statistics = Mapping[str, Tensor]  # a stand-alone module's buffers, by their names in its state


@dataclass(frozen=True, slots=True)
class Weight:
    """A weight of a layer: its name in the layer, the shared one, and the part of it that is used."""

    own: str
    shared: str
    cut: Cut | None


@dataclass(frozen=True, slots=True)
class Run:
    """A layer to run: its module, which holds no weights of its own, what it reads and what is let go of after it."""

    name: str  # as in the stand-alone module
    module: nn.Module
    weights: tuple[Weight, ...]
    sources: tuple[int, ...]
    released: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Path:
    """A member's way through the shared weights."""

    member: Network
    graph: Graph
    runs: tuple[Run, ...]
    reads: frozenset[str]  # the shared weights that it uses, in whole or in part


class Entangled(nn.Module):
    """All members of a space on shared weights; `forward` runs one of them.

    Weights are named after their place and option, in torch's own order of making. Equal seeds give equal weights.
    Raises `Unbuildable` where members cannot share, naming the block's path, and where memory does not hold the
    weights.
    """

    def __init__(self, space: Network, *, seed: Seed = 0) -> None:
        super().__init__()
        if count(space) == 1:
            raise Unbuildable(
                "space: got a single network, expected several members to share weights; train it alone"
            )
        self.space = space
        self.held = largest(space)
        _check_room(self.held)
        generator = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)
        for name, one in self.held.items():
            layer = layer_module(one.layer, (one.shape,)).to_empty(device="cpu")
            initialise(layer, generator)
            for own, parameter in layer.named_parameters():
                self.register_parameter(_flat(name, own), parameter)
        self._paths: dict[str, Path] = {}
        self._layers: dict[tuple[Layer, tuple[Shape, ...]], nn.Module] = {}

    def forward(self, x: Tensor, member: Network | Path, *, statistics: Statistics | None = None) -> Tensor:
        """Return a member's outputs: (N, channels, *spatial) -> the head's (N, classes).

        Batch norms use the statistics given, by their names in the member's own module, else those of the batch.
        """
        path = member if isinstance(member, Path) else self.path(member)
        values: list[Tensor | None] = [x]
        del x
        for run in path.runs:
            self._lend(run, statistics)
            values.append(run.module(*[values[i] for i in run.sources]))
            for weight in run.weights:  # or what was cut out would stay with the module
                run.module._parameters[weight.own] = None
            for i in run.released:
                values[i] = None
        output = values[path.graph.output]
        assert output is not None  # it is never released
        return output

    def path(self, member: Network) -> Path:
        """Return a member's way through the weights; `OutOfSpace` where it is none of this space's."""
        name = key(member)
        found = self._paths.pop(name, None) or self._path(member)
        self._paths[name] = found  # the one used last stands last
        if len(self._paths) > PATHS:
            del self._paths[next(iter(self._paths))]
        return found

    def average(self, paths: Sequence[Path]) -> None:
        """Divide the gradients that several members left by how many of them read each weight.

        A weight of one option among four is then moved as far as one that all members share.
        """
        readers = Counter(name for path in paths for name in path.reads)
        for name, n in readers.items():
            weight = self._parameters[name]
            if n > 1 and weight is not None and weight.grad is not None:
                weight.grad.div_(n)

    def train(self, mode: bool = True) -> Entangled:
        """Set the mode of all layers."""
        for module in self._layers.values():
            module.train(mode)
        super().train(mode)
        return self

    def _path(self, member: Network) -> Path:
        named, graph = lower(marked(self.space, member)), lower(member)
        weighty = {number for number, _ in weight_inputs(graph)}
        letting_go = released(graph)
        runs = []
        for number, (node, like) in enumerate(zip(graph.nodes, named.nodes, strict=True)):
            shapes = tuple(map(graph.shape, node.sources))
            module = self._module(node.layer, shapes)
            weights = self._weights(like.name, node.layer, shapes) if number in weighty else ()
            runs.append(Run(node.name, module, weights, node.sources, letting_go[number]))
        return Path(
            member, graph, tuple(runs), frozenset(weight.shared for run in runs for weight in run.weights)
        )

    def _weights(self, name: str, layer: Layer, shapes: tuple[Shape, ...]) -> tuple[Weight, ...]:
        one = self.held.get(name)
        if one is None:
            raise Unbuildable(
                f"{name}: got a member with a layer that the supernet does not hold, expected one of its space; "
                "write options that belong to each other as one option"
            )
        found = []
        for own, wanted in _shapes(layer, shapes):
            shared = _flat(name, own)
            held = tuple(self.get_parameter(shared).shape)
            found.append(Weight(own, shared, cut_of(held, wanted, layer, fewest=one.groups, name=name)))
        return tuple(found)

    def _module(self, layer: Layer, shapes: tuple[Shape, ...]) -> nn.Module:
        """Return the module that runs a layer on shapes; it stands for all places of that layer."""
        known = self._layers.get((layer, shapes))
        if known is None:
            known = layer_module(layer, shapes).train(self.training)
            self._layers[layer, shapes] = known
            if len(self._layers) > LAYERS:
                del self._layers[next(iter(self._layers))]
        return known

    def _lend(self, run: Run, statistics: Statistics | None) -> None:
        """Put the weights in place, and the statistics of a batch norm."""
        for weight in run.weights:
            shared = self._parameters[weight.shared]
            assert shared is not None
            run.module._parameters[weight.own] = shared if weight.cut is None else weight.cut.of(shared)  # type: ignore[assignment]  # a part of a parameter
        if isinstance(run.module, _BatchNorm):
            for own in run.module._buffers:
                run.module._buffers[own] = None if statistics is None else statistics[f"{run.name}.{own}"]


@torch.no_grad()
def lift(supernet: Entangled, member: Network) -> BuiltNetwork:
    """Return a member as a module of its own, on the CPU, with copies of its part of the weights.

    Its batch norms have no statistics yet: `recalibrate` it before it is scored.
    """
    module = build(member)
    for run in supernet.path(member).runs:
        for weight in run.weights:
            shared = supernet.get_parameter(weight.shared)
            part = shared if weight.cut is None else weight.cut.of(shared)
            module.get_parameter(f"{run.name}.{weight.own}").copy_(part)
    return module


@torch.no_grad()
def recalibrate(module: nn.Module, batches: Iterable[Tensor]) -> None:
    """Measure the statistics of a module's batch norms anew: plain means over some batches, each (N, C, *spatial).

    Weights of a supernet were never trained with the statistics of one member (Yu & Huang 2019, section 3; Cai et al.
    2020). All else, dropout too, is in evaluation mode, and the module is left in it.
    """
    norms = [part for part in module.modules() if isinstance(part, _BatchNorm)]
    with _plain_means(norms):
        module.eval()
        for norm in norms:
            norm.reset_running_stats()
            norm.train()
        for x in batches if norms else ():
            module(x)
    module.eval()


@contextmanager
def _plain_means(norms: Iterable[_BatchNorm]) -> Iterator[None]:
    before = [(norm, norm.momentum) for norm in norms]
    try:
        for norm, _ in before:
            norm.momentum = None  # torch's word for the mean over all batches since the reset
        yield
    finally:
        for norm, momentum in before:
            norm.momentum = momentum


def _check_room(held: Mapping[str, Largest]) -> None:
    """Refuse by formula what memory cannot hold; nothing has been allocated yet."""
    weights = sum(parameter_count(one.layer, (one.shape,)) for one in held.values())
    if 4 * weights > (room := available_bytes()):
        raise Unbuildable(
            f"space: got {weights:,} shared weights, {4 * weights / 2**30:,.1f} GiB, expected at most the "
            f"{room / 2**30:,.1f} GiB of memory that are free; lower the largest widths"
        )


@lru_cache(maxsize=65536)
def _shapes(layer: Layer, shapes: tuple[Shape, ...]) -> tuple[tuple[str, Shape], ...]:
    """Return the names and shapes of a layer's weights."""
    return tuple(
        (name, tuple(weight.shape)) for name, weight in layer_module(layer, shapes).named_parameters()
    )


def _flat(layer: str, own: str) -> str:
    """Return a name without dots, which torch keeps for modules in modules."""
    return f"{layer}.{own}".replace(".", "/")
