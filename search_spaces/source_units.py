"""A graph of layers as units, each of which can become a class: the parts that a hand-written module would have.

Layers whose names share a prefix (`node2.edge0.depthwise`, `node2.edge0.pointwise`) form a unit of their own
where some of them hold weights and one value alone is read outside; else they are parts of the unit around them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from inspect import cleandoc

from .block import Block, fixed
from .branch_blocks import Branches, Chain
from .cell_blocks import Zero
from .cells import Cell, resolved
from .errors import Unbuildable
from .graph import Graph, Node
from .layers import Layer, Shape
from .network import Network, Step
from .source_layers import written
from .source_text import class_name, prose

HALVED = "FactorizedReduce"
HALVED_DOC = "A map halved along two paths, one of which reads what the other passes over (Liu et al. 2019)"
TAKEN = frozenset({  # what torch's modules are themselves made of
    "T_destination", "add_module", "apply", "bfloat16", "buffers", "call_super_init", "children", "compile",
    "cpu", "cuda", "double", "dump_patches", "eval", "extra_repr", "float", "forward", "get_buffer",
    "get_extra_state", "get_parameter", "get_submodule", "half", "ipu", "load_state_dict", "modules",
    "mtia", "named_buffers", "named_children", "named_modules", "named_parameters", "parameters",
    "register_backward_hook", "register_buffer", "register_forward_hook", "register_forward_pre_hook",
    "register_full_backward_hook", "register_full_backward_pre_hook", "register_load_state_dict_post_hook",
    "register_load_state_dict_pre_hook", "register_module", "register_parameter",
    "register_state_dict_post_hook", "register_state_dict_pre_hook", "requires_grad_", "set_extra_state",
    "set_submodule", "share_memory", "state_dict", "to", "to_empty", "train", "training", "type", "xpu",
    "zero_grad",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Label:
    """What a unit is called, and what is said of it."""

    name: str
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A layer or unit inside a unit: its dotted path there and the values it reads."""

    path: str
    what: Layer | Unit
    sources: tuple[int, ...]
    shapes: tuple[Shape, ...]  # of the sources
    live: bool  # whether the output depends on it


@dataclass(frozen=True)
class Unit:
    """Parts in order; value 0 .. n-1 are the n inputs, value n + i is what part i gives."""

    label: Label
    inputs: tuple[str, ...]  # what they are called
    shapes: tuple[Shape, ...]  # of the inputs
    shape: Shape  # of the output
    parts: tuple[Part, ...]
    output: int

    @cached_property
    def height(self) -> int:
        """0 for a unit of layers alone, else one more than its highest unit's."""
        inner = [part.what.height for part in self.parts if isinstance(part.what, Unit)]
        return 1 + max(inner) if inner else 0

    @cached_property
    def digest(self) -> int:
        """The hash, worked out once."""
        return hash((self.label, self.inputs, self.shapes, self.parts, self.output))

    def __hash__(self) -> int:
        return self.digest


def step_unit(step: Step, label: Label) -> Unit:
    """Return the unit of one block of a network."""
    recent, taps = step.block.memory(), step.block.reads()
    names = (("x",), ("newer", "older"))[recent - 1] if recent < 3 else tuple(f"x{i}" for i in range(recent))
    names += ("tap",) if len(taps) == 1 else tuple(f"tap{i}" for i in range(len(taps)))
    return unit(step.graph, label, labels=dict(_inner(step.block, "")), inputs=names)


def step_labels(network: Network, steps: Sequence[Step]) -> list[Label]:
    """Return what each block of a network is called; a shared cell by its name, as `NormalCell`."""
    cells: dict[Block, Label] = {}
    for one in network.shared:
        if isinstance(cell := fixed(one.block), Cell):
            word = "" if one.name.lower().endswith("cell") else "_cell"
            cells.setdefault(cell, Label(class_name(f"{one.name}{word}"), _label(cell).doc))
    return [cells.get(step.block) or _label(step.block) for step in steps]


def unit(
    graph: Graph, label: Label, *, labels: Mapping[str, Label], inputs: tuple[str, ...] = ("x",), at: str = ""
) -> Unit:
    """Return the unit of a graph; `labels` names the units inside by their path, `at` is the graph's own."""
    for node in graph.nodes:
        _check_name(node)
    live, groups = _live(graph), _groups(graph)
    where = {value: value for value in range(len(graph.inputs))}
    parts: list[Part] = []
    for i, node in enumerate(graph.nodes):
        value = len(graph.inputs) + i
        prefix = next((p for p in groups if node.name.startswith(p)), None)
        if prefix is None:
            if written(node.layer, tuple(map(graph.shape, node.sources))).weights or value in live:
                shapes = tuple(map(graph.shape, node.sources))
                parts.append(Part(node.name, node.layer, _mapped(node.sources, where), shapes, value in live))
                where[value] = len(graph.inputs) + len(parts) - 1
        elif i == groups[prefix][-1]:
            inner, sources, output = _cut(graph, groups[prefix], prefix)
            path = prefix[:-1]
            names = ("x",) if len(sources) == 1 else tuple(f"x{i}" for i in range(len(sources)))
            own = _named(inner, labels, at + path)
            part = unit(inner, own, labels=labels, inputs=names, at=at + prefix)
            shapes = tuple(map(graph.shape, sources))
            parts.append(Part(path, part, _mapped(sources, where), shapes, output in live))
            where[output] = len(graph.inputs) + len(parts) - 1
    return Unit(label, inputs, graph.inputs, graph.shape(graph.output), tuple(parts), where[graph.output])


