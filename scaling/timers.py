"""The clocks of devices: each waits for all that a run set off before it reads the time."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self

from .rounds import Run, Sample

NAP = 0.01  # seconds in which nothing of ours should run
THREADS_REST = 0.05  # seconds after which idle threads of a pool no longer spin
EVENT_TICK = 5e-7  # seconds, says CUDA's manual of cudaEventElapsedTime
EVENTS_MISS = (
    1.05,
    1e-4,
)  # of the wall clock: by this factor and these seconds it may exceed what events say


def page_faults() -> int:
    """Return how many pages the kernel has given this process so far without reading a disk; 0 where nobody counts."""
    if sys.platform == "win32":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """What tells the time, in seconds, on the wall, of this thread's and of this process's work; and page faults."""

    wall: Callable[[], float] = time.perf_counter
    thread: Callable[[], float] = time.thread_time
    process: Callable[[], float] = time.process_time
    faults: Callable[[], int] = page_faults
    sleep: Callable[[float], object] = time.sleep
    resolution: float = time.get_clock_info("perf_counter").resolution


class ProcessorTimer:
    """Times by the wall clock, beside the processor time that this thread and this process had.

    What the wall clock shows and the others do not was taken by somebody else, or spent waiting. `synchronise`
    waits for accelerators that a run may use on its own account.
    """

    def __init__(
        self,
        *,
        threads: int = 1,
        synchronise: Callable[[], object] = lambda: None,
        clocks: Clocks | None = None,
    ) -> None:
        self._clocks = clocks or Clocks()
        self.now, self.resolution = self._clocks.wall, self._clocks.resolution
        self._synchronise = synchronise
        self._rest = THREADS_REST if threads > 1 else 0.0

    def sample(self, run: Run, repeats: int) -> Sample:
        """Return the timing of as many runs, one after the other."""
        thread_clock, process_clock = self._clocks.thread, self._clocks.process
        self._synchronise()
        thread, process, faults = thread_clock(), process_clock(), self._clocks.faults()
        began = self.now()
        for _ in range(repeats):
            run()
        self._synchronise()
        took = self.now() - began
        thread, process = thread_clock() - thread, process_clock() - process
        return Sample(
            at=began + took / 2,
            seconds=took / repeats,
            held=thread / took if took > 0 else None,
            cores=process / took if took > 0 else None,
            faults=(self._clocks.faults() - faults) / repeats,
        )

    def left_over(self) -> float:
        """Return how many cores this process keeps busy though no run is under way."""
        self._synchronise()
        self._clocks.sleep(self._rest)
        process, began = self._clocks.process(), self.now()
        self._clocks.sleep(NAP)
        return (self._clocks.process() - process) / max(NAP, self.now() - began)


class WaitingTimer:
    """Times by the wall clock until the device is idle: for devices without events of their own."""

    def __init__(self, *, synchronise: Callable[[], object], clocks: Clocks | None = None) -> None:
        clocks = clocks or Clocks()
        self.now, self.resolution = clocks.wall, clocks.resolution
        self._synchronise = synchronise

    def sample(self, run: Run, repeats: int) -> Sample:
        """Return the timing of as many runs, one after the other."""
        self._synchronise()
        began = self.now()
        for _ in range(repeats):
            run()
        self._synchronise()
        took = self.now() - began
        return Sample(at=began + took / 2, seconds=took / repeats)

    def left_over(self) -> float:
        """Return 0: `sample` waits for the whole device."""
        return 0.0


class Event(Protocol):
    """A mark in a stream's work."""

    def record(self) -> object:
        """Put the mark behind all that was asked for so far."""
        ...

    def elapsed_time(self, end_event: Self) -> float:
        """Return the milliseconds from this mark to another."""
        ...


class EventTimer:
    """Times by events in the device's own stream, which leave out the way there and back.

    Work that a run put on another stream escapes events: where the wall clock, read once the whole device is idle,
    says clearly more, the wall clock counts.
    """

    def __init__(
        self,
        *,
        synchronise: Callable[[], object],
        event: Callable[[], Event],
        clocks: Clocks | None = None,
    ) -> None:
        clocks = clocks or Clocks()
        self.now, self.resolution = clocks.wall, max(clocks.resolution, EVENT_TICK)
        self._synchronise, self._event = synchronise, event

    def sample(self, run: Run, repeats: int) -> Sample:
        """Return the timing of as many runs, one after the other."""
        start, end = self._event(), self._event()
        self._synchronise()
        began = self.now()
        start.record()
        for _ in range(repeats):
            run()
        end.record()
        self._synchronise()
        took = self.now() - began
        by_events = start.elapsed_time(end) / 1000
        factor, more = EVENTS_MISS
        counts = by_events if took <= factor * by_events + more else took
        return Sample(at=began + took / 2, seconds=counts / repeats)

    def left_over(self) -> float:
        """Return 0: `sample` waits for the whole device."""
        return 0.0
