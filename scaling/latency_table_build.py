"""Builds a latency table: networks of a space timed whole, some of them held out and timed twice to judge it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from search_spaces.automaton import count
from search_spaces.errors import BadInput, Unbuildable
from search_spaces.moves import enumerate_members, sample
from search_spaces.network import Network
from search_spaces.serialise import key

from .cost import cost
from .latency import measure_in_groups
from .latency_table import Circumstances, Coefficient, Entry, Errors, LatencyTable
from .latency_table_error import lead, relative_errors, score
from .latency_table_fit import Fit, Timing, fit, linear
from .timing import Latency

FEWEST_FITTED, FEWEST_HELD_OUT = 20, 10
TRIES = 50  # draws for each network wanted that can be built and is another than those before
LISTABLE = 20_000  # members; of a smaller space the rest is listed where draws give out
NORMAL_95 = 1.959964  # standard errors in half of a 95 % interval
OFF = 0.9  # the share of held-out networks whose error `off_90` bounds

Measure = Callable[[Iterable[tuple[str, Network]]], Iterable[Latency]]
Progress = Callable[[int, int], None]  # timings done, of how many


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How many networks a table is fitted on and judged by, and how long each is timed."""

    networks: int = 200
    held_out: int = 50
    seconds: float = 0.5  # for each timing
    seed: int = 0

    def __post_init__(self) -> None:
        for what, got, fewest, why in (
            ("networks", self.networks, FEWEST_FITTED, "a table cannot be fitted on fewer"),
            ("held-out", self.held_out, FEWEST_HELD_OUT, "a table is worth what its error on others is"),
        ):
            if got < fewest:
                raise BadInput(f"{what}: got {got}, expected {fewest} or more; {why}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """A network that was not fitted: predicted, by cheap predictors too, and measured twice; in milliseconds."""

    network: Network
    predicted_ms: float
    macs_ms: float
    macs_activations_ms: float
    measured_ms: float
    again_ms: float


@dataclass(frozen=True, slots=True)
class Timed:
    """All timings: of those to fit, of those held out, of these again; and all as the sentinel counts them."""

    fitted: Sequence[Timing]
    held_out: Sequence[Timing]
    again: Sequence[Timing]
    seen: Sequence[Latency]
    sentinel_ms: float


def build_table(
    space: Network,
    *,
    name: str,
    circumstances: Circumstances,
    effort: Effort,
    measure: Measure | None = None,
    progress: Progress | None = None,
) -> tuple[LatencyTable, tuple[HeldOut, ...]]:
    """Return a table for a space on a device, and the networks by which it was judged.

    Those to fit are drawn like those held out, with equal chances for all members: a search asks about any of
    them, and coefficients stand in for kinds that no network happened to hold. Raises `BadInput` for a space
    with too few members, and what `scaling.latency.measure_together` raises.
    """
    settings = circumstances.settings(effort.seconds)
    measure = measure or (lambda some: measure_in_groups(some, settings=settings))
    drawn = distinct_members(space, effort, random.Random(effort.seed))
    timed = _timed(drawn, effort, measure, progress)
    fitted = fit(timed.fitted)
    held_out = tuple(_held_out(timed, fitted))
    device = timed.seen[0].fingerprint
    table = LatencyTable(
        space=key(space),
        space_name=name,
        device=device.key,
        device_name=device.name,
        torch=device.torch,
        circumstances=circumstances,
        sentinel_ms=timed.sentinel_ms,
        constant_ms=fitted.constant,
        spread=fitted.spread,
        coefficients=tuple(Coefficient(feature=n, ms=ms) for n, ms in fitted.coefficients.items() if ms),
        entries=tuple(_entries(fitted)),
        errors=_errors(held_out, timed),
    )
    return table, held_out


def distinct_members(space: Network, effort: Effort, rng: random.Random) -> list[Network]:
    """Return members that can be built, all different, drawn with equal chances; `BadInput` for a small space."""
    wanted, size = effort.networks + effort.held_out, count(space)
    found: dict[str, Network] = {}
    if size >= wanted:
        for member in _candidates(space, rng, draws=TRIES * wanted, size=size):
            if len(found) == wanted:
                return list(found.values())
            if _buildable(member):
                found.setdefault(key(member), member)
    if len(found) == wanted:
        return list(found.values())
    raise _too_small(size if size < wanted else len(found), effort, all_of_them=size < wanted)


def _too_small(members: int, effort: Effort, *, all_of_them: bool) -> BadInput:
    has = f"{members:,} member{'' if members == 1 else 's'}{'' if all_of_them else ' that can be built'}"
    enough = members >= FEWEST_FITTED + FEWEST_HELD_OUT
    return BadInput(
        f"space: got {has}, expected {effort.networks + effort.held_out:,} for a table: {effort.networks:,} to "
        f"fit and {effort.held_out:,} held out; "
        + ("ask for fewer" if enough else "time each with `nas latency MODEL` instead")
    )


def _candidates(space: Network, rng: random.Random, *, draws: int, size: int) -> Iterator[Network]:
    for _ in range(draws):
        yield sample(space, rng, by="member")
    if size <= LISTABLE:
        yield from enumerate_members(space)


def _buildable(member: Network) -> bool:
    try:
        cost(member)
    except Unbuildable:
        return False
    return True


def _timed(drawn: Sequence[Network], effort: Effort, measure: Measure, progress: Progress | None) -> Timed:
    """Time all networks in a random order, then those held out again, in another."""
    rng = random.Random(f"{effort.seed}:order")
    firsts = rng.sample(range(len(drawn)), len(drawn))
    seconds = rng.sample(range(effort.networks, len(drawn)), effort.held_out)
    order, seen = [*firsts, *seconds], []
    for latency in measure((f"network {turn}", drawn[i]) for turn, i in enumerate(order)):
        seen.append(latency)
        if progress is not None:
            progress(len(seen), len(order))
    sentinel_ms = median(one.median_ms / one.ratio.median for one in seen)
    timings = [_timing(drawn[i], one, sentinel_ms) for i, one in zip(order, seen, strict=True)]
    first = dict(zip(firsts, timings, strict=False))
    again = dict(zip(seconds, timings[len(drawn) :], strict=True))
    held_out = range(effort.networks, len(drawn))
    return Timed(
        [first[i] for i in range(effort.networks)],
        [first[i] for i in held_out],
        [again[i] for i in held_out],
        seen,
        sentinel_ms,
    )


def _timing(network: Network, latency: Latency, sentinel_ms: float) -> Timing:
    """Return a timing by the ratio to the sentinel, in which drift of the device has cancelled."""
    ratio = latency.ratio
    low, high = ratio.interval
    return Timing(network, ratio.median * sentinel_ms, (high - low) / (2 * NORMAL_95 * ratio.median))


def _held_out(timed: Timed, fitted: Fit) -> Iterator[HeldOut]:
    """Yield each held-out network with its predictions and timings."""
    by_macs = linear([_costs(t.network)[:1] for t in timed.fitted], timed.fitted)
    by_both = linear([_costs(t.network) for t in timed.fitted], timed.fitted)
    for first, again in zip(timed.held_out, timed.again, strict=True):
        macs, activations = _costs(first.network)
        yield HeldOut(
            network=first.network,
            predicted_ms=fitted.predict(first.network),
            macs_ms=by_macs[0] + by_macs[1] * macs,
            macs_activations_ms=by_both[0] + by_both[1] * macs + by_both[2] * activations,
            measured_ms=first.latency,
            again_ms=again.latency,
        )


def _costs(network: Network) -> tuple[float, float]:
    found = cost(network)
    return found.macs, found.activations


def _entries(fitted: Fit) -> Iterator[Entry]:
    ordered = sorted(fitted.entries.items(), key=lambda item: (item[1][0].name, item[0]))
    return (Entry(key=k, name=kind.name, ms=ms, seen=seen) for k, (kind, ms, seen) in ordered)


def _errors(held_out: Sequence[HeldOut], timed: Timed) -> Errors:
    measured = [one.measured_ms for one in held_out]
    ours = [one.predicted_ms for one in held_out]
    cheap = [[one.macs_ms for one in held_out], [one.macs_activations_ms for one in held_out]]
    macs, both = (score(predicted, measured) for predicted in cheap)
    by, low, high = lead(ours, cheap[both.tau > macs.tau], measured)
    return Errors(
        networks=len(timed.fitted),
        held_out=len(held_out),
        table=score(ours, measured),
        macs=macs,
        macs_activations=both,
        again=score([one.again_ms for one in held_out], measured),
        lead=by,
        lead_low=low,
        lead_high=high,
        off_90=float(np.quantile(relative_errors(ours, measured), OFF)),
        timings=len(timed.seen),
        unstable=sum(not one.ratio.stable for one in timed.seen),
    )
