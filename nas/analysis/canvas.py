"""The paper that plots are drawn on: style, axes, ticks, legend, and files that are the same each time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from math import ceil, floor, inf, log10
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, TypeAlias

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, Formatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from nas.analysis.metrics import bare, metric
from nas.storage import replace_file
from search_spaces.errors import BadInput

if TYPE_CHECKING:  # not in matplotlib 3.9
    from matplotlib.typing import RcKeyType

INK, DARK, GREY, PALE = "#222222", "#4d4d4d", "#767676", "#d9d9d9"
# Okabe & Ito 2008, told apart with any colour vision; the yellow is left out, too faint on white. Seven
# colours and eight markers share no factor, so that 56 series look different.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
LOG_FROM = 5.0  # an axis whose values span more than this factor is logarithmic

Entry: TypeAlias = tuple[Artist, str]  # of the legend

_DPI = 150
_STYLE: "dict[RcKeyType, str | bool | float]" = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.parse_math": False,  # a name with two dollar signs is not a formula
    "text.usetex": False,
    "svg.hashsalt": "archscale",
    "svg.fonttype": "path",
    "hatch.linewidth": 0.5,
}
_METADATA: dict[str, dict[str, str | None]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


@contextmanager
def house_style() -> Iterator[None]:
    """Draw alike whatever the user's matplotlibrc says; the settings from before are back afterwards."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def blank(legend_texts: Sequence[str]) -> tuple[Figure, Axes]:
    """A figure with one empty axes, tall enough for its legend."""
    lines = sum(text.count("\n") + 1.5 for text in legend_texts)
    figure = Figure(figsize=(7.6, max(4.4, 0.9 + 0.14 * lines)), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(which="both", color=GREY, labelcolor=INK, labelsize=8.5)
    axes.grid(visible=True, which="major", color=PALE, linewidth=0.5, alpha=0.7)
    axes.set_axisbelow(True)
    return figure, axes


def head(axes: Axes, title: str | None, *, clear: float = 0) -> None:
    """Put the title above the axes, with so many points kept clear between them."""
    if title:
        axes.set_title(wrapped(title, width=52), loc="left", fontsize=10.5, color=INK, pad=8 + clear)


def legend(figure: Figure, entries: Sequence[Entry]) -> None:
    """Put the legend beside the data, where it hides nothing."""
    figure.legend(
        [handle for handle, _ in entries],
        [text for _, text in entries],
        loc="outside right upper",
        frameon=False,
        fontsize=8,
        labelcolor=INK,
        labelspacing=0.7,
        handlelength=2.2,
        borderaxespad=0.4,
    )


def footnote(figure: Figure, text: str) -> None:
    """Put a small text below everything."""
    figure.supxlabel(text, x=0.01, ha="left", fontsize=6.5, color=GREY)


def save(figure: Figure, path: Path) -> Path:
    """Write PNG (150 dpi), SVG or PDF by the suffix, the same bytes each time. Raises BadInput."""
    suffix = path.suffix.lower()
    if suffix not in _METADATA:
        raise BadInput(
            f"{path}: got suffix {path.suffix!r}, expected {', '.join(_METADATA)}; rename the file"
        )
    data = BytesIO()
    with house_style():
        figure.savefig(data, format=suffix[1:], dpi=_DPI, metadata=_METADATA[suffix])
    replace_file(path, data.getvalue())
    return path


def wrapped(text: str, *, width: int = 30, lines: int = 3) -> str:
    """Text in at most so many lines; of one that is longer, the middle is left out."""
    plain = " ".join(text.split())
    room = width * lines - lines
    if len(plain) > room:
        plain = f"{plain[: room // 2 - 1]}…{plain[-room // 2 + 1 :]}"
    return "\n".join(wrap(plain, width))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The extent of an axis in data units, and whether it is logarithmic."""

    low: float
    high: float
    is_log: bool

    @classmethod
    def around(cls, values: Sequence[float], name: str, *, also: Sequence[float] = ()) -> "Scale":
        """Room for all values, and for those of `also` that leave them a quarter of the axis."""
        low, high = min(values), max(values)
        is_log = metric(name).unit != "share" and low > 1e-100 and high / low > LOG_FROM
        ends = _place(low, is_log), _place(high, is_log)
        reach = 1.5 * (ends[1] - ends[0]) or abs(ends[1]) or 1.0
        near = [_place(value, is_log) for value in also if not is_log or value > 0]
        near = [place for place in near if ends[0] - reach <= place <= ends[1] + reach]
        return cls._padded(min(ends[0], *near, inf), max(ends[1], *near, -inf), name, is_log=is_log)

    @classmethod
    def _padded(cls, low: float, high: float, name: str, *, is_log: bool) -> "Scale":
        pad = 0.07 * (high - low) or 0.1 * abs(high) or 1.0
        top = high + pad
        if metric(name).unit == "share" and high <= 1:
            top = min(top, 1 + pad / 5)  # no more room than a marker needs above 100 %
        if is_log:
            return cls(low=10 ** (low - pad), high=10**top, is_log=True)
        return cls(low=low - pad, high=top, is_log=False)

    def holds(self, value: float) -> bool:
        """Whether the value lies on the axis."""
        return self.low <= value <= self.high


def dress(axes: Axes, which: str, scale: Scale, name: str) -> None:
    """Give the x or y axis its label, extent and ticks."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    set_scale, set_limits = (
        (axes.set_xscale, axes.set_xlim) if which == "x" else (axes.set_yscale, axes.set_ylim)
    )
    if scale.is_log:
        set_scale("log")
        axis.set_major_locator(FixedLocator(_log_ticks(scale)))
        axis.set_minor_locator(LogLocator(subs=range(2, 10)))
        axis.set_minor_formatter(NullFormatter())
    else:
        axis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 2.5, 5, 10]))
        axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(MetricFormatter(name))
    axis.set_label_text(metric(name).label, color=INK)
    set_limits(scale.low, scale.high)


def dress_counts(axes: Axes, numbers: Sequence[int], *, label: str) -> None:
    """Give the x axis whole numbers."""
    pad = 0.03 * (max(numbers) - min(numbers)) or 0.5
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.set_xlabel(label, color=INK)
    axes.set_xlim(min(numbers) - pad, max(numbers) + pad)


class MetricFormatter(Formatter):
    """Ticks with k, M, G or in per cent, with as many digits as it takes to tell them apart."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, value: float, pos: int | None = None) -> str:
        return bare(self.name, value, digits=4)

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        for digits in range(3, 16):
            texts = [bare(self.name, value, digits=digits) for value in values]
            if len(set(texts)) == len(set(values)):
                break
        return texts


def _place(value: float, is_log: bool) -> float:
    return log10(value) if is_log else value


def _log_ticks(scale: Scale) -> list[float]:
    """Round numbers, at least four of them: whole decades, or 1 and 3 of each, or 1, 2 and 5, or more."""
    first, last = floor(log10(scale.low)), ceil(log10(scale.high))
    step = max(1, (last - first) // 8)
    for mantissas in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)):
        powers = range(first, last + 1, step)
        ticks = [tick for power in powers for m in mantissas if scale.holds(tick := m * 10.0**power)]
        if len(ticks) >= 4:
            break
    return ticks
