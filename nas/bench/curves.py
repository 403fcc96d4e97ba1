"""Pictures of a benchmark: what each strategy has after each budget, mean and spread over seeds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..analysis import canvas
from ..analysis.canvas import Entry, Scale
from ..analysis.ink import Look, looks
from ..analysis.series import Series
from .pool import Runs
from .protocols import Task
from .scores import places_for

SHOWN_FROM = 10.0  # queries: before that all are alike, and far from where they come to
_BAND, _BANDS = 0.13, 0.5  # opacity of one, and of all together


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A strategy's mean and the quartiles of its seeds, at each mark from the first where all have a value."""

    name: str
    marks: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def plot_curves(runs: Sequence[Runs], *, report: int, best: float | None, path: Path) -> Path:
    """Write `curves_figure` as PNG (150 dpi), SVG or PDF, by the suffix; raises BadInput, StorageError."""
    return canvas.save(curves_figure(runs, report=report, best=best), path)


def curves_figure(runs: Sequence[Runs], *, report: int, best: float | None) -> Figure:
    """Draw the runs of several strategies on one task: mean lines, and bands that hold the middle half of the seeds.

    `best`, if given, is the score that nothing exceeds. The legend has the best strategy first.
    """
    task = runs[0].task
    of = task.reports[report]
    curves = [curve(one, report) for one in runs]
    styles = looks([Series(name=one.name, points=()) for one in curves])
    entries = _entries(curves, styles, sign=of.sign)
    with canvas.house_style():
        figure, axes = canvas.blank([text for _, text in entries])
        _dress(axes, curves, task)
        axes.set_ylabel(of.label, color=canvas.INK)
        for one, look in zip(curves, styles, strict=True):
            _draw(axes, one, look, opacity=min(_BAND, _BANDS / len(curves)))
        if best is not None:
            _draw_best(axes, best)
        canvas.head(axes, f"Protocol {task.protocol}, {of.dataset}: {task.about}")
        canvas.legend(figure, entries)
        canvas.footnote(figure, _about_seeds(sorted({len(one.seeds) for one in runs})))
    return figure


def curve(one: Runs, report: int) -> Curve:
    """Return what is drawn of a strategy's runs."""
    columns = [
        (mark, [value for run in one.values if (value := run[i][report]) is not None])
        for i, mark in enumerate(one.task.marks)
    ]
    whole = [(mark, sorted(values)) for mark, values in columns if len(values) == len(one.seeds)]
    if one.task.clock is None and one.task.marks[-1] > 2 * SHOWN_FROM:
        whole = [pair for pair in whole if pair[0] >= SHOWN_FROM]
    quartiles = [
        statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
        for _, values in whole
    ]
    return Curve(
        name=one.strategy,
        marks=tuple(mark for mark, _ in whole),
        mean=tuple(statistics.fmean(values) for _, values in whole),
        low=tuple(q[0] for q in quartiles),
        high=tuple(q[2] for q in quartiles),
    )


def decimals(curves: Sequence[Curve]) -> int:
    """Return how many decimals tell the curves' ends apart: two digits of a small part of their range."""
    values = [value for one in curves for value in (one.mean[0], one.mean[-1])]
    return places_for((max(values) - min(values)) / 30)


def _entries(curves: Sequence[Curve], styles: Sequence[Look], *, sign: int) -> list[Entry]:
    places = decimals(curves)
    best_first = sorted(zip(curves, styles, strict=True), key=lambda pair: -sign * pair[0].mean[-1])
    return [
        (look.stairs(()), f"{canvas.wrapped(one.name, width=24)}\n{one.mean[-1]:.{places}f} at the end")
        for one, look in best_first
    ]


def _about_seeds(counts: Sequence[int]) -> str:
    said = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
    return "one seed" if counts == [1] else f"lines: mean of {said} seeds; bands: the middle half of them"


def _dress(axes: Axes, curves: Sequence[Curve], task: Task) -> None:
    marks = [mark for one in curves for mark in one.marks]
    ends = [value for one in curves for value in (*one.mean, one.high[-1])]
    lows = [one.low[len(one.low) // 4] for one in curves]  # where bands begin may lie below the axis
    canvas.dress(axes, "y", Scale.around([*ends, *lows], "score"), "score")
    if axes.get_yscale() == "linear":
        axes.yaxis.set_major_locator(
            MaxNLocator(nbins=7, steps=[1, 2, 5, 10])
        )  # three digits say them exactly
    low, high = min(marks), max(marks)
    scale = Scale(low=low, high=high, is_log=task.clock is None and high > 20 * low)
    canvas.dress(axes, "x", scale, task.clock or "queries")
    axes.set_xlabel(task.clock_label, color=canvas.INK)


def _draw(axes: Axes, one: Curve, look: Look, *, opacity: float) -> None:
    band = axes.fill_between(
        one.marks, one.low, one.high, color=look.colour, alpha=opacity, linewidth=0, zorder=2
    )
    band.set_gid(f"band:{one.name}")
    line = look.stairs(tuple(zip(one.marks, one.mean, strict=True)))
    line.set_gid(f"mean:{one.name}")
    axes.add_line(line)


def _draw_best(axes: Axes, best: float) -> None:
    if axes.get_ylim()[0] < best < axes.get_ylim()[1]:
        axes.axhline(best, color=canvas.DARK, linestyle=(0, (5, 3)), linewidth=1, zorder=1.5, gid="best")
        axes.annotate(
            f"best there is, {best:.6g}",
            (0, best),
            xycoords=axes.get_yaxis_transform(),
            xytext=(4, 3),
            textcoords="offset points",
            fontsize=7.5,
            color=canvas.DARK,
        )
