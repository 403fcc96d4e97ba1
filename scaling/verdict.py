"""From timings to results: the numbers, and why they should not be believed, if so."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from .device import Fingerprint
from .rounds import Timed
from .stability import estimate
from .timing import Latency, Ratio, Session, Settings

SENTINEL = "sentinel"  # its name
HELD = 0.93  # of the time a thread must have its core, in the middle sample
LEFT_OVER = 0.25  # cores that may be busy after a run has returned
OWN_THREADS = (1.05, 0.3)  # times the threads asked for, and cores more, that may be in use
TICKS = 100  # of the clock that a sample must last
FAULT_SECONDS = 1e-6  # that a fresh page of memory takes at least; 2.8 were measured on a virtual machine
FAULTS = 0.03  # share of the time that fresh pages may take at least


class Common(NamedTuple):
    """What all results of a session share."""

    timer: str
    settings: Settings
    fingerprint: Fingerprint


def verdict(
    names: Sequence[str], seen: Sequence[Timed], common: Common, spent: float, resolution: float
) -> Session:
    """Return what was seen of the sentinel and then of the named networks, with what speaks against it.

    `resolution` is the clock's tick, `spent` the whole session, both in seconds.
    """
    facts = [_doubt(own, common.settings.threads, resolution) for own in seen]
    every = [
        _latency(name, own, fact, facts[0], common)
        for name, own, fact in zip((SENTINEL, *names), seen, facts, strict=True)
    ]
    firsts = seen[1].samples
    ratios = tuple(
        _ratio(
            names[0],
            [a.seconds / b.seconds for a, b in zip(own.samples, firsts, strict=True)],
            fact or facts[1],
        )
        for own, fact in zip(seen[1:], facts[1:], strict=True)
    )
    return Session(models=tuple(every[1:]), ratios=ratios, sentinel=every[0], seconds=spent)


def _latency(name: str, own: Timed, fact: str | None, sentinels: str | None, common: Common) -> Latency:
    seen = estimate([1000 * sample.seconds for sample in own.samples])
    reason = fact or seen.doubt
    return Latency(
        model=name,
        median_ms=seen.median,
        quartiles_ms=seen.quartiles,
        interval_ms=seen.interval,
        minimum_ms=seen.minimum,
        n=seen.n,
        repeats=own.repeats,
        warm_up=own.warm_up,
        seconds=own.repeats * sum(sample.seconds for sample in own.samples),
        stable=reason is None,
        reason=reason,
        ratio=_ratio(SENTINEL, own.ratios or [1.0] * seen.n, fact or sentinels),
        timer=common.timer,
        settings=common.settings,
        device=common.fingerprint.key,
        fingerprint=common.fingerprint,
    )


def _ratio(to: str, series: Sequence[float], fact: str | None) -> Ratio:
    seen = estimate(series)
    reason = fact or seen.doubt
    return Ratio(to=to, median=seen.median, interval=seen.interval, stable=reason is None, reason=reason)


def _doubt(own: Timed, threads: int, resolution: float) -> str | None:
    """Return what speaks against all samples of a network alike, None where nothing does."""
    faults = [sample.faults for sample in own.samples if sample.faults is not None]
    held = [sample.held for sample in own.samples if sample.held is not None]
    used = [sample.cores for sample in own.samples if sample.cores is not None]
    lasts = own.repeats * median(sample.seconds for sample in own.samples)
    factor, more = OWN_THREADS
    if lasts < TICKS * resolution:
        return f"clock: a sample lasts {lasts:.2g} s, and the clock ticks every {resolution:.2g} s"
    if own.left_over > LEFT_OVER:
        return (
            f"asynchronous: {own.left_over:.1f} cores were busy after a run had returned; part of its work is not "
            "in these times"
        )
    if used and median(used) > factor * threads + more:
        return (
            f"threads: {median(used):.1f} cores were in use, {threads} asked for; it has threads of its own"
        )
    if held and median(held) < HELD:
        return (
            f"load: this process had its core for {100 * median(held):.0f} % of the time; other programs run, or the "
            "network waits for something"
        )
    if faults and median(faults) * FAULT_SECONDS > FAULTS * lasts / own.repeats:
        return (
            f"memory: the system hands out {median(faults):,.0f} fresh pages in each run, which takes longer or not by "
            "chance; use an allocator that keeps what is freed"
        )
    if not own.warm:
        return f"warm-up: still getting faster or slower after {own.warm_up} runs; give more time"
    return None
