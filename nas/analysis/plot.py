"""Fronts of several runs on one picture, and how the best value came about.

Drawn with matplotlib's objects alone: no window opens, no settings change, and the same input gives the same
file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise, zip_longest
from math import ceil
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from nas.analysis import canvas
from nas.analysis.canvas import Entry, Scale
from nas.analysis.clouds import XY, Cloud, cloud, drawable, named, staircase
from nas.analysis.front import Objective, finite
from nas.analysis.hypervolume import Box, common_box
from nas.analysis.ink import Look, draw_cloud, draw_limits, looks
from nas.analysis.labels import Drawn, Label, annotate
from nas.analysis.metrics import metric, shown
from nas.analysis.series import Kind, Limit, Series, bound_text, check
from search_spaces.errors import BadInput

_NAMED: dict[Kind, int] = {"run": 9, "family": 24, "baseline": 24}  # labels for all series of a kind together
_TRIMMED = 0.2  # the share of the worst points that may lie beyond an axis
_PLAIN = Look(colour=canvas.DARK, fill=canvas.DARK, marker="o", line="none")


def plot_fronts(
    series: Sequence[Series],
    *,
    x: Objective,
    y: Objective,
    path: Path,
    limits: Sequence[Limit] = (),
    title: str | None = None,
) -> Path:
    """Write `fronts_figure` as PNG (150 dpi), SVG or PDF, by the suffix; raises BadInput, StorageError."""
    return canvas.save(fronts_figure(series, x=x, y=y, limits=limits, title=title), path)


def fronts_figure(
    series: Sequence[Series],
    *,
    x: Objective,
    y: Objective,
    limits: Sequence[Limit] = (),
    title: str | None = None,
) -> Figure:
    """Draw each series in two metrics: its front among the points that keep the limits, the rest faded.

    The legend has each front's share of the box between the best values and a common reference. Points that
    lack x or y are not drawn. Raises BadInput when nothing can be drawn or a metric is unknown.
    """
    check(series, [x.metric, y.metric, *(limit.metric for limit in limits)])
    box = common_box([one.points for one in series], (x, y))
    clouds = [cloud(one, x=x, y=y, limits=limits, box=box) for one in series]
    if not any(one.points for one in clouds):
        raise BadInput(f"plot: got only values past 1e100 of {x.metric} or {y.metric}, expected some below")
    scales = _scale(clouds, 0, x, limits), _scale(clouds, 1, y, limits)
    metrics = x.metric, y.metric
    styles = looks(series)
    entries = [
        *_series_entries(clouds, styles),
        *_mark_entries(clouds, scales),
        *_limit_entries(limits, metrics, scales),
    ]
    with canvas.house_style():
        figure, axes = canvas.blank([text for _, text in entries])
        for which, scale, name in zip("xy", scales, metrics, strict=True):
            canvas.dress(axes, which, scale, name)
        texts = draw_limits(axes, limits, objectives=(x, y), scales=scales)
        for one, look in zip(clouds, styles, strict=True):
            draw_cloud(axes, one, look, x=x)
        canvas.head(axes, title, clear=11 if any(limit.metric == x.metric for limit in limits) else 0)
        canvas.legend(figure, entries)
        canvas.footnote(figure, _about_hypervolume(box, metrics))
        edges = _edges(limits, metrics, scales)
        annotate(figure, axes, _labels(clouds, styles, x), drawn=_drawn(clouds, texts, edges, x))
    return figure


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One run's values by trial number; None, NaN and infinity stand for trials without one."""

    name: str
    trials: tuple[tuple[int, float | None], ...]


def plot_history(
    histories: Sequence[History], *, objective: Objective, path: Path, title: str | None = None
) -> Path:
    """Write `history_figure` as PNG (150 dpi), SVG or PDF, by the suffix; raises BadInput, StorageError."""
    return canvas.save(history_figure(histories, objective=objective, title=title), path)


def history_figure(histories: Sequence[History], *, objective: Objective, title: str | None = None) -> Figure:
    """Draw each run's values, faded, and the best so far as a step line; raises BadInput without values."""
    finished = [(one.name, _finished(one, objective)) for one in histories]
    series = [
        Series(name=name, points=tuple({objective.metric: value} for _, value in pairs))
        for name, pairs in finished
    ]
    check(series, [objective.metric])
    trials = dict(finished)
    best = {name: best_so_far(pairs, objective) for name, pairs in trials.items()}
    styles = looks(series)
    scale = Scale.around([value for pairs in trials.values() for _, value in pairs], objective.metric)
    entries: list[Entry] = [
        (look.stairs(()), _best_text(name, best[name], objective))
        for name, look in zip(trials, styles, strict=True)
    ]
    entries.append((_PLAIN.beaten(()), "one trial"))
    with canvas.house_style():
        figure, axes = canvas.blank([text for _, text in entries])
        canvas.dress(axes, "y", scale, objective.metric)
        canvas.dress_counts(axes, [number for pairs in trials.values() for number, _ in pairs], label="Trial")
        for (name, pairs), look in zip(trials.items(), styles, strict=True):
            for part, line in (("trials", look.beaten(pairs)), ("best", look.stairs(_steps(best[name])))):
                line.set_gid(f"{part}:{name}")
                axes.add_line(line)
        canvas.head(axes, title)
        canvas.legend(figure, entries)
    return figure


def best_so_far(trials: Sequence[tuple[int, float]], objective: Objective) -> tuple[tuple[int, float], ...]:
    """The best value up to each trial, in the order of their numbers.

    >>> best_so_far([(0, 0.5), (1, 0.7), (2, 0.6)], Objective.parse("accuracy:max"))
    ((0, 0.5), (1, 0.7), (2, 0.7))
    """
    ordered = sorted(trials)
    better = max if objective.direction == "max" else min
    values = accumulate((value for _, value in ordered), better)
    return tuple((number, value) for (number, _), value in zip(ordered, values, strict=True))


