"""A space as one `torch.nn.Module` that keeps every option: the interpreter of an opened space.

Norms have no weights of their own wherever options are mixed (Liu et al. 2019): they would undo the mixing's scale.
The numbers that weigh the options are not part of the module; each run is given them. x is (N, C, *spatial), a
vector has one number an option of its slot.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from .block import Block
from .cell_blocks import Zero
from .cells import Cell
from .derivation import edge_pairs, entry_of, pairs, taken
from .errors import BadInput
from .graph import Graph, Node
from .mixed import Mixed
from .mixture import Mixture, plain_norms
from .modules import BuiltNetwork, Seed, build, check_room, home, initialise
from .network import Network, lower, steps
from .supernet_plan import PlanStep, Term, last_read, planned
from .supernet_sum import weighted_sum
from .torch_layers import layer_module

Vectors = Mapping[str, Tensor]  # by path; what no vector says weighs 0


class Supernet(nn.Module):
    """All members of a space at once; `forward(x, vectors)` gives the head's output.

    Submodules nest as in a built network, an option's within `option<entry>`. Equal seeds give equal weights.
    """

    def __init__(self, mixture: Mixture, *, seed: Seed = 0) -> None:
        super().__init__()
        self.mixture = mixture
        self.graph = lower(mixture.network)
        check_room(self.graph)
        plain = plain_norms(mixture, self.graph)
        plan = planned(self.graph, plain_norms=plain)
        self._made = self._make(self.graph, plain, plan.same)
        self._plan, self._steps, self._output = plan, plan.steps, plan.output
        self._last = last_read(plan.steps, plan.output)
        self.to_empty(device="cpu")
        initialise(self, seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed))

    def forward(self, x: Tensor, vectors: Vectors, only: Mapping[str, int] | None = None) -> Tensor:
        """Run all options, weighed by the vectors; with `only`, of each slot just this entry's, the others not at all.

        A slot that `only` does not name is then left out as a whole.
        """
        values: dict[int, Tensor] = {0: x}
        steps, last = (self._steps, self._last) if only is None else self._path(only)
        for step, over in zip(steps, last, strict=True):
            values[step.node + 1] = self._run(step, values, vectors)
            for source in over:
                del values[source]
        return values[self._output]

    def _run(self, step: PlanStep, values: Mapping[int, Tensor], vectors: Vectors) -> Tensor:
        if step.sums:
            return self._sum(step, values, vectors)
        inputs = [values[source] for source in step.sources]
        return F.relu_(inputs[0]) if step.in_place else self._made[step.node](*inputs)

    def _sum(self, step: PlanStep, values: Mapping[int, Tensor], vectors: Vectors) -> Tensor:
        """Add up a step's terms: those that end in a norm by its scale, the others as one weighted sum."""
        total: Tensor | None = None
        plain: list[tuple[Tensor, Tensor | None]] = []
        for term in step.terms:
            if any(path not in vectors for path, _ in term.factors):
                continue
            weight = _weight(term, vectors)
            if term.norm is None or weight is None:
                plain.append((values[term.value], weight))
                continue
            part = _scaled_norm(cast(_BatchNorm, self._made[term.norm]), values[term.value], weight)
            total = part if total is None else total.add_(part)
        if plain:
            total = weighted_sum(total, plain)
        if total is None:
            x = next(iter(values.values()))
            return x.new_zeros((len(x), *step.shape))
        return total

    def _path(self, only: Mapping[str, int]) -> tuple[tuple[PlanStep, ...], list[tuple[int, ...]]]:
        """Return the steps of one path, sums cut down to it, and after each the values that nobody reads again."""
        slots = self.mixture.slots
        kept = self._plan.path(lambda path, entry: path not in slots or only.get(path) == entry)
        return kept, last_read(kept, self._output)

    def _make(self, graph: Graph, plain: frozenset[int], same: Mapping[int, int]) -> list[nn.Module]:
        """Make the nodes' modules, in their places; equal nodes share theirs."""
        made: list[nn.Module] = []
        for number, node in enumerate(graph.nodes):
            twin = same.get(number + 1)
            module = made[twin - 1] if twin is not None else _layer(graph, node, affine=number not in plain)
            parent, leaf = home(self, node)
            parent.add_module(leaf, module)
            made.append(module)
        return made


def one_path(mixture: Mixture, network: Network) -> tuple[dict[str, Tensor], dict[str, int]]:
    """Return the vectors and entries that make a supernet a member of its space: 1 for what it takes, 0 elsewhere."""
    entries = taken(mixture, network)
    vectors = {
        path: torch.zeros(n) if path in mixture.slots else torch.ones(n)
        for path, n in mixture.vectors.items()
    }
    for path, entry in entries.items():
        vectors[path][entry] = 1.0
    return vectors, entries


