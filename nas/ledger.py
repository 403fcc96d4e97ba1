"""The rejection ledger: what limits turned away while one proposal was looked for, all counted, some of it kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf, isnan, log1p

from scaling.constraints import Limit, Violation, in_units
from search_spaces.network import Network
from search_spaces.serialise import Json, key

from .history import BUILDABLE, MEASURED, History, Rejection

ENTRIES = 50  # kept of one proposal's rejections; all are counted
UNBUILDABLE = Violation(metric=BUILDABLE, value=0.0, bound=1.0, excess=1.0)
TOO_MANY = Violation(metric=MEASURED, value=0.0, bound=1.0, excess=inf)  # never the closest miss


@dataclass(slots=True)
class Ledger:
    """What was turned away before one proposal; `walked` counts members that walks towards the limits came by."""

    before: int = 0  # the proposal's number
    entries: list[Rejection] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)  # by the limit that was broken first
    walked: int = 0
    nearest: tuple[float, Network, Sequence[Violation]] | None = None  # with the least excess in all

    @property
    def rejected(self) -> int:
        """How many candidates were turned away."""
        return self.counts.total()

    def reject(self, network: Network, name: str, broken: Sequence[Violation]) -> None:
        """Take in a candidate, with its key, that breaks these limits, one at least."""
        first = Rejection(self.before, name, broken[0].metric, broken[0].value, broken[0].bound)
        self.counts[first.limit] += 1
        if len(self.entries) < ENTRIES:
            self.entries.append(first)
        self.pass_by(network, broken)

    def pass_by(self, network: Network, broken: Sequence[Violation]) -> None:
        """Remember the closest miss."""
        missed = excess_of(broken)
        if missed < (inf if self.nearest is None else self.nearest[0]):
            self.nearest = missed, network, broken

    def payload(self) -> dict[str, Json]:
        """Return the journal's record; `nas.history` reads it."""
        said: dict[str, Json] = {"rejected": self.rejected}
        if self.entries:
            said["ledger"] = [[r.key, r.metric, r.value, r.bound] for r in self.entries]
        if self.rejected > len(self.entries):
            said["turned_away"] = dict(self.counts)
        return said

    def last_payload(self) -> dict[str, Json]:
        """Return the record of a search that found nothing more to ask, with how near it came."""
        said = {"ledger": [], **self.payload(), "walked": self.walked}
        if self.nearest is not None:
            _, network, broken = self.nearest
            said["nearest"] = {"key": key(network), "breaks": [[v.metric, v.value, v.bound] for v in broken]}
        return said


def excess_of(broken: Sequence[Violation]) -> float:
    """Return by how much limits are broken in all: the sum of log(1 + excess); infinite for what cannot be built."""
    if any(v.metric == BUILDABLE or isnan(v.excess) for v in broken):
        return inf
    return sum(log1p(v.excess) for v in broken)


def nothing_kept(history: History, limits: Sequence[Limit]) -> str:
    """Say why a search ended before its first trial: what was drawn, what turned most away, the closest miss."""
    walked = f" and {history.walked:,} more on walks towards the limits" if history.walked else ""
    said = [f"none of {history.rejected:,} members drawn{walked} keeps {_all(limits)}"]
    counts = {limit: n for limit, n in history.turned_away.items() if limit != MEASURED}
    if counts:
        limit, n = max(counts.items(), key=lambda item: item[1])
        said.append(f"{limit} turned most away, {n:,}")
    if left_out := history.turned_away[MEASURED]:
        said.append(f"{left_out:,} were not measured, for as many others had been as latency.most allows")
    if history.nearest is not None:
        name, breaks = history.nearest
        missed = ", ".join(f"{b.metric} {in_units(b.value)} where {b.limit}" for b in breaks)
        said.append(f"the closest miss, {name}, has {missed}")
    return "; ".join(said)


def _all(limits: Sequence[Limit]) -> str:
    return " and ".join(map(str, limits)) or "to what can be built"
