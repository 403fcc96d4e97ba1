"""What options weighed over the epochs of a search by gradients, a panel a slot, beneath how the search went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nas.analysis import canvas
from nas.analysis.canvas import COLOURS, GREY, INK, PALE
from search_spaces.errors import BadInput

_COLUMNS = 4
_MOST = 64  # panels
_STYLES = ("-", "--", ":")
_INCHES_A_ROW, _INCHES_AROUND = 1.35, 1.6
_SIGNS = (  # what is drawn of how the search went, all of it from 0 to 1
    ("entropy", "entropy, of the largest"),
    ("skip_share", "share of skips"),
    ("supernet_validation_accuracy", "accuracy of the supernet"),
    ("derived_validation_accuracy", "of what is derived, on its weights"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One epoch: its metrics, and what each slot's options weighed at its end."""

    number: int
    metrics: Mapping[str, float]
    weights: Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """A search's epochs, and the options of each slot by name."""

    slots: Mapping[str, Sequence[str]]
    epochs: Sequence[Epoch]


def plot_shares(shares: Shares, path: Path, *, title: str) -> Path:
    """Write `shares_figure` as PNG (150 dpi), SVG or PDF, by the suffix; raises BadInput, StorageError."""
    return canvas.save(shares_figure(shares, title=title), path)


def shares_figure(shares: Shares, *, title: str) -> Figure:
    """Draw a panel of signs (entropy, skips, accuracies) and one a slot, a line an option; all over epochs.

    A slot has a line more than options where "no connection" is one of its entries. Of more than 64 slots the first
    64 are drawn. Raises BadInput without epochs.
    """
    if not shares.epochs:
        raise BadInput("plot: got a search without epochs, expected at least one; wait for the first to end")
    slots = list(shares.slots.items())[:_MOST]
    rows = -(-len(slots) // _COLUMNS)
    most = max(weight for epoch in shares.epochs for slot, _ in slots for weight in epoch.weights[slot])
    with canvas.house_style():
        height = _INCHES_AROUND + _INCHES_A_ROW * (rows + 1)
        figure = Figure(figsize=(10.0, height), layout="constrained")
        grid = figure.add_gridspec(rows + 1, _COLUMNS)
        _signs(figure.add_subplot(grid[0, :]), shares.epochs)
        for place, (slot, _) in enumerate(slots):
            axes = figure.add_subplot(grid[1 + place // _COLUMNS, place % _COLUMNS])
            _slot(axes, shares.epochs, slot, most=most)
        names = _named(slots)
        handles = [
            figure.axes[0].plot([], [], color=_colour(i), linestyle=_style(i), linewidth=1.4)[0]
            for i in range(len(names))
        ]
        figure.legend(
            handles, names, loc="outside lower center", ncols=4, frameon=False, fontsize=7, labelcolor=INK
        )
        figure.suptitle(canvas.wrapped(title, width=100), x=0.01, ha="left", fontsize=10.5, color=INK)
    return figure


def _signs(axes: Axes, epochs: Sequence[Epoch]) -> None:
    numbers = [epoch.number for epoch in epochs]
    for colour, (name, text) in zip(COLOURS, _SIGNS, strict=False):
        if all(name in epoch.metrics for epoch in epochs):
            values = [epoch.metrics[name] for epoch in epochs]
            axes.plot(numbers, values, color=colour, linewidth=1.4, label=text, gid=name)
    axes.set_title("how it goes", loc="left", fontsize=8, fontweight="bold", color=INK)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=7, labelcolor=INK)
    _dress(axes)


def _slot(axes: Axes, epochs: Sequence[Epoch], slot: str, *, most: float) -> None:
    numbers = [epoch.number for epoch in epochs]
    for entry in range(len(epochs[-1].weights[slot])):
        values = [epoch.weights[slot][entry] for epoch in epochs]
        axes.plot(
            numbers,
            values,
            color=_colour(entry),
            linestyle=_style(entry),
            linewidth=1.1,
            gid=f"{slot}:{entry}",
        )
    axes.set_title(canvas.wrapped(slot, width=34, lines=1), loc="left", fontsize=6.5, color=INK)
    _dress(axes, most=most)


def _dress(axes: Axes, *, most: float = 1.0) -> None:
    axes.set_ylim(0, 1.05 * most)  # one scale: slots can be compared
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(color=GREY, labelcolor=INK, labelsize=6.5)
    axes.grid(visible=True, color=PALE, linewidth=0.5, alpha=0.7)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))


def _named(slots: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """Return what stands for each line in the legend: an option's name where all slots agree on it."""
    longest = max(len(names) for _, names in slots)
    told = []
    for entry in range(longest):
        found = {names[entry] for _, names in slots if entry < len(names)}
        told.append(found.pop() if len(found) == 1 else f"option {entry}")
    return told


def _colour(entry: int) -> str:
    return COLOURS[entry % len(COLOURS)]


def _style(entry: int) -> str:
    return _STYLES[entry // len(COLOURS) % len(_STYLES)]
