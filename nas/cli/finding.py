"""What a study found: the winner, how it was judged, and where it lies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from rich.console import RenderableType
from rich.text import Text

from search_spaces.serialise import to_data

from ..analysis.metrics import metric, shown
from ..driver import Ending
from ..history import Trial
from ..proposal import Kind
from ..recipe import Recipe
from ..study import Study
from ..winner import confirmed
from .describe import describe
from .estimate import seconds_spent
from .show import Json, duration, facts, many, short_path

BEST, SPEC, WEIGHTS = "best", "spec.json", "weights.safetensors"  # as the final training names them


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The winner, its mean over confirmation seeds and its final training, where those are done."""

    trial: Trial
    description: str
    recipe: Mapping[str, Json]  # its settings that were searched
    confirmed: float | None
    final: Trial | None
    files: Mapping[str, Path]  # spec, weights: those that are there

    @property
    def metrics(self) -> dict[str, float]:
        """The winner's costs and validation scores in the search, and its scores on the test part."""
        final = self.final.metrics if self.final is not None else {}
        return {**self.trial.metrics, **{n: v for n, v in final.items() if n.startswith("test_")}}


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
        recipe=_searched(study.plan.space.recipe, candidate.recipe),
        confirmed=confirmed(study.history, study.plan).get(best.number),
        final=trained[0] if trained else None,
        files=best_files(folder) if trained else {},
    )


def best_files(folder: Path) -> dict[str, Path]:
    """Return the winner's spec and weights, where they lie."""
    places = {"spec": folder / BEST / SPEC, "weights": folder / BEST / WEIGHTS}
    return {name: path for name, path in places.items() if path.is_file()}


def document(study: Study, folder: Path, found: Finding | None, *, ending: Ending) -> dict[str, Json]:
    """Return the JSON of `nas search`; docs/cli.md documents it."""
    trials = study.history.of(Kind.TRAIN)
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


def _searched(space: Recipe, recipe: Recipe) -> dict[str, Json]:
    """Return what a recipe settled: the fields that hold choices in the space."""
    names = [f.name for f in fields(Recipe) if getattr(space, f.name) != getattr(recipe, f.name)]
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
        **{name: str(path) for name, path in found.files.items()},
    }


def _facts(study: Study, folder: Path, found: Finding) -> Iterator[tuple[str, str]]:
    first = study.plan.objectives[0].metric
    tested = first.replace("validation_", "test_")
    if tested in found.metrics and tested != first:
        yield (
            metric(tested).short,
            f"{shown(tested, found.metrics[tested])}, the test part read once, after the search",
        )
    elif found.final is None and study.plan.final:
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
            + ("of one training: not confirmed" if study.plan.final else "looked up"),
        )
    if not study.plan.final:
        scores = (n for n in found.trial.metrics if n not in found.trial.cost and n != first)
        yield from ((metric(name).short, shown(name, found.trial.metrics[name])) for name in scores)
    for name in ("params", "macs"):
        limits = [str(limit) for limit in study.plan.limits if limit.metric == name]
        yield (
            metric(name).short,
            shown(name, found.trial.cost[name]) + (f" ({', '.join(limits)})" if limits else ""),
        )
    if found.recipe:
        yield "recipe", ", ".join(f"{name} {value}" for name, value in found.recipe.items())
    trials = study.history.of(Kind.TRAIN)
    failed = sum(t.outcome is not None and not t.done for t in trials)
    yield "trials", f"{len(trials):,}" + (f", {failed} failed" if failed else "")
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


def _confirmations(study: Study, trial: Trial) -> int:
    return sum(t.parent == trial.number and t.done for t in study.history.of(Kind.CONFIRM))
