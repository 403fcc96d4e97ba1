"""What `nas status` says of a fit: what it has come to so far, by the means that `nas fit` judges by."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from ..analysis.metrics import metric, shown
from ..fit import Fit, fit_in, judged, said_of
from ..fit_curve import CURVE
from .record import Record, read_record


def fit_of(record: Record) -> Fit | None:
    """Return the fit that a run is for, None of any other run."""
    return fit_in(record.history.header) if "fit" in record.history.header else None


def chosen(fit: Fit, record: Record) -> Iterator[tuple[str, str | Text]]:
    """Yield the coefficients that are best so far, how surely, and where the curves stand."""
    found = judged(fit, record.history, record.plan.objectives[0])
    if found is None:
        return
    row, name = found.chosen, found.objective.metric
    assert row.score is not None, "it was chosen by it"
    over = record.state == "finished"
    rule = f"alpha {row.rule.alpha:g}, beta {row.rule.beta:g}, gamma {row.rule.gamma:g}"
    yield "chosen" if over else "best so far", Text(rule, "green")
    yield (
        "",
        f"{metric(name).short} {shown(name, row.score.mean)}, mean over {row.score.n}; {said_of(fit, found)}",
    )
    if fit.sizes and over:
        yield "curves", _curves(record)


def _curves(record: Record) -> str:
    if not (record.folder / CURVE).is_dir():
        return f"not begun; nas resume {record.name}"
    curve = read_record(str(record.folder / CURVE), record.folder)
    return curve.state if curve.state != "interrupted" else f"stopped; nas resume {record.name}"
