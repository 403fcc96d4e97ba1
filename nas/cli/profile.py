"""`nas profile`: what each layer of a model costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search_spaces.network import Network

from .cost_report import report
from .costs import By, Profile, Row, profile_module, profile_network
from .model import model_named, shape_from, with_input
from .options import RESULTS, AsJson, Results
from .own import names_own, own_model
from .show import Json, emit, say, short_path

if TYPE_CHECKING:
    from scaling.trace import Witness

MANY = 80  # layers that are still read one by one


def profile(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A published network, a spec file, RUN#best or RUN#key, or your own module:attribute.",
        ),
    ],
    shape: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="C,H,W",
            help="Another input, such as 3,192,192; a module of your own needs one.",
        ),
    ] = None,
    by: Annotated[
        By | None,
        typer.Option(
            help=f"One row a layer, a block or a stage; without it, layers where they are {MANY} or fewer, else blocks."
        ),
    ] = None,
    witness: Annotated[
        bool,
        typer.Option(
            "--witness", help="Count the built network by fvcore and torch's FlopCounterMode as well."
        ),
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw MACs, activations and parameters as .png, .svg or .pdf."),
    ] = None,
    results: Results = RESULTS,
    as_json: AsJson = False,
) -> int:
    """Show what each layer of a model costs: output shape, parameters, MACs, activations, receptive field.

    MACs are multiply-adds of convolutions and dense layers, for one example; parameters are numbers learnt;
    activations are what convolutions and dense layers put out. A module of your own is counted as it runs.

    nas profile efficientnet_b0 --plot b0.png
    nas profile digits-mixed-1#best --input 1,16,16 --by block
    nas profile mynets:Small --input 3,96,96
    """
    found = _profiled(model, shape_from(shape), results, ask=witness)
    if plot is not None:
        _draw(found, by or "stage", plot)
    if as_json:
        emit(document(found, plot))
    else:
        say(*report(found, by or ("layer" if len(found.layers) <= MANY else "block")))
        say(*([] if plot is None else ["", short_path(plot)]))
    return 0


def document(found: Profile, plot: Path | None) -> dict[str, Json]:
    """Return the JSON of `nas profile`; docs/cli.md documents it."""
    return {
        "model": found.model,
        "key": found.key,
        "input": list(found.input),
        "params": found.params,
        "macs": found.macs,
        "activations": found.activations,
        "peak_bytes": found.peak_bytes,
        "stages": [_row(stage) for stage in found.rows("stage")],
        "layers": [_row(layer) for layer in found.layers],
        "witnesses": None if found.witnesses is None else [_said(one) for one in found.witnesses],
        "idle": list(found.idle),
        "files": [] if plot is None else [str(plot)],
    }


def _profiled(text: str, shape: tuple[int, ...] | None, results: Path, *, ask: bool) -> Profile:
    model = own_model(text) if names_own(text) else model_named(text, Path(results))
    if isinstance(model, Network):
        return profile_network(text, with_input(model, shape), ask=ask)
    from scaling.room import shape_of

    return profile_module(text, model, shape_of(text, model, shape))


def _draw(found: Profile, by: By, path: Path) -> None:
    from ..analysis.bars import Bar, plot_bars  # loads matplotlib

    rows: Sequence[Row] = [row for row in found.rows(by) if row.params or row.macs]
    bars = [Bar(name=r.name, macs=r.macs, activations=r.activations, params=r.params) for r in rows]
    plot_bars(bars, path, title=f"{found.model} at {'x'.join(map(str, found.input))}")


def _row(row: Row) -> dict[str, Json]:
    view = list(row.receptive_field) or None
    return {**asdict(row), "shape": list(row.shape), "receptive_field": view}


def _said(one: Witness) -> dict[str, Json]:
    return {
        "witness": one.name,
        "macs": None if one.failure else one.macs,
        "operators": dict(one.operators),
        "beyond": dict(one.beyond),
        "unknown": dict(one.unknown),
        "doubtful": list(one.doubtful),
        "uncalled": list(one.uncalled),
        "failure": one.failure,
    }