def lifted(supernet: Supernet, network: Network) -> BuiltNetwork:
    """Return a member of the space, stand-alone, with the supernet's weights: the same outputs as its path.

    Norms get the scale 1 and shift 0 that theirs stand for. Where the supernet has a norm behind a pool that the
    member has not, that norm stands in the pool's place, behind it. `BadInput` where the supernet's options have but
    a part of the channels, or the network is no member.
    """
    mixture = supernet.mixture
    if mixture.mixing.partial > 1:
        raise BadInput(
            f"lift: got a supernet with partial={mixture.mixing.partial}, whose options have a part of a member's "
            "channels, expected partial=1; evaluate the path in the supernet, or train the member"
        )
    built = build(network)
    for theirs, ours in _names(mixture, network):
        target = built.get_submodule(theirs)
        if target.state_dict():
            _carry(target, supernet.get_submodule(ours))
        if not theirs.endswith(".pool"):
            continue
        pool_norm = dict(supernet.get_submodule(ours.rpartition(".")[0]).named_children()).get("pool_norm")
        if pool_norm is not None:
            assert isinstance(pool_norm, _BatchNorm)
            norm = type(pool_norm)(pool_norm.num_features, eps=pool_norm.eps)
            _carry(norm, pool_norm)
            parent, _, leaf = theirs.rpartition(".")
            built.get_submodule(parent).add_module(leaf, nn.Sequential(target, norm))
    return built.train(supernet.training)


def _names(mixture: Mixture, network: Network) -> Iterator[tuple[str, str]]:
    """Yield the name of each module of a built member, and of that which holds its weights in the supernet."""
    for (name, ours, theirs), step in zip(pairs(mixture, network), steps(network), strict=True):
        inner = _prefixes(ours, theirs)
        for node in step.graph.nodes:
            within = next((p for p in inner if node.name.startswith(p)), "")
            yield f"{name}.{node.name}", f"{name}.{inner.get(within, '')}{node.name[len(within) :]}"


def _prefixes(ours: Block, theirs: Block) -> dict[str, str]:
    """Return the beginnings of names that differ between a member's block and the opened one."""
    if isinstance(ours, Mixed):
        return {"": f"option{entry_of(ours, theirs)}."}
    if not isinstance(ours, Cell):
        return {}
    found: dict[str, str] = {}
    live: dict[int, int] = {}
    for pair, op in edge_pairs(ours, cast(Cell, theirs)):
        if isinstance(op, Zero):  # is not lowered, and counts for nothing
            continue
        place = live.setdefault(pair.node, 0)
        live[pair.node] += 1
        option = "" if pair.entry is None else f"option{pair.entry}."
        found[f"node{pair.node}.edge{place}."] = f"node{pair.node}.edge{pair.edge}.{option}"
    return found


@torch.no_grad()
def _carry(target: nn.Module, source: nn.Module) -> None:
    """Copy what a module has learnt and counted; a scale and shift that the source lacks stay 1 and 0."""
    held = {name: tensor.clone() for name, tensor in source.state_dict().items()}
    target.load_state_dict({**target.state_dict(), **held})


def _layer(graph: Graph, node: Node, *, affine: bool) -> nn.Module:
    module = layer_module(node.layer, tuple(map(graph.shape, node.sources)))
    if not affine and isinstance(module, _BatchNorm):
        module.affine, module.weight, module.bias = False, None, None  # type: ignore[assignment]
    return module


def _weight(term: Term, vectors: Vectors) -> Tensor | None:
    """Return the product of a term's factors; None where it has none."""
    weight: Tensor | None = None
    for path, entry in term.factors:
        factor = vectors[path][entry]
        weight = factor if weight is None else weight * factor
    return weight


def _scaled_norm(norm: _BatchNorm, x: Tensor, scale: Tensor) -> Tensor:
    """Normalise and scale in one pass: a batch norm without weights is one with the scale for its weight."""
    if norm.training and norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
    momentum = norm.momentum
    if momentum is None:  # the mean over all batches so far
        momentum = 1.0 / float(norm.num_batches_tracked or 1)
    # In torch 2.13 the backward pass for channels last reads an expanded weight beyond its end.
    weight = scale.expand(norm.num_features).contiguous()
    return F.batch_norm(
        x, norm.running_mean, norm.running_var, weight, None, norm.training, momentum, norm.eps
    )
