"""`nas search`: begin a study and run it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer
import yaml

from search_spaces.errors import BadInput
from search_spaces.presets import is_preset
from search_spaces.serialise import to_data

from ..config import StudyConfig, load_config, read_config
from ..launch import create
from .options import RESULTS, AsJson, Cluster, Results, on_cluster
from .running import carry_out
from .show import emit, say

EXAMPLE = "digits.yaml"
OVERRIDE = re.compile(r"[A-Za-z_][\w.]*\s*=")


def search(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CONFIG KEY=VALUE",
            help="A study's YAML file, then settings that override it.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The run's name; without it, data, space and a number.")
    ] = None,
    print_config: Annotated[bool, typer.Option("--print-config", help="Print the config and leave.")] = False,
    cluster: Cluster = None,
    only_dry: Annotated[
        bool,
        typer.Option("--dry-run", help="Say how large it is and how long it would take, by timed probes."),
    ] = False,
    results: Results = RESULTS,
    as_json: AsJson = False,
) -> int:
    """Search for an architecture and train the best one.

    Without CONFIG, the embedded example runs: a small network for real handwritten digits, under a MAC limit
    (which is left out where data=... names other data).
    The best few are trained again with fresh seeds before one is named; then its test part is read, once.

    nas search
    nas search --print-config > mine.yaml
    nas search mine.yaml --dry-run
    nas search mine.yaml trials=100 strategy.population=20 --name first
    nas search mine.yaml --cluster 10.0.0.5 --results /mnt/shared/results
    """
    config_file, given = split(arguments or [])
    overrides = on_cluster(given, cluster)
    if print_config:
        return _print_config(config_file, overrides, as_json=as_json)
    config = config_from(config_file, overrides)
    if only_dry:
        from .dry_run import dry_run

        return dry_run(config, results=results, as_json=as_json)
    study, folder = create(config, name=name, results=results)
    return carry_out(study, config, folder, as_json=as_json)


def split(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """Tell a config's path from the settings `key=value` around it; `BadInput` for several paths."""
    overrides = [a for a in arguments if OVERRIDE.match(a)]
    others = [a for a in arguments if not OVERRIDE.match(a)]
    if len(others) > 1:
        raise BadInput(
            f"got {' and '.join(map(repr, others))}, expected one config and settings such as trials=100; "
            "a setting has an = and no spaces around it"
        )
    return (others[0] if others else None), overrides


def config_from(config_file: str | None, overrides: Sequence[str]) -> StudyConfig:
    """Return the config of a file, or of the embedded example without one, with settings that override it."""
    if config_file is None:
        return read_config(_example(), _for_other_data(overrides), source=f"the example {EXAMPLE}")
    path = Path(config_file)
    if not path.is_file() and is_preset(config_file):
        raise BadInput(
            f"{config_file}: a preset space, expected a study's config; to search it in the example's place, "
            f"`nas search space={config_file}`"
        )
    return load_config(path, overrides)


def _for_other_data(overrides: Sequence[str]) -> list[str]:
    """Drop the example's limit, which is meant for 8x8 digits, where other data comes without limits."""
    given = {text.partition("=")[0].strip() for text in overrides}
    return (
        [*overrides, "limits=[]"]
        if given & {"data", "data.source"} and "limits" not in given
        else [*overrides]
    )


def _example() -> str:
    return (files("nas") / "examples" / EXAMPLE).read_text(encoding="utf-8")


def _print_config(config_file: str | None, overrides: Sequence[str], *, as_json: bool) -> int:
    config = config_from(config_file, overrides)
    if as_json:
        emit({"config": to_data(config)})
    elif config_file is None and not overrides:
        say(_example().rstrip())  # with its comments
    else:
        say(yaml.safe_dump(to_data(config), sort_keys=False, allow_unicode=True).rstrip())
    return 0
