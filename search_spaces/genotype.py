"""Cells in the notations that papers print.

Two-input cells: `Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=[2, 3, 4, 5], reduce=..., ...)`,
two edges a node, values numbered with the inputs 0 (older) and 1 (Liu et al. 2019). One-input cells:
`|nor_conv_3x3~0|+|skip_connect~0|none~1|+...`, a node between plus signs (Dong & Yang 2020).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from .automaton import count
from .block import Block, fixed
from .cells import Cell, Edge, resolved
from .check import combinators
from .choice import decisions
from .errors import BadInput, BadSpec, OutOfSpace
from .explain import short
from .making import resolve
from .names import nearest
from .network import Network, Shared
from .presets.darts import OPERATIONS as TWO_INPUT
from .presets.nasbench201 import OPERATIONS as ONE_INPUT

OPERATIONS: Mapping[str, Block] = {**ONE_INPUT, **TWO_INPUT}
PUBLISHED = {op: name for name, op in OPERATIONS.items()}
FIELDS = ("normal", "normal_concat", "reduce", "reduce_concat")
EDGES_A_NODE = 2
LONGEST = 20_000  # characters
Operations = Sequence[tuple[str, int]]  # (operation's name, number of the value it reads), node by node


def to_genotype(network: Network) -> str:
    """Return a resolved network's cells in the published notation for their kind.

    Raises `BadInput` where it has no such cells, or one has an operation without a published name.
    """
    cells = {one.name: fixed(one.block) for one in network.shared}
    if set(cells) == {"cell"}:
        nodes = _written(cells["cell"], "cell")
        return "+".join("|" + "".join(f"{op}~{source}|" for op, source in node) for node in nodes)
    if set(cells) == {"normal", "reduce"}:
        parts = []
        for name in ("normal", "reduce"):
            edges = [edge for node in _written(cells[name], name) for edge in node]
            parts.append(f"{name}={edges}, {name}_concat={list(_cell(cells[name], name).outputs())}")
        return f"Genotype({', '.join(parts)})"
    raise BadInput(
        f"genotype: got a network that shares {', '.join(cells) or 'no blocks'}, expected one that shares `cell`, "
        "or `normal` and `reduce`; a published notation exists for these alone"
    )


def from_genotype(skeleton: Network, text: str) -> Network:
    """Return the skeleton, a space or a member of it, with its shared cells as the text says.

    Edges of a node may come in any order. Raises `BadInput` where the text is no genotype, or one of another
    cell than the skeleton's.

    >>> from search_spaces.presets import preset
    >>> space = preset("nasbench201", (3, 32, 32), classes=10)
    >>> cell = "|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
    >>> to_genotype(from_genotype(space, cell)) == cell
    True
    """
    if len(text) > LONGEST:
        raise BadInput(f"genotype: got {len(text):,} characters, expected at most {LONGEST:,}")
    written = text.strip()
    cells = _two_input(written) if written.startswith("Genotype") else {"cell": _one_input(written)}
    there = {one.name for one in skeleton.shared}
    if set(cells) != there:
        raise BadInput(
            f"genotype: got {' and '.join(cells)} cells, expected a skeleton's "
            f"{' and '.join(sorted(there)) or 'blocks without cells'}; was it written for another kind of cell?"
        )
    shared = tuple(Shared(name=one.name, block=_with_nodes(one, *cells[one.name])) for one in skeleton.shared)
    _check_in_space(skeleton, shared)
    network = replace(skeleton, shared=shared)
    return network if count(network) > 1 else resolve(network, lambda _path, _options: 0)


def _written(network_cell: Block, name: str) -> list[Operations]:
    """Return a cell's operations by node, as (published name, source)."""
    nodes: list[Operations] = []
    for node in _cell(network_cell, name).nodes:
        ops = [(fixed(edge.op), fixed(edge.source)) for edge in resolved(node)]
        strange = next((op for op, _ in ops if op not in PUBLISHED), None)
        if strange is not None:
            raise BadInput(
                f"genotype: got {short(strange)} in the cell {name!r}, expected one of {', '.join(OPERATIONS)}; "
                "other operations have no published name"
            )
        nodes.append([(PUBLISHED[op], source) for op, source in ops])
    return nodes


def _cell(block: Block, name: str) -> Cell:
    if not isinstance(block, Cell):
        raise BadInput(f"genotype: got a {type(block).__name__} shared as {name!r}, expected a Cell")
    return block


def _with_nodes(one: Shared, nodes: tuple[tuple[Edge, ...], ...], output: tuple[int, ...]) -> Cell:
    cell = _cell(fixed(one.block), one.name)
    if len(nodes) != len(cell.nodes):
        raise BadInput(
            f"genotype: got {len(nodes)} nodes for the cell {one.name!r}, expected {len(cell.nodes)}; was it written "
            "for another cell?"
        )
    try:
        changed = replace(cell, nodes=nodes, output=output)
        changed.check()
    except BadSpec as error:
        raise BadInput(f"genotype: {one.name}: {error}") from None
    return changed


