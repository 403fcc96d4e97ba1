"""Several runs, families and baselines as two tables: one row a point, and one row a series."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import pandas as pd

from nas.analysis.front import Objective, Point, finite
from nas.analysis.hypervolume import Box, common_box, hypervolume, normalised_hypervolume
from nas.analysis.series import Limit, Series, check, front_within, keeps
from nas.storage import replace_file
from search_spaces.errors import BadInput

Cell = str | bool | int | float | None

_COLUMNS = {"run", "kind", "key", "feasible", "on_front", "on_joint_front"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What `comparison_table` makes.

    `points`, one row a point, in the order given: `run`, `kind`, `key`, the objectives' metrics, all other
    metrics in alphabetical order, `feasible` (keeps all limits), `on_front` (of its run), `on_joint_front`
    (of all runs). A metric that is missing, NaN or infinite is an empty cell.

    `summary`, one row a series: `run`, `kind`, `trials`, `feasible`, `front_size`, `joint_front_size`, then
    `best_<metric>` of each objective among the feasible points, `hypervolume` in the metrics' units,
    `hypervolume_share` of the box between ideal and reference, then `ideal_<metric>` and
    `reference_<metric>`, which are the same in each row (see `common_reference`).
    """

    points: pd.DataFrame
    summary: pd.DataFrame


def comparison_table(
    series: Sequence[Series], objectives: Sequence[Objective], *, limits: Sequence[Limit] = ()
) -> Comparison:
    """Compare series on the same objectives, limits and hypervolume reference; raises BadInput."""
    check(series, [objective.metric for objective in objectives] + [limit.metric for limit in limits])
    metrics = _metrics(series, objectives)
    box = common_box([one.points for one in series], objectives)
    joint = _joint_fronts(series, objectives, limits)
    parts = [
        _Part.of(one, objectives, limits=limits, shared=shared)
        for one, shared in zip(series, joint, strict=True)
    ]
    return Comparison(
        points=pd.DataFrame([row for part in parts for row in _rows(part, metrics)]),
        summary=pd.DataFrame([_head(part) | _scores(part, objectives, box) for part in parts]),
    )


def write_csv(frame: pd.DataFrame, path: Path) -> Path:
    """Write a table as UTF-8 CSV, columns as they stand, numbers so that they read back equal."""
    replace_file(path, frame.to_csv(index=False, lineterminator="\n").encode())
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A series with the positions of its points that are feasible, on its front, and on the joint front."""

    series: Series
    feasible: frozenset[int]
    own: frozenset[int]
    shared: frozenset[int]

    @classmethod
    def of(
        cls, one: Series, objectives: Sequence[Objective], *, limits: Sequence[Limit], shared: frozenset[int]
    ) -> "_Part":
        return cls(
            series=one,
            feasible=frozenset(i for i, point in enumerate(one.points) if keeps(point, limits)),
            own=frozenset(front_within(one.points, objectives, limits=limits)),
            shared=shared,
        )


def _metrics(series: Sequence[Series], objectives: Sequence[Objective]) -> list[str]:
    """The objectives' metrics, then the others that some point has."""
    first = [objective.metric for objective in objectives]
    points = [point for one in series for point in one.points]
    rest = {name for point in points for name in point if finite(point, name) is not None} - set(first)
    for name in (*first, *sorted(rest)):
        if name in _COLUMNS:
            raise BadInput(f"metric: got {name!r}, which is a column of the table already; rename the metric")
    return [*first, *sorted(rest)]


def _joint_fronts(
    series: Sequence[Series], objectives: Sequence[Objective], limits: Sequence[Limit]
) -> list[frozenset[int]]:
    """For each series, the positions of its points that are on the front of all."""
    joint = set(front_within([point for one in series for point in one.points], objectives, limits=limits))
    ends = list(accumulate(len(one.points) for one in series))
    return [
        frozenset(i for i in range(len(one.points)) if end - len(one.points) + i in joint)
        for one, end in zip(series, ends, strict=True)
    ]


def _rows(part: _Part, metrics: Sequence[str]) -> Iterator[dict[str, Cell]]:
    one = part.series
    for i, point in enumerate(one.points):
        yield {
            "run": one.name,
            "kind": one.kind,
            "key": one.keys[i] if one.keys else "",
            **{name: _cell(point, name) for name in metrics},
            "feasible": i in part.feasible,
            "on_front": i in part.own,
            "on_joint_front": i in part.shared,
        }


def _cell(point: Point, name: str) -> Cell:
    number, value = finite(point, name), point.get(name)
    return value if number is not None and isinstance(value, int) else number  # integers keep all digits


def _head(part: _Part) -> dict[str, Cell]:
    return {
        "run": part.series.name,
        "kind": part.series.kind,
        "trials": len(part.series.points),
        "feasible": len(part.feasible),
        "front_size": len(part.own),
        "joint_front_size": len(part.shared),
    }


def _scores(part: _Part, objectives: Sequence[Objective], box: Box) -> dict[str, Cell]:
    kept = [part.series.points[i] for i in sorted(part.feasible)]
    ideals = zip(objectives, box.ideal, strict=True)
    references = zip(objectives, box.reference, strict=True)
    return {
        **{f"best_{objective.metric}": _best(kept, objective) for objective in objectives},
        "hypervolume": hypervolume(kept, objectives, reference=box.reference),
        "hypervolume_share": normalised_hypervolume(kept, objectives, box=box),
        **{f"ideal_{objective.metric}": value for objective, value in ideals},
        **{f"reference_{objective.metric}": value for objective, value in references},
    }


def _best(points: Sequence[Point], objective: Objective) -> float | None:
    values = [value for point in points if (value := finite(point, objective.metric)) is not None]
    choose = min if objective.direction == "min" else max
    return choose(values, default=None)
