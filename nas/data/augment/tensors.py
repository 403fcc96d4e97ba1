"""The tensor side of augmentation: each change is a pure function of a batch and of what was drawn for it.

A batch x is (N, C, *spatial). What is drawn for a place is one (N,) tensor of whole numbers a spatial axis;
strengths are (N,). Nothing here waits for the device.
"""

from __future__ import annotations

from functools import reduce
from itertools import combinations
from math import ceil
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from search_spaces.errors import BadInput

from .base import Fill, Mixed, Range, Targets

Places = tuple[Tensor, ...]
Plane = tuple[int, int]  # two spatial axes, counted from 0
Key = tuple[Tensor | slice | int, ...]
CUT_OFF = 3  # sigmas of a Gaussian
FILLS = {"zero": "zeros", "edge": "border", "reflect": "reflection"}  # in torch's words


def draw_chosen(x: Tensor, probability: float, *, generator: Generator) -> Tensor:
    """Return (N,) booleans, each true with `probability`."""
    return (torch.rand(len(x), generator=generator, device=generator.device) < probability).to(x.device)


def draw_places(x: Tensor, counts: tuple[int, ...], *, generator: Generator) -> Places:
    """Return whole numbers below `counts`, one count a spatial axis."""
    return tuple(
        torch.randint(count, (len(x),), generator=generator, device=generator.device).to(x.device)
        for count in counts
    )


def draw_strengths(
    x: Tensor, bounds: Range, *, chosen: Tensor, neutral: float = 0.0, generator: Generator
) -> Tensor:
    """Return (N,) numbers, uniform within `bounds` for the chosen examples and `neutral` for the others."""
    low, high = bounds
    drawn = torch.rand(len(x), generator=generator, device=generator.device).to(x)
    return torch.where(chosen, low + (high - low) * drawn, neutral)


def draw_order(x: Tensor, *, generator: Generator) -> Tensor:
    """Return the numbers of the examples, shuffled."""
    return torch.randperm(len(x), generator=generator, device=generator.device).to(x.device)


def draw_share(x: Tensor, alpha: float, *, probability: float = 1.0, generator: Generator) -> Tensor:
    """Return one number from Beta(alpha, alpha), of x's type; with 1 - `probability`, or for alpha 0, a 1.

    Beta is G / (G + H) of two Gamma(alpha), and Gamma(alpha) is Gamma(alpha + 1) * U ** (1 / alpha): in
    logarithms no alpha is too small (Marsaglia & Tsang 2000, section 6).
    """
    if alpha == 0:
        return torch.ones((), dtype=x.dtype, device=x.device)
    uniform = torch.rand(3, generator=generator, dtype=torch.float64, device=generator.device)
    gamma = torch._standard_gamma(uniform.new_full((2,), alpha + 1), generator=generator)
    logs = gamma.log() + uniform[:2].log() / max(alpha, 1e-9)  # below, it is a coin all the same
    return torch.where(uniform[2] < probability, torch.sigmoid(logs[0] - logs[1]), 1.0).to(x)


def flip(x: Tensor, chosen: Tensor, *, axis: int) -> Tensor:
    """Mirror the `chosen` (N,) examples along `axis`, -1 being the last."""
    return torch.where(_each(chosen, x), x.flip(axis), x)


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


def planes(axes: int, axis: int | None) -> tuple[Plane, ...]:
    """Return the planes to turn in: all of `axes` spatial axes, or the one that leaves `axis` as it is.

    >>> planes(3, -3)
    ((1, 2),)
    """
    every = tuple(combinations(range(axes), 2))
    return every if axis is None else tuple(plane for plane in every if axis + axes not in plane)


def rotate(
    x: Tensor, degrees: tuple[Tensor, ...], *, planes: tuple[Plane, ...], fill: Fill = "zero"
) -> Tensor:
    """Turn each example about its centre by its degrees in one plane after the other.

    90 degrees are `torch.rot90(x, dims=plane)`; an example whose angles are 0 is not touched.
    """
    turns = [_turns(angle, plane, x.ndim - 2) for angle, plane in zip(degrees, planes, strict=True)]
    turned = torch.stack(degrees).ne(0).any(0)
    return torch.where(_each(turned, x), _warped(x, reduce(torch.matmul, turns), fill), x)


def scale(x: Tensor, factors: Tensor, *, fill: Fill = "zero") -> Tensor:
    """Enlarge each example about its centre by its factor; one whose factor is 1 is not touched."""
    matrices = torch.diag_embed((1 / factors).unsqueeze(1).expand(-1, x.ndim - 2))
    return torch.where(_each(factors != 1, x), _warped(x, matrices, fill), x)