def _check_in_space(skeleton: Network, shared: tuple[Shared, ...]) -> None:
    """Refuse cells that an open skeleton cannot produce; a member of a space gives way to any."""
    if not any(True for _ in combinators(skeleton.shared)):
        return
    for one, cell in zip(skeleton.shared, _cells(shared), strict=True):
        for number, (open_node, node) in enumerate(zip(_cells((one,))[0].nodes, cell.nodes, strict=True)):
            try:
                decisions(open_node, node)
            except OutOfSpace:
                edges = [(PUBLISHED[fixed(edge.op)], edge.source) for edge in resolved(node)]
                raise BadInput(
                    f"genotype: {one.name}: node {number + cell.inputs}: got {edges}, expected operations and pairs "
                    "of edges that the space can choose; was it written for another space?"
                ) from None
    try:
        decisions(skeleton.shared, shared)
    except OutOfSpace as error:
        raise BadInput(f"genotype: shared{error}") from None


def _cells(shared: tuple[Shared, ...]) -> list[Cell]:
    return [_cell(fixed(one.block), one.name) for one in shared]


def _one_input(text: str) -> tuple[tuple[tuple[Edge, ...], ...], tuple[int, ...]]:
    """Read `|op~0|+|op~0|op~1|+...`."""
    nodes = []
    for number, part in enumerate(text.split("+"), start=1):
        found = re.fullmatch(r"\|((?:[a-z0-9_]+~[0-9]{1,3}\|)+)", part.strip())
        if found is None:
            raise BadInput(
                f"genotype: node {number}: got {short(part)}, expected `|operation~source|...` or a Genotype(...)"
            )
        pairs = [entry.split("~") for entry in found[1].rstrip("|").split("|")]
        edges = [(op, int(source)) for op, source in pairs]
        if [source for _, source in edges] != list(range(number)):
            raise BadInput(
                f"genotype: node {number}: got edges from {[s for _, s in edges]}, expected from each earlier value, "
                f"{list(range(number))}"
            )
        nodes.append(tuple(_edge(op, source) for op, source in edges))
    return tuple(nodes), (len(nodes),)


def _two_input(text: str) -> dict[str, tuple[tuple[tuple[Edge, ...], ...], tuple[int, ...]]]:
    """Read `Genotype(normal=[...], normal_concat=[...], reduce=[...], reduce_concat=[...])`; nothing is run."""
    said = _keywords(text)
    cells = {}
    for name in ("normal", "reduce"):
        edges = [_pair(entry, name) for entry in _listed(said[name], name)]
        if not edges or len(edges) % EDGES_A_NODE:
            raise BadInput(f"genotype: {name}: got {len(edges)} edges, expected two a node")
        pairs = zip(edges[::2], edges[1::2], strict=True)
        nodes = tuple(tuple(sorted(pair, key=lambda edge: fixed(edge.source))) for pair in pairs)
        concat = _listed(said[f"{name}_concat"], f"{name}_concat")
        if not concat or not all(type(number) is int and number >= 0 for number in concat):
            raise BadInput(f"genotype: {name}_concat: got {short(concat)}, expected numbers of values")
        cells[name] = nodes, tuple(number for number in concat if isinstance(number, int))
    return cells


def _keywords(text: str) -> dict[str, object]:
    try:
        call = ast.parse(text, mode="eval").body
        if not isinstance(call, ast.Call) or call.args:
            raise ValueError("no call with named fields")
        said = {str(word.arg): _literal(word.value) for word in call.keywords}
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise BadInput(
            f"genotype: got {short(text)} ({error}), expected Genotype(normal=[('sep_conv_3x3', 0), ...], "
            "normal_concat=[2, 3, 4, 5], reduce=[...], reduce_concat=[...])"
        ) from None
    if set(said) != set(FIELDS):
        raise BadInput(f"genotype: got the fields {', '.join(said) or 'none'}, expected {', '.join(FIELDS)}")
    return said


def _literal(node: ast.expr) -> object:
    """Return a literal's value; `range(2, 6)`, as some print it, is a list of its numbers."""
    match node:
        case ast.Call(
            func=ast.Name(id="range"), args=[ast.Constant(value=int(a)), ast.Constant(value=int(b))]
        ):
            return list(range(a, min(b, a + 100)))
    return ast.literal_eval(node)


def _listed(value: object, name: str) -> list[object]:
    if not isinstance(value, list | tuple):
        raise BadInput(f"genotype: {name}: got {short(value)}, expected a list")
    return list(value)


def _pair(entry: object, name: str) -> Edge:
    match entry:
        case (str(op), int(source)) if source >= 0:
            return _edge(op, source)
    raise BadInput(f"genotype: {name}: got {short(entry)}, expected pairs such as ('sep_conv_3x3', 0)")


def _edge(op: str, source: int) -> Edge:
    if op not in OPERATIONS:
        raise BadInput(
            f"genotype: got the operation {op!r}, expected one of {', '.join(OPERATIONS)}{nearest(op, OPERATIONS)}"
        )
    return Edge(source=source, op=OPERATIONS[op])
