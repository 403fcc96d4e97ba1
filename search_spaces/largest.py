"""The largest weights of a space: for every layer that some member has, one that holds the weights of all of them.

Layers go by their marked names (see `marks`). Found stage by stage from what may come in, block by block in each of
its members, or, where a block such as a cell has too many, in enough of them to see each option. Ties and conditions
are not read, so that a layer may come out larger than any member needs, never smaller.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from math import prod
from typing import TypeVar, cast

from .automaton import automaton, count
from .block import Amount, Block
from .choice import Choice, Decisions, Repeat, options
from .errors import Unbuildable
from .extremes import options_of, size_of
from .graph import Graph
from .layers import Activation, Convolution, Flatten, Layer, Linear, Normalisation, Shape
from .making import resolve
from .marks import BAR, marked_node
from .network import Network, Stage, Use, block_graph

T = TypeVar("T")
MOST_MEMBERS = 256  # of one block that are gone through; of more, a selection
AT_RANDOM = 32  # of such a selection, beside those that show each option
NOWHERE = "?"  # the path of no decision
Recent = tuple[Shape, ...]  # the newest map, and the one before it
Part = tuple[str, str, object]  # a stage's name, its path, and its node in the space


@dataclass(slots=True)
class Held:
    """What was seen of one layer: sizes along each axis of its weights, groups, and where."""

    layer: Layer
    channels: int  # in, of a convolution those of one group
    out: int = 0
    kernel: tuple[int, ...] = ()
    groups: set[int] = field(default_factory=set)
    bias: bool = False
    positions: set[int] = field(default_factory=set)  # that a dense layer reads of each channel


@dataclass(frozen=True, slots=True)
class Largest:
    """A layer with all the weights that members share, and the shape it reads; its fewest groups."""

    layer: Layer
    shape: Shape
    groups: int = 1


def largest(space: Network) -> dict[str, Largest]:
    """Return the layers that hold weights, by marked name, each as large as any member needs.

    Raises `Unbuildable` where no member can be built, and where members cannot share, by the path of the block.
    """
    walk = _Walk(space)
    walk.run()
    return {name: _shareable(name, held) for name, held in walk.found.items()}


def weight_inputs(graph: Graph) -> Iterator[tuple[int, int]]:
    """Yield (node number, positions) of the layers with weights: what a dense layer reads of each channel."""
    first = len(graph.inputs)
    positions = dict.fromkeys(range(first), 1)
    for number, node in enumerate(graph.nodes):
        shape = graph.shape(node.sources[0])
        if isinstance(node.layer, Flatten):
            positions[first + number] = prod(shape[1:])
        elif isinstance(node.layer, Linear):
            positions[first + number] = 1
        else:
            positions[first + number] = max(positions[source] for source in node.sources)
        if _holds_weights(node.layer):
            yield number, positions[node.sources[0]]


def _holds_weights(layer: Layer) -> bool:
    return isinstance(layer, Convolution | Linear | Normalisation) or (
        isinstance(layer, Activation) and layer.kind == "prelu"
    )


@dataclass(slots=True)
class _Walk:
    """The states that may reach a stage, and the layers seen so far."""

    space: Network
    found: dict[str, Held] = field(default_factory=dict)
    taps: dict[str, set[Shape]] = field(default_factory=dict)
    refused: str = ""  # why the last block that could not be built could not

    def run(self) -> None:
        states: set[Recent] = {(shape, shape) for shape in _members(self.space.input)}
        for name, path, node in self._parts():
            ends: set[Recent] = set()
            for mark, stage in _each(node, path):
                ends |= states if stage is None else self._stage(name, mark, cast(Stage, stage), states)
            self._check(name, ends)
            self.taps[name] = {newest for newest, _ in ends}
            states = {(newest, newest) for newest, _ in ends} if name == "stem" else ends
        heads = {
            shape
            for state in states
            for head in _variants(self.space.head, "head")
            for shape in self._outputs("head", head, state, 1, 1)
        }
        self._check("head", heads)

    def _parts(self) -> Iterator[Part]:
        if self.space.stem is not None:
            yield "stem", "stem", self.space.stem
        for i, stage in enumerate(self.space.stages):
            yield f"stages.{i}", f"stages[{i}]", stage

    def _stage(self, name: str, mark: str, stage: Stage, states: set[Recent]) -> set[Recent]:
        ends: set[Recent] = set()
        runs = list(_each(stage.blocks, mark + ".blocks"))
        for (at, run), width, stride in product(runs, options(stage.width), _strides(stage)):
            counts, items = _layers(run)
            here = states
            for i, item in enumerate(items):
                blocks = self._blocks(item, f"{at}[{i}]")
                here = {
                    (out, state[0])
                    for block, state in product(blocks, here)
                    for out in self._outputs(
                        f"{name}.blocks.{i}", block, state, width, stride if i == 0 else 1
                    )
                }
                if i + 1 in counts:
                    ends |= here
        return ends

    def _blocks(self, node: object, mark: str) -> Sequence[Block]:
        """Return the marked members of a place, what the network shares in the place of its name."""
        found: list[Block] = []
        for block in _variants(node, mark):
            if isinstance(block, Use):
                number = next(i for i, one in enumerate(self.space.shared) if one.name == block.name)
                found += _variants(self.space.shared[number].block, f"shared[{number}].block")
            else:
                found.append(block)
        return found

    def _outputs(self, name: str, block: Block, state: Recent, width: int, stride: Amount) -> Iterator[Shape]:
        """Yield the shapes that a block gives, over all taps it may read; note its layers."""
        recent = state[: block.memory()]
        for taps in product(*(self.taps.get(tap, ()) for tap in block.reads())):
            try:
                graph = block_graph(block, (*recent, *taps), width, stride)
            except Unbuildable as error:
                self.refused = f"{name} ({type(block).__name__}): {error}"
                continue
            self._note(name, graph)
            yield graph.shape(graph.output)

    def _note(self, name: str, graph: Graph) -> None:
        for number, positions in weight_inputs(graph):
            node = graph.nodes[number]
            channels = graph.shape(node.sources[0])[0]
            key = f"{name}.{node.name}"
            held = self.found.setdefault(key, Held(node.layer, 0))
            _grow(held, node.layer, channels, positions)

    def _check(self, name: str, found: set[T]) -> None:
        if not found:
            raise Unbuildable(self.refused or f"{name}: no member of this space has a block here")


def _grow(held: Held, layer: Layer, channels: int, positions: int) -> None:
    if type(layer) is not type(held.layer):
        raise Unbuildable(f"got a {type(layer).__name__} and a {type(held.layer).__name__} of one name")
    if isinstance(layer, Convolution):
        held.out, held.bias = max(held.out, layer.out), held.bias or layer.bias
        held.groups.add(layer.groups)
        kernel = held.kernel or layer.kernel
        held.kernel = tuple(max(a, b) for a, b in zip(kernel, layer.kernel, strict=True))
        channels //= layer.groups
    elif isinstance(layer, Linear):
        held.out, held.bias = max(held.out, layer.out), held.bias or layer.bias
        held.positions.add(positions)
    held.channels = max(held.channels, channels)


def _shareable(name: str, held: Held) -> Largest:
    """Return the largest layer; `Unbuildable` by its path where slices of it would mean another thing."""
    _, mark, own = name.split(BAR)
    where = f"{mark}: {own}"
    match held.layer:
        case Convolution():
            return _convolution(held, where)
        case Linear():
            if len(held.positions) > 1:
                sizes = " and ".join(map(str, sorted(held.positions)))
                raise Unbuildable(
                    f"{where} reads {sizes} positions of each channel in different members, expected as many in all "
                    "of them to share its weights; average to a fixed `size` before it, or fix resolution and strides"
                )
            return Largest(Linear(out=held.out, bias=held.bias), (held.channels,))
        case Normalisation():
            return Largest(Normalisation(kind="batch"), (held.channels,))
    return Largest(Activation(kind="prelu"), (held.channels,))


def _convolution(held: Held, where: str) -> Largest:
    assert isinstance(held.layer, Convolution)
    fewest, most = min(held.groups), max(held.groups)
    if held.channels > 1 and any(groups % fewest for groups in held.groups):
        raise Unbuildable(
            f"{where} has {', '.join(map(str, sorted(held.groups)))} groups in different members, expected multiples "
            f"of the fewest, {fewest}, to share its weights; write the blocks out as options of their own: "
            "Choice(Conv(groups=2), Conv(groups=3))"
        )
    groups = fewest if held.channels > 1 else most
    groups = groups if held.out % groups == 0 else 1
    ones = (1,) * len(held.kernel)
    layer = replace(
        held.layer, out=held.out, kernel=held.kernel, stride=ones, dilation=ones, groups=groups, bias=held.bias,
        padding=tuple((k, k) for k in held.kernel),
    )  # fmt: skip
    return Largest(layer, (held.channels * groups, *ones), fewest)


def _each(node: object, path: str) -> Iterator[tuple[str, object]]:
    """Yield (mark, option) of what stands in a place: options that are nodes keep their index."""
    if isinstance(node, Choice):
        for i, option in enumerate(node.options):
            yield f"{path}{{{i}}}", option
    else:
        yield path, node


def _strides(stage: Stage) -> tuple[Amount, ...]:
    return options(stage.stride)


def _layers(run: object) -> tuple[set[int], list[object]]:
    """Return how many layers a run may have, and what stands at each of as many as it may have at most."""
    if isinstance(run, Repeat):
        counts = set(options(run.count))
        return counts, [run.item] * max(counts)
    assert isinstance(run, tuple)
    return {len(run)}, list(run)


def _members(node: tuple[object, ...]) -> set[Shape]:
    return {cast(Shape, marked_node(node, chosen)) for chosen in automaton(node).members()}


def _variants(node: object, mark: str) -> Sequence[Block]:
    """Return the marked members of a block's node, or enough of them to see each option."""
    chosen: Iterable[Mapping[str, int]] = (
        automaton(node).members() if count(node) <= MOST_MEMBERS else _selection(node)
    )
    return [cast(Block, marked_node(node, one, mark=mark)) for one in chosen]


