"""How pooling is written: by torch's own functions where they can say it, else by a helper that pads first.

The decisions are those of `pooling`, as of the modules, so that both compute alike.
"""

from __future__ import annotations

from .layers import Pooling
from .pooling import only_cuts
from .source_form import Form, Slot, same

POOLS = {"max": "max", "average": "avg"}


def pool_slots(layer: Pooling) -> tuple[Slot, ...]:
    """Return the arguments of torch's own pooling."""
    cut = only_cuts(layer)
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
