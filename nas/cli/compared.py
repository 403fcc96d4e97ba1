"""What can be compared: runs, families and published networks, each as points with metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scaling.constraints import METRICS, Limit
from scaling.providers import LATENCY
from search_spaces.errors import BadInput

from ..agreement import inherited_scores
from ..analysis.front import Objective, Point, finite
from ..analysis.series import Series
from ..family_folder import FAMILY, FamilyRecord, family_folder, read_family
from ..proposal import Kind
from .published import Published, is_published, published
from .record import Record, read_record
from .scale_picture import series_of as family_series
from .status import phase

COSTS = (*METRICS, LATENCY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A run, a family or published networks; only a run has objectives, limits and a course."""

    series: Series
    state: str
    said: str  # the state for people
    objectives: tuple[Objective, ...] = ()
    limits: tuple[Limit, ...] = ()
    course: tuple[tuple[int, Point], ...] = ()  # its trials by number

    @property
    def name(self) -> str:
        """The name it is shown by."""
        return self.series.name

    @property
    def is_run(self) -> bool:
        """Whether it is a run."""
        return self.series.kind == "run"

    @property
    def metrics(self) -> list[str]:
        """The metrics that some point has."""
        return sorted({n for point in self.series.points for n in point if finite(point, n) is not None})


def subject_named(text: str, results: Path) -> Subject:
    """Return the family, run or published networks that a text names; `BadInput` for others."""
    folder = family_folder(text, results)
    if folder is not None:
        return _family(read_family(folder))
    try:
        return _run(read_record(text, results))
    except BadInput as error:
        if is_published(text):
            return _published(published(text))
        families = ", ".join(sorted(path.parent.name for path in results.glob(f"*/{FAMILY}"))) or "none yet"
        raise BadInput(f"{error}; of the families: {families}; or a published family or network") from None


def series_of(record: Record) -> Series:
    """Return a run's finished trials; confirmations and the final training are not among them."""
    done, known = [t for t in record.history.of(Kind.TRAIN) if t.done], dict(_course(record))
    return Series(
        name=record.name, points=tuple(known[t.number] for t in done), keys=tuple(t.key for t in done)
    )


def shared_limits(subjects: Sequence[Subject]) -> tuple[Limit, ...]:
    """Return the limits that all the runs have, on metrics that everything compared has."""
    runs = [one for one in subjects if one.is_run]
    others = [one for one in subjects if not one.is_run]
    return tuple(
        limit
        for limit in (runs[0].limits if runs else ())
        if all(limit in run.limits for run in runs) and all(limit.metric in one.metrics for one in others)
    )


def usual_height(subjects: Sequence[Subject], x: str) -> Objective:
    """Return what is drawn upwards unless said: a run's objective, a score that all have, else what has a cost."""
    for one in subjects:
        if one.objectives:
            return one.objectives[0]
    for name in (name for name in _shared(subjects) if "accuracy" in name and not name.endswith("_sd")):
        return Objective(metric=name, direction="max")
    return Objective(metric="macs" if x == "params" else "params", direction="min")


def check_shared(subjects: Sequence[Subject], metrics: Sequence[str]) -> None:
    """Raise `BadInput` where something beside runs, or a run beside it, has nothing of a metric."""
    if all(one.is_run for one in subjects):
        return
    for one in subjects:
        for name in metrics:
            if name not in one.metrics:
                raise BadInput(
                    f"{one.name}: got no {name} in it, expected a metric that all have: "
                    f"{', '.join(_shared(subjects)) or 'there is none'}; choose with --x and --y"
                )


def costs_alone(subjects: Sequence[Subject], metrics: Sequence[str]) -> bool:
    """Tell whether families are compared by what they cost alone: then there is no front to speak of."""
    return not any(one.is_run for one in subjects) and all(name in COSTS for name in metrics)


def _shared(subjects: Sequence[Subject]) -> list[str]:
    return [name for name in subjects[0].metrics if all(name in one.metrics for one in subjects[1:])]


def _course(record: Record) -> tuple[tuple[int, Point], ...]:
    """Return what is known of each trial by number; inherited scores under their own names, in nothing's place."""
    scores = inherited_scores(record.history)
    return tuple((t.number, {**scores.get(t.key, {}), **t.metrics}) for t in record.history.of(Kind.TRAIN))


def _run(record: Record) -> Subject:
    return Subject(
        series=series_of(record),
        state=record.state,
        said=record.state if record.state == "finished" else f"{record.state}, {phase(record)}",
        objectives=record.plan.objectives,
        limits=record.plan.limits,
        course=_course(record),
    )


def _family(record: FamilyRecord) -> Subject:
    return Subject(
        series=family_series(record.file, record.name),
        state="family",
        said=f"family of {record.file.model}",
    )


def _published(found: Published) -> Subject:
    series = Series(name=found.name, points=found.metrics, keys=found.short, kind="baseline")
    return Subject(series=series, state="published", said=f"published, at {found.inputs}")
