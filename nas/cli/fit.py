"""`nas fit`: settle the coefficients of compound scaling by training a small grid of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scaling.fit import EXPECTED, Grid
from scaling.providers import ANALYTIC, LATENCY, Provider
from scaling.rules import Compound
from search_spaces.errors import BadInput
from search_spaces.serialise import from_data

from ..config import StudyConfig
from ..fit import begin, fit_of
from ..latency import Latency, latencies_of
from .model import model_named
from .options import RESULTS, AsJson, Divisor, Fix, Keep, Multiple, Repeats, Results, UnlikeLayers
from .running import carry_out
from .scale import scaling_of
from .search import config_from, split

DEFAULT = Grid()


def fit(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A published network, a spec file, RUN#best or RUN#key.")
    ],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CONFIG KEY=VALUE",
            help="A study's YAML file, for its data, recipe and epochs; then settings that override it.",
            show_default=False,
        ),
    ] = None,
    doubles: Annotated[
        str,
        typer.Option(metavar="METRIC", help="What grows: expected (by the formula), macs, latency_ms ..."),
    ] = EXPECTED,
    growth: Annotated[float, typer.Option(help="How many times as high it gets.")] = DEFAULT.growth,
    tolerance: Annotated[
        float, typer.Option(help="The part of the growth by which a point may miss it.")
    ] = DEFAULT.tolerance,
    drift: Annotated[
        float, typer.Option(help="Likewise of its MACs, once rounded, where the expected cost grows.")
    ] = DEFAULT.drift,
    step: Annotated[float, typer.Option(help="Between two values of a coefficient.")] = DEFAULT.step,
    most: Annotated[float, typer.Option(help="Of a coefficient.")] = DEFAULT.most,
    seeds: Annotated[int, typer.Option(min=1, max=64, help="Trainings of each network.")] = 3,
    sizes: Annotated[
        int, typer.Option(min=0, max=8, help="Steps of phi in the picture of curves; 0 leaves it out.")
    ] = 2,
    fix: Fix = None,
    unlike: UnlikeLayers = "stretch",
    divisor: Divisor = 8,
    keep: Keep = 0.9,
    repeats: Repeats = "ceil",
    multiple: Multiple = 1,
    name: Annotated[
        str | None, typer.Option(help="The run's name; without it, data, `list` and a number.")
    ] = None,
    results: Results = RESULTS,
    as_json: AsJson = False,
) -> int:
    """Fit compound scaling: train what a network becomes at twice its cost, and see which way of growing is best.

    Each point of the grid, alpha deeper, beta wider and gamma larger, is trained with every seed and judged by the
    mean validation score. Without CONFIG: the recipe and data of the embedded example, handwritten digits.
    A config's space, strategy, limits and trials count for nothing.

    nas fit run-1#best --name fitted
    nas scale run-1#best --rule fitted
    nas fit small.json mine.yaml epochs=5 --doubles latency_ms --tolerance 0.1
    """
    config_file, overrides = split(arguments or [])
    config = config_from(config_file, overrides)
    rounding: dict[str, int | float | str] = {
        "divisor": divisor, "keep": keep, "repeats": repeats, "resolution_multiple": multiple,
    }  # fmt: skip
    grid = from_data(
        Grid, {"step": step, "most": most, "growth": growth, "tolerance": tolerance, "drift": drift}
    )
    made, networks = fit_of(
        model,
        model_named(model, Path(results)),
        grid=grid,
        scaling=scaling_of(Compound(), rounding=rounding, fix=fix or (), unlike=unlike),
        doubles=doubles,
        sizes=sizes,
        providers=_providers(doubles, config),
    )
    study, own, folder = begin(made, networks, config, seeds=seeds, name=name, results=results)
    return carry_out(study, own, folder, as_json=as_json)


def _providers(doubles: str, config: StudyConfig) -> tuple[Provider, ...]:
    if config.table is not None:
        raise BadInput("table: got one, expected data to train on; a fit trains networks of its own")
    if doubles != LATENCY:
        return (ANALYTIC,)
    return ANALYTIC, latencies_of(config.latency or Latency(), None)
