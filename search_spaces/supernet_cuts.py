"""Which part of a layer's largest weight a member uses: first channels, centre of the kernel, its own groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from .errors import Unbuildable
from .layers import Convolution, Layer, Shape

Index = tuple[slice, ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """A part of a weight; with `blocks`, parts below one another, each (rows, columns) of its own."""

    index: Index
    blocks: tuple[Index, ...] = ()

    def of(self, weight: Tensor) -> Tensor:
        """Return the part, dense in memory; its gradient is that of the whole weight, zero elsewhere."""
        return cast(Tensor, _Cut.apply(weight, self))  # type: ignore[no-untyped-call]


class _Cut(torch.autograd.Function):
    """One operator for all axes: slices one after the other would each write a whole gradient."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, weight: Tensor, cut: Cut) -> Tensor:
        ctx.cut, ctx.like = cut, weight  # type: ignore[attr-defined]
        if cut.blocks:
            return torch.cat([weight[index] for index in cut.blocks])
        return weight[cut.index].contiguous(memory_format=_layout(weight))

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None]:
        [gradient] = gradients
        cut: Cut = ctx.cut  # type: ignore[attr-defined]
        whole = torch.zeros_like(ctx.like)  # type: ignore[attr-defined]
        if not cut.blocks:
            whole[cut.index] = gradient
            return whole, None
        parts = torch.split(gradient, [index[0].stop - index[0].start for index in cut.blocks])
        for index, part in zip(cut.blocks, parts, strict=True):
            whole[index] = part
        return whole, None


def cut_of(held: Shape, wanted: Shape, layer: Layer, *, fewest: int, name: str) -> Cut | None:
    """Return where a weight of the wanted shape lies in a held one; None where it is all of it.

    `fewest` is the least number of groups of the layer over the members. Channels and outputs are the first ones,
    kernels share the position that reads the point itself, groups read what they would read in the dense kernel.
    Raises `Unbuildable` where more is wanted than is held.
    """
    if len(held) != len(wanted) or any(w > h for w, h in zip(wanted, held, strict=True)):
        raise Unbuildable(
            f"{name}: got a member that needs weights of {wanted}, expected at most {held}, the largest that the "
            "supernet was made with; was the member drawn from this space?"
        )
    if wanted == held and not (isinstance(layer, Convolution) and _regrouped(layer, held, fewest)):
        return None
    sliced = isinstance(layer, Convolution)
    index = tuple(
        _centred(h, w) if sliced and axis >= 2 else slice(0, w)
        for axis, (h, w) in enumerate(zip(held, wanted, strict=True))
    )
    if isinstance(layer, Convolution) and len(wanted) > 1 and _regrouped(layer, held, fewest):
        return Cut(index, _blocks(index, layer.groups, fewest))
    return Cut(index)


def _regrouped(layer: Convolution, held: Shape, fewest: int) -> bool:
    return len(held) > 1 and held[1] > 1 and layer.groups > fewest


def _blocks(index: Index, groups: int, fewest: int) -> tuple[Index, ...]:
    """Return the diagonal blocks that finer groups are of coarser ones."""
    rows, columns, *rest = index
    each, out = columns.stop, rows.stop // groups
    ratio = groups // fewest
    return tuple(
        (slice(i * out, (i + 1) * out), slice(i % ratio * each, (i % ratio + 1) * each), *rest)
        for i in range(groups)
    )


def _centred(held: int, wanted: int) -> slice:
    """Return the wanted positions of a kernel around the point it is at: `same` padding puts (k - 1) // 2 before."""
    start = (held - 1) // 2 - (wanted - 1) // 2
    return slice(start, start + wanted)


def _layout(weight: Tensor) -> torch.memory_format:
    last = weight.ndim == 4 and weight.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last and not weight.is_contiguous() else torch.contiguous_format
