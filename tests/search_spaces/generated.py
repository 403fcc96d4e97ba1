"""Random small spaces for laws: trees of the test's own nodes, and networks with a block from outside.

Trees hold choices in choices, choices tied where one of them is not open, shared and independent repeats,
picks, tuples and None as options. Networks hold the same by way of stages, conditions and heads.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Literal

from hypothesis import settings
from hypothesis import strategies as st

from search_spaces import (
    Block,
    Choice,
    Classifier,
    Conv,
    Feature,
    HybridDilated,
    Identity,
    MBConv,
    Network,
    NeverFalls,
    Pick,
    Place,
    Pool,
    Repeat,
    Searchable,
    Stage,
    TotalAtMost,
    count,
    register,
    resolve,
)
from search_spaces.block import Amount, Ratio
from search_spaces.data import ByKind, Data

MOST_MEMBERS = 150
FEW = settings(max_examples=40)  # of laws that look at every member of a space
NODES = ("scalar", "choice", "choice", "tied", "repeat", "pick", "tuple", "twig")
OPTIONS = ("scalar", "scalar", "none", "twig", "pair", "choice", "layers")
TIED = {"p": ("x", "y"), "q": ("u", "v", "w")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Twig:
    """A node of the trees; `tag` keeps options apart."""

    tag: int
    left: object = 0
    right: object = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge(Data):
    """An input of a cell and what is done to it."""

    source: int
    op: Searchable[Literal["skip", "conv"]] = "skip"


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class OutsideCell(Block):
    """A user's block: some of its edges are picked, each with an operation of its own."""

    edges: Annotated[tuple[Edge, ...] | Pick[Edge], ByKind()]
    kernel: Searchable[Amount] = 3
    gain: Searchable[Ratio] = 1.0

    def lower(self, place: Place) -> Feature:
        """One convolution, whatever the edges."""
        return place.input.conv(place.width, 1, stride=place.stride)


def trees() -> st.SearchStrategy[object]:
    """Return spaces of up to 150 members that are no network."""
    return _trees().filter(lambda space: count(space) <= MOST_MEMBERS)


def networks() -> st.SearchStrategy[Network]:
    """Return network spaces of 1 to 150 members, some with conditions."""
    return _networks().filter(lambda space: 1 <= count(space) <= MOST_MEMBERS)


def spaces() -> st.SearchStrategy[object]:
    """Return spaces of either kind."""
    return trees() | networks()


def walked(space: object) -> Iterator[tuple[dict[str, int], object]]:
    """Yield (decisions, member) for all that `resolve` can make, by brute force; conditions are not read."""
    prefix: list[int] | None = []
    while prefix is not None:
        asked: list[tuple[str, int, int]] = []
        member = resolve(space, _scripted(prefix, asked))
        yield {path: index for path, index, _ in asked}, member
        prefix = _following(asked)


def _scripted(
    prefix: list[int], asked: list[tuple[str, int, int]]
) -> Callable[[str, tuple[object, ...]], int]:
    def choose(path: str, options: tuple[object, ...]) -> int:
        index = prefix[len(asked)] if len(asked) < len(prefix) else 0
        asked.append((path, index, len(options)))
        return index

    return choose


def _following(asked: list[tuple[str, int, int]]) -> list[int] | None:
    indices = [index for _, index, _ in asked]
    for position in reversed(range(len(asked))):
        if indices[position] + 1 < asked[position][2]:
            return [*indices[:position], indices[position] + 1]
    return None


@st.composite
def _trees(draw: st.DrawFn) -> object:
    fresh = iter(range(1, 10_000))

    def scalar() -> int:
        return next(fresh)

    def option(depth: int) -> object:
        kind = draw(st.sampled_from(OPTIONS))
        if depth == 0 or kind == "scalar":
            return scalar()
        if kind == "none":
            return Twig(tag=scalar(), left=Choice(None, scalar()))
        if kind == "twig":
            return Twig(tag=scalar(), left=node(depth - 1), right=node(depth - 1))
        if kind == "pair":
            return (scalar(), node(depth - 1))
        if kind == "choice":
            return Choice(scalar(), scalar())
        return Repeat(Twig(tag=scalar(), left=node(depth - 1)), Choice(1, 2), draw(st.booleans()))

    def node(depth: int) -> object:
        kind = draw(
            st.sampled_from(["scalar", "choice", "choice", "tied", "repeat", "pick", "tuple", "twig"])
        )
        if kind == "tied":
            name = draw(st.sampled_from(sorted(TIED)))
            return Choice(*TIED[name], name=name)
        if depth == 0 or kind == "scalar":
            return scalar()
        if kind == "choice":
            return Choice(*[option(depth - 1) for _ in range(draw(st.integers(1, 3)))])
        if kind == "repeat":
            counts = draw(st.sampled_from([2, Choice(1, 2), Choice(1, 3, name="n")]))
            return Repeat(node(depth - 1), counts, draw(st.booleans()))
        if kind == "pick":
            edges = [Twig(tag=scalar(), left=node(depth - 1)) for _ in range(3)]
            return Pick(draw(st.integers(1, 3)), *edges)
        if kind == "tuple":
            return tuple(node(depth - 1) for _ in range(draw(st.integers(1, 2))))
        return Twig(tag=scalar(), left=node(depth - 1), right=node(depth - 1))

    return Twig(tag=0, left=node(2), right=node(2))