def _selection(node: object) -> Iterator[Decisions]:
    """Yield, for every option of every decision, members that take it and are else large and small; some at random.

    Small, as of branches that share out a width one is widest beside narrow ones.
    """
    rng = random.Random(0)
    for path, found in options_of(node).items():
        for option in range(len(found)):
            yield from (_towards(node, path, option, rng, rest=rest) for rest in (max, min))
    for _ in range(AT_RANDOM):
        yield _towards(node, NOWHERE, 0, rng)


def _towards(
    node: object,
    wanted: str,
    option: int,
    rng: random.Random,
    *,
    rest: Callable[[list[float]], float] | None = None,
) -> Decisions:
    """Return decisions that lead to an option; the others by size, where options have one, else at random."""
    found = Decisions()

    def choose(path: str, offered: tuple[object, ...]) -> int:
        if path == wanted:
            index = option
        elif wanted.startswith(path + "{"):
            index = _leading_to(int(wanted[len(path) + 1 :].partition("}")[0]), offered)
        else:
            sizes = [size_of(one) for one in offered]
            known = [size for size in sizes if size is not None]
            sized = rest is not None and len(known) == len(sizes)
            index = sizes.index(rest(known)) if rest and sized else rng.randrange(len(offered))
        found[path] = index
        return index

    resolve(node, choose)
    return found


def _leading_to(option: int, offered: tuple[object, ...]) -> int:
    """Return which of what is offered opens an option: itself, or of a pick's combinations one that holds it."""
    if all(isinstance(one, tuple) and all(type(i) is int for i in one) for one in offered):
        return next(i for i, one in enumerate(offered) if option in cast("tuple[int, ...]", one))
    return option
