"""What was measured of networks before they were trained: on disk before anybody acts on it, and never measured twice.

A measured value is not the same the second time, so that a resumed study may not ask for it again: what decided
whether a candidate was admitted is a journal event of its own, and replay takes it from there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

from scaling.providers import Provider
from scaling.ranges import Range
from search_spaces.errors import ArchscaleError
from search_spaces.network import Network
from search_spaces.serialise import Json, key

if TYPE_CHECKING:
    from .history import History


def never() -> bool:
    """Return False: no stop is asked."""
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A metric of one network as it was measured, its 95 % interval, and why that is not to be relied on, if so."""

    key: str
    metric: str
    value: float
    low: float
    high: float
    reason: str | None = None
    winner: bool = False  # measured at the end, for the winner: not what admitted it

    @property
    def stable(self) -> bool:
        """Whether nothing speaks against the value."""
        return self.reason is None


class StopAsked(ArchscaleError):
    """A network was to be measured when the driver was told to stop; nothing is lost."""


@runtime_checkable
class Measurer(Provider, Protocol):
    """A provider of one metric that measures, if need be; with a good table, `of` predicts and is quick."""

    def measure(
        self, network: Network, *, winner: bool = False, stopping: Callable[[], bool] = never
    ) -> Measurement | None:
        """Measure a network, the winner with more care; None where a stop was asked before that came to an end."""


class Measuring:
    """A study's measuring: each network once, recorded before it is acted on, so many candidates a proposal."""

    def __init__(
        self,
        providers: Sequence[Provider],
        history: History,
        *,
        record: Callable[[str, dict[str, Json]], None],
        most: int,
    ) -> None:
        self.stopping = never  # asked before each measurement; the driver sets it
        self._history, self._record, self._most = history, record, most
        self._looked_at: set[str] = set()  # keys, for one proposal
        self._measurers = [one for one in providers if isinstance(one, Measurer)]
        self.providers = tuple(
            Remembered(one, self._answer) if isinstance(one, Measurer) and not one.quick else one
            for one in providers
        )

    @property
    def metrics(self) -> list[str]:
        """The metrics that are measured, or would be without a table."""
        return [metric for measurer in self._measurers for metric in measurer.metrics]

    def begin(self) -> None:
        """Begin to look for another proposal."""
        self._looked_at = set()

    def may_look_at(self, name: str) -> bool:
        """Tell whether a candidate may be measured, by its key: the same ones however the study got there."""
        if name not in self._looked_at and len(self._looked_at) >= self._most:
            return False
        self._looked_at.add(name)
        return True

    def winner(self, network: Network) -> None:
        """Measure the winner, once: what admitted it was a prediction, or the luckiest of many measurements."""
        for measurer in self._measurers:
            if not all((key(network), metric) in self._history.winners for metric in measurer.metrics):
                self._measure(measurer, network, winner=True)

    def _answer(self, measurer: Measurer, network: Network) -> Measurement:
        known = self._history.measured.get((key(network), measurer.metrics[0]))
        return known or self._measure(measurer, network)

    def _measure(self, measurer: Measurer, network: Network, *, winner: bool = False) -> Measurement:
        stopped = self.stopping()
        found = None if stopped else measurer.measure(network, winner=winner, stopping=self.stopping)
        if found is None:
            raise StopAsked("stopped while a network was to be measured; nothing is lost, the study resumes")
        self._record("measured", measured_payload(found))
        return found


class Remembered:
    """A measurer that is asked through what remembers its answers."""

    quick = False

    def __init__(self, measurer: Measurer, answer: Callable[[Measurer, Network], Measurement]) -> None:
        self.metrics = measurer.metrics
        self._measurer, self._answer = measurer, answer

    def of(self, network: Network) -> Mapping[str, float]:
        """Return the metric of a resolved network."""
        found = self._answer(self._measurer, network)
        return {found.metric: found.value}

    def reach(self, space: Network, metric: str) -> Range | None:
        """Return None: nobody knows before measuring."""
        return None


def measured_payload(found: Measurement) -> dict[str, Json]:
    """Return the journal's record of a measurement; `measured_from` reads it."""
    return {
        "key": found.key, "metric": found.metric, "value": found.value, "low": found.low, "high": found.high,
        "reason": found.reason, "winner": found.winner,
    }  # fmt: skip


def measured_from(said: Mapping[str, Json]) -> Measurement:
    """Return the measurement that a journal's event holds."""
    return Measurement(
        key=cast(str, said["key"]),
        metric=cast(str, said["metric"]),
        value=cast(float, said["value"]),
        low=cast(float, said["low"]),
        high=cast(float, said["high"]),
        reason=cast("str | None", said["reason"]),
        winner=cast(bool, said["winner"]),
    )
