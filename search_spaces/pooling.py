"""What torch's own pooling can say: one decision for the module and for the source that is written."""

from __future__ import annotations

from .errors import Unbuildable
from .layers import Axes, Pooling


def needs_windows(layer: Pooling, spatial: Axes) -> bool:
    """Tell whether torch's own pooling cannot say this one, or refuses a volume smaller than the kernel.

    Raises `Unbuildable` where a window would see padding alone.
    """
    axes = list(zip(spatial, layer.padding, layer.kernel, strict=True))
    if any(max(pads) >= k for _, pads, k in axes):
        raise Unbuildable(f"Pooling: got padding {layer.padding}, expected less than kernel {layer.kernel}")
    if layer.kind == "average" and len(axes) == 3 and any(n < k for n, _, k in axes):
        return True  # torch's refuses a map smaller than the kernel, padded or not
    odd = any(before != after or not 0 <= 2 * before <= k for _, (before, after), k in axes)
    return odd and not only_cuts(layer)


def only_cuts(layer: Pooling) -> bool:
    """Tell whether padding does no more than torch's `ceil_mode`: give the last window its missing positions.

    ceil(m / s) = floor((m + s - 1) / s), so this is padding of s - 1 after the map and none before it.
    """
    if layer.ceil_mode or layer.count_padding:
        return False
    axes = zip(layer.padding, layer.stride, layer.kernel, strict=True)
    return all(pads == (0, s - 1) and s <= k for pads, s, k in axes)
