"""The slow and plain supernet that ours is held against: one module an option, a weighted sum an edge (eq. 2)."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from search_spaces import (
    ActConv,
    Block,
    Cell,
    Choice,
    Classifier,
    Conv,
    Edge,
    Network,
    Pool,
    Shared,
    Skip,
    Stage,
    Use,
    Zero,
)
from search_spaces.choice import Pick
from search_spaces.mixed import Mix
from search_spaces.supernet import Supernet


def operations(act: str) -> tuple[Block, ...]:
    """Return options that are smooth where the activation is, but for the last, a max pool, which `relu` has alone."""
    smooth = (
        Zero(),
        Skip(act=act),
        ActConv(kernel=1, act=act),
        ActConv(kernel=3, act=act),
        Pool(kind="average"),
    )
    return (*smooth, Pool()) if act == "relu" else smooth


def tiny(nodes: int = 2, *, width: int = 4, picked: bool = False, act: str = "relu") -> Network:
    """One cell twice, the second time on a halved map; with `picked`, two of each node's edges stay."""

    def edge(source: int) -> Edge:
        return Edge(source=source, op=Choice(*operations(act)[int(picked) :]))

    inputs = 2 if picked else 1
    cells = [tuple(edge(i) for i in range(n)) for n in range(inputs, inputs + nodes)]
    cell = Cell(
        nodes=tuple(Pick(2, *edges) for edges in cells) if picked else tuple(cells),
        inputs=inputs,
        preprocess=picked,
        output=tuple(range(inputs, inputs + nodes)) if picked else (nodes,),
    )
    use = Use(name="cell")
    return Network(
        input=(3, 8, 8),
        stem=Stage(blocks=(Conv(act="none"),), width=width),
        stages=(Stage(blocks=(use,), width=width), Stage(blocks=(use,), width=width, stride=2)),
        head=Classifier(classes=5),
        shared=(Shared(name="cell", block=cell),),
    )


class NaiveSupernet(nn.Module):
    """Every layer of every option is run, each by a module of its own."""

    def __init__(self, like: Supernet) -> None:
        super().__init__()
        self.graph = like.graph
        self.layers = nn.ModuleList(copy.deepcopy(like.get_submodule(node.name)) for node in like.graph.nodes)

    def forward(self, x: Tensor, vectors: Mapping[str, Tensor]) -> Tensor:
        values = [x]
        for node, layer in zip(self.graph.nodes, self.layers, strict=True):
            sources = [values[source] for source in node.sources]
            if isinstance(node.layer, Mix):
                weights = [vectors[node.layer.slot][entry] for entry in node.layer.entries]
                values.append(sum(weight * y for weight, y in zip(weights, sources, strict=True)))  # type: ignore[arg-type]
            else:
                values.append(layer(*sources))
        return values[self.graph.output]


def softmaxed(supernet: Supernet, alphas: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {path: torch.softmax(alpha, 0) for path, alpha in alphas.items()}


def random_alphas(supernet: Supernet, seed: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        path: torch.randn(n, generator=generator, dtype=dtype).requires_grad_()
        for path, n in supernet.mixture.vectors.items()
    }
