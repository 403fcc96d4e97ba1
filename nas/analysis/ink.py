"""The marks on a picture of fronts: points, staircases, and what a limit cuts off.

Each artist's gid says what it is, such as `front:<series>`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.text import Text

from nas.analysis.canvas import COLOURS, DARK, MARKERS, Scale
from nas.analysis.clouds import XY, Cloud, staircase
from nas.analysis.front import Objective
from nas.analysis.series import Kind, Limit, Series, Sign, bound_text

Dash = Literal["-", "-.", ":", "none"]

_LINES: dict[Kind, Dash] = {"run": "-", "family": "-.", "baseline": ":"}
_FADED, _CROSSED = 0.25, 0.45  # opacity of points that are beaten, that break a limit
_SHADE, _HATCH = "#f6f6f6", "#dedede"
_DASHES = (0, (5, 3))
_LIMIT_SIZE = 7.5  # points


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a series is drawn; a baseline is grey and hollow."""

    colour: str
    fill: str
    marker: str
    line: Dash

    def front(self, places: Sequence[XY]) -> Line2D:
        """The points of a front."""
        edge, width = (self.colour, 1.2) if self.fill == "white" else ("white", 0.6)
        return Line2D(
            *_columns(places),
            linestyle="none",
            marker=self.marker,
            markersize=5.8,
            color=self.fill,
            markeredgecolor=edge,
            markeredgewidth=width,
            zorder=4,
        )

    def stairs(self, corners: Sequence[XY]) -> Line2D:
        """The edge of what a front attains."""
        return Line2D(*_columns(corners), color=self.colour, linestyle=self.line, linewidth=1.5, zorder=3)

    def beaten(self, places: Sequence[XY]) -> Line2D:
        """Points off the front: faded, without an edge."""
        return Line2D(
            *_columns(places),
            linestyle="none",
            marker=self.marker,
            markersize=4.5,
            color=self.colour,
            markeredgewidth=0,
            alpha=_FADED,
            zorder=2,
        )

    def broken(self, places: Sequence[XY]) -> Line2D:
        """Points that break a limit: small crosses."""
        return Line2D(
            *_columns(places),
            linestyle="none",
            marker="x",
            markersize=4,
            color=self.colour,
            markeredgewidth=0.9,
            alpha=_CROSSED,
            zorder=2,
        )


def looks(series: Sequence[Series]) -> tuple[Look, ...]:
    """One look a series: colours for runs and families, grey for baselines, and markers in turn."""
    made: list[Look] = []
    coloured = 0
    for i, one in enumerate(series):
        is_baseline = one.kind == "baseline"
        colour = DARK if is_baseline else COLOURS[coloured % len(COLOURS)]
        coloured += not is_baseline
        fill = "white" if is_baseline else colour
        made.append(Look(colour=colour, fill=fill, marker=MARKERS[i % len(MARKERS)], line=_LINES[one.kind]))
    return tuple(made)


def draw_cloud(axes: Axes, one: Cloud, look: Look, *, x: Objective) -> None:
    """Draw a series: what is broken and beaten, then the front and its staircase."""
    marks = {
        "beaten": look.beaten(one.beaten),
        "broken": look.broken(one.broken),
        "staircase": look.stairs(staircase(one.front, x=x)),
        "front": look.front(one.front),
    }
    for part, line in marks.items():
        line.set_gid(f"{part}:{one.series.name}")
        axes.add_line(line)


def draw_limits(
    axes: Axes,
    limits: Sequence[Limit],
    *,
    objectives: tuple[Objective, Objective],
    scales: tuple[Scale, Scale],
) -> list[Text]:
    """Hatch what breaks a limit and name its edge; the texts drawn. Objectives and scales are of x and y."""
    (x, y), (across, up) = objectives, scales
    texts = []
    for name, sign, bound in (
        (limit.metric, sign, bound) for limit in limits for sign, bound in limit.bounds
    ):
        text = bound_text(name, sign, bound)
        if name == x.metric:
            _hatch(axes.axvspan, across, sign, bound)
        if name == x.metric and across.holds(bound):
            texts.append(_upright(axes, bound, text))
        if name == y.metric:
            _hatch(axes.axhspan, up, sign, bound)
        if name == y.metric and up.holds(bound):
            # Of what is cut off, the end where x is bad has the fewest points.
            texts.append(_level(axes, bound, text, above=sign == "≤", right=x.direction == "min"))
    return texts


def _hatch(span: Callable[..., Rectangle], scale: Scale, sign: Sign, bound: float) -> None:
    inside = min(max(bound, scale.low), scale.high)
    start, end = (scale.low, inside) if sign == "≥" else (inside, scale.high)
    if start < end:
        patch = span(start, end, facecolor=_SHADE, edgecolor=_HATCH, hatch="////", linewidth=0, zorder=0)
        patch.set_gid("cut off")


def _upright(axes: Axes, bound: float, text: str) -> Text:
    axes.axvline(bound, color=DARK, linestyle=_DASHES, linewidth=1, zorder=1.5, gid=f"limit:{text}")
    return axes.annotate(
        text,
        (bound, 1),
        xycoords=axes.get_xaxis_transform(),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=_LIMIT_SIZE,
        color=DARK,
    )


def _level(axes: Axes, bound: float, text: str, *, above: bool, right: bool) -> Text:
    axes.axhline(bound, color=DARK, linestyle=_DASHES, linewidth=1, zorder=1.5, gid=f"limit:{text}")
    return axes.annotate(
        text,
        (1 if right else 0, bound),
        xycoords=axes.get_yaxis_transform(),
        xytext=(-3 if right else 3, 3 if above else -3),
        textcoords="offset points",
        ha="right" if right else "left",
        va="bottom" if above else "top",
        fontsize=_LIMIT_SIZE,
        color=DARK,
        zorder=6,
        path_effects=[withStroke(linewidth=2, foreground="white")],
    )


def _columns(places: Sequence[XY]) -> tuple[list[float], list[float]]:
    return [place[0] for place in places], [place[1] for place in places]
