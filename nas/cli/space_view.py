"""What `nas space` says: its JSON, and what people read."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import inf, log10
from typing import cast

from rich.console import RenderableType
from rich.text import Text

from scaling.constraints import Limit, Range, violations
from scaling.shares import Drawn, Share, share
from search_spaces.network import Network
from search_spaces.serialise import key

from ..analysis.metrics import engineering, metric, shown
from .describe import describe, describe_input
from .show import QUIET, Json, facts, many, table

BINS, BAR = 10, 32
KNOWN = {
    "exact": "exact: some members cost just that",
    "outer": "outer: no member lies outside; conditions or ties may keep all of them further inside",
    "sampled": "sampled: seen among random members; others may lie outside",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is known of a space; `drawn` are the metrics of random members, of which `metric` is shown."""

    name: str
    space: Network
    limits: tuple[Limit, ...]
    size: int
    ranges: Mapping[str, Range]
    drawn: Drawn
    metric: str
    members: tuple[tuple[Network, Mapping[str, float]], ...]

    @property
    def share(self) -> Share:
        """The share of members that keep all limits."""
        return share(self.drawn, self.limits)

    @property
    def shares(self) -> list[tuple[Limit, Share]]:
        """The share of members that keep each limit, whatever the others."""
        return [(limit, share(self.drawn, [limit])) for limit in self.limits]

    @property
    def shown(self) -> list[float]:
        """The shown metric of the members drawn that can be built."""
        return [known[self.metric] for known in self.drawn if known is not None]


def document(view: View) -> dict[str, Json]:
    """Return the JSON of `nas space`; docs/cli.md documents it."""
    return {
        "space": view.name,
        "size": view.size,
        "limits": [str(limit) for limit in view.limits],
        "feasible_share": view.share.share,
        "feasible_interval": [view.share.low, view.share.high],
        "samples": view.share.n,
        "shares": [
            {"limit": str(limit), "share": own.share, "interval": [own.low, own.high]}
            for limit, own in view.shares
        ],
        "histogram": _bins(view),
        **{name: {"low": r.low, "high": r.high, "known": r.known} for name, r in view.ranges.items()},
        "members": [
            {
                "key": key(member),
                "description": describe(member),
                "params": spent["params"],
                "macs": spent["macs"],
            }
            for member, spent in view.members
        ],
    }


def report(view: View) -> Iterator[RenderableType]:
    """Yield what people see."""
    size = f"{view.size:,} architectures" + (
        f", about 10^{log10(view.size):.1f}" if view.size > 10**9 else ""
    )
    yield Text.assemble((view.name, "bold"), f"  {size} for {describe_input(view.space)}")
    yield Text()
    yield table(
        ("cost", "least", "most", "known"),
        (
            (metric(n).short, shown(n, r.low), shown(n, r.high), Text(r.known, QUIET))
            for n, r in view.ranges.items()
        ),
        left=("known",),
    )
    for known in dict.fromkeys(r.known for r in view.ranges.values()):
        yield Text(KNOWN[known], QUIET)
    yield Text()
    yield facts(shares(view))
    yield Text()
    yield from _histogram(view)
    yield Text()
    yield Text(f"MACs and make of members drawn at random{_of_limits(view)}", QUIET)
    yield facts(
        (f"  {engineering(spent['macs'], digits=3):>6}", describe(member)) for member, spent in view.members
    )


def shares(view: View) -> Iterator[tuple[str, str]]:
    """Yield each limit's share, then that of all together; without limits, of what can be built."""
    n = f"of {many(view.share.n, 'member')} drawn, all equally likely"
    if not view.limits:
        yield "can be built", f"{_share(view.share)} {n}"
        return
    for limit, own in view.shares:
        yield f"keep {limit}", f"{_share(own)} {n}"
    if len(view.limits) > 1:
        yield "keep all limits", f"{_share(view.share)} {n}"


def _of_limits(view: View) -> str:
    if not view.limits or not view.members:
        return ""
    kept = not violations(view.members[0][1], view.limits)
    return " that keep the limits" if kept else "; none of those keeps the limits"


def _share(found: Share) -> str:
    low, high = (f"{100 * value:.3g}" for value in (found.low, found.high))
    return f"{100 * found.share:.3g} % (95 % interval: {low} to {high} %)"


def _bins(view: View) -> dict[str, Json]:
    """Return how many members drawn lie in each tenth of the range drawn, or of its logarithm where that spans much."""
    if not view.shown:
        return {"metric": view.metric, "edges": [], "counts": []}
    edges = _edges(min(view.shown), max(view.shown))
    places = [min(bisect_right(edges, value) - 1, len(edges) - 2) for value in view.shown]
    return {"metric": view.metric, "edges": edges, "counts": [places.count(i) for i in range(len(edges) - 1)]}


def _histogram(view: View) -> Iterator[RenderableType]:
    """Yield a bar for each bin; those that a limit shuts out are grey."""
    bins = _bins(view)
    edges, counts = cast("list[float]", bins["edges"]), cast("list[int]", bins["counts"])
    if not counts:
        return
    own = [limit for limit in view.limits if limit.metric == view.metric]
    labels = [shown(view.metric, edge) for edge in edges]
    width = max(map(len, labels))
    yield Text(f"{metric(view.metric).short} of {many(sum(counts), 'member')}, all equally likely", QUIET)
    for (low, high), (begin, end), n in zip(pairwise(edges), pairwise(labels), counts, strict=True):
        out = any(
            low > (inf if limit.at_most is None else limit.at_most)
            or high < (-inf if limit.at_least is None else limit.at_least)
            for limit in own
        )
        bar = "█" * round(BAR * n / max(counts)) or ("▏" if n else "")
        label = f"  {begin:>{width}} to {end:>{width}}  "
        yield Text.assemble(label, (bar, QUIET if out else "cyan"), (f" {n}", QUIET))


def _edges(low: float, high: float) -> list[float]:
    if low == high:
        return [low, low + 1]
    if low > 0 and high / low > 5:
        return [low * (high / low) ** (i / BINS) for i in range(BINS)] + [high]
    return [low + (high - low) * i / BINS for i in range(BINS)] + [high]
