"""How pooling is written: by torch's own functions where they can say it, else by a helper that pads first.

The decisions are those of `torch_layers`, so that both compute alike.
"""

from __future__ import annotations

from .errors import Unbuildable
from .layers import Axes, Pooling
from .source_form import Form, Slot, same

POOLS = {"max": "max", "average": "avg"}


def pool_slots(layer: Pooling) -> tuple[Slot, ...]:
    """Return the arguments of torch's own pooling."""
    cut = _only_cuts(layer)
    padding = tuple(before for before, _ in layer.padding)
    slots = (
        Slot("kernel", same(layer.kernel)),
        Slot("stride", same(layer.stride), "stride"),
        Slot("padding", same(padding), "padding", 0),
        Slot("ceil_mode", cut or layer.ceil_mode, "ceil_mode", False),
    )
    if layer.kind == "max":
        return slots
    counted = layer.count_padding or not (
        any(padding) or cut or layer.ceil_mode
    )  # else there is nothing to count
    return (*slots, Slot("count_include_pad", counted, "count_include_pad", True))


def windows(layer: Pooling) -> Form:
    """Return the call of the helper that pads first."""
    slots = [
        Slot("window_kernel", layer.kernel, "kernel"),
        Slot("window_stride", layer.stride, "stride"),
        Slot("window_padding", layer.padding, "padding"),
        Slot("ceil_mode", layer.ceil_mode, "ceil_mode", False),
    ]
    if layer.kind == "average":
        slots.append(Slot("count_padding", layer.count_padding, "count_padding", False))
    return Form(f"padded_{POOLS[layer.kind]}_pool({{0}}, {{args}})", tuple(slots))


def needs_windows(layer: Pooling, spatial: Axes) -> bool:
    """Tell whether torch's own pooling cannot say this one, or refuses a volume smaller than the kernel."""
    axes = list(zip(spatial, layer.padding, layer.kernel, strict=True))
    if any(max(pads) >= k for _, pads, k in axes):
        raise Unbuildable(f"Pooling: got padding {layer.padding}, expected less than kernel {layer.kernel}")
    if layer.kind == "average" and len(axes) == 3 and any(n < k for n, _, k in axes):
        return True
    odd = any(before != after or not 0 <= 2 * before <= k for _, (before, after), k in axes)
    return odd and not _only_cuts(layer)


def _only_cuts(layer: Pooling) -> bool:
    """Tell whether padding does no more than torch's `ceil_mode`: s - 1 after the map and none before it."""
    if layer.ceil_mode or layer.count_padding:
        return False
    axes = zip(layer.padding, layer.stride, layer.kernel, strict=True)
    return all(pads == (0, s - 1) and s <= k for pads, s, k in axes)
