"""What a fit ends with: its coefficients, the grid as a table, the curves as a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import RenderableType
from rich.text import Text

from scaling.fit import EXPECTED
from search_spaces.serialise import key

from ..analysis.front import Objective
from ..analysis.metrics import metric, shown
from ..analysis.series import Series
from ..analysis.spread import spread
from ..config import StudyConfig
from ..driver import Ending
from ..fit import Fit, Fitted, Row, described, fit_in, judged, said_of, scores_of, write_coefficients
from ..fit_curve import CURVE, curve_in, curve_study
from ..history import History
from ..proposal import Kind
from ..storage import replace_file
from ..study import Study
from .running import INTERRUPTED, command_for, driven, stopped
from .show import QUIET, Json, complain, console, emit, facts, say, short_path, table

GRID, CURVES, PICTURE = "grid.csv", "curves.csv", "curves.png"
DONE, NOTHING_FOUND = 0, 1


def fitted(study: Study, config: StudyConfig, folder: Path, *, ending: Ending, as_json: bool) -> int:
    """Say what a fit has come to, write it, train the curves once the grid is done, and return the exit code."""
    fit, objective = fit_in(study.journal.header), study.plan.objectives[0]
    found = judged(fit, study.history, objective)
    if ending == "interrupted" or found is None:
        if as_json:
            emit(document(fit, None, {}, (), folder, ending))
        if ending == "interrupted":
            return stopped(study, folder)
        complain(
            f"no training of {folder.name} ended well; `{command_for('status', folder)}` says what happened"
        )
        return NOTHING_FOUND
    files = [write_coefficients(fit, found, folder), _write_grid(found, folder / GRID)]
    curves: Mapping[str, Sequence[Mapping[str, float]]] = {}
    if fit.sizes:
        curve, own = curve_study(fit, found.chosen.rule, study, config, folder)
        ending_of_curve = driven(curve, own, folder / CURVE, to=console(stderr=as_json))
        if ending_of_curve is None:
            return INTERRUPTED
        ending = ending_of_curve
        curves = curves_of(fit, curve, objective)
        files += write_curves(fit, curves, objective, folder)
    if as_json:
        emit(document(fit, found, curves, files, folder, ending))
    if ending == "interrupted":
        return stopped(study, folder)
    if not as_json:
        say(*report(fit, found, curves, files, folder))
    return DONE


def document(
    fit: Fit,
    found: Fitted | None,
    curves: Mapping[str, Sequence[Mapping[str, float]]],
    files: Sequence[Path],
    folder: Path,
    ending: Ending,
) -> dict[str, Json]:
    """Return the JSON of `nas fit`; docs/cli.md documents it."""
    own: dict[str, Json] = {"rule": None} if found is None else described(fit, found)
    return {
        "run": folder.name, "folder": str(folder), "ending": ending, **own,
        "curves": {name: [dict(point) for point in points] for name, points in curves.items()},
        "files": [str(path) for path in files],
    }  # fmt: skip


def report(
    fit: Fit,
    found: Fitted,
    curves: Mapping[str, Sequence[Mapping[str, float]]],
    files: Sequence[Path],
    folder: Path,
) -> Iterator[RenderableType]:
    """Yield what people see: the grid, best first, what was chosen and how surely, and the curves."""
    name, chosen = found.objective.metric, found.chosen
    yield Text()
    yield _grid_table(fit, found)
    yield Text()
    yield Text(f"alpha {chosen.rule.alpha:g}, beta {chosen.rule.beta:g}, gamma {chosen.rule.gamma:g}", "bold")
    yield facts(_facts(fit, found))
    if curves:
        yield Text()
        heads = ("rule", *(f"at phi {i}" for i in range(fit.sizes + 1)))
        yield table(heads, [(rule, *_cells(points, name)) for rule, points in curves.items()])
    yield Text()
    yield from (Text(short_path(path)) for path in files)
    yield Text.assemble(("next: ", QUIET), command_for(f"scale {fit.model} --rule", folder))


def curves_of(fit: Fit, curve: Study, objective: Objective) -> dict[str, list[dict[str, float]]]:
    """Return the points of each rule by rising phi, the base first: phi, what it costs, the mean score and its sd."""
    scores, costs = scores_of(curve.history, objective), _costs(curve.history)
    found: dict[str, list[dict[str, float]]] = {}
    for one in curve_in(curve.journal.header):
        points = found.setdefault(one.rule, [_point(0.0, key(fit.base), scores, costs, objective.metric)])
        points.append(_point(one.phi, one.key, scores, costs, objective.metric))
    return {name: [point for point in points if point] for name, points in found.items()}


def write_curves(
    fit: Fit,
    curves: Mapping[str, Sequence[Mapping[str, float]]],
    objective: Objective,
    folder: Path,
) -> list[Path]:
    """Write the curves as a table and, where there is anything to draw, as a picture."""
    rows = [{"rule": rule, **point} for rule, points in curves.items() for point in points]
    if not rows:
        return []
    _write_csv(rows, folder / CURVES)
    from ..analysis.lines import plot_lines  # loads matplotlib

    drawn = [
        Series(name=rule, points=tuple(points), keys=tuple(f"{p['phi']:g}" for p in points), kind="family")
        for rule, points in curves.items()
        if points
    ]
    title = f"{fit.model} on its own data, grown {fit.grid.growth:g} times a step"
    note = "Numbers are phi, scores those of the validation part."
    return [
        folder / CURVES,
        plot_lines(drawn, x="macs", y=objective.metric, path=folder / PICTURE, title=title, note=note),
    ]


def _point(
    phi: float,
    name: str,
    scores: Mapping[str, Sequence[float]],
    costs: Mapping[str, Mapping[str, float]],
    scored: str,
) -> dict[str, float]:
    """Return a point of a curve, empty where no training of it ended well."""
    if name not in scores:
        return {}
    own = spread(scores[name])
    sd = {} if own.sd is None else {f"{scored}_sd": own.sd}
    return {
        "phi": phi, "macs": costs[name]["macs"], "params": costs[name]["params"], scored: own.mean, **sd,
        "seeds": float(own.n),
    }  # fmt: skip


def _costs(history: History) -> dict[str, Mapping[str, float]]:
    return {trial.key: trial.cost for trial in history.of(Kind.TRAIN)}


def _cells(points: Sequence[Mapping[str, float]], scored: str) -> list[str]:
    return [f"{shown(scored, p[scored])} ({shown('macs', p['macs'])})" for p in points]


def _facts(fit: Fit, found: Fitted) -> Iterator[tuple[str, str | Text]]:
    name, chosen = found.objective.metric, found.chosen
    score = chosen.score
    assert score is not None, "it was chosen by it"
    yield metric(name).short, f"{_spread(name, chosen)}, mean over {score.n} trainings; {said_of(fit, found)}"
    yield "a step of phi", f"{_growth(fit, chosen)}; MACs {shown('macs', chosen.macs)} at phi 1"
    also = chosen.point.rules[1:]
    if also:
        said = ", ".join(f"{r.alpha:g} {r.beta:g} {r.gamma:g}" for r in also)
        yield "the same", f"network by {said}"
    yield from (("note", note) for note in fit.notes)


def _growth(fit: Fit, row: Row) -> str:
    axes = len(fit.base.input) - 1
    expected = f"expected cost x {row.rule.factors(1.0, axes).cost(axes):.3g}"
    return expected if fit.doubles == EXPECTED else f"{fit.doubles} x {row.point.growth:.3g}, {expected}"


def _grid_table(fit: Fit, found: Fitted) -> RenderableType:
    name = found.objective.metric
    sign = -1 if found.objective.direction == "max" else 1
    ordered = sorted(found.rows, key=lambda r: (r.score is None, sign * r.score.mean if r.score else 0))
    tied = {row.point.key for row in found.tied}
    rows = [
        (
            *(f"{value:g}" for value in (row.rule.alpha, row.rule.beta, row.rule.gamma)),
            f"{row.point.growth:.3g}",
            shown("macs", row.macs),
            _spread(name, row),
            _said(row, found.chosen.point.key, tied),
        )
        for row in ordered
    ]
    what = "cost" if fit.doubles == EXPECTED else fit.doubles
    heads = ("alpha", "beta", "gamma", f"{what} x", "MACs", metric(name).short, "")
    return table(heads, rows, left=("",))


def _said(row: Row, chosen: str, tied: set[str]) -> str:
    if row.score is None:
        return "no training ended well"
    return "chosen" if row.point.key == chosen else "not told apart" if row.point.key in tied else ""


def _spread(name: str, row: Row) -> str:
    if row.score is None:
        return ""
    sd = "" if row.score.sd is None else f" ± {shown(name, row.score.sd, digits=2)}"
    return f"{shown(name, row.score.mean, digits=4)}{sd}"


def _write_grid(found: Fitted, path: Path) -> Path:
    tied = {row.point.key for row in found.tied}
    rows: list[dict[str, object]] = [
        {
            "alpha": row.rule.alpha, "beta": row.rule.beta, "gamma": row.rule.gamma, "growth": row.point.growth,
            "key": row.point.key, "macs": row.macs, "params": row.params,
            "mean": row.score.mean if row.score else "", "sd": row.score.sd if row.score else "",
            "seeds": row.score.n if row.score else 0, "chosen": int(row is found.chosen),
            "within_noise": int(row.point.key in tied),
            "also": "; ".join(f"{r.alpha:g} {r.beta:g} {r.gamma:g}" for r in row.point.rules[1:]),
        }
        for row in found.rows
    ]  # fmt: skip
    return _write_csv(rows, path)


def _write_csv(rows: Sequence[Mapping[str, object]], path: Path) -> Path:
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    replace_file(path, text.getvalue().encode())
    return path
