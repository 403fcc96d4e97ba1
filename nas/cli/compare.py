"""`nas compare`: runs, families and published networks on one picture and in tables."""

from __future__ import annotations

import re
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
from ..storage import make_folder
from .compared import Subject, check_shared, costs_alone, shared_limits, subject_named, usual_height
from .options import RESULTS, AsJson, Results
from .show import QUIET, Json, emit, say, table

if TYPE_CHECKING:
    from ..analysis.table import Comparison

PICTURE, LINES, HISTORY = "front.png", "families.png", "history.png"
POINTS, SUMMARY = "trials.csv", "summary.csv"
FOLDER = "compare"
LARGER_IS_BETTER = ("accuracy", "_r2")  # in a metric's name, where no run's objective says it


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is compared: runs and families, two metrics, and the limits that all the runs share."""

    subjects: tuple[Subject, ...]
    x: Objective
    y: Objective
    limits: tuple[Limit, ...]

    @property
    def series(self) -> tuple[Series, ...]:
        """The points of each."""
        return tuple(one.series for one in self.subjects)


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN", help="Runs and families, by name or folder; published families by name."
        ),
    ],
    x: Annotated[
        str, typer.Option("--x", metavar="METRIC", help="Across; name:min or name:max says what is better.")
    ] = "macs",
    y: Annotated[
        str | None,
        typer.Option(
            "--y",
            metavar="METRIC",
            help="Upwards; without it, the first run's objective, accuracy, or parameters.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Where the files go.")] = None,
    results: Results = RESULTS,
    as_json: AsJson = False,
) -> int:
    """Draw the fronts of runs and families on one picture and write all their points as tables.

    A front is of the points that keep the limits; beaten ones are faded. Hypervolumes share one reference,
    the worst of each metric over all and 10 % of its range, and so can be compared. Families of which only costs
    are known are drawn as lines through their members.

    nas compare digits-mixed-1
    nas compare first second --x params --y validation_accuracy --out pictures
    nas compare resnet18-compound-1 resnet18-width-1 efficientnet
    """
    request = _request([subject_named(run, Path(results)) for run in runs], x, y)
    check(request.series, [request.x.metric, request.y.metric])
    check_shared(request.subjects, [request.x.metric, request.y.metric])
    files, made = write(request, out or results / FOLDER / _folder_name(request.subjects))
    if as_json:
        emit(document(request, made, files))
    else:
        say(*report(request, made, files))
    return 0


def write(request: Request, folder: Path) -> tuple[list[Path], Comparison]:
    """Write the pictures and tables into a folder; `StorageError` where that cannot be."""
    from ..analysis.lines import plot_lines
    from ..analysis.plot import History, plot_fronts, plot_history  # load matplotlib and pandas
    from ..analysis.table import comparison_table, write_csv

    make_folder(folder)
    series, x, y = request.series, request.x, request.y
    made = comparison_table(series, (x, y), limits=request.limits)
    histories = [
        History(name=one.name, trials=tuple((number, finite(own, y.metric)) for number, own in one.course))
        for one in request.subjects
        if one.is_run
    ]
    if costs_alone(request.subjects, (x.metric, y.metric)):
        files = [plot_lines(series, x=x.metric, y=y.metric, path=folder / LINES)]
    else:
        files = [plot_fronts(series, x=x, y=y, path=folder / PICTURE, limits=request.limits)]
    if histories:
        files.append(plot_history(histories, objective=y, path=folder / HISTORY))
    files += [write_csv(made.points, folder / POINTS), write_csv(made.summary, folder / SUMMARY)]
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
                "run": one.name,
                "kind": series.kind,
                "state": one.state,
                "trials": len(series.points),
                "front": [
                    {"key": series.keys[i], "metrics": numbers(series.points[i])}
                    for i in _front(request, series)
                ],
                "hypervolume": row["hypervolume"],
                "hypervolume_share": row["hypervolume_share"],
            }
            for one, series, row in zip(request.subjects, request.series, rows, strict=True)
        ],
        "files": [str(path) for path in files],
    }


def report(request: Request, made: Comparison, files: Sequence[Path]) -> Iterator[RenderableType]:
    """Yield what people see: a row a run, then where the files are."""
    if costs_alone(request.subjects, (request.x.metric, request.y.metric)):
        yield _costs(request)
    else:
        yield _fronts(request, made)
        yield Text("hypervolume: share of the box between the best values and one common reference", QUIET)
    for one in request.subjects:
        if left_out := [str(limit) for limit in one.limits if limit not in request.limits]:
            yield Text(f"not drawn, a limit of {one.name} alone: {', '.join(left_out)}", QUIET)
    yield Text()
    for path in files:
        yield Text(str(path))


def _fronts(request: Request, made: Comparison) -> RenderableType:
    x, y = request.x.metric, request.y.metric
    best = (f"best {metric(y).short}", f"best {metric(x).short}")
    rows: list[Sequence[str | Text]] = []
    for one, row in zip(request.subjects, made.summary.to_dict("records"), strict=True):
        known = (shown(name, row[f"best_{name}"]) if row["feasible"] else "" for name in (y, x))
        share = f"{100 * row['hypervolume_share']:.1f} %"
        points = str(len(one.series.points))
        rows.append((one.name, points, str(row["front_size"]), *known, share, Text(one.said, QUIET)))
    return table(("run", "trials", "front", *best, "hypervolume", "state"), rows, left=("state",))


def _costs(request: Request) -> RenderableType:
    """Return the reach of families of which only costs are known: there is no better and worse yet."""
    names = (request.x.metric, request.y.metric)
    rows: list[Sequence[str | Text]] = []
    for one in request.subjects:
        spans = [_span(name, one.series.points) for name in names]
        rows.append((one.name, str(len(one.series.points)), *spans, Text(one.said, QUIET)))
    return table(("family", "members", *(metric(n).short for n in names), "of"), rows, left=("of",))


def _span(name: str, points: Sequence[Point]) -> str:
    known = [value for point in points if (value := finite(point, name)) is not None]
    ends = dict.fromkeys(shown(name, end) for end in (min(known), max(known)))
    return " to ".join(ends)


def _request(subjects: Sequence[Subject], x: str, y: str | None) -> Request:
    stated = {o.metric: o for one in subjects for o in one.objectives}
    across = objective(x, stated)
    upwards = objective(y, stated) if y is not None else usual_height(subjects, across.metric)
    if across.metric == upwards.metric:
        raise BadInput(f"--x and --y: got {across.metric} for both, expected two metrics; change one")
    return Request(subjects=tuple(subjects), x=across, y=upwards, limits=shared_limits(subjects))


def _folder_name(subjects: Sequence[Subject]) -> str:
    """Return a name that is safe as a file's: a published network's may hold brackets."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(one.name for one in subjects))[:120]


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
