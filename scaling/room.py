"""Whether what is to be measured fits into memory: said from formulas, before anything is allocated."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import torch
from torch import nn

from search_spaces.block import fixed
from search_spaces.errors import BadInput
from search_spaces.layers import Shape
from search_spaces.modules import available_bytes
from search_spaces.network import Network

from .cost import cost
from .memory import BYTES_PER_NUMBER

GIB = 2**30


def check_room(
    models: Mapping[str, Network | nn.Module],
    shape: Shape | None,
    *,
    batch: int,
    dtype: torch.dtype,
    device: torch.device,
) -> None:
    """Raise `BadInput` where weights, inputs and the largest feature maps at once exceed the memory that is free.

    Weights count once as they are built or given and once as they are measured. Of a module that is no `Network`
    only weights and input are known.
    """
    size = dtype.itemsize
    given = {name: _weights(model) for name, model in models.items()}
    maps = {name: batch * size * _numbers(model, shape) for name, model in models.items()}
    largest = max(maps, key=maps.__getitem__)
    built = BYTES_PER_NUMBER * sum(
        given[name] for name, model in models.items() if isinstance(model, Network)
    )
    weights = size * sum(given.values())
    if device.type == "cuda":
        _check("memory of this machine", largest, built, 0, batch, available_bytes())
        _check(
            f"memory of {device}", largest, weights, maps[largest], batch, torch.cuda.mem_get_info(device)[0]
        )
    else:
        _check("memory", largest, built + weights, maps[largest], batch, available_bytes())


def _check(where: str, name: str, weights: int, maps: int, batch: int, room: int) -> None:
    if weights + maps <= room:
        return
    fits = int((room - weights) * batch // maps) if maps and room > weights else 0
    advice = f"a batch of {fits} would fit" if fits else "take a smaller network or input"
    raise BadInput(
        f"{name}: got {weights / GIB:,.1f} GiB of weights and {maps / GIB:,.1f} GiB of feature maps at once for "
        f"a batch of {batch:,}, expected at most the {room / GIB:,.1f} GiB of {where} that are free; {advice}"
    )


def _weights(model: Network | nn.Module) -> int:
    return cost(model).params if isinstance(model, Network) else sum(p.numel() for p in model.parameters())


def _numbers(model: Network | nn.Module, shape: Shape | None) -> int:
    """Return the most numbers in feature maps at once, for one example."""
    if isinstance(model, Network):
        return cost(model).peak_bytes // BYTES_PER_NUMBER
    return prod(shape or ())


def shape_of(name: str, model: Network | nn.Module, shape: Shape | None) -> Shape:
    """Return the shape of one example, which a module that is no `Network` must be told."""
    if isinstance(model, Network):
        return tuple(fixed(n) for n in model.input)
    if shape is None:
        raise BadInput(
            f"{name}: got a module without an input, expected its shape, such as --input 3,224,224"
        )
    return shape
