"""`nas status`: how a run is doing, read from its journal without a lock."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.text import Text

from ..agreement import agreement
from ..analysis.metrics import metric, shown
from ..analysis.spread import means
from ..history import Trial
from ..plan import finals
from ..proposal import Kind, Status
from ..spending import gpu_hours, seconds_spent
from ..winner import confirmed
from .describe import describe
from .estimate import seconds_left, workers_in
from .finding import best_files
from .fit_status import chosen, fit_of
from .inherited import inherited, inherited_lines
from .options import RESULTS, AsJson, Results
from .record import Record, network_of, read_record
from .rungs import rungs, said_of
from .running import command_for
from .show import QUIET, Json, duration, emit, facts, many, say, short_path, table
from .tally import Tally, at_work, by_kind, tally
from .trade_off import axes_of, covered_by, front_of
from .turned_away import rejections, turned_away
from .watch import first_line

MOST_ROWS = 12  # of the front


def status(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run's name, or its folder.")],
    results: Results = RESULTS,
    as_json: AsJson = False,
) -> int:
    """Show how a run is doing, from any shell, while it runs or after.

    The front is that of the objectives; of a single objective, against MACs.

    nas status digits-mixed-1
    nas status digits-mixed-1 --json | jq .trials
    """
    record, now = read_record(run, results), time.time()
    if as_json:
        emit(document(record, now))
    else:
        say(*report(record, now))
    return 0


def document(record: Record, now: float) -> dict[str, Json]:
    """Return the JSON of `nas status`; docs/cli.md documents it."""
    axes = axes_of(record.plan)
    covered, best = covered_by(record.history, axes), record.best
    return {
        "run": record.name,
        "state": record.state,
        "phase": phase(record),
        "driver": record.driver,
        "trials": {**counts(record), "planned": planned(record), "rejected": record.history.rejected},
        "rungs": rungs(record.history),
        "objectives": [str(objective) for objective in axes],
        "front": [_point(trial) for trial in front_of(record.history, axes)],
        "hypervolume": None if covered is None else covered.volume,
        "hypervolume_share": None if covered is None else covered.share,
        "reference": None if covered is None else covered.reference,
        "best": None if best is None else _point(best),
        "inherited": inherited(agreement(record.history, record.plan)),
        "rejections": rejections(record.history),
        "failures": failures(record),
        "failed_by_kind": {kind.value: n for kind, n in _tally(record).failed.items()},
        "retried_by_kind": {kind.value: n for kind, n in _tally(record).retried.items()},
        "workers": {"at_work": _at_work(record), "of": _workers(record)},
        "gpu_hours": _gpu_hours(record, now),
        "seconds_spent": round(_spent(record, now), 1),
        "seconds_left": _left(record, now),
    }


def report(record: Record, now: float) -> Iterator[RenderableType]:
    """Yield what people see."""
    yield Text.assemble((record.name, "bold"), "  ", _state(record))
    yield Text()
    yield facts(_facts(record, now))
    axes = axes_of(record.plan)
    best = front_of(record.history, axes)
    if best:
        yield Text()
        yield _front_table(record, best[:MOST_ROWS])
        if len(best) > MOST_ROWS:
            yield Text(
                f"and {len(best) - MOST_ROWS} more; `{command_for('compare', record.folder.resolve())}` draws all",
                QUIET,
            )
    yield from _failure_lines(record)
    if record.state == "interrupted":
        yield Text()
        yield Text.assemble(("next: ", QUIET), command_for("resume", record.folder.resolve()))


def counts(record: Record) -> dict[str, int]:
    """Count the search's trials: done, running, to be repeated since their driver left, and failed.

    Where trainings stop early, the first ones of candidates. Where a list is trained and tested, and nothing searched,
    its trainings.
    """
    n = _tally(record)
    failed = sum(n.failed.values())
    return {"done": n.done, "running": n.running, "interrupted": n.interrupted, "failed": failed}


def planned(record: Record) -> int:
    """Return how many of what `counts` counts there are to be."""
    return finals(record.plan) if tests_all(record) else record.plan.trials


def tests_all(record: Record) -> bool:
    """Whether each member is trained and tested, and nothing searched."""
    return record.plan.final == "every"


def phase(record: Record) -> str:
    """Return what the run is at: search, confirmation or final training."""
    come_to = [kind for kind in Kind if record.history.of(kind)]
    return (come_to[-1] if come_to else Kind.TRAIN).about.phase


def failures(record: Record) -> dict[str, dict[str, Json]]:
    """Return, by kind, how many trainings failed and what the last one said."""
    found: dict[str, dict[str, Json]] = {}
    for number in record.history.told:
        outcome = record.history.trials[number].outcome
        if outcome is not None and outcome.status is not Status.DONE:
            known = found.setdefault(outcome.status.value, {"count": 0})
            known |= {"count": _count(known) + 1, "last_trial": number, "last_note": outcome.note}
    return found


def _count(known: dict[str, Json]) -> int:
    count = known["count"]
    assert isinstance(count, int)
    return count


def _point(trial: Trial) -> dict[str, Json]:
    return {"key": trial.key, "trial": trial.number, "metrics": trial.metrics}


def _tally(record: Record) -> Tally:
    trials = record.history.of(Kind.FINAL) if tests_all(record) else record.history.candidates
    return tally(trials, driven=record.driver is not None)


def _workers(record: Record) -> int:
    return workers_in(record.history, otherwise=record.config.execution.here or 1)


def _at_work(record: Record) -> int:
    return at_work(record.history, _workers(record), driven=record.driver is not None)


def _gpu_hours(record: Record, now: float) -> float | None:
    """Return the GPU-hours so far; None where no trial asks for a GPU."""
    place = record.history.capacity
    if not record.history.gpu_seconds and (place is None or not place.gpus):
        return None
    return round(gpu_hours(record.history, now if record.driver is not None else None), 4)


def _spent(record: Record, now: float) -> float:
    return seconds_spent(record.history, now if record.driver is not None else None)


def _left(record: Record, now: float) -> float | None:
    if record.state == "finished":
        return 0.0
    left = seconds_left(record.history, record.plan, workers=_workers(record), now=now)
    return None if left is None else round(left, 1)


def _state(record: Record) -> Text:
    if record.state == "running":
        return Text.assemble((phase(record), "cyan"), (f", driven by {record.driver}", QUIET))
    if record.state == "finished":
        return Text("finished", "green")
    return Text.assemble(("stopped", "yellow"), f" in the {phase(record)}; no driver is at work")


def _facts(record: Record, now: float) -> Iterator[tuple[str, str | Text]]:
    config, n = record.config, _tally(record)
    space = "a space of its own"
    if isinstance(config.space, str):
        space = config.space
    elif isinstance(config.space, tuple):
        space = f"a list of {many(len(config.space), 'network')}"
    by = "each trained and tested" if tests_all(record) else f"by {type(config.strategy).__name__}"
    if fit := fit_of(record):
        space = f"fit of {fit.model}, {space}"
    yield "search", f"{space} on {config.data.source}, {by}"
    yield "objective", ", ".join(map(str, record.plan.objectives))
    yield "trials", ", ".join(filter(None, (f"{n.done} of {planned(record)} done", n.text)))
    if found := rungs(record.history):
        yield "trained", said_of(found)
    if again := by_kind(n.retried):
        yield "tried again", again
    if record.driver is not None:
        yield "workers", f"{_at_work(record)} of {_workers(record)} at work"
    if record.plan.limits:
        yield "limits", ", ".join(map(str, record.plan.limits))
    if record.history.rejected:
        yield "turned away", "\n".join(turned_away(record.history))
    yield from inherited_lines(agreement(record.history, record.plan))
    left = _left(record, now)
    yield "time", duration(_spent(record, now)) + (f", about {duration(left)} left" if left else "")
    if (hours := _gpu_hours(record, now)) is not None:
        cap = record.plan.gpu_hours
        yield "GPU-hours", f"{hours:.2f}" + ("" if cap is None else f" of {cap:g}")
    axes = axes_of(record.plan)
    if covered := covered_by(record.history, axes):
        at = ", ".join(
            f"{metric(o.metric).short} {shown(o.metric, v)}"
            for o, v in zip(axes, covered.reference, strict=True)
        )
        yield "hypervolume", f"{100 * covered.share:.1f} % of the box from the best values to {at}"
    if fit is not None:
        yield from chosen(fit, record)
    elif record.best is not None:
        yield "best", describe(network_of(record, record.best))
        yield "", Text(_best(record, record.best), "green")
    for name, path in best_files(record.folder).items():
        yield name, short_path(path)


def _best(record: Record, best: Trial) -> str:
    first = record.plan.objectives[0].metric
    mean = confirmed(record.history, record.plan).get(best.number)
    tests = [t.metrics for t in record.history.of(Kind.FINAL) if t.done and t.key == best.key]
    tested = first.replace("validation_", "test_")
    parts = [f"{metric(first).short} {shown(first, best.metrics[first] if mean is None else mean)}"]
    parts += ["confirmed"] if mean is not None else []
    read = means(tests)
    parts += [f"{metric(tested).short} {shown(tested, read[tested])}"] if tested in read else []
    return ", ".join(parts)


def _front_table(record: Record, trials: list[Trial]) -> RenderableType:
    axes = [o.metric for o in axes_of(record.plan)]
    names = [*axes, *(name for name in ("params", "macs") if name not in axes)]
    rows: list[Sequence[str | Text]] = [
        (
            t.key,
            *(shown(name, t.metrics[name]) for name in names),
            Text(describe(network_of(record, t)), QUIET),
        )
        for t in trials
    ]
    return table(
        ("front", *(metric(name).short for name in names), "architecture"), rows, left=("architecture",)
    )


def _failure_lines(record: Record) -> Iterator[RenderableType]:
    found = failures(record)
    if found:
        yield Text()
    for kind, said in found.items():
        note = first_line(str(said["last_note"]))
        number = f"{said['count']} {kind.replace('_', ' ')}"
        yield Text.assemble((number, "red"), f"; the last, trial {said['last_trial']}: {note}")
