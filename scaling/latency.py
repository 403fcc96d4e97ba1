"""Latency measured honestly: interleaved with a sentinel, warm, synchronised, with its spread, or called unstable."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import lru_cache
from itertools import islice

import torch
from torch import Tensor, nn

from search_spaces.blocks import Conv, MBConv
from search_spaces.errors import BadInput, Unbuildable
from search_spaces.heads import Classifier
from search_spaces.layers import Shape
from search_spaces.modules import build
from search_spaces.network import Network, Stage

from .cost import cost
from .device import cores, device_named, fingerprint
from .graphs import captured, cuda_timer
from .lending import example_input, lent, part_that_failed, quiet_torch
from .room import check_room, shape_of
from .rounds import Run, Timer, timed_together
from .stability import METHOD
from .timers import ProcessorTimer, WaitingTimer
from .timing import Latency, Ratio, Session, Settings
from .verdict import SENTINEL, Common, verdict

__all__ = [
    "METHOD", "SENTINEL", "Latency", "Ratio", "Session", "Settings", "measure", "measure_in_groups",
    "measure_together", "sentinel",
]  # fmt: skip

SENTINEL_BATCH = {"cpu": 1}  # elsewhere GPU_BATCH, which keeps a large device busy
GPU_BATCH = 16


def measure(
    model: Network | nn.Module,
    *,
    name: str = "model",
    settings: Settings | None = None,
    shape: Shape | None = None,
    timer: Timer | None = None,
) -> Latency:
    """Return the latency of one network, measured beside the sentinel; see `measure_together`."""
    return measure_together({name: model}, settings=settings, shape=shape, timer=timer).models[0]


def measure_in_groups(
    models: Iterable[tuple[str, Network]], *, settings: Settings | None = None, group: int = 8
) -> Iterator[Latency]:
    """Yield the latencies of many networks, so many in memory at once; their ratios to the sentinel compare."""
    left = iter(models)
    while some := dict(islice(left, group)):
        yield from measure_together(some, settings=settings).models


def measure_together(
    models: Mapping[str, Network | nn.Module],
    *,
    settings: Settings | None = None,
    shape: Shape | None = None,
    timer: Timer | None = None,
) -> Session:
    """Return the latencies of networks timed in turn with the sentinel, so that drift cancels in their ratios.

    A `Network` is built; a module of the user's own takes `(batch, *shape)`, runs on copies of its weights in
    evaluation mode, and is left as it was, also where measuring fails. Raises `BadInput` for settings that this
    machine does not have, for what does not fit into memory (before any of it is allocated), and with the
    name of the part where a module cannot take the input.
    """
    settings = settings or Settings()
    if not models or SENTINEL in models:
        raise BadInput(
            f"models: got {', '.join(models) or 'none'}, expected one or more, none named {SENTINEL!r}"
        )
    device = device_named(settings.device)
    if settings.threads > cores():
        raise BadInput(f"threads: got {settings.threads}, expected 1 to {cores()}, the cores we may use")
    shapes = {name: shape_of(name, model, shape) for name, model in models.items()}
    for name, model in models.items():
        with _named(name):
            _check_layers(model)
    check_room(models, shape, batch=settings.batch, dtype=_dtype(settings), device=device)
    with ExitStack() as stack:
        modules = {
            name: stack.enter_context(
                lent(_built(name, model), device, dtype=_dtype(own), memory_format=own.memory_format)
            )
            for name, model, own in _subjects(models, settings)
        }
        stack.enter_context(torch.cuda.device(device) if device.type == "cuda" else nullcontext())
        stack.enter_context(quiet_torch(device, threads=settings.threads))
        runs = [
            _run(name, modules[name], shapes.get(name) or shape_of(name, model, None), own, device)
            for name, model, own in _subjects(models, settings)
        ]
        timed, how, own_timer = _prepared(runs, device, settings)
        timer = timer or own_timer
        began = timer.now()
        seen = timed_together(timer, timed, seconds=settings.seconds * len(models))
        spent = timer.now() - began
    common = Common(how, settings, fingerprint(device))
    return verdict(list(models), seen, common, spent, timer.resolution)


@lru_cache(maxsize=1)
def sentinel() -> Network:
    """Return the fixed network that stands beside every measurement; tables rest on its never changing."""
    stages = [(24, 1), (48, 2), (96, 2)]
    return Network(
        input=(3, 64, 64),
        stem=Stage(blocks=(Conv(),), width=16, stride=2),
        stages=tuple(Stage(blocks=(MBConv(expand=4.0),) * n, width=width, stride=2) for width, n in stages),
        head=Classifier(classes=100, width=480),
    )


def _subjects(
    models: Mapping[str, Network | nn.Module], settings: Settings
) -> list[tuple[str, Network | nn.Module, Settings]]:
    """Return all that is timed, the sentinel first, each with its settings."""
    batch = SENTINEL_BATCH.get(settings.device, GPU_BATCH)
    plain = replace(settings, batch=batch, dtype="float32", memory_format="contiguous", compile="none")
    return [(SENTINEL, sentinel(), plain), *((name, model, settings) for name, model in models.items())]


def _dtype(settings: Settings) -> torch.dtype:
    of: torch.dtype = getattr(torch, settings.dtype)
    return of


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Say which network it is whose layers do not fit together or into memory."""
    try:
        yield
    except Unbuildable as error:
        raise Unbuildable(f"{name}: {error}") from None


def _check_layers(model: Network | nn.Module) -> None:
    """Raise `Unbuildable` where a network's layers do not fit together: before weights of any are made."""
    if isinstance(model, Network):
        cost(model)


def _built(name: str, model: Network | nn.Module) -> nn.Module:
    if not isinstance(model, Network):
        return model
    with _named(name):
        return build(model)


def _run(name: str, module: nn.Module, shape: Shape, settings: Settings, device: torch.device) -> Run:
    """Return what runs a module once, tried; it raises `BadInput` with the part of the module that fails."""
    x = example_input(
        shape, settings.batch, device=device, dtype=_dtype(settings), memory_format=settings.memory_format
    )
    called: Callable[[Tensor], object] = module
    if settings.compile != "none":
        called = torch.compile(module, mode=settings.compile)

    def run() -> None:
        try:
            called(x)
        except Exception as error:  # whatever the user's module raises, they get a message
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise BadInput(
                f"{name}: {part_that_failed(module, error)} cannot take an input of {tuple(x.shape)} in "
                f"{settings.dtype} on {settings.device}{_compiled(settings)}: {first}; change the input or settings"
            ) from error

    run()
    return run


def _compiled(settings: Settings) -> str:
    return "" if settings.compile == "none" else f", compiled ({settings.compile})"


def _prepared(
    runs: Sequence[Run], device: torch.device, settings: Settings
) -> tuple[Sequence[Run], str, Timer]:
    """Return the runs as they are to be timed, the way they are, and the device's timer."""
    if device.type == "cuda":
        replays = captured(runs) if settings.compile == "none" else None
        return replays or runs, "cuda graph, events" if replays else "cuda events", cuda_timer()
    if device.type == "mps":
        return runs, "wall clock", WaitingTimer(synchronise=torch.mps.synchronize)
    return runs, "wall clock", ProcessorTimer(threads=settings.threads, synchronise=_wait_for_accelerators)


def _wait_for_accelerators() -> None:
    """Wait for a GPU that a module uses on its own account."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()
