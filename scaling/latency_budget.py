"""Latency as a budget: measured on this device, and kept where the upper end of its 95 % interval is within it.

Times are given at one speed of the device, that of its calibration, so that a device that is slower for a while
neither breaks nor widens a budget. Each network is measured once, and once more, four times as
long, when it is to answer a budget: that one counts from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from search_spaces.network import Network
from search_spaces.serialise import key

from .providers import LATENCY
from .ranges import Range
from .timing import Latency, Session, Settings

TRIES = 3  # of a measurement whose ratio to the sentinel is unstable
LONGER = 4.0  # times as long for what answers a budget

Measure = Callable[[Mapping[str, Network], Settings], Session]


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalised:
    """A latency at the speed of the device at which budgets are meant; `reason` says why not to rely on it, if so."""

    median_ms: float
    interval_ms: tuple[float, float]
    reason: str | None
    confirmed: bool = False

    @property
    def stable(self) -> bool:
        """Whether nothing speaks against the ratio to the sentinel."""
        return self.reason is None


class MeasuredLatency:
    """Provides `latency_ms`, the upper end of the interval, for budgets; remembers all that it measured."""

    metrics = (LATENCY,)
    quick = False

    def __init__(self, settings: Settings, *, measure: Measure | None = None) -> None:
        self.settings = settings
        self._measure = measure or _measured_here
        self._known: dict[str, Normalised] = {}
        self._calibration: Latency | None = None

    @property
    def calibration(self) -> Latency:
        """The sentinel as first measured, at its calmest: budgets are meant at its median."""
        if self._calibration is None:
            from .latency import sentinel  # loads torch

            tried: list[Latency] = []
            while len(tried) < TRIES and not any(one.stable for one in tried):
                tried.append(self._measure({"the sentinel": sentinel()}, self.settings).sentinel)
            self._calibration = min(tried, key=lambda one: (not one.stable, one.median_ms))
        return self._calibration

    def of(self, network: Network) -> Mapping[str, float]:
        """Return the upper end of a resolved network's latency; raises `Unbuildable`."""
        return {LATENCY: self.known(network).interval_ms[1]}

    def known(self, network: Network) -> Normalised:
        """Return the latency of a network as last measured, now if it never was."""
        name = key(network)
        if name not in self._known:
            self._known |= self._timed({name: network}, self.settings)
        return self._known[name]

    def confirm(self, networks: Sequence[Network]) -> None:
        """Measure those networks that are not confirmed yet side by side, with more care; that counts for good."""
        wanted = {key(network): network for network in networks}
        wanted = {
            name: one
            for name, one in wanted.items()
            if name not in self._known or not self._known[name].confirmed
        }
        if wanted:
            found = self._timed(wanted, replace(self.settings, seconds=LONGER * self.settings.seconds))
            self._known |= {name: replace(one, confirmed=True) for name, one in found.items()}

    def reach(self, space: Network, metric: str) -> Range | None:
        """Return None: the range over a space is not known."""
        return None

    def _timed(self, networks: Mapping[str, Network], settings: Settings) -> dict[str, Normalised]:
        """Measure networks, those that are unstable again; the calmest measurement of each counts."""
        scale, found = self.calibration.median_ms, dict[str, Normalised]()
        left = dict(networks)
        for _ in range(TRIES):
            for one in self._measure(left, settings).models:
                seen = _at(one, scale)
                before = found.get(one.model)
                if before is None or _unrest(seen) < _unrest(before):
                    found[one.model] = seen
            left = {name: networks[name] for name in left if not found[name].stable}
            if not left:
                break
        return found


def _at(one: Latency, scale: float) -> Normalised:
    low, high = one.ratio.interval
    return Normalised(
        median_ms=one.ratio.median * scale,
        interval_ms=(low * scale, high * scale),
        reason=one.ratio.reason,
    )


def _unrest(one: Normalised) -> tuple[bool, float]:
    low, high = one.interval_ms
    return not one.stable, high / low


def _measured_here(networks: Mapping[str, Network], settings: Settings) -> Session:
    from .latency import measure_together  # loads torch

    return measure_together(networks, settings=settings)
