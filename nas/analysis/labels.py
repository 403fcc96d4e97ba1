"""Small texts beside points, put where they cover neither each other nor the data."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from math import inf

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from nas.analysis.clouds import XY

_FONT_SIZE = 6.5  # in points, as all lengths below
_RADII = (5.0, 10.0, 17.0, 26.0, 38.0)
_LEADER_FROM = 9.0  # nearer than this, a label needs no line to its point
_MARKER = 3.5
_NEVER = inf  # the cost of a place that must not be taken
# Above and to the left first: there the front of small and accurate models leaves room.
_SIDES = ((-1, 1), (0, 1), (1, 1), (-1, 0), (1, 0), (1, -1), (0, -1), (-1, -1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A text to be put beside a point, in data units."""

    text: str
    at: XY
    colour: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What is on the axes already, in data units: labels cover only `faint` points, and few of them.

    A line is given corner by corner; each stroke runs along an axis.
    """

    strong: Sequence[XY]
    faint: Sequence[XY]
    lines: Sequence[Sequence[XY]]
    texts: Sequence[Text] = ()


def annotate(figure: Figure, axes: Axes, labels: Sequence[Label], *, drawn: Drawn) -> None:
    """Place labels, the most important first; one without a free place is left out.

    Nothing that changes the figure's layout may follow.
    """
    canvas = FigureCanvasAgg(figure)
    figure.draw_without_rendering()  # settles the layout, so that data units have their pixels
    renderer: RendererAgg = canvas.get_renderer()  # type: ignore[no-untyped-call]
    obstacles = _Obstacles.of(axes, drawn)
    taken = [text.get_window_extent(renderer) for text in drawn.texts]
    for label in labels:
        text = axes.text(0, 0, label.text, fontsize=_FONT_SIZE, transform=None)
        size = text.get_window_extent(renderer)
        text.remove()
        box, radius = _best_place(axes, label, size, obstacles=obstacles, taken=taken)
        if box is not None:
            taken.append(box)
            _write(axes, label, box, leader=radius >= _LEADER_FROM)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Obstacles:
    """Boxes in pixels, by how bad it is to cover them."""

    never: Sequence[Bbox]
    rather_not: Sequence[Bbox]

    @classmethod
    def of(cls, axes: Axes, drawn: Drawn) -> "_Obstacles":
        dot = _pixels(axes)
        strokes = [_pair(axes, stroke) for line in drawn.lines for stroke in pairwise(line)]
        return cls(
            never=[
                *(_pair(axes, (at, at)).padded(_MARKER * dot) for at in drawn.strong),
                *(stroke.padded(dot / 2) for stroke in strokes),
            ],
            rather_not=[_pair(axes, (at, at)).padded(_MARKER * dot / 2) for at in drawn.faint],
        )

    def cost(self, box: Bbox, taken: Sequence[Bbox]) -> float:
        if _hits(box.padded(1), [*taken, *self.never]):
            return _NEVER
        return _hits(box, self.rather_not)


def _best_place(
    axes: Axes, label: Label, size: Bbox, *, obstacles: _Obstacles, taken: Sequence[Bbox]
) -> tuple[Bbox | None, float]:
    best = _NEVER
    place: tuple[Bbox | None, float] = (None, 0.0)
    for box, radius in _places(axes, label.at, size):
        cost = obstacles.cost(box, taken) + radius / 8
        if cost < best:
            best, place = cost, (box, radius)
    return place


def _places(axes: Axes, at: XY, size: Bbox) -> Iterator[tuple[Bbox, float]]:
    """The boxes inside the axes around a point, near ones first, each with its distance in points."""
    x, y = axes.transData.transform(at)
    for radius, (right, up) in product(_RADII, _SIDES):
        reach = radius * _pixels(axes) * (0.75 if right and up else 1.0)
        centre = x + right * (reach + size.width / 2), y + up * (reach + size.height / 2)
        box = Bbox.from_bounds(
            centre[0] - size.width / 2, centre[1] - size.height / 2, size.width, size.height
        )
        frame = axes.bbox
        if frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1:
            yield box, radius


def _write(axes: Axes, label: Label, box: Bbox, *, leader: bool) -> None:
    x, y = axes.transData.transform(label.at)
    dot = _pixels(axes)
    centre = ((box.x0 + box.x1) / 2 - x) / dot, ((box.y0 + box.y1) / 2 - y) / dot
    line = {"arrowstyle": "-", "color": label.colour, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3}
    note = axes.annotate(
        label.text,
        label.at,
        xytext=centre,
        textcoords="offset points",
        ha="center",
        va="center",
        fontsize=_FONT_SIZE,
        color=label.colour,
        arrowprops=line if leader else None,
        zorder=6,
        path_effects=[withStroke(linewidth=1.8, foreground="white")],
    )
    note.set_in_layout(False)


def _pair(axes: Axes, corners: tuple[XY, XY]) -> Bbox:
    (x0, y0), (x1, y1) = axes.transData.transform(corners)
    return Bbox.from_extents(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))


def _hits(box: Bbox, others: Sequence[Bbox]) -> int:
    return box.count_overlaps(others) if others else 0


def _pixels(axes: Axes) -> float:
    """Pixels per point."""
    figure = axes.get_figure(root=True)
    return figure.dpi / 72 if figure is not None else 1.0
