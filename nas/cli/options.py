"""The options that commands share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

RESULTS = Path("results")
VARIABLE = "NAS_RESULTS"  # of the environment; stands for --results

Results = Annotated[
    Path, typer.Option("--results", envvar=VARIABLE, metavar="DIR", help="The folder that holds the runs.")
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on standard output, and only that.")
]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="auto|HOST[:PORT]|local:N", help="The Ray cluster that runs trials: execution.cluster.",
        show_default=False,
    ),
]  # fmt: skip

# How a network is scaled, see docs/scaling.md.
Fix = Annotated[
    list[str] | None,
    typer.Option(
        "--fix", metavar="DIMENSION", help="depth, width or resolution stays; the others grow for it."
    ),
]
UnlikeLayers = Annotated[
    str, typer.Option("--unlike", help="How a stage of unlike layers grows: stretch or repeat_last.")
]
Divisor = Annotated[int, typer.Option("--divisor", help="Widths are multiples of it.")]
Keep = Annotated[float, typer.Option("--keep", help="The part of an asked width that rounding keeps.")]
Repeats = Annotated[
    str, typer.Option("--repeats", help="How numbers of layers are rounded: ceil, round or floor.")
]
Multiple = Annotated[
    int, typer.Option("--resolution-multiple", help="Sizes of the input are multiples of it.")
]


def on_cluster(overrides: Sequence[str], cluster: str | None) -> list[str]:
    """Return settings with the one that an option --cluster stands for."""
    return [*overrides, f"execution.cluster={json.dumps(cluster)}"] if cluster is not None else [*overrides]
