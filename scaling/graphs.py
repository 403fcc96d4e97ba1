"""What is CUDA's own: events that time a stream, and graphs that replay a network without its launches."""

from __future__ import annotations

from collections.abc import Sequence

from torch import cuda

from search_spaces.errors import BadInput

from .rounds import Run
from .timers import Event, EventTimer

WARM_RUNS = 3  # on a stream of their own before a capture, as torch.cuda.graph asks for


def cuda_timer() -> EventTimer:
    """Return a timer of the current CUDA device."""
    return EventTimer(synchronise=cuda.synchronize, event=_event)


def captured(runs: Sequence[Run]) -> list[Run] | None:
    """Return runs that replay CUDA graphs of the given ones; None where one of them cannot be captured.

    All or none, so that networks timed together are timed alike. Waiting for the device, printing a value or
    choosing by one is what cannot be captured.
    """
    replays: list[Run] = []
    try:
        for run in runs:
            _warmed_aside(run)
            graph = cuda.CUDAGraph()
            with cuda.graph(graph):
                run()
            replays.append(graph.replay)
    except (RuntimeError, BadInput):
        cuda.synchronize()
        return None
    return replays


def _event() -> Event:
    event: Event = cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    return event


def _warmed_aside(run: Run) -> None:
    aside, current = cuda.Stream(), cuda.current_stream()  # type: ignore[no-untyped-call]
    aside.wait_stream(current)
    with cuda.stream(aside):
        for _ in range(WARM_RUNS):
            run()
    current.wait_stream(aside)
