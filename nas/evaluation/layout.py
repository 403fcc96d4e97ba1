"""How a supernet's maps lie in memory: as told, or as a few steps show to be faster."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from search_spaces.supernet import Supernet, Vectors

from .precision import Precision

ROUNDS = 3  # a layout; the fastest one counts


def laid_out(net: Supernet, rule: Precision, *, asked: str, x: Tensor, vectors: Vectors) -> Precision:
    """Return the rule with the layout that is asked for; `probe` times both on a batch. The net is left as it was."""
    layouts = {
        "channels_last": replace(rule, channels_last=True),
        "contiguous": replace(rule, channels_last=False),
    }
    if asked != "probe":
        return layouts[asked]
    kept = [buffer.clone() for buffer in net.buffers()]
    seconds = {name: _seconds(net, own, x, vectors) for name, own in layouts.items()}
    relaid(net, rule)
    with torch.no_grad():
        for buffer, value in zip(net.buffers(), kept, strict=True):
            buffer.copy_(value)
    return layouts[min(seconds, key=lambda name: seconds[name])]


def relaid(net: Supernet, rule: Precision) -> None:
    """Lay a net's weights out as a rule says; convolutions over one or three axes have one layout."""
    if any(weight.ndim == 4 for weight in net.parameters()):
        layout = torch.channels_last if rule.channels_last else torch.contiguous_format
        for weight in net.parameters():
            if weight.ndim == 4:
                weight.data = weight.data.contiguous(memory_format=layout)


def _seconds(net: Supernet, rule: Precision, x: Tensor, vectors: Vectors) -> float:
    relaid(net, rule)
    x = rule.arrange(x)
    weights = [weight for weight in net.parameters() if weight.requires_grad]

    def step() -> None:
        with rule.computing():
            loss = net(x, vectors).float().square().mean()
        torch.autograd.grad(loss, weights, allow_unused=True)

    return min(_timed(step, rule.device) for _ in range(ROUNDS + 1))


def _timed(step: Callable[[], None], device: torch.device) -> float:
    began = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began
