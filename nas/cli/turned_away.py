"""What the limits turned away: the ledger by the limit that was broken first, as JSON and in words."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from scaling.constraints import in_units

from ..analysis.metrics import metric
from ..history import BUILDABLE, MEASURED, History, Rejection
from .show import Json, many


def rejections(history: History) -> list[dict[str, Json]]:
    """Return what `nas status --json` says of them; docs/cli.md documents it."""
    return [_rejection(*group) for group in by_limit(history)]


def turned_away(history: History) -> Iterator[str]:
    """Yield how many there were, then a line for each limit."""
    yield f"{many(history.rejected, 'candidate')}, never trained"
    for count, entries in by_limit(history):
        first, values = entries[0], sorted(entry.value for entry in entries)
        if first.metric == BUILDABLE:
            yield f"{count:,} whose layers do not fit the input"
            continue
        if first.metric == MEASURED:
            yield f"{count:,} left out, for enough others had been measured"
            continue
        sign = "above" if first.value > first.bound else "below"
        spread = (
            f"{in_units(values[0])} to {in_units(values[-1])}, median {in_units(statistics.median(values))}"
        )
        off = f"{100 * statistics.median(entry.excess for entry in entries):,.0f} % off"
        yield f"{count:,} with {metric(first.metric).short} {sign} {in_units(first.bound)}: {spread}, {off}"


def by_limit(history: History) -> list[tuple[int, list[Rejection]]]:
    """Group rejections by limit as (how many in all, those kept), the most frequent first."""
    groups: dict[str, list[Rejection]] = {}
    for entry in history.ledger:
        groups.setdefault(entry.limit, []).append(entry)
    counted = [(history.turned_away[limit], entries) for limit, entries in groups.items()]
    return sorted(counted, key=lambda group: -group[0])


def _rejection(count: int, entries: list[Rejection]) -> dict[str, Json]:
    first, values = entries[0], [entry.value for entry in entries]
    return {
        "limit": first.limit, "metric": first.metric, "bound": first.bound, "count": count, "kept": len(entries),
        "nearest": min(values, key=lambda v: abs(v - first.bound)), "median": statistics.median(values),
        "farthest": max(values, key=lambda v: abs(v - first.bound)),
        "median_excess": statistics.median(entry.excess for entry in entries),
    }  # fmt: skip
