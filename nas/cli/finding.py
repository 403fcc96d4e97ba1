"""What a study found: the winner, how it was judged, and where it lies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from rich.console import RenderableType
from rich.text import Text

from scaling.constraints import violations
from scaling.providers import LATENCY
from search_spaces.choice import options
from search_spaces.serialise import to_data

from ..agreement import agreement
from ..analysis.metrics import metric, shown
from ..analysis.spread import means
from ..driver import Ending
from ..history import Trial
from ..kept import BEST, INPUT, SPEC, WEIGHTS
from ..launch import latencies_in
from ..measured import Measurement
from ..proposal import Kind
from ..recipe import Recipe, Space
from ..spending import seconds_spent
from ..study import Study
from ..winner import confirmed
from .describe import describe
from .inherited import inherited_lines
from .rungs import rungs, said_of
from .show import Json, duration, facts, many, short_path


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The winner, its mean over confirmation seeds and its final trainings, where those are done."""

    trial: Trial
    description: str
    recipe: Mapping[str, Json]  # its settings that were searched
    confirmed: float | None
    finals: tuple[Trial, ...]  # one a seed
    latency: Measurement | None  # measured at the end, where latencies count
    files: Mapping[str, Path]  # spec, weights, input: those that are there

    @property
    def metrics(self) -> dict[str, float]:
        """The winner's costs and validation scores in the search, its latency and scores on the test part after it.

        Scores on the test part are means over the final trainings.
        """
        final = means([trial.metrics for trial in self.finals])
        after = {} if self.latency is None else {self.latency.metric: self.latency.value}
        return {**self.trial.metrics, **after, **{n: v for n, v in final.items() if n.startswith("test_")}}


def finding(study: Study, folder: Path) -> Finding | None:
    """Return what a study has found so far, or None while no trial is done."""
    best = study.best
    if best is None:
        return None
    trained = [t for t in study.history.of(Kind.FINAL) if t.done and t.key == best.key]
    candidate = study.candidate(best)
    return Finding(
        trial=best,
        description=describe(candidate.network),
        recipe=_searched(study.plan.space, candidate.recipe),
        confirmed=confirmed(study.history, study.plan).get(best.number),
        finals=tuple(trained),
        latency=study.history.winners.get((best.key, LATENCY)),
        files=best_files(folder) if trained else {},
    )


def best_files(folder: Path) -> dict[str, Path]:
    """Return the winner's spec, weights and what they take, where they lie; earlier versions left no `input`."""
    places = {
        "spec": folder / BEST / SPEC,
        "weights": folder / BEST / WEIGHTS,
        "input": folder / BEST / INPUT,
    }
    return {name: path for name, path in places.items() if path.is_file()}


def document(study: Study, folder: Path, found: Finding | None, *, ending: Ending) -> dict[str, Json]:
    """Return the JSON of `nas search`; docs/cli.md documents it."""
    trials = study.history.candidates
    return {
        "run": folder.name,
        "folder": str(folder),
        "ending": ending,
        "trials": sum(t.outcome is not None for t in trials),
        "failed": sum(t.outcome is not None and not t.done for t in trials),
        "rejected": study.history.rejected,
        "seconds": round(seconds_spent(study.history), 1),
        "best": None if found is None else _best(study, found),
    }


def summary(study: Study, folder: Path, found: Finding, *, next_command: str) -> Iterator[RenderableType]:
    """Yield the last lines of a search: what was found, how good it is, where it lies, what to do next."""
    yield Text()
    yield Text(found.description, "bold")
    yield Text()
    yield facts(_facts(study, folder, found))
    yield Text()
    yield Text.assemble(("next: ", "dim"), next_command)


def _searched(space: Space, recipe: Recipe) -> dict[str, Json]:
    """Return what a recipe settled: the fields that hold choices in the space; in a list, those that differ."""
    recipes = [option.recipe for option in options(space)]
    names = [
        f.name
        for f in fields(Recipe)
        if any(getattr(one, f.name) != getattr(recipe, f.name) for one in recipes)
    ]
    return {name: to_data(getattr(recipe, name)) for name in names}


def _best(study: Study, found: Finding) -> dict[str, Json]:
    return {
        "key": found.trial.key,
        "trial": found.trial.number,
        "description": found.description,
        "recipe": dict(found.recipe),
        "metrics": found.metrics,
        "confirmation": None
        if found.confirmed is None
        else {
            "metric": study.plan.objectives[0].metric,
            "mean": found.confirmed,
            "seeds": _confirmations(study, found.trial),
        },
        "latency": _latency(study, found),
        **{name: str(path) for name, path in found.files.items()},
    }


