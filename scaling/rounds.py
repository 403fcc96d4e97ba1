"""How networks are timed together: in rounds, each between two timings of a sentinel, until the time is spent.

No torch in here: a `Timer` knows the device, so that all of this runs on a simulated clock too.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from math import ceil
from statistics import median
from typing import NamedTuple, Protocol

from .stability import FEWEST

SAMPLE_SECONDS = 0.003  # that one sample should last: short runs are repeated inside it
TICKS = 500  # of the clock that one sample should last, so that it cuts off 0.2 % at most
MOST_REPEATS = 20_000
MOST_GROWTH = 10  # of the repeats in one step while they are sought
LEAD_IN_BELOW = 0.05  # seconds: a shorter run goes once unmeasured first, for the caches are another's
APART = 4  # most networks between two timings of the sentinel
WINDOW = (2, 5)  # least and most samples whose median is held against that of as many before them
WARM = 0.02  # how far those may differ once it is warm
WARM_SHARE = 0.5  # most of the time that warming up may take
OVERTIME = 10.0  # times the seconds asked for that may be spent to come to the fewest samples

Run = Callable[[], object]


class Sample(NamedTuple):
    """One timing: when, the seconds of one run, and what of the processor we had meanwhile, where that is known."""

    at: float  # seconds on the timer's clock, in the middle
    seconds: float
    held: float | None = None  # the share of the time that the calling thread had a core
    cores: float | None = None  # the cores that this process used
    faults: float | None = None  # pages of memory that one run had to be given anew


class Timer(Protocol):
    """Times runs on one device: all that they set off is over before the clock is read."""

    @property
    def resolution(self) -> float:
        """The seconds between two ticks of the clock."""
        ...

    def now(self) -> float:
        """Return the seconds on a clock that never goes back."""
        ...

    def sample(self, run: Run, repeats: int) -> Sample:
        """Return the timing of as many runs, one after the other."""
        ...

    def left_over(self) -> float:
        """Return how many cores this process keeps busy though no run is under way, as far as can be told."""
        ...


@dataclass(slots=True)
class Timed:
    """What was seen of one network."""

    repeats: int = 1
    warm_up: int = 0  # runs before the first sample
    warm: bool = False
    left_over: float = 0.0  # cores
    samples: list[Sample] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)  # to the sentinel, a sample


def timed_together(timer: Timer, runs: Sequence[Run], *, seconds: float) -> list[Timed]:
    """Return what was seen of each run, timed in rounds for about `seconds`; the first one is the sentinel.

    A round times the others in a random order, and the sentinel after them and after every four of them. A
    sample's ratio is to the sentinel's timings before and after it, weighted by how near they are.
    """
    seen = [Timed() for _ in runs]
    began = timer.now()
    for run, own in zip(runs, seen, strict=True):
        own.repeats, own.warm_up = _first_repeats(timer, run)
    _warm_up(timer, runs, seen, until=began + WARM_SHARE * seconds)
    for run, own in zip(runs, seen, strict=True):
        timer.sample(run, 1)
        own.left_over = timer.left_over()
    order, mark = random.Random(0), _take(timer, runs[0], seen[0])
    for rounds in count(1):
        mark = _round(timer, runs, seen, order.sample(range(1, len(runs)), len(runs) - 1), mark)
        spent = timer.now() - began
        if spent >= (seconds if rounds >= FEWEST else OVERTIME * seconds):
            break
    return seen


def _round(
    timer: Timer, runs: Sequence[Run], seen: Sequence[Timed], order: Sequence[int], before: Sample
) -> Sample:
    """Time each network once in the given order; return the sentinel's latest sample, given the one before it."""
    for first in range(0, len(order), APART):
        group = order[first : first + APART]
        samples = [_take(timer, runs[i], seen[i]) for i in group]
        after = _take(timer, runs[0], seen[0])
        for i, sample in zip(group, samples, strict=True):
            seen[i].ratios.append(sample.seconds / _between(before, after, sample.at))
        before = after
    return before


def _take(timer: Timer, run: Run, own: Timed) -> Sample:
    if not own.samples or own.samples[-1].seconds < LEAD_IN_BELOW:
        run()
    sample = timer.sample(run, own.repeats)
    least = timer.resolution / own.repeats  # a clock that has not ticked does not say that no time has passed
    own.samples.append(sample._replace(seconds=max(sample.seconds, least)))
    return own.samples[-1]


def _between(before: Sample, after: Sample, at: float) -> float:
    """Return the sentinel's seconds at a time between two of its timings."""
    share = (at - before.at) / (after.at - before.at) if after.at > before.at else 0.5
    return before.seconds + share * (after.seconds - before.seconds)


def _first_repeats(timer: Timer, run: Run) -> tuple[int, int]:
    """Return how many runs make a sample that lasts, and how many were tried to find out."""
    timer.sample(run, 1)  # the first one also makes what is made once
    tried, repeats, least = 1, 1, _least(timer)
    while True:
        took = timer.sample(run, repeats).seconds * repeats
        tried += repeats
        if took >= least or repeats == MOST_REPEATS:
            return repeats, tried
        wanted = ceil(1.1 * repeats * least / took) if took > 0 else MOST_REPEATS
        repeats = min(wanted, MOST_GROWTH * repeats, MOST_REPEATS)


def _least(timer: Timer) -> float:
    return max(SAMPLE_SECONDS, TICKS * timer.resolution)


def _warm_up(timer: Timer, runs: Sequence[Run], seen: Sequence[Timed], *, until: float) -> None:
    """Run all in turn until the latest samples of each are no faster or slower than those before them.

    Then the repeats are set for good, from the warm samples.
    """
    last: list[list[float]] = [[] for _ in runs]
    began, rounds = timer.now(), 0
    while not all(own.warm for own in seen):
        for run, own, latest in zip(runs, seen, last, strict=True):
            latest.append(timer.sample(run, own.repeats).seconds)
            own.warm_up += own.repeats
        rounds += 1
        a_round = (timer.now() - began) / rounds
        window = max(
            WINDOW[0], min(WINDOW[1], int((until - began) / (4 * a_round)) if a_round else WINDOW[1])
        )
        for own, latest in zip(seen, last, strict=True):
            own.warm = own.warm or _settled(latest, window)
        if timer.now() >= until and rounds >= 2 * window:
            break
    for own, latest in zip(seen, last, strict=True):
        latest_run = median(latest[-WINDOW[1] :])
        wanted = ceil(_least(timer) / latest_run) if latest_run > 0 else MOST_REPEATS
        own.repeats = max(1, min(wanted, MOST_REPEATS))


def _settled(samples: Sequence[float], window: int) -> bool:
    if len(samples) < 2 * window:
        return False
    now, earlier = median(samples[-window:]), median(samples[-2 * window : -window])
    return abs(now - earlier) <= WARM * earlier
