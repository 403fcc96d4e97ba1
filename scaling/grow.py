"""Grows a network by factors of depth, width and resolution: asked factors -> whole numbers -> a network."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Literal

from search_spaces.block import Block, Head, fixed
from search_spaces.data import declared
from search_spaces.errors import BadInput
from search_spaces.network import Network, Stage

from .anatomy import Anatomy, Sizes
from .rounding import Rounding
from .rules import Factors
from .widths import resized, resized_layers

Unlike = Literal["stretch", "repeat_last"]
MOST_DROPOUT = 0.9


def asked_sizes(parts: Anatomy, factors: Factors, rounding: Rounding) -> Sizes:
    """Return the whole numbers that factors come to; `BadInput` where the resolution cannot change."""
    if parts.rigid and factors.resolution != 1.0:
        raise BadInput(
            f"head ({parts.rigid}): got a resolution factor of {factors.resolution:g}, expected 1, for its dense "
            "layers fit one size of map; --fix resolution, or give the head a size to pool to"
        )
    own = parts.sizes
    return Sizes(
        tuple(rounding.width(n, factors.width, multiple) for n, multiple in parts.widths.items()),
        tuple(rounding.depth(n, factors.depth) for n in own.depths),
        tuple(rounding.size(n, factors.resolution) for n in own.spatial),
        round(factors.dropout, 2),
    )


def grown(parts: Anatomy, sizes: Sizes, *, unlike: Unlike = "stretch", step: int = 8) -> Network:
    """Return the base with other sizes, itself where they are its own; whether it can be built is not looked at.

    `unlike` says how a stage of unlike layers grows: `stretch`, each as often as the others, the first ones once
    more where it does not come out even, or `repeat_last`. Both leave out the last ones first.
    """
    base = parts.base
    if sizes == parts.sizes:
        return base
    width = dict(zip(parts.widths, sizes.widths, strict=True)).__getitem__
    stages: list[Stage] = []
    for i, stage in enumerate(base.stages):
        own = fixed(stage)
        m = parts.follows.get(i)
        wide = width(fixed(own.width)) if m is None else m * fixed(stages[-1].width)
        layers = resized_layers(own, wide, width, step)
        stages.append(
            replace(own, width=wide, blocks=_deepened(layers, parts.repeats[i], sizes.depths[i], unlike))
        )
    stem = fixed(base.stem)
    if stem is not None:
        wide = width(fixed(stem.width))
        stem = replace(stem, width=wide, blocks=resized_layers(stem, wide, width, step))
    return replace(
        base,
        input=(base.input[0], *sizes.spatial),
        stem=stem,
        stages=tuple(stages),
        head=dropping(resized(fixed(base.head), width, spot=None, step=step), sizes.dropout),
        shared=tuple(
            replace(one, block=resized(fixed(one.block), width, spot=None, step=step)) for one in base.shared
        ),
    )


def got_factors(parts: Anatomy, sizes: Sizes, network: Network) -> Factors:
    """Return what a grown network has over its base.

    Depth: layers that may be repeated, of all stages. Width: channels of stem and stages, summed. Resolution: the
    n-th root of all positions. Dropout: what is added to the head's last rate.
    """
    own, base = parts.sizes, parts.base
    positions = prod(sizes.spatial) / prod(own.spatial)
    return Factors(
        depth=sum(sizes.depths) / sum(own.depths) if sum(own.depths) else 1.0,
        width=_channels(network) / _channels(base),
        resolution=float(positions ** (1 / len(own.spatial))),
        dropout=round(_last_rate(fixed(network.head)) - _last_rate(fixed(base.head)), 6),
    )


def _deepened(
    layers: tuple[Block, ...], repeats: tuple[bool, ...], depth: int, unlike: Unlike
) -> tuple[Block, ...]:
    """Return layers of which those that may be repeated are `depth` in all."""
    n = sum(repeats)
    if depth == n:
        return layers
    if unlike == "stretch":
        times = [depth // n + (i < depth % n) for i in range(n)]
    else:
        times = [int(i < depth) for i in range(n)]
        times[-1] += max(0, depth - n)
    left = iter(times)
    return tuple(
        layer for layer, again in zip(layers, repeats, strict=True) for _ in range(next(left) if again else 1)
    )


def dropping(head: Head, added: float) -> Head:
    """Return a head whose rates, where there are any, are higher by as much."""
    if not added or "dropout" not in {name for name, _ in declared(type(head))}:
        return head
    rates: object = getattr(head, "dropout")  # noqa: B009
    dropout = tuple(_higher(r, added) for r in rates) if isinstance(rates, tuple) else _higher(rates, added)
    return replace(head, dropout=dropout)  # type: ignore[type-var]


def _higher(rate: object, added: float) -> object:
    if not isinstance(rate, float) or rate == 0:
        return rate
    return min(max(round(rate + added, 4), 0.0), max(rate, MOST_DROPOUT))


def _last_rate(head: Head) -> float:
    rates = getattr(head, "dropout", 0.0)
    return float(rates[-1] if isinstance(rates, tuple) else rates)


def _channels(network: Network) -> int:
    stem = fixed(network.stem)
    stages = sum(fixed(fixed(stage).width) for stage in network.stages)
    return stages if stem is None else stages + fixed(stem.width)