def _finished(one: History, objective: Objective) -> list[tuple[int, float]]:
    name = objective.metric
    found = ((number, drawable(finite({name: value}, name))) for number, value in one.trials)
    return [(number, value) for number, value in found if value is not None]


def _steps(best: Sequence[tuple[int, float]]) -> list[XY]:
    """The corners of a line that changes at the very trial that was better."""
    corners: list[XY] = list(best[:1])
    for (_, before), (number, after) in pairwise(best):
        corners += [(number, before), (number, after)]
    return corners


def _best_text(name: str, best: Sequence[tuple[int, float]], objective: Objective) -> str:
    if not best:
        return f"{canvas.wrapped(name)}\nno finished trial"
    number, value = next(pair for pair in best if pair[1] == best[-1][1])
    return f"{canvas.wrapped(name)}\nbest {shown(objective.metric, value)}, trial {number} of {len(best)}"


def _scale(clouds: Sequence[Cloud], axis: int, objective: Objective, limits: Sequence[Limit]) -> Scale:
    """Room for all fronts and most points; a few far worse ones and far limits do not squeeze the rest."""
    best = [place[axis] for one in clouds for place in one.front]
    every = (place[axis] for one in clouds for place in one.points)
    values = sorted(every, reverse=objective.direction == "max")
    most = ceil(len(values) * (1 - _TRIMMED))
    bounds = [bound for limit in limits if limit.metric == objective.metric for _, bound in limit.bounds]
    return Scale.around(best + values[:most], objective.metric, also=values[most:] + bounds)


def _series_entries(clouds: Sequence[Cloud], styles: Sequence[Look]) -> list[Entry]:
    return [(_sample(look), _series_text(one)) for one, look in zip(clouds, styles, strict=True)]


def _sample(look: Look) -> Line2D:
    """A marker on a piece of staircase."""
    sample = look.front(())
    sample.set(linestyle=look.line, linewidth=1.5, color=look.colour, markerfacecolor=look.fill)
    return sample


def _series_text(one: Cloud) -> str:
    name, count = canvas.wrapped(one.series.name), len(one.points)
    if one.front:
        return f"{name}\nHV {one.hypervolume:.3f}, front {len(one.front)} of {count}"
    return f"{name}\n" + (f"none of {count} keeps the limits" if count else "no point has both metrics")


def _mark_entries(clouds: Sequence[Cloud], scales: tuple[Scale, Scale]) -> list[Entry]:
    entries: list[Entry] = []
    if any(one.beaten for one in clouds):
        entries.append((_PLAIN.beaten(()), "dominated"))
    if any(one.broken for one in clouds):
        entries.append((_PLAIN.broken(()), "breaks a limit"))
    places = [place for one in clouds for place in one.points]
    unseen = sum(not (scales[0].holds(x) and scales[1].holds(y)) for x, y in places)
    if unseen:
        entries.append((_nothing(), f"{unseen} worse, beyond the axes"))
    return entries


def _limit_entries(
    limits: Sequence[Limit], metrics: tuple[str, str], scales: tuple[Scale, Scale]
) -> list[Entry]:
    """The bounds that no line on the axes shows."""
    entries: list[Entry] = []
    for limit in limits:
        for sign, bound in limit.bounds:
            drawn = [
                scale.holds(bound)
                for name, scale in zip(metrics, scales, strict=True)
                if name == limit.metric
            ]
            if not any(drawn):
                where = "beyond the axis" if drawn else "on neither axis"
                entries.append((_nothing(), f"{bound_text(limit.metric, sign, bound)}\n({where})"))
    return entries


def _nothing() -> Line2D:
    return Line2D([], [], linestyle="none")


def _about_hypervolume(box: Box, metrics: tuple[str, str]) -> str:
    corner = ", ".join(
        f"{metric(name).short} {shown(name, value)}"
        for name, value in zip(metrics, box.reference, strict=True)
    )
    return (
        f"HV: dominated share of the box from the best values of all points to the reference ({corner}),\n"
        "which lies 10 % of the range beyond the worst of all points."
    )


def _labels(clouds: Sequence[Cloud], styles: Sequence[Look], x: Objective) -> list[Label]:
    """The tags of all series in turns, so that each has its first before any has its second."""
    kinds = [one.series.kind for one in clouds]
    turns = [
        [
            Label(text=tag, at=place, colour=look.colour)
            for tag, place in named(one, x=x, at_most=max(1, _NAMED[kind] // kinds.count(kind)))
        ]
        for one, look, kind in zip(clouds, styles, kinds, strict=True)
    ]
    return [label for turn in zip_longest(*turns) for label in turn if label is not None]


def _drawn(
    clouds: Sequence[Cloud], texts: Sequence[Text], edges: Sequence[Sequence[XY]], x: Objective
) -> Drawn:
    return Drawn(
        strong=[place for one in clouds for place in one.front],
        faint=[place for one in clouds for place in one.beaten + one.broken],
        lines=[*(staircase(one.front, x=x) for one in clouds), *edges],
        texts=texts,
    )


def _edges(
    limits: Sequence[Limit], metrics: tuple[str, str], scales: tuple[Scale, Scale]
) -> list[tuple[XY, XY]]:
    """The ends of the lines that are drawn for limits."""
    across, up = scales
    bounds = [(limit.metric, bound) for limit in limits for _, bound in limit.bounds]
    upright = [((b, up.low), (b, up.high)) for name, b in bounds if name == metrics[0] and across.holds(b)]
    level = [((across.low, b), (across.high, b)) for name, b in bounds if name == metrics[1] and up.holds(b)]
    return upright + level
