"""A network as data, and how it lowers: block by block, so that equal blocks are worked out once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated

from pydantic import Field

from .block import Amount, Block, Head, Whole, fixed
from .check import combinators, nodes
from .choice import DEEPEST, SPACE_ONLY, Choice, Repeat, Searchable
from .conditions import Condition
from .data import ByKind, Checked, Data, register
from .errors import BadSpec, Unbuildable
from .graph import Feature, Graph, Node, Place, Tracer, per_axis
from .layers import Shape

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
BlockTuple = Annotated[tuple[Searchable[Block], ...], Field(min_length=1, max_length=DEEPEST)]
Blocks = Annotated[BlockTuple | Repeat[Block] | Choice[Repeat[Block]], ByKind()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage(Data):
    """A run of blocks of one width; only the first strides."""

    blocks: Blocks
    width: Searchable[Whole]
    stride: Searchable[Amount] = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared(Data):
    """A block that stands at several places: searched once, the same wherever `Use` names it."""

    name: Name
    block: Searchable[Block]


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Use(Block):
    """The block that the network shares under this name; each place has its own weights."""

    name: Name

    def lower(self, place: Place) -> Feature:
        raise Unbuildable(
            f"got {self.name!r} outside a network, expected a network whose `shared` says what it is"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Network(Checked):
    """An architecture, or a space of them where fields hold `Choice`: input, stem, stages, head.

    `input` is `(channels, *spatial)`. The stem is a stage that scaling does not deepen. Blocks in `shared`,
    such as the cells of a cell-based network, stand where `Use` names them. `conditions` hold over members
    and are not part of one. Building one checks every field; `BadSpec` names the path.
    """

    input: Annotated[tuple[Searchable[Whole], ...], Field(min_length=2, max_length=4)]
    stages: Annotated[tuple[Searchable[Stage], ...], Field(min_length=1, max_length=DEEPEST)]
    head: Searchable[Head]
    stem: Searchable[Stage | None] = None
    shared: tuple[Shared, ...] = ()
    conditions: tuple[Condition, ...] = field(default=(), metadata=SPACE_ONLY)

    def check(self) -> None:
        """Raise `BadSpec` where a name is shared twice, used and not shared, or used inside another block."""
        shared = [one.name for one in self.shared]
        used = {name for part in (self.stem, *self.stages) for name in _used(part)}
        twice = {name for name in shared if shared.count(name) > 1}
        blocks = (block for part in (*self.stages, self.head) for block in _blocks(part))
        nested = {name for part in (*self.shared, *blocks) for name in _used(part)}
        for wrong, what in (
            (twice, "is shared twice; give each a name of its own"),
            (
                used - set(shared),
                f"is used, expected one of what is shared: {', '.join(shared) or 'nothing'}",
            ),
            (nested, "is used inside another block, expected in a stage; write the block out there"),
        ):
            if wrong:
                raise BadSpec(f"shared: {min(wrong)!r} {what}")


@dataclass(frozen=True, slots=True)
class Step:
    """One block where it stands in a network; its graph reads `sources`, numbers of steps (-1: the input)."""

    name: str
    block: Block
    graph: Graph
    sources: tuple[int, ...]


def steps(network: Network) -> tuple[Step, ...]:
    """Lower a resolved network block by block; `Unbuildable` names the block that does not fit.

    Raises `BadSpec` with the path of a choice that was left open.
    """
    try:
        return _steps(network)
    except BadSpec:
        opened = next(combinators(network), None)
        if opened is None:
            raise
        path, node = opened
    raise BadSpec(
        f"{path}: got a {type(node).__name__}, expected a value; sample or resolve the space before it is lowered"
    )


def _steps(network: Network) -> tuple[Step, ...]:
    shapes: list[Shape] = [tuple(fixed(n) for n in network.input)]
    taps: dict[str, int] = {}
    done: list[Step] = []
    for name, block, width, stride, closes in placed(network):
        last = len(done) - 1
        oldest = taps.get("stem", -1)  # no block reads behind the stem
        recent = tuple(max(last - back, oldest) for back in range(block.memory()))
        sources = recent + tuple(_tap(taps, tap, name) for tap in block.reads())
        try:
            graph = block_graph(block, tuple(shapes[s + 1] for s in sources), width, stride)
        except Unbuildable as error:
            raise Unbuildable(f"{name} ({type(block).__name__}): {error}") from None
        done.append(Step(name, block, graph, sources))
        shapes.append(graph.shape(graph.output))
        if closes:
            taps[closes] = len(done) - 1
    return tuple(done)


def lower(network: Network) -> Graph:
    """Return the one graph of a resolved network; node names are `stages.0.blocks.1.depthwise` and so on."""
    nodes: list[Node] = []
    outputs = {-1: 0}
    for number, step in enumerate(steps(network)):
        places = [outputs[s] for s in step.sources]
        offset = 1 + len(nodes) - len(step.graph.inputs)
        nodes += [
            Node(
                n.layer, tuple(_moved(s, places, offset) for s in n.sources), n.shape, f"{step.name}.{n.name}"
            )
            for n in step.graph.nodes
        ]
        outputs[number] = _moved(step.graph.output, places, offset)
    return Graph((tuple(fixed(n) for n in network.input),), tuple(nodes), outputs[max(outputs)])


@lru_cache(maxsize=65536)
def block_graph(block: Block, shapes: tuple[Shape, ...], width: int, stride: Amount) -> Graph:
    """Lower one resolved block at a place; the shapes are the newest features', then the taps'."""
    tracer = Tracer(shapes)
    features = tracer.features()
    recent = block.memory()
    place = Place(
        inputs=features[:recent],
        width=width,
        stride=per_axis(stride, len(shapes[0]) - 1),
        taps=dict(zip(block.reads(), features[recent:], strict=True)),
    )
    return tracer.finish(block.lower(place))


def placed(network: Network) -> Iterator[tuple[str, Block, int, Amount, str | None]]:
    """Yield (name, block, width, stride, name of the tap it closes) of a resolved network, in order."""
    stem = fixed(network.stem)
    shared = {one.name: fixed(one.block) for one in network.shared}
    named = [] if stem is None else [("stem", stem)]
    named += [(f"stages.{i}", fixed(stage)) for i, stage in enumerate(network.stages)]
    for name, stage in named:
        blocks = stage.blocks
        if not isinstance(blocks, tuple):
            raise BadSpec(
                f"{name}.blocks: got {type(blocks).__name__}, expected a tuple; resolve the space first"
            )
        for i, searched in enumerate(blocks):
            block = fixed(searched)
            stride = fixed(stage.stride) if i == 0 else 1
            yield (
                f"{name}.blocks.{i}",
                shared[block.name] if isinstance(block, Use) else block,
                fixed(stage.width),
                stride,
                name if i == len(blocks) - 1 else None,
            )
    yield "head", fixed(network.head), 1, 1, None


def _used(part: object) -> Iterator[str]:
    """Yield the names that a part of a network uses."""
    return (node.name for _, node in nodes(part) if isinstance(node, Use))


def _blocks(part: object) -> Iterator[Block]:
    """Yield the blocks of a part of a network that are written out."""
    return (node for _, node in nodes(part) if isinstance(node, Block) and not isinstance(node, Use))


def _moved(value: int, places: list[int], offset: int) -> int:
    """Return where a value of one step's graph stands in the whole network's."""
    return places[value] if value < len(places) else value + offset


def _tap(taps: dict[str, int], tap: str, name: str) -> int:
    if tap not in taps:
        raise Unbuildable(
            f"{name}: got tap {tap!r}, expected an earlier stage: {', '.join(taps) or 'none so far'}"
        )
    return taps[tap]
