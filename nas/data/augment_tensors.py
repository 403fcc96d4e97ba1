"""The tensor side of augmentation: each change is a pure function of a batch and of what was drawn for it.

A batch x is (N, C, *spatial). What is drawn for a place is one (N,) tensor of whole numbers a spatial axis.
Nothing here waits for the device.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from search_spaces.errors import BadInput

Places = tuple[Tensor, ...]
Key = tuple[Tensor | slice | int, ...]


def draw_chosen(x: Tensor, probability: float, *, generator: Generator) -> Tensor:
    """Return (N,) booleans, each true with `probability`."""
    return (torch.rand(len(x), generator=generator, device=generator.device) < probability).to(x.device)


def draw_places(x: Tensor, counts: tuple[int, ...], *, generator: Generator) -> Places:
    """Return whole numbers below `counts`, one count a spatial axis."""
    return tuple(
        torch.randint(count, (len(x),), generator=generator, device=generator.device).to(x.device)
        for count in counts
    )


def flip(x: Tensor, chosen: Tensor, *, axis: int) -> Tensor:
    """Mirror the `chosen` (N,) examples along `axis`, -1 being the last."""
    if -axis > x.ndim - 2:
        raise BadInput(
            f"Flip.axis: got {axis}, expected one of the {x.ndim - 2} spatial axes of the input; change it"
        )
    return torch.where(chosen.view(-1, *[1] * (x.ndim - 1)), x.flip(axis), x)


def crop(x: Tensor, offsets: Places, *, padding: int, fill: Literal["zero", "reflect"] = "zero") -> Tensor:
    """Pad by `padding`, then cut each example out at its offsets; `padding` itself is no shift."""
    if fill == "reflect" and padding >= min(x.shape[2:]):
        raise BadInput(
            f"Crop.padding: got {padding}, expected less than the shortest side of {tuple(x.shape[2:])} to "
            "reflect; lower it or fill with zero"
        )
    padded = F.pad(x, (padding,) * (2 * (x.ndim - 2)), mode="constant" if fill == "zero" else "reflect")
    cut: Key = (torch.arange(len(x), device=x.device), slice(None), *offsets)
    return _windows(padded, x.shape[2:])[cut]


def cutout(x: Tensor, centres: Places, *, size: int) -> Tensor:
    """Set to 0, in all channels, the box of `size` around the centres, as far as it is inside.

    Along an axis it covers centre - size // 2 to centre - size // 2 + size - 1.
    """
    if size > min(x.shape[2:]):
        raise BadInput(
            f"Cutout.size: got {size}, expected at most the shortest side of {tuple(x.shape[2:])}; lower it"
        )
    # Every mask is a window of one canvas, twice as large as x, with the box in its middle.
    canvas = torch.zeros([2 * length - 1 for length in x.shape[2:]], dtype=torch.bool, device=x.device)
    firsts = [length - 1 - size // 2 for length in x.shape[2:]]
    canvas[tuple(slice(first, first + size) for first in firsts)] = True
    offsets = [length - 1 - centre for length, centre in zip(x.shape[2:], centres, strict=True)]
    cut: Key = (0, 0, *offsets)
    masks = _windows(canvas[None, None], x.shape[2:])[cut]
    return x.masked_fill(masks.unsqueeze(1), 0)


def _windows(x: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Return the view (N, C, *places, *sizes) of everything of `sizes` that can be cut out of `x`."""
    for axis, size in enumerate(sizes, start=2):
        x = x.unfold(axis, size, 1)
    return x