def _mapped(sources: Sequence[int], where: Mapping[int, int]) -> tuple[int, ...]:
    return tuple(where.get(source, 0) for source in sources)  # what is missing is read by nothing that counts


def _live(graph: Graph) -> set[int]:
    """Return the values that the output depends on."""
    first, todo, live = len(graph.inputs), [graph.output], set[int]()
    while todo:
        value = todo.pop()
        if value not in live:
            live.add(value)
            todo += graph.nodes[value - first].sources if value >= first else ()
    return live


def _groups(graph: Graph) -> dict[str, list[int]]:
    """Return the nodes of each unit inside, by prefix."""
    found: dict[str, list[int]] = {}
    todo = [("", list(range(len(graph.nodes))))]
    while todo:
        prefix, members = todo.pop()
        below: dict[str, list[int]] = {}
        for i in members:
            part, dot, _ = graph.nodes[i].name[len(prefix) :].partition(".")
            if dot:
                below.setdefault(f"{prefix}{part}.", []).append(i)
        for inner, nodes in below.items():
            if _stands_alone(graph, nodes, inner):
                found[inner] = nodes
            else:
                todo.append((inner, nodes))
    return found


def _stands_alone(graph: Graph, members: list[int], prefix: str) -> bool:
    holds = any(
        "." not in graph.nodes[i].name[len(prefix) :]
        and written(graph.nodes[i].layer, tuple(map(graph.shape, graph.nodes[i].sources))).weights
        for i in members
    )
    holds = holds and all(node.name != prefix[:-1] for node in graph.nodes)  # else a layer has that name
    together = members[-1] - members[0] + 1 == len(members)
    return holds and together and len(_outputs(graph, members)) <= 1


def _outputs(graph: Graph, members: list[int]) -> set[int]:
    """Return the values of some nodes that others read or that the graph hands on."""
    first, inside = len(graph.inputs), set(members)
    own = {first + i for i in members}
    read = {s for i, node in enumerate(graph.nodes) if i not in inside for s in node.sources}
    return own & (read | {graph.output})


def _cut(graph: Graph, members: list[int], prefix: str) -> tuple[Graph, list[int], int]:
    """Return the graph of some nodes, the values that it reads outside, and the one it hands on."""
    first = len(graph.inputs)
    own = {first + i for i in members}
    sources = list(dict.fromkeys(s for i in members for s in graph.nodes[i].sources if s not in own))
    where = {s: i for i, s in enumerate(sources)} | {
        first + i: len(sources) + n for n, i in enumerate(members)
    }
    nodes = tuple(
        replace(
            graph.nodes[i],
            sources=tuple(where[s] for s in graph.nodes[i].sources),
            name=graph.nodes[i].name[len(prefix) :],
        )
        for i in members
    )
    output = next(iter(_outputs(graph, members)), first + members[-1])
    return Graph(tuple(map(graph.shape, sources)), nodes, where[output]), sources, output


def _named(inner: Graph, labels: Mapping[str, Label], path: str) -> Label:
    if {node.name for node in inner.nodes} >= {"reduce1", "reduce2", "reduce_concat"}:
        return Label(HALVED, HALVED_DOC)
    leaf = path.rpartition(".")[2].rstrip("0123456789_")
    return labels.get(path, Label(class_name(leaf or "Block")))


def _label(block: Block) -> Label:
    """Return a block's class and the beginning of what that says of itself."""
    name, doc = type(block).__name__, cleandoc(type(block).__doc__ or "").partition("\n")[0]
    if doc.startswith(f"{name}("):  # what a dataclass says when nobody wrote anything
        doc = ""
    return Label(class_name(name), _short(prose(doc)))


def _short(doc: str) -> str:
    """Return a sentence up to its first semicolon outside brackets, and up to where it speaks of a field."""
    depth = 0
    for i, char in enumerate(doc):
        depth += (char == "(") - (char == ")")
        if char == ";" and depth == 0:
            doc = doc[:i]
            break
    plain, field, _ = doc.partition("`")
    return (plain.rpartition(",")[0] if field else plain).rstrip(".")


def _inner(block: Block, at: str) -> Iterator[tuple[str, Label]]:
    """Yield (path, label) of the blocks inside a block, as it names them when it lowers."""
    inside: list[tuple[str, Block]] = []
    if isinstance(block, Cell):
        yield from (
            (f"{at}input{i}", Label("ActConv", "Activation, 1x1 convolution, norm")) for i in range(2)
        )
        for number, node in enumerate(block.nodes, start=block.inputs):
            edges = resolved(node)
            live = [edge for edge in edges if not isinstance(edge.op, Zero)] or edges[:1]
            inside += [(f"{at}node{number}.edge{i}", fixed(edge.op)) for i, edge in enumerate(live)]
    elif isinstance(block, Chain | Branches):
        word = "part" if isinstance(block, Chain) else "branch"
        inside += [(f"{at}{word}{i}", fixed(part.block)) for i, part in enumerate(block.parts)]
    for path, one in inside:
        yield path, _label(one)
        yield from _inner(one, f"{path}.")


def _check_name(node: Node) -> None:
    for part in node.name.split("."):
        if not part or part in TAKEN or part.startswith("_"):
            raise Unbuildable(f"{node.name}: got {part!r}, which torch's modules use themselves; rename it")
