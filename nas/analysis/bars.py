"""What the parts of a model cost, as bars side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nas.analysis import canvas
from nas.analysis.canvas import COLOURS, GREY, INK
from nas.analysis.metrics import metric, shown
from search_spaces.errors import BadInput

_METRICS = ("macs", "activations", "params")
_LEGIBLE = 120  # bars
_WITH_NUMBERS = 1.62  # the length of an axis to its longest bar
_INCHES_A_BAR, _INCHES_AROUND = 0.24, 1.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A part of a model, such as a stage, and what it costs."""

    name: str
    macs: int
    activations: int
    params: int


def plot_bars(bars: Sequence[Bar], path: Path, *, title: str) -> Path:
    """Write `bars_figure` as PNG (150 dpi), SVG or PDF, by the suffix; raises BadInput, StorageError."""
    return canvas.save(bars_figure(bars, title=title), path)


def bars_figure(bars: Sequence[Bar], *, title: str) -> Figure:
    """Draw each part's MACs, activations and parameters as shares of the whole, the first part on top.

    Raises BadInput without parts, or with more than can be read.
    """
    if not 0 < len(bars) <= _LEGIBLE:
        raise BadInput(
            f"plot: got {len(bars):,} bars, expected 1 to {_LEGIBLE}; draw by block or by stage (--by stage)"
        )
    with canvas.house_style():
        height = _INCHES_AROUND + _INCHES_A_BAR * max(len(bars), 4)
        figure = Figure(figsize=(9.0, height), layout="constrained")
        panels = figure.subplots(1, len(_METRICS), sharey=True)
        for axes, name, colour in zip(panels, _METRICS, COLOURS, strict=False):
            _panel(axes, bars, name, colour)
        longest = max(patch.get_width() for axes in panels for patch in axes.patches)
        for axes in panels:  # one scale: shares can be compared across
            axes.set_xlim(0, _WITH_NUMBERS * longest or 1)
        panels[0].set_yticks(range(len(bars)), [canvas.wrapped(bar.name, width=40, lines=1) for bar in bars])
        panels[0].set_ylim(len(bars) - 0.4, -0.6)
        figure.suptitle(canvas.wrapped(title, width=90), x=0.01, ha="left", fontsize=10.5, color=INK)
        canvas.footnote(
            figure,
            "One example. MACs and activations are those of convolutions and dense layers; per cent of the whole.",
        )
    return figure


def _panel(axes: Axes, bars: Sequence[Bar], name: str, colour: str) -> None:
    """Draw one metric: a bar and its number for each part."""
    values = [int(getattr(bar, name)) for bar in bars]
    whole = sum(values) or 1
    shares = [100 * value / whole for value in values]
    axes.barh(range(len(bars)), shares, height=0.72, color=colour, gid=name)
    for place, (value, share) in enumerate(zip(values, shares, strict=True)):
        text = f"{shown(name, value)}  {share:.1f} %" if value else "0"
        axes.annotate(
            text,
            (share, place),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
            color=INK,
        )
    title = f"{metric(name).short} {shown(name, sum(values))}"
    axes.set_title(title, loc="left", fontsize=9, fontweight="bold", color=INK)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.spines["left"].set_color(GREY)
    axes.tick_params(axis="y", length=0, labelcolor=INK, labelsize=8)
    axes.set_xticks([])
