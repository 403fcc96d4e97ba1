"""Families on one picture: a line through the members of each, by what they cost or score."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from math import exp, log
from pathlib import Path
from typing import TypeAlias

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nas.analysis import canvas
from nas.analysis.canvas import COLOURS, DARK, GREY, MARKERS, Scale
from nas.analysis.clouds import XY
from nas.analysis.front import finite
from nas.analysis.ink import Look
from nas.analysis.labels import Drawn, Label, annotate
from nas.analysis.series import Series, check

Bar: TypeAlias = tuple[XY, XY]  # its lower and its upper end

_ABOUT_BARS = "Bars: one standard deviation over seeds, both ways."
_PIECES = 24  # of a stroke between two members, so that labels can stand beside a slanted one
_FAINT = 0.55  # opacity of baselines
_NAMED = 40  # members whose names are written


def plot_lines(
    series: Sequence[Series], *, x: str, y: str, path: Path, title: str | None = None, note: str = ""
) -> Path:
    """Write `lines_figure` as PNG (150 dpi), SVG or PDF, by the suffix; raises BadInput, StorageError."""
    return canvas.save(lines_figure(series, x=x, y=y, title=title, note=note), path)


def lines_figure(
    series: Sequence[Series], *, x: str, y: str, title: str | None = None, note: str = ""
) -> Figure:
    """Draw each series as a line through its points, in the order given; baselines are grey and faint.

    A point's `<y>_sd`, where it has one, is drawn as a bar of that length both ways. Axes have room for families;
    baselines far from all of them lie outside, and the legend says so. Raises BadInput where a metric is unknown.
    """
    check(series, [x, y])
    series = [_drawable(one, x, y) for one in series]
    places = [list(_places(one, x, y)) for one in series]
    bars = [_bars(one, found, f"{y}_sd") for one, found in zip(series, places, strict=True)]
    shown = [[*found, *(end for bar in own for end in bar)] for found, own in zip(places, bars, strict=True)]
    own = [at for one, found in zip(series, shown, strict=True) if one.kind != "baseline" for at in found]
    every = [at for found in shown for at in found]
    scales = tuple(
        Scale.around([at[axis] for at in own or every], name, also=[at[axis] for at in every])
        for axis, name in enumerate((x, y))
    )
    styles = _looks(series)
    entries = [
        (_sample(look, faint=one.kind == "baseline"), _said(one, found, scales))
        for one, look, found in zip(series, styles, places, strict=True)
    ]
    with canvas.house_style():
        figure, axes = canvas.blank([text for _, text in entries])
        for which, scale, name in zip("xy", scales, (x, y), strict=True):
            canvas.dress(axes, which, scale, name)
        for one, look, found, spread in zip(series, styles, places, bars, strict=True):
            _draw(axes, one, look, found, spread)
        canvas.head(axes, title)
        canvas.legend(figure, entries)
        about = [*([_ABOUT_BARS] if any(bars) else []), *([note] if note else [])]
        canvas.footnote(figure, " ".join(about))
        _name(figure, axes, series, styles, places, scales, bars)
    return figure


def _draw(axes: Axes, one: Series, look: Look, places: Sequence[XY], bars: Sequence[Bar]) -> None:
    line, marks = look.stairs(places), look.front(places)
    if one.kind == "baseline":
        line.set(alpha=_FAINT, linewidth=0.9)
        marks.set(alpha=_FAINT, markersize=3.8)
    for part, artist in (("line", line), ("members", marks)):
        artist.set_gid(f"{part}:{one.name}")
        axes.add_line(artist)
    for (at, low), (_, high) in bars:
        axes.plot([at, at], [low, high], color=look.colour, linewidth=1.0, zorder=3.5)


def _bars(one: Series, places: Sequence[XY], spread: str) -> list[Bar]:
    """Return the ends of the bar of each point that has a spread."""
    pairs = [(finite(point, spread), at) for point, at in zip(one.points, places, strict=True)]
    return [((x, y - sd), (x, y + sd)) for sd, (x, y) in pairs if sd]


def _name(
    figure: Figure,
    axes: Axes,
    series: Sequence[Series],
    styles: Sequence[Look],
    places: Sequence[Sequence[XY]],
    scales: Sequence[Scale],
    bars: Sequence[Sequence[Bar]],
) -> None:
    """Write members' names beside them, those of families first."""
    labels = [
        Label(text=text, at=at, colour=GREY if one.kind == "baseline" else look.colour)
        for baseline in (False, True)
        for one, look, found in zip(series, styles, places, strict=True)
        if (one.kind == "baseline") == baseline and one.keys
        for text, at in zip(one.keys, found, strict=True)
        if text and scales[0].holds(at[0]) and scales[1].holds(at[1])
    ]
    strokes = [pair for found in places for pair in pairwise(found)]
    drawn = Drawn(
        strong=[at for found in places for at in found],
        faint=[],
        lines=[*(list(_pieces(stroke, scales)) for stroke in strokes), *(bar for own in bars for bar in own)],
    )
    annotate(figure, axes, labels[:_NAMED], drawn=drawn)


def _pieces(stroke: tuple[XY, XY], scales: Sequence[Scale]) -> Iterator[XY]:
    """Yield places along a stroke, as it is seen."""
    for i in range(_PIECES + 1):
        x, y = (_between(stroke[0][k], stroke[1][k], i / _PIECES, log_=scales[k].is_log) for k in (0, 1))
        yield x, y


def _between(low: float, high: float, share: float, *, log_: bool) -> float:
    if log_:
        return exp(log(low) + share * (log(high) - log(low)))
    return low + share * (high - low)


def _drawable(one: Series, x: str, y: str) -> Series:
    """Return a series with those points alone that have both metrics."""
    kept = [i for i, p in enumerate(one.points) if finite(p, x) is not None and finite(p, y) is not None]
    keys = tuple(one.keys[i] for i in kept) if one.keys else ()
    return replace(one, points=tuple(one.points[i] for i in kept), keys=keys)


def _places(one: Series, x: str, y: str) -> Iterator[XY]:
    for point in one.points:
        across, up = finite(point, x), finite(point, y)
        assert across is not None, "only such points are left"
        assert up is not None
        yield across, up


def _looks(series: Sequence[Series]) -> list[Look]:
    """Return a colour for each family; baselines are grey, dash by dash, with markers in turn."""
    made: list[Look] = []
    for one in series:
        baseline = one.kind == "baseline"
        number = sum((other.fill == "white") == baseline for other in made)
        colour = DARK if baseline else COLOURS[number % len(COLOURS)]
        made.append(
            Look(
                colour=colour,
                fill="white" if baseline else colour,
                marker=MARKERS[(number + 4 * baseline) % len(MARKERS)],
                line=":" if baseline else "-",
            )
        )
    return made


def _said(one: Series, places: Sequence[XY], scales: Sequence[Scale]) -> str:
    outside = sum(not (scales[0].holds(x) and scales[1].holds(y)) for x, y in places)
    name = canvas.wrapped(one.name)
    if not places:
        return f"{name}\n(neither is known)"
    return f"{name}\n({outside} of {len(places)} outside)" if outside else name


def _sample(look: Look, *, faint: bool) -> Line2D:
    sample = look.front(())
    sample.set(linestyle=look.line, linewidth=0.9 if faint else 1.5, color=look.colour)
    sample.set(markerfacecolor=look.fill, alpha=_FAINT if faint else None)
    return sample
