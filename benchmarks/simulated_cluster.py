"""A cluster on a virtual clock: an hour of training passes at once, a driver's own work takes what it takes.

An executor like any other, so that the real `drive` runs the real study on it, journal and all. What is measured is
who waits for whom: a worker for the driver, or the driver for a worker.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nas.execution.base import Ended
from nas.proposal import Outcome, Proposal
from nas.spending import Capacity

Run = Callable[[Proposal], tuple[float, Outcome]]  # seconds at speed 1, and what comes of it


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """One attempt on one worker, in seconds of the virtual clock."""

    ended: float
    began: float
    worker: int
    number: int  # of the proposal


class SimulatedCluster:
    """Workers of given speeds; a trial of s seconds lasts s / speed on its worker.

    `clock` is the driver's, in seconds: what passes on it between two calls is charged to the virtual clock, during
    which running trials go on and idle workers stay idle. One that stands still makes the driver's work free.
    `engine_seconds` are charged for every trial in the same way, as if an engine handed them out one after the other.
    """

    def __init__(
        self,
        speeds: Sequence[float],
        run: Run,
        *,
        engine_seconds: float = 0.0,
        clock: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.workers = len(speeds)
        self.now = 0.0
        self.spans: list[Span] = []  # of all attempts, in the order begun
        self.idle_at_waits: list[tuple[int, int]] = []  # attempts begun and workers idle, whenever waited for
        self._speeds, self._run, self._engine_seconds, self._clock = speeds, run, engine_seconds, clock
        self._idle = deque(range(self.workers))  # the longest idle first
        self._running: list[tuple[Span, Ended]] = []
        self._left_at = clock()

    @property
    def capacity(self) -> Capacity:
        """How many trials run side by side."""
        return Capacity(workers=self.workers)

    @property
    def free(self) -> int:
        """How many more trials can be taken on now."""
        return len(self._idle)

    def submit(self, proposal: Proposal, attempt: int, *, alone: bool = False) -> None:
        """Begin a trial on the worker that has been idle longest; `alone` is not simulated."""
        self._charge(self._engine_seconds)
        seconds, outcome = self._run(proposal)
        worker = self._idle.popleft()
        span = Span(self.now + seconds / self._speeds[worker], self.now, worker, proposal.number)
        self.spans.append(span)
        heapq.heappush(self._running, (span, Ended(proposal.number, attempt, outcome)))
        self._left_at = self._clock()

    def wait(self, seconds: float) -> list[Ended]:
        """Return all that ended while the driver was at work, else go on to the next end, however far."""
        self._charge()
        self.idle_at_waits.append((len(self.spans), self.free))
        if self._running:
            self.now = max(self.now, self._running[0][0].ended)
        happened: list[Ended] = []
        while self._running and self._running[0][0].ended <= self.now:
            span, ended = heapq.heappop(self._running)
            self._idle.append(span.worker)
            happened.append(ended)
        self._left_at = self._clock()
        return happened

    def interrupt(self) -> None:
        """Nothing lasts here."""

    def close(self) -> None:
        """Nothing is held."""

    def _charge(self, more: float = 0.0) -> None:
        self.now += self._clock() - self._left_at + more


def busy_share(spans: Sequence[Span], workers: int, since: float, until: float) -> float:
    """Return which part of the workers' time from `since` to `until` trials ran in."""
    busy = sum(max(0.0, min(span.ended, until) - max(span.began, since)) for span in spans)
    return busy / (workers * (until - since))