def blur(x: Tensor, sigmas: Tensor, *, largest: float) -> Tensor:
    """Convolve each example along every axis with a Gaussian of its sigma, none above `largest`.

    Weights sum to 1 over CUT_OFF * largest positions to both sides; the border's values go on outside. A
    sum of shifted copies costs less than a convolution with a kernel an example, and rounds alike everywhere.
    """
    reach = ceil(CUT_OFF * largest)
    places = torch.arange(reach + 1, dtype=x.dtype, device=x.device)
    narrow = sigmas.clamp(min=1e-6).unsqueeze(1)  # there all weight is in the middle
    weights = torch.exp(-0.5 * (places / narrow).square())
    weights = weights / (2 * weights.sum(1, keepdim=True) - 1)
    for axis in range(2, x.ndim):
        x = _smoothed(x, weights, axis)
    return x


def noisy(x: Tensor, stds: Tensor, *, generator: Generator) -> Tensor:
    """Add Gaussian noise of each example's standard deviation."""
    noise = torch.randn(x.shape, generator=generator, device=generator.device, dtype=x.dtype).to(x.device)
    return noise.mul_(_each(stds, x)).add_(x)


def adjust(x: Tensor, *, brightness: Tensor, contrast: Tensor) -> Tensor:
    """Return contrast * (x - mean) + mean + brightness, mean being that of each channel of each example."""
    gain = _each(contrast, x)
    mean = x.mean(tuple(range(2, x.ndim)), keepdim=True)
    return torch.addcmul(mean * (1 - gain) + _each(brightness, x), x, gain)


def mix(x: Tensor, order: Tensor, *, share: Tensor) -> Tensor:
    """Return share * x + (1 - share) * x[order]; `share` is one number."""
    return torch.lerp(x.index_select(0, order), x, share)


def mix_targets(y: Targets, order: Tensor, *, share: Tensor) -> Targets:
    """Mix the targets as `mix` does examples: numbers as such, labels as a pair with its share."""
    if not isinstance(y, Mixed) and y.is_floating_point():
        return mix(y, order, share=share.to(y))
    return Mixed(first=y, second=_reordered(y, order), share=share)


def _reordered(y: Targets, order: Tensor) -> Targets:
    if not isinstance(y, Mixed):
        return y.index_select(0, order)
    first, second = (_reordered(part, order) for part in (y.first, y.second))
    return Mixed(first=first, second=second, share=y.share)


def _turns(degrees: Tensor, plane: Plane, axes: int) -> Tensor:
    """Return the matrices (N, axes, axes) that lead from where a value is to where it was."""
    (a, b), angles = plane, torch.deg2rad(degrees)
    matrices = torch.eye(axes, dtype=degrees.dtype, device=degrees.device).repeat(len(degrees), 1, 1)
    matrices[:, a, a] = matrices[:, b, b] = angles.cos()
    matrices[:, a, b] = angles.sin()
    matrices[:, b, a] = -angles.sin()
    return matrices


def _warped(x: Tensor, matrices: Tensor, fill: Fill) -> Tensor:
    """Take each place's value, linearly, from its matrix (N, axes, axes) times its offset from the centre."""
    if x.ndim == 3:  # torch samples images and volumes; a signal is an image of one row
        return _warped(x.unsqueeze(2), F.pad(matrices, (1, 0, 1, 0)), fill).squeeze(2)
    sizes = x.shape[2:]
    # torch wants the last axis first, and half a size as 1. The sum of each axis's part is several times
    # faster than F.affine_grid, whose products are of rows of three.
    rows = torch.stack([matrices[:, row] * (2 / sizes[row]) for row in reversed(range(len(sizes)))], dim=1)
    grid = torch.zeros((), dtype=x.dtype, device=x.device)
    for axis, size in enumerate(sizes):
        offsets = torch.arange(size, dtype=x.dtype, device=x.device) - (size - 1) / 2
        parts = rows[:, :, axis].view(-1, *[1] * len(sizes), len(sizes))
        grid = grid + offsets.view(-1, *[1] * (len(sizes) - axis)) * parts
    return F.grid_sample(x, grid, padding_mode=FILLS[fill], align_corners=False)


def _smoothed(x: Tensor, weights: Tensor, axis: int) -> Tensor:
    """Sum the neighbours to both sides along an axis, by weights (N, 1 + reach), the middle's first."""
    size, reach = x.shape[axis], weights.shape[1] - 1
    sides = (*(0, 0) * (x.ndim - 1 - axis), reach, reach, *(0, 0) * (axis - 2))
    wide = F.pad(x, sides, mode="replicate")
    smooth = x * _each(weights[:, 0], x)
    for step in range(1, reach + 1):
        pair = wide.narrow(axis, reach - step, size) + wide.narrow(axis, reach + step, size)
        smooth.addcmul_(pair, _each(weights[:, step], x))
    return smooth


def _each(values: Tensor, x: Tensor) -> Tensor:
    """Return (N,) values so that each goes with its example of `x`."""
    return values.view(-1, *[1] * (x.ndim - 1))


def _windows(x: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Return the view (N, C, *places, *sizes) of everything of `sizes` that can be cut out of `x`."""
    for axis, size in enumerate(sizes, start=2):
        x = x.unfold(axis, size, 1)
    return x
