"""Latency as a metric of a search: predicted by a table that is good enough, else measured on the device."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

from pydantic import Field

from scaling.latency_table import LARGEST, Circumstances, LatencyTable, Predictor, load_table, refuse_another
from scaling.providers import LATENCY
from scaling.ranges import Range
from search_spaces.block import Whole
from search_spaces.data import ByKind
from search_spaces.errors import BadInput
from search_spaces.network import Network
from search_spaces.serialise import Json, key

from .measured import Measurement, never
from .storage import read_bounded

if TYPE_CHECKING:
    from scaling.timing import Latency as Timed
    from scaling.timing import Settings

FAMILIAR = 0.5  # of a predicted latency: less than that is of blocks that the table was fitted on
TRIES = 3  # of a measurement that is unstable
WINNER = 4.0  # times as long for the winner

Share = Annotated[float, Field(gt=0, le=1)]
Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency(Circumstances):
    """How a study knows latencies: the circumstances they hold for, a table if there is one, and when to measure."""

    table: Annotated[str | None, ByKind()] = None  # what `nas latency --build-table` wrote
    tolerance: Share = 0.1  # mean error of the table up to which it stands for measuring
    seconds: Seconds = 1.0  # of one measurement
    most: Whole = 100  # candidates measured while one proposal is looked for

    @property
    def circumstances(self) -> Circumstances:
        """The circumstances alone."""
        return Circumstances(**{f.name: getattr(self, f.name) for f in fields(Circumstances)})


class Device(Protocol):
    """A device that networks are timed on."""

    @property
    def key(self) -> str:
        """What tells it from others."""

    def timed(self, network: Network, *, settings: Settings, stopping: Callable[[], bool]) -> Timed | None:
        """Time a network; None where a stop was asked before that came to an end."""


@dataclass(frozen=True, slots=True)
class Here:
    """A device of this machine; what measures is loaded when it first does."""

    key: str

    def timed(self, network: Network, *, settings: Settings, stopping: Callable[[], bool]) -> Timed:
        """Time a network, to the end: it is a matter of seconds."""
        from scaling.latency import measure  # loads torch

        return measure(network, settings=settings)


class Latencies:
    """Knows the latency of networks on a device: one of this machine, by its key, or one elsewhere."""

    metrics = (LATENCY,)

    def __init__(self, asked: Latency, *, device: str | Device, table: LatencyTable | None = None) -> None:
        self.asked, self.table = asked, table
        self._device: Device = Here(device) if isinstance(device, str) else device
        good = table is not None and table.errors.table.mape <= asked.tolerance
        self.predictor = Predictor(table) if table is not None and good else None

    @property
    def device(self) -> str:
        """The key of the device."""
        return self._device.key

    @property
    def quick(self) -> bool:
        """Whether a table answers."""
        return self.predictor is not None

    def of(self, network: Network) -> Mapping[str, float]:
        """Return the latency of a resolved network in milliseconds, predicted or measured."""
        if self.predictor is not None:
            return {LATENCY: self.predictor.predict(network).ms}
        found = self.measure(network)
        assert found is not None, "nobody asked it to stop"
        return {LATENCY: found.value}

    def reach(self, space: Network, metric: str) -> Range | None:
        """Return None: the range over a space is not known."""
        return None

    def measure(
        self, network: Network, *, winner: bool = False, stopping: Callable[[], bool] = never
    ) -> Measurement | None:
        """Measure a network, again where that is unstable, up to three times; the calmest one counts."""
        tried: list[Timed] = []
        while len(tried) < TRIES and not any(one.stable for one in tried):
            if tried and stopping():
                return None
            settings = self.asked.circumstances.settings(self.asked.seconds * (WINNER if winner else 1.0))
            timed = self._device.timed(network, settings=settings, stopping=stopping)
            if timed is None:
                return None
            tried.append(timed)
        found = min(tried, key=lambda one: (not one.stable, one.interval_ms[1] / one.interval_ms[0]))
        low, high = found.interval_ms
        return Measurement(
            key=key(network),
            metric=LATENCY,
            value=found.median_ms,
            low=low,
            high=high,
            reason=found.reason,
            winner=winner,
        )

    def said(self) -> str:
        """Say in a few words where latencies come from."""
        if self.table is None:
            return "latencies measured"
        error = f"{100 * self.table.errors.table.mape:.1f} %"
        if self.quick:
            return f"latencies by {self.asked.table}, whose mean error is {error}"
        tolerance = f"{100 * self.asked.tolerance:g} %"
        return f"latencies measured, for the mean error of {self.asked.table}, {error}, is over {tolerance}"

    def doubt(self, network: Network) -> str | None:
        """Say why a table's error need not hold for a network; None where it was fitted on most of its blocks."""
        known = 1.0 if self.predictor is None else self.predictor.predict(network).known
        if known >= FAMILIAR:
            return None
        return (
            f"{100 * known:.0f} % of the latency predicted is of blocks that the table was fitted on, so its error "
            "says little here; measure it, with --latency"
        )


def latencies_of(asked: Latency, space: Network | None, *, on: Device | None = None) -> Latencies:
    """Return who knows latencies for a study on a space; `BadInput` for a device or table that cannot be used.

    Without a space, a table of any will do: blocks that it never timed go by its coefficients. `on` None: on the
    device of this machine that is asked for.
    """
    asked.circumstances.settings(asked.seconds)
    device = on or _here(asked.device)
    if asked.table is None:
        return Latencies(asked, device=device)
    path = Path(asked.table)
    table = load_table(path)
    refuse_another(table, path, space=space, circumstances=asked.circumstances, device=device.key)
    return Latencies(asked, device=device, table=table)


def _here(name: str) -> Here:
    from scaling.device import device_named, fingerprint  # loads torch

    return Here(fingerprint(device_named(name)).key)


def described_latencies(known: Latencies | None) -> dict[str, Json]:
    """Return what a run's header says of where its latencies come from; nothing where nobody knows any."""
    if known is None:
        return {}
    table = known.asked.table
    content = None if table is None else read_bounded(Path(table), LARGEST)
    fingerprint = None if content is None else hashlib.sha256(content).hexdigest()[:16]
    return {"latency": {"device": known.device, "table": fingerprint}}


def refuse_changed(known: Latencies | None, header: Mapping[str, Json]) -> None:
    """Raise `BadInput` where a run is gone on with on another device, or with another table, than it began with."""
    begun, now = header.get("latency"), described_latencies(known).get("latency")
    if not isinstance(begun, Mapping) or not isinstance(now, Mapping):
        return
    for what, advice in (("device", "go on with it there"), ("table", "put it back")):
        if now[what] != begun[what]:
            raise BadInput(
                f"latency.{what}: got {now[what]}, expected {begun[what]} as when the run began; {advice}, or begin a "
                "new run"
            )
