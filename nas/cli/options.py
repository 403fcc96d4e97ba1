"""The options that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Results = Annotated[
    Path, typer.Option("--results", envvar="NAS_RESULTS", metavar="DIR", help="The folder that holds the runs.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output, and only that.")]
RESULTS = Path("results")
