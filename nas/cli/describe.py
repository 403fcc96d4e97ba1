"""A network in one line that people can read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from itertools import groupby

from search_spaces.block import Block, fixed
from search_spaces.blocks import Conv, Pool
from search_spaces.branch_blocks import Branches, Chain
from search_spaces.cells import Cell, resolved
from search_spaces.choice import Choice
from search_spaces.errors import BadInput
from search_spaces.genotype import to_genotype
from search_spaces.heads import Classifier, Regressor
from search_spaces.network import Network, Stage, Use

SHORT = {"kernel": "k", "expand": "e", "se": "se", "dilation": "d", "groups": "g", "ratio": "r", "rates": "d"}
SILENT = ("act", "norm", "se_act", "gate")  # they fill the line and say little
NAMES = {"DepthwiseSeparable": "Separable", "DilatedConv": "Dilated", "ResidualBasic": "Basic"}


def describe(network: Network) -> str:
    """Return a resolved network in one line: blocks with kernel, expansion ..., width `w`, stride `s`, head.

    >>> from search_spaces import MBConv
    >>> describe(Network(
    ...     input=(3, 32, 32),
    ...     stem=Stage(blocks=(Conv(),), width=16),
    ...     stages=(Stage(blocks=(MBConv(kernel=5),) * 3, width=24, stride=2),),
    ...     head=Classifier(classes=10),
    ... ))
    'stem Conv3 w16 | 3x MBConv k5 e6 se.25 w24 s2 | 10 classes'
    """
    stem = fixed(network.stem)
    parts = [] if stem is None else [f"stem {_stage(stem)}"]
    parts += [_stage(fixed(stage)) for stage in network.stages]
    return "; ".join([" | ".join([*parts, _head(fixed(network.head))]), *_shared(network)])


def genotype_of(network: Network) -> str | None:
    """Return a cell network's genotype, None where its cells have no published notation."""
    try:
        return to_genotype(network)
    except BadInput:
        return None


def describe_input(network: Network) -> str:
    """Return what a network or space takes, such as `inputs of 3x32x32`."""
    return "inputs of " + "x".join(map(_value, network.input))


def _stage(stage: Stage) -> str:
    assert isinstance(stage.blocks, tuple), "a resolved stage has a tuple of blocks"
    runs = [(len(list(run)), text) for text, run in groupby(_block(fixed(b)) for b in stage.blocks)]
    blocks = ", ".join(text if n == 1 else f"{n}x {text}" for n, text in runs)
    stride = f" s{_value(stage.stride)}" if stage.stride != 1 else ""
    return f"{blocks} w{stage.width}{stride}"


def _shared(network: Network) -> Iterator[str]:
    """Yield what stands where the blocks say `Use`: the genotype, or each block in our own words."""
    if network.shared:
        genotype = genotype_of(network)
        yield from [genotype] if genotype else (f"{s.name}: {_block(fixed(s.block))}" for s in network.shared)


def _cell(cell: Cell) -> str:
    """Return a cell's nodes, such as `2: Skip(0) + ActSeparable k3(1)`."""
    nodes = (
        f"{number}: " + " + ".join(f"{_block(fixed(e.op))}({fixed(e.source)})" for e in resolved(node))
        for number, node in enumerate(cell.nodes, start=cell.inputs)
    )
    return f"Cell[{'; '.join(nodes)}]"


def _block(block: Block) -> str:
    if isinstance(block, Use):
        return block.name
    if isinstance(block, Cell):
        return _cell(block)
    if isinstance(block, Branches | Chain):
        between = " / " if isinstance(block, Branches) else ", "
        parts = (f"{_block(fixed(part.block))} w{fixed(part.width)}" for part in block.parts)
        return f"{type(block).__name__}[{between.join(parts)}]"
    if isinstance(block, Conv):
        return " ".join([f"Conv{_value(block.kernel)}", *_settings(block, without=("kernel",))])
    if isinstance(block, Pool):
        name = {"average": "AvgPool", "max": "MaxPool"}[fixed(block.kind)]
        return " ".join([name, *_settings(block, without=("kind",))])
    return " ".join([NAMES.get(type(block).__name__, type(block).__name__), *_settings(block)])


def _head(head: Block) -> str:
    if isinstance(head, Classifier | Regressor):
        outputs = (
            f"{head.classes} classes"
            if isinstance(head, Classifier)
            else f"{head.outputs} output{'' if head.outputs == 1 else 's'}"
        )
        wide = [] if head.width is None else [f"w{head.width}"]
        return ", ".join([*wide, *(f"h{features}" for features in fixed(head.hidden)), outputs])
    return _block(head)


def _settings(block: Block, *, without: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield what is set: the known ones by a letter, others by name where they are not at their default."""
    for field in fields(block):  # type: ignore[arg-type]
        value = getattr(block, field.name)
        if field.name in without or field.name in SILENT or value in (0, None, False):
            continue
        if field.name == "groups" and value == 1:
            continue
        if field.name in SHORT:
            yield f"{SHORT[field.name]}{_value(value)}"
        elif value != field.default:
            yield f"{field.name}={_value(value)}"


def _value(value: object) -> str:
    if isinstance(value, Choice):
        return f"({'/'.join(map(_value, value.options))})"
    if isinstance(value, tuple):
        return ",".join(map(_value, value))
    return f"{value:g}".removeprefix("0") if isinstance(value, float) and value else str(value)
