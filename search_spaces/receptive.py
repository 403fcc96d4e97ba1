"""How much of the input each layer sees: theoretical receptive fields, by one pass over a graph.

Along each axis a value is known by what its first position sees, `start` and `size` in input positions, and
by how far the next position's view lies from it, `jump`. What a kernel reads of the padding counts as seen,
as is usual, so that a size may exceed the input's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil

from .graph import Graph
from .layers import (
    AdaptivePooling,
    Axes,
    Concat,
    Convolution,
    Flatten,
    Layer,
    Pad,
    Pooling,
    Product,
    Shape,
    Shift,
    Sum,
    Upsample,
    Zeros,
)

Number = int | Fraction  # a fraction only behind an upsampling or uneven shares


@dataclass(frozen=True, slots=True)
class View:
    """What the positions of a value see of the input along one axis."""

    start: Number
    size: Number
    jump: Number

    def through(self, reach: int, *, stride: Number = 1, offset: int = 0) -> View:
        """Return the view through a window that reads `reach` positions, the first one at `offset`."""
        return View(self.start + offset * self.jump, self.size + (reach - 1) * self.jump, self.jump * stride)


Views = tuple[View, ...]


def receptive_fields(graph: Graph) -> tuple[Axes, ...]:
    """Return, for each node, how many input positions one of its values sees along each axis.

    A join sees all that its inputs see. Flattening and global pooling see all positions, but no more than the
    input's extent; what follows them keeps that. After an upsampling the view differs from position to
    position, and the bound is rounded up. With several inputs, a position of any of them counts as one.

    >>> from search_spaces import Conv, DilatedConv
    >>> from search_spaces.network import block_graph
    >>> receptive_fields(block_graph(DilatedConv(dilation=4), ((3, 32, 32),), 8, 1))[-1]
    (9, 9)
    """
    extent = graph.inputs[0][1:]
    views = [(View(0, 1, 1),) * (len(shape) - 1) for shape in graph.inputs]
    for node in graph.nodes:
        sources = [(views[s], graph.shape(s)) for s in node.sources]
        views.append(_through(node.layer, sources, node.shape, extent))
    return tuple(tuple(ceil(view.size) for view in axes) for axes in views[len(graph.inputs) :])


def _through(layer: Layer, sources: list[tuple[Views, Shape]], shape: Shape, extent: Axes) -> Views:
    views, given = sources[0]
    match layer:
        case Convolution() | Pooling():
            return _windows(layer, views)
        case AdaptivePooling():
            return tuple(map(_shares, views, given[1:], shape[1:], extent))
        case Flatten():
            return tuple(map(_shares, views, given[1:], (1,) * len(views), extent))
        case Upsample():
            reach = 1 if layer.kind == "nearest" else 2
            return tuple(
                _resized(v, n, m, reach) for v, n, m in zip(views, given[1:], shape[1:], strict=True)
            )
        case Pad():
            return tuple(v.through(1, offset=-a) for v, (a, _) in zip(views, layer.amounts, strict=True))
        case Shift():
            return tuple(v.through(1, offset=-o) for v, o in zip(views, layer.offset, strict=True))
        case Zeros():
            return tuple(
                View(v.start, 0, v.jump * _ratio(n, m))
                for v, n, m in zip(views, given[1:], shape[1:], strict=True)
            )
        case Sum() | Concat() | Product():
            return tuple(_joined(axis, shape) for axis in _by_axis(sources))
        case _:
            return views


def _windows(layer: Convolution | Pooling, views: Views) -> Views:
    dilation = layer.dilation if isinstance(layer, Convolution) else (1,) * len(views)
    return tuple(
        view.through(d * (k - 1) + 1, stride=s, offset=-before)
        for view, k, d, s, (before, _) in zip(
            views, layer.kernel, dilation, layer.stride, layer.padding, strict=True
        )
    )


def _shares(view: View, n: int, m: int, extent: int) -> View:
    """Pool n positions to m: output i reads those from floor(i n / m) up to ceil((i + 1) n / m)."""
    reach = max(-(-(i + 1) * n // m) - i * n // m for i in range(m))
    pooled = view.through(reach, stride=_ratio(n, m))
    return pooled if m > 1 or pooled.size <= extent else View(0, extent, pooled.jump)


def _resized(view: View, n: int, m: int, reach: int) -> View:
    return view.through(reach if 1 < n != m else 1, stride=_ratio(n, m))


def _ratio(n: int, m: int) -> Number:
    return Fraction(n, m) if n % m else n // m


def _by_axis(sources: list[tuple[Views, Shape]]) -> list[list[tuple[View, Shape]]]:
    return [[(views[axis], shape) for views, shape in sources] for axis in range(len(sources[0][0]))]


def _joined(sources: list[tuple[View, Shape]], shape: Shape) -> View:
    """Cover what all inputs see; a factor that is spread over the positions sees the same from each."""
    whole = [view for view, given in sources if given[1:] == shape[1:]]
    whole = [view for view in whole if view.size] or whole  # zeros see nothing
    start = min(view.start for view in whole)
    end = max(view.start + view.size for view in whole)
    size = max(end - start, *(view.size for view, _ in sources))
    return replace(whole[0], start=start, size=size)
