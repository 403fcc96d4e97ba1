"""`nas compare`: the fronts of several runs on one picture and in tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType
from rich.text import Text

from scaling.constraints import Limit
from search_spaces.errors import BadInput

from ..analysis.front import Objective, Point, finite
from ..analysis.metrics import metric, shown
from ..analysis.series import Series, check, front_within
from ..proposal import Kind
from ..storage import make_folder
from .options import RESULTS, AsJson, Results
from .record import Record, read_record
from .show import QUIET, Json, emit, say, table
from .status import phase

if TYPE_CHECKING:
    from ..analysis.table import Comparison

PICTURE, HISTORY, POINTS, SUMMARY = "front.png", "history.png", "trials.csv", "summary.csv"
FOLDER = "compare"
LARGER_IS_BETTER = ("accuracy", "_r2")  # in a metric's name, where no run's objective says it


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is compared: runs, two metrics, and the limits that all the runs share."""

    records: tuple[Record, ...]
    series: tuple[Series, ...]
    x: Objective
    y: Objective
    limits: tuple[Limit, ...]


def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN", help="One run or several, by name or folder.")],
    x: Annotated[
        str, typer.Option("--x", metavar="METRIC", help="Across; name:min or name:max says what is better.")
    ] = "macs",
    y: Annotated[
        str | None,
        typer.Option("--y", metavar="METRIC", help="Upwards; without it, the first run's objective."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Where the files go.")] = None,
    results: Results = RESULTS,
    as_json: AsJson = False,
) -> int:
    """Draw the fronts of runs on one picture and write all their trials as tables.

    A front is of the trials that keep the limits; beaten ones are faded. Hypervolumes share one reference,
    the worst of each metric over all runs and 10 % of its range, and so can be compared.

    nas compare digits-mixed-1
    nas compare first second --x params --y validation_accuracy --out pictures
    """
    request = _request([read_record(run, results) for run in runs], x, y)
    check(request.series, [request.x.metric, request.y.metric])
    files, made = write(request, out or results / FOLDER / "-".join(r.name for r in request.records)[:120])
    if as_json:
        emit(document(request, made, files))
    else:
        say(*report(request, made, files))
    return 0


def write(request: Request, folder: Path) -> tuple[list[Path], Comparison]:
    """Write the pictures and tables into a folder; `StorageError` where that cannot be."""
    from ..analysis.plot import History, plot_fronts, plot_history  # load matplotlib and pandas
    from ..analysis.table import comparison_table, write_csv

    make_folder(folder)
    series, y = request.series, request.y
    made = comparison_table(series, (request.x, y), limits=request.limits)
    histories = [
        History(
            name=r.name, trials=tuple((t.number, t.metrics.get(y.metric)) for t in r.history.of(Kind.TRAIN))
        )
        for r in request.records
    ]
    files = [
        plot_fronts(series, x=request.x, y=y, path=folder / PICTURE, limits=request.limits),
        plot_history(histories, objective=y, path=folder / HISTORY),
        write_csv(made.points, folder / POINTS),
        write_csv(made.summary, folder / SUMMARY),
    ]
    return files, made


def document(request: Request, made: Comparison, files: Sequence[Path]) -> dict[str, Json]:
    """Return the JSON of `nas compare`; docs/cli.md documents it."""
    rows = made.summary.to_dict("records")
    return {
        "x": str(request.x),
        "y": str(request.y),
        "limits": [str(limit) for limit in request.limits],
        "reference": [rows[0][f"reference_{o.metric}"] for o in (request.x, request.y)],
        "runs": [
            {
                "run": record.name,
                "state": record.state,
                "trials": len(series.points),
                "front": [
                    {"key": series.keys[i], "metrics": numbers(series.points[i])}
                    for i in _front(request, series)
                ],
                "hypervolume": row["hypervolume"],
                "hypervolume_share": row["hypervolume_share"],
            }
            for record, series, row in zip(request.records, request.series, rows, strict=True)
        ],
        "files": [str(path) for path in files],
    }


def report(request: Request, made: Comparison, files: Sequence[Path]) -> Iterator[RenderableType]:
    """Yield what people see: a row a run, then where the files are."""
    x, y = request.x.metric, request.y.metric
    heads = (
        "run",
        "trials",
        "front",
        f"best {metric(y).short}",
        f"best {metric(x).short}",
        "hypervolume",
        "state",
    )
    rows: list[Sequence[str | Text]] = []
    for record, series, row in zip(
        request.records, request.series, made.summary.to_dict("records"), strict=True
    ):
        best = (shown(name, row[f"best_{name}"]) if row["feasible"] else "" for name in (y, x))
        share = f"{100 * row['hypervolume_share']:.1f} %"
        state = record.state if record.state == "finished" else f"{record.state}, {phase(record)}"
        rows.append(
            (record.name, str(len(series.points)), str(row["front_size"]), *best, share, Text(state, QUIET))
        )
    yield table(heads, rows, left=("state",))
    yield Text("hypervolume: share of the box between the best values and one common reference", QUIET)
    for record in request.records:
        if left_out := [str(limit) for limit in record.plan.limits if limit not in request.limits]:
            yield Text(f"not drawn, a limit of {record.name} alone: {', '.join(left_out)}", QUIET)
    yield Text()
    for path in files:
        yield Text(str(path))


def _request(records: Sequence[Record], x: str, y: str | None) -> Request:
    stated = {o.metric: o for record in records for o in record.plan.objectives}
    across = objective(x, stated)
    upwards = objective(y, stated) if y is not None else records[0].plan.objectives[0]
    if across.metric == upwards.metric:
        raise BadInput(f"--x and --y: got {across.metric} for both, expected two metrics; change one")
    shared = [limit for limit in records[0].plan.limits if all(limit in r.plan.limits for r in records)]
    return Request(
        records=tuple(records),
        series=tuple(map(series_of, records)),
        x=across,
        y=upwards,
        limits=tuple(shared),
    )


def series_of(record: Record) -> Series:
    """Return a run's finished trials; confirmations and the final training are not among them."""
    done = [t for t in record.history.of(Kind.TRAIN) if t.done]
    return Series(name=record.name, points=tuple(t.metrics for t in done), keys=tuple(t.key for t in done))


def objective(text: str, stated: dict[str, Objective]) -> Objective:
    """Return the metric that text names, with its direction: said, a run's, or what its name suggests."""
    if ":" in text:
        return Objective.parse(text)
    if text in stated:
        return stated[text]
    larger = any(part in text for part in LARGER_IS_BETTER)
    return Objective(metric=text, direction="max" if larger else "min")


def numbers(point: Point) -> dict[str, float]:
    """Return a point's finite metrics."""
    return {name: value for name in point if (value := finite(point, name)) is not None}


def _front(request: Request, series: Series) -> tuple[int, ...]:
    return front_within(series.points, (request.x, request.y), limits=request.limits)
