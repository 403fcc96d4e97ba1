"""A module lent for measuring, and given back as it was; and torch's own settings likewise."""

from __future__ import annotations

import copy
import gc
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from .allocator import kept_memory

Container = dict[object, object] | list[object] | set[object]


@contextmanager
def lent(
    module: nn.Module, device: torch.device, *, dtype: torch.dtype, memory_format: str
) -> Iterator[nn.Module]:
    """Hand out a module in evaluation mode on a device; afterwards it is just as it was, whatever happened.

    It runs on copies of its parameters and buffers. Given back as they were: these, the mode of every part,
    hooks, gradients, and all attributes, with what is in them where they are dicts, lists or sets.
    """
    parts = list(module.modules())
    attributes = [dict(vars(part)) for part in parts]
    inside = [
        (value, copy.copy(value))
        for own in attributes
        for value in own.values()
        if isinstance(value, dict | list | set)
    ]
    parameters = [(p, p.data) for p in module.parameters()]
    try:
        for parameter, data in parameters:
            parameter.data = _moved(data, device, dtype, memory_format)
        for part in parts:
            for name, buffer in part._buffers.items():
                part._buffers[name] = None if buffer is None else _moved(buffer, device, dtype, memory_format)
        yield module.eval()
    finally:
        for parameter, data in parameters:
            parameter.data = data
        for part, own in zip(parts, attributes, strict=True):
            vars(part).clear()
            vars(part).update(own)
        for container, content in inside:
            _refill(container, content)


@contextmanager
def quiet_torch(device: torch.device, *, threads: int) -> Iterator[None]:
    """Set the threads, keep memory, collect no garbage, need no gradients; all is set back afterwards.

    torch's global generators are left where they were.
    """
    before, collecting = torch.get_num_threads(), gc.isenabled()
    gc.disable()
    torch.set_num_threads(threads)
    try:
        devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices), torch.inference_mode(), kept_memory():
            yield
    finally:
        torch.set_num_threads(before)
        if collecting:
            gc.enable()


def example_input(
    shape: tuple[int, ...], batch: int, *, device: torch.device, dtype: torch.dtype, memory_format: str
) -> Tensor:
    """Return `batch` examples of normal noise, `(N, channels, *spatial)`; the same ones each time."""
    noise = torch.randn(batch, *shape, generator=torch.Generator().manual_seed(0))
    return _moved(noise, device, dtype, memory_format)


def part_that_failed(module: nn.Module, error: BaseException) -> str:
    """Return the name and class of the innermost part that was running when an error was raised."""
    names = {id(part): name for name, part in module.named_modules()}
    place, trace = module, error.__traceback__
    while trace is not None:
        running = trace.tb_frame.f_locals.get("self")
        if isinstance(running, nn.Module) and id(running) in names:
            place = running
        trace = trace.tb_next
    name = names[id(place)]
    return f"{name} ({type(place).__name__})" if name else type(place).__name__


def _moved(tensor: Tensor, device: torch.device, dtype: torch.dtype, memory_format: str) -> Tensor:
    """Return a copy; whole numbers keep their type, and what has no channels its layout."""
    of = dtype if tensor.is_floating_point() else tensor.dtype
    return tensor.detach().to(device, of, copy=True, memory_format=_layout(tensor.dim(), memory_format))


def _layout(axes: int, memory_format: str) -> torch.memory_format:
    if axes not in (4, 5):
        return torch.preserve_format
    if memory_format == "contiguous":
        return torch.contiguous_format
    return torch.channels_last if axes == 4 else torch.channels_last_3d


def _refill(container: Container, content: Container) -> None:
    if isinstance(container, list):
        container[:] = content
    else:
        container.clear()
        container.update(content)  # type: ignore[arg-type]  # a copy of the same kind
