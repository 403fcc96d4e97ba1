"""Fitting compound scaling to data: which coefficients make the best network of about twice the base's cost.

A study trains the grid of `scaling.fit`, each point with several seeds, and the mean validation score settles the
coefficients; the test part is never read. `nas.fit_curve` then holds them against the rules of one dimension.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import Field

from scaling.compound import Scaling
from scaling.cost import cost
from scaling.fit import EXPECTED, Grid, Verdict, best_of, grid_of
from scaling.providers import ANALYTIC, Provider
from scaling.rules import Compound
from search_spaces.data import Data
from search_spaces.network import Network
from search_spaces.serialise import Json, from_data, key

from .analysis.front import Objective
from .analysis.metrics import difference
from .analysis.spread import Spread, spread
from .config import Confirm, Final, Listed, StudyConfig
from .family_folder import in_full
from .history import History
from .launch import create
from .proposal import Kind
from .storage import replace_file
from .strategies import Random
from .study import Study

COEFFICIENTS = "coefficients.json"
VERSION = 1

Text = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class GridPoint(Data):
    """A network of the grid, by its key, and the coefficients that come to it, the nearest to the growth first."""

    key: str
    rules: Annotated[tuple[Compound, ...], Field(min_length=1)]
    growth: float  # of what doubles


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit(Data):
    """What is fitted, as the run's header keeps it."""

    model: Text  # the base, as it was named
    base: Network
    scaling: Scaling  # rounding and what is fixed; its rule counts for nothing
    grid: Grid
    doubles: str
    points: Annotated[tuple[GridPoint, ...], Field(min_length=1)]
    notes: tuple[str, ...] = ()
    sizes: Annotated[int, Field(ge=0, le=8)] = 2  # steps of phi of the curves


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A point of the grid and how it did; None where none of its trainings ended well."""

    point: GridPoint
    macs: int
    params: int
    score: Spread | None

    @property
    def rule(self) -> Compound:
        """The coefficients that stand for the point."""
        return self.point.rules[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """The outcome of a grid: its rows, and the verdict, whose numbers are those of `scored`."""

    objective: Objective
    rows: tuple[Row, ...]
    scored: tuple[Row, ...]
    verdict: Verdict

    @property
    def chosen(self) -> Row:
        """The best point."""
        return self.scored[self.verdict.best]

    @property
    def tied(self) -> tuple[Row, ...]:
        """The other points within the noise of it."""
        return tuple(self.scored[i] for i in self.verdict.tied)


def fit_of(
    model: str,
    base: Network,
    *,
    grid: Grid,
    scaling: Scaling,
    doubles: str = EXPECTED,
    sizes: int = 2,
    providers: Sequence[Provider] = (ANALYTIC,),
) -> tuple[Fit, tuple[Network, ...]]:
    """Return a fit of a base and the networks of its grid; see `scaling.fit.grid_of`."""
    found = grid_of(base, grid, scaling=scaling, doubles=doubles, providers=providers)
    points = [GridPoint(key=key(p.network), rules=p.rules, growth=p.growth) for p in found.points]
    fit = Fit(
        model=model,
        base=base,
        scaling=scaling,
        grid=grid,
        doubles=doubles,
        points=tuple(points),
        notes=found.notes,
        sizes=sizes,
    )
    return fit, tuple(point.network for point in found.points)


def begin(
    fit: Fit, networks: Sequence[Network], config: StudyConfig, *, seeds: int, name: str | None, results: Path
) -> tuple[Study, StudyConfig, Path]:
    """Begin the study of a fit's grid, by the config's data, recipe, epochs and first objective."""
    own = listed(config, networks, seeds=seeds)
    study, folder = create(own, name=name, results=results, purpose={"fit": in_full(fit)})
    return study, own, folder


def fit_in(header: Mapping[str, Json]) -> Fit:
    """Return the fit that a run is for."""
    return from_data(Fit, header["fit"])


def listed(config: StudyConfig, networks: Sequence[Network], *, seeds: int) -> StudyConfig:
    """Return the config of a study that trains each network with so many seeds, and tests none."""
    return replace(
        config,
        space=tuple(Listed(network=network) for network in networks),
        table=None,
        strategy=Random(),
        objectives=config.objectives[:1],
        limits=(),
        trials=len(networks),
        minutes=None,
        confirm=Confirm(top=len(networks) if seeds > 1 else 0, seeds=max(1, seeds - 1)),
        final=Final(of="none"),
    )


def scores_of(history: History, objective: Objective) -> dict[str, list[float]]:
    """Return what every seed's training came to in an objective, by the network's key."""
    found: dict[str, list[float]] = {}
    for trial in (*history.of(Kind.TRAIN), *history.of(Kind.CONFIRM)):
        if trial.done and objective.metric in trial.metrics:
            found.setdefault(trial.key, []).append(trial.metrics[objective.metric])
    return found


def judged(fit: Fit, history: History, objective: Objective) -> Fitted | None:
    """Return which point of the grid is best so far, None while none has a score."""
    scores = scores_of(history, objective)
    costs = {trial.key: trial.cost for trial in history.of(Kind.TRAIN)}
    rows = tuple(
        Row(
            point=point,
            macs=int(costs[point.key]["macs"]),
            params=int(costs[point.key]["params"]),
            score=spread(scores[point.key]) if point.key in scores else None,
        )
        for point in fit.points
        if point.key in costs
    )
    scored = tuple(row for row in rows if row.score is not None)
    if not scored:
        return None
    sign = 1 if objective.direction == "max" else -1
    verdict = best_of(
        [[sign * value for value in scores[row.point.key]] for row in scored],
        costs=[row.macs for row in scored],
    )
    return Fitted(objective=objective, rows=rows, scored=scored, verdict=verdict)


def write_coefficients(fit: Fit, found: Fitted, folder: Path) -> Path:
    """Write what was fitted, for `nas scale --rule RUN`, which reads `rule`."""
    data = {"version": VERSION, **described(fit, found)}
    replace_file(folder / COEFFICIENTS, (json.dumps(data, indent=2, allow_nan=False) + "\n").encode())
    return folder / COEFFICIENTS


def described(fit: Fit, found: Fitted) -> dict[str, Json]:
    """Return what was fitted as JSON can hold it; docs/cli.md documents it."""
    axes, verdict = len(fit.base.input) - 1, found.verdict
    return {
        "rule": in_full(found.chosen.rule),
        "growth_per_step": found.chosen.rule.factors(1.0, axes).cost(axes),
        "model": fit.model,
        "base": {"key": key(fit.base), "macs": cost(fit.base).macs, "params": cost(fit.base).params},
        "doubles": fit.doubles,
        "metric": found.objective.metric,
        "chosen": _row(found.chosen),
        "lead": verdict.lead,
        "noise": verdict.noise,
        "clear": verdict.noise is not None and not verdict.tied,
        "within_noise": [row.point.key for row in found.tied],
        "grid": [_row(row) for row in found.rows],
        "rounding": in_full(fit.scaling.rounding),
        "unlike": fit.scaling.unlike,
        "fix": list(fit.scaling.fix),
        "notes": list(fit.notes),
    }


def said_of(fit: Fit, found: Fitted) -> str:
    """Say plainly how sure the choice is."""
    verdict = found.verdict
    if verdict.lead is None:
        return "the only point of the grid"
    name = found.objective.metric
    lead = f"its lead over the second is {difference(name, verdict.lead)}"
    if verdict.noise is None:
        return f"{lead}, of one training each: whether that is more than noise is not known; train with more seeds"
    if verdict.tied:
        n = len(verdict.tied)
        others = "1 other point is" if n == 1 else f"{n} other points are"
        return (
            f"{lead}, within the noise of {difference(name, verdict.noise)}: {others} not told apart from it"
        )
    return f"{lead}, more than the noise of {difference(name, verdict.noise)}"


def _row(row: Row) -> dict[str, Json]:
    rule, also = row.rule, row.point.rules[1:]
    return {
        "alpha": rule.alpha,
        "beta": rule.beta,
        "gamma": rule.gamma,
        "also": [[one.alpha, one.beta, one.gamma] for one in also],
        "growth": row.point.growth,
        "key": row.point.key,
        "macs": row.macs,
        "params": row.params,
        "mean": None if row.score is None else row.score.mean,
        "sd": None if row.score is None else row.score.sd,
        "seeds": row.score.n if row.score else 0,
    }
