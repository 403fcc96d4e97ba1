"""`nas search`: begin a study and run it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from search_spaces.errors import BadInput
from search_spaces.presets import PRESETS

from ..config import StudyConfig, load_config, read_config
from ..launch import create
from .options import RESULTS, AsJson, Results
from .running import carry_out
from .show import say

EXAMPLE = "digits.yaml"
OVERRIDE = re.compile(r"[A-Za-z_][\w.]*\s*=")


def search(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CONFIG] [KEY=VALUE]...",
            help="A study's YAML file, then settings that override it.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The run's name; without it, data, space and a number.")] = None,
    print_config: Annotated[bool, typer.Option("--print-config", help="Print the config and leave.")] = False,
    results: Results = RESULTS,
    as_json: AsJson = False,
) -> int:
    """Search for an architecture and train the best one.

    Without CONFIG, the embedded example runs: a small network for real handwritten digits, under a MAC limit.
    The best few are trained again with fresh seeds before one is named; then its test part is read, once.

    \b
    nas search
    nas search --print-config > mine.yaml
    nas search mine.yaml trials=100 strategy.population=20 --name first
    """
    config_file, overrides = split(arguments or [])
    if print_config:
        return _print_config(config_file, overrides)
    study, folder = create(_config(config_file, overrides), name=name, results=results)
    return carry_out(study, _config(config_file, overrides), folder, as_json=as_json)