@cache  # a strategy is slow to make
def _edges() -> st.SearchStrategy[object]:
    op = st.sampled_from(["skip", Choice("skip", "conv")])
    return st.tuples(op, op, op).map(lambda ops: [Edge(source=i, op=op) for i, op in enumerate(ops)])


@cache
def _cells() -> st.SearchStrategy[Block]:
    picked = st.builds(lambda k, edges: Pick(k, *edges), st.integers(1, 3), _edges())
    gains = st.sampled_from([1, Choice(1, 2.5), Choice(0.5, 1, name="gain")])
    return st.builds(OutsideCell, edges=picked, gain=gains)


@cache
def _blocks() -> st.SearchStrategy[object]:
    kernels = st.sampled_from(
        [3, (3, 5), Choice(3, 5), Choice(3, 5, name="kernel"), Choice(3, (3, 5), (5, 3))]
    )
    plain = st.one_of(
        st.builds(Conv, kernel=kernels),
        st.builds(MBConv, kernel=kernels, expand=st.sampled_from([4, Choice(3, 6)])),
        st.builds(HybridDilated, rates=st.sampled_from([(1, 2), Choice((1, 2), (1, 2, 5))])),
        _cells(),
    )
    mixed = st.builds(lambda conv, rest: Choice(conv, *rest), st.builds(Conv, kernel=kernels), _others())
    return plain | mixed


@cache
def _others() -> st.SearchStrategy[list[Block]]:
    kinds = st.sampled_from([Pool(kind=Choice("max", "average")), Identity(), MBConv(expand=Choice(3, 6))])
    return st.lists(kinds, max_size=2, unique_by=type)


@cache
def _runs() -> st.SearchStrategy[object]:
    counts = st.sampled_from([1, 2, Choice(1, 2), Choice(1, 2, 3), Choice(1, 2, name="depth")])
    repeats = st.builds(Repeat, _blocks(), counts, st.booleans())
    either = st.builds(
        lambda a, b: Choice(
            Repeat(Conv(kernel=a), Choice(1, 2)), Repeat(MBConv(kernel=b), 2, independent=True)
        ),
        st.sampled_from([3, Choice(3, 5)]),
        st.sampled_from([3, Choice(3, 7)]),
    )
    return st.one_of(repeats, either, st.lists(_blocks(), min_size=1, max_size=2).map(tuple))


@cache
def _stages() -> st.SearchStrategy[Stage]:
    widths = st.sampled_from([16, Choice(8, 16, 24), Choice(16, 8), Choice(8, 16, name="width")])
    strides = st.sampled_from([1, 2, (2, 1), Choice(1, 2), Choice(1, (2, 1))])
    return st.builds(Stage, blocks=_runs(), width=widths, stride=strides)


@st.composite
def _networks(draw: st.DrawFn) -> Network:
    limit = draw(st.integers(2, 4))
    known = (NeverFalls(), NeverFalls(of="stages.blocks"), TotalAtMost(limit=limit))
    conditions = [condition for condition in known if draw(st.booleans())]
    return Network(
        input=(3, draw(st.sampled_from([16, Choice(16, 32)])), 16),
        stem=draw(st.sampled_from([None, Choice(None, Stage(blocks=(Conv(),), width=8))])),
        stages=tuple(draw(_stages()) for _ in range(draw(st.integers(1, 2)))),
        head=draw(st.sampled_from([Classifier(classes=2), Classifier(classes=2, width=Choice(None, 16))])),
        conditions=tuple(conditions),
    )