def _latency(study: Study, found: Finding) -> dict[str, Json] | None:
    """Return what was measured of the winner's latency beside its limits; `keeps` is null where that is not known."""
    seen, limits = found.latency, [limit for limit in study.plan.limits if limit.metric == LATENCY]
    if seen is None:
        return None
    return {
        "measured_ms": seen.value,
        "interval_ms": [seen.low, seen.high],
        "stable": seen.stable,
        "reason": seen.reason,
        "limits": [str(limit) for limit in limits],
        "keeps": not violations({LATENCY: seen.value}, limits) if seen.stable and limits else None,
        "searched_ms": found.trial.cost.get(LATENCY),
        "searched_by": _searched_by(study),
    }


def _searched_by(study: Study) -> str:
    known = latencies_in(study.plan)
    return "table" if known is not None and known.quick else "measuring"


def _latency_fact(study: Study, found: Finding, seen: Measurement) -> Text:
    """Say what was measured, in red where it breaks a limit or cannot be believed."""
    limits = [limit for limit in study.plan.limits if limit.metric == LATENCY]
    span = f"{shown(LATENCY, seen.low)} to {shown(LATENCY, seen.high)}"
    broken = seen.stable and violations({LATENCY: seen.value}, limits)
    said = f"{shown(LATENCY, seen.value)} measured ({span})"
    if limits:
        said += (
            f", which {'breaks' if broken else 'keeps'} {', '.join(map(str, limits))}" if seen.stable else ""
        )
    before = found.trial.cost.get(LATENCY)
    if before is not None:
        said += f"; {shown(LATENCY, before)} in the search, by {_searched_by(study)}"
    if not seen.stable:
        said = f"unstable: {seen.reason}; seen, not to be relied on: {said}"
    return Text(said, "bold red" if broken or not seen.stable else "")


def _facts(study: Study, folder: Path, found: Finding) -> Iterator[tuple[str, str | Text]]:
    first = study.plan.objectives[0].metric
    tested = first.replace("validation_", "test_")
    if tested in found.metrics and tested != first:
        yield (
            metric(tested).short,
            f"{shown(tested, found.metrics[tested])}, {_reading(found)}",
        )
    elif not found.finals and study.plan.final != "none":
        yield "test part", "not read: the final training did not end well"
    if found.confirmed is not None:
        seeds = many(_confirmations(study, found.trial), "fresh seed")
        searched = shown(first, found.trial.metrics[first])
        yield (
            metric(first).short,
            f"{shown(first, found.confirmed)}, mean over {seeds} ({searched} in the search)",
        )
    elif first not in found.trial.cost:
        yield (
            metric(first).short,
            f"{shown(first, found.trial.metrics[first])}, "
            + ("of one training: not confirmed" if study.plan.final != "none" else "looked up"),
        )
    if study.plan.final == "none":
        scores = (n for n in found.trial.metrics if n not in found.trial.cost and n != first)
        yield from ((metric(name).short, shown(name, found.trial.metrics[name])) for name in scores)
    for name in ("params", "macs"):
        limits = [str(limit) for limit in study.plan.limits if limit.metric == name]
        yield (
            metric(name).short,
            shown(name, found.trial.cost[name]) + (f" ({', '.join(limits)})" if limits else ""),
        )
    if found.latency is not None:
        yield metric(LATENCY).short, _latency_fact(study, found, found.latency)
    if found.recipe:
        yield "recipe", ", ".join(f"{name} {value}" for name, value in found.recipe.items())
    trials = study.history.candidates
    failed = sum(t.outcome is not None and not t.done for t in trials)
    yield from inherited_lines(agreement(study.history, study.plan))
    yield "trials", f"{len(trials):,}" + (f", {failed} failed" if failed else "")
    if trained := rungs(study.history):
        yield "trained", said_of(trained)
    if study.plan.limits:
        n = study.history.rejected
        yield (
            "turned away",
            f"{many(n, 'candidate')} by the limits, never trained" if n else "none by the limits",
        )
    yield "time", duration(seconds_spent(study.history))
    yield "key", found.trial.key
    yield "folder", short_path(folder)
    for name, path in found.files.items():
        yield name, short_path(path)


def _reading(found: Finding) -> str:
    n = len(found.finals)
    return (
        "the test part read once, after the search" if n == 1 else f"mean over {n} trainings after the search"
    )


def _confirmations(study: Study, trial: Trial) -> int:
    return sum(t.parent == trial.number and t.done for t in study.history.of(Kind.CONFIRM))
