"""A latency table: what each kind of block takes inside whole networks on one device, with its own error.

The latency of a network is a constant, and for each of its blocks the entry of the block's kind. What was never
timed goes by the coefficients: milliseconds a layer, a multiply-add, a number read and so on. The file is JSON and
holds data only. No torch in here, so that a search can predict without it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from search_spaces.block import Whole
from search_spaces.data import Data
from search_spaces.errors import BadInput, BadSpec
from search_spaces.network import Network
from search_spaces.serialise import from_data, key, parse, read_text, to_data

from .latency_table_kinds import Kind, kinds

if TYPE_CHECKING:
    from .timing import Settings

VERSION = 1  # of the file, and of what a kind's key and features are made of
LARGEST = 32 * 2**20  # bytes of a table's file

Number = Annotated[float, Field(allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances(Data):
    """How the networks run that a latency is about; see `scaling.timing.Settings`."""

    batch: Whole = 1
    dtype: str = "float32"
    memory_format: str = "contiguous"
    compile: str = "none"
    device: str = "cpu"
    threads: Whole = 1

    def settings(self, seconds: float) -> Settings:
        """Return the settings to measure so, for as long; loads torch. `BadInput` for what there is not."""
        from .timing import Settings

        own = {f.name: getattr(self, f.name) for f in fields(Circumstances)}
        return Settings(**own, seconds=seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Data):
    """What a kind of block takes, and in how many of the networks fitted it stood."""

    key: str
    name: str
    ms: Amount
    seen: Whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficient(Data):
    """What one unit of a feature takes, where a kind was never timed."""

    feature: str
    ms: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Score(Data):
    """How well something predicts the latencies of held-out networks, measured once.

    `mape`: mean of |predicted / measured - 1|; `within_10`: the share of networks where that is at most 0.1;
    `tau`: Kendall's rank correlation (b), with the 95 % interval of a bootstrap over networks.
    """

    mape: Amount
    within_10: Amount
    tau: Number
    tau_low: Number
    tau_high: Number


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors(Data):
    """How good a table is, beside two cheap predictors fitted on the same networks and beside measuring again.

    `lead_*`: by how much the table's tau exceeds that of the better cheap one, with its interval. `off_90`: the
    error that 90 % of the held-out networks stay below. `unstable`: timings, of fitted and held-out networks,
    whose ratio to the sentinel could not be believed.
    """

    networks: Whole
    held_out: Whole
    table: Score
    macs: Score
    macs_activations: Score
    again: Score  # of a second measurement, were it a prediction: the noise of the device
    lead: Number
    lead_low: Number
    lead_high: Number
    off_90: Amount
    timings: Whole
    unstable: Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyTable(Data):
    """A table; times are of the whole batch, at the speed at which the sentinel takes `sentinel_ms`."""

    space: str  # its key
    space_name: str
    device: str  # the fingerprint's key, of the hardware and torch's version
    device_name: str
    torch: str
    circumstances: Circumstances
    sentinel_ms: Amount
    constant_ms: Amount
    spread: Amount  # how far entries were let to differ from the coefficients, in their common error; 0: not at all
    coefficients: tuple[Coefficient, ...]
    entries: tuple[Entry, ...]
    errors: Errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """A predicted latency; 90 % of held-out networks were measured between `low_ms` and `high_ms`.

    `known`: the share of the time that is of kinds the table was fitted on, the rest goes by coefficients.
    """

    ms: float
    low_ms: float
    high_ms: float
    known: float


class Predictor:
    """Predicts latencies by a table, in less than a millisecond each."""

    def __init__(self, table: LatencyTable) -> None:
        self.table = table
        self._entries = {entry.key: entry.ms for entry in table.entries}
        self._coefficients = {one.feature: one.ms for one in table.coefficients}
        self._others: dict[str, float] = {}

    def predict(self, network: Network) -> Prediction:
        """Return the latency of a resolved network of the table's space; raises `Unbuildable`."""
        known, others = self.table.constant_ms, 0.0
        for kind in kinds(network):
            if kind.key in self._entries:
                known += self._entries[kind.key]
            else:
                others += self.untimed(kind)
        ms, off = known + others, self.table.errors.off_90
        return Prediction(
            ms=ms, low_ms=ms / (1 + off), high_ms=ms / max(1 - off, 0.01), known=known / ms if ms else 1.0
        )

    def untimed(self, kind: Kind) -> float:
        """Return the milliseconds of a kind by the coefficients, whether or not the table has an entry for it."""
        if kind.key not in self._others:
            self._others[kind.key] = by_coefficients(kind.features, self._coefficients)
        return self._others[kind.key]

    def additive(self, network: Network, edges: Sequence[bool]) -> float:
        """Return the latency of a network in which the blocks so marked, in order, go by the coefficients.

        What an entry of a whole cell says is not a sum over its edges; what the coefficients say is.
        """
        return self.table.constant_ms + sum(
            self.untimed(kind) if by_edge else self._entries.get(kind.key, self.untimed(kind))
            for kind, by_edge in zip(kinds(network), edges, strict=True)
        )


def by_coefficients(features: tuple[tuple[str, float], ...], coefficients: Mapping[str, float]) -> float:
    """Return the sum of features times their coefficients; a feature without one counts nothing."""
    return sum(amount * coefficients.get(name, 0.0) for name, amount in features)


def table_text(table: LatencyTable) -> str:
    """Return a table as the text of its file, one entry a line."""
    plain = {"version": VERSION, "table": to_data(table)}
    text = json.dumps(plain, indent=1, allow_nan=False)
    return text + "\n"


def load_table(path: Path) -> LatencyTable:
    """Read a table; `BadInput` where it is damaged or of another version."""
    said = parse(read_text(path, largest=LARGEST), source=str(path))
    if not isinstance(said, Mapping) or set(said) != {"version", "table"}:
        raise BadInput(f"{path}: got no latency table, expected one that `nas latency --build-table` wrote")
    if said["version"] != VERSION:
        raise BadInput(
            f"{path}: got version {said['version']!r} of a latency table, expected {VERSION}; build it again"
        )
    try:
        return from_data(LatencyTable, said["table"])
    except BadSpec as error:
        first = str(error).split("\n", 1)[0]
        raise BadInput(f"{path}: table.{first}; the file is damaged, build it again") from None


def refuse_another(
    table: LatencyTable, path: Path, *, space: Network | None, circumstances: Circumstances, device: str
) -> None:
    """Raise `BadInput`, naming all that differs, for a table of another space, device or settings; None is any space.

    `device` is the fingerprint's key of the device that `circumstances` name, whose own name does not count.
    """
    ours: dict[str, object] = {"device": device}
    theirs: dict[str, object] = {"device": table.device}
    for field in fields(Circumstances):
        ours.setdefault(field.name, getattr(circumstances, field.name))
        theirs.setdefault(field.name, getattr(table.circumstances, field.name))
    differ = [f"{name} {theirs[name]}, expected {ours[name]}" for name in ours if ours[name] != theirs[name]]
    if space is not None and table.space != key(space):
        differ.insert(0, f"another space ({table.space_name})")
    if differ:
        raise BadInput(
            f"{path}: got a latency table of {'; '.join(differ)}; build one for this, "
            "`nas latency --build-table SPACE`, with the config or run as SPACE"
        )
