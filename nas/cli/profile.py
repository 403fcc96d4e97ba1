"""`nas profile`: what each layer of a model costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import RenderableType
from rich.text import Text

from scaling.cost import LayerCost, cost, layer_costs
from search_spaces.block import fixed
from search_spaces.network import Network, lower
from search_spaces.receptive import receptive_fields
from search_spaces.serialise import key

from ..analysis.metrics import engineering, shown
from .describe import describe
from .model import model_named, shape_from, with_input
from .options import RESULTS, AsJson, Results
from .show import QUIET, Json, emit, facts, many, say, table

METRICS = ("params", "macs", "activations", "peak_bytes")
Row = tuple[LayerCost, tuple[int, ...]]  # with its receptive field, one number an axis


def profile(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A published network, a spec file, RUN#best or RUN#key.")
    ],
    shape: Annotated[
        str | None, typer.Option("--input", metavar="C,H,W", help="Another input, such as 3,192,192.")
    ] = None,
    by: Annotated[Literal["layer", "block"], typer.Option(help="One row a layer, or one a block.")] = "layer",
    results: Results = RESULTS,
    as_json: AsJson = False,
) -> int:
    """Show what each layer of a model costs: output shape, parameters, MACs, receptive field.

    MACs are multiply-adds of convolutions and dense layers, for one example; parameters are numbers learnt.

    nas profile efficientnet_b0
    nas profile digits-mixed-1#best --input 1,16,16 --by block
    """
    network = with_input(model_named(model, Path(results)), shape_from(shape))
    rows = list(zip(layer_costs(network), receptive_fields(lower(network)), strict=True))
    if as_json:
        emit(document(model, network, rows))
    else:
        say(*report(model, network, rows if by == "layer" else in_blocks(rows)))
    return 0


def document(model: str, network: Network, rows: Sequence[Row]) -> dict[str, Json]:
    """Return the JSON of `nas profile`; docs/cli.md documents it."""
    return {
        "model": model,
        "key": key(network),
        "input": [fixed(size) for size in network.input],
        **asdict(cost(network)),
        "layers": [
            {**asdict(layer), "shape": list(layer.shape), "receptive_field": list(f)} for layer, f in rows
        ],
    }


def report(model: str, network: Network, rows: Sequence[Row]) -> Iterator[RenderableType]:
    """Yield what people see: the layers, then the totals."""
    total = cost(network)
    yield Text.assemble((model, "bold"), ("  " + describe(network), QUIET))
    yield Text()
    heads = ("name", "layer", "output", "parameters", "MACs", "share", "sees")
    yield table(heads, (_cells(layer, field, total.macs) for layer, field in rows), left=("name", "layer"))
    yield Text()
    yield facts(
        [
            ("input", _times([fixed(size) for size in network.input])),
            ("parameters", f"{total.params:,}"),
            ("MACs", f"{total.macs:,}"),
            ("activations", f"{total.activations:,}"),
            ("peak memory", f"{shown('peak_bytes', total.peak_bytes)} of maps, for one example in float32"),
        ]
    )


def in_blocks(rows: Sequence[Row]) -> list[Row]:
    """Add up the layers of each block; a block's output and view are those of its last layer."""
    return [_added(list(group)) for _, group in groupby(rows, key=lambda row: _block_of(row[0].name))]


def _added(rows: Sequence[Row]) -> Row:
    last, field = rows[-1]
    layers = [layer for layer, _ in rows]
    return (
        LayerCost(
            name=_block_of(last.name),
            layer=many(len(rows), "layer"),
            shape=last.shape,
            params=sum(layer.params for layer in layers),
            macs=sum(layer.macs for layer in layers),
            activations=sum(layer.activations for layer in layers),
        ),
        field,
    )


def _block_of(name: str) -> str:
    parts = name.split(".")
    return "head" if parts[0] == "head" else ".".join(parts[: parts.index("blocks") + 2])


def _cells(layer: LayerCost, field: tuple[int, ...], all_macs: int) -> list[Text]:
    style = "" if layer.params or layer.macs else QUIET
    share = f"{100 * layer.macs / all_macs:.1f} %" if layer.macs else ""
    cells = [
        layer.name, layer.layer, _times(layer.shape), _count(layer.params), _count(layer.macs), share,
        _times(field) if len(set(field)) > 1 else str(field[0]),
    ]  # fmt: skip
    return [Text(cell, style) for cell in cells]


def _count(number: int) -> str:
    return engineering(number, digits=3) if number else ""


def _times(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
