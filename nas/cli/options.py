"""The options that commands share."""

from __future__ import annotations

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
