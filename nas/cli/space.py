"""`nas space`: what a search space holds."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import log10
from pathlib import Path
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.text import Text

from scaling.constraints import (
    METRICS,
    Limit,
    Range,
    Share,
    bounds,
    feasible_share,
    parse_limit,
    prove_feasible,
    refuse_contradictions,
    violations,
)
from scaling.cost import Cost, cost
from search_spaces.automaton import count
from search_spaces.errors import BadInput, Unbuildable
from search_spaces.moves import sample
from search_spaces.names import nearest
from search_spaces.network import Network
from search_spaces.presets import PRESETS, is_preset, preset
from search_spaces.serialise import from_text, key
from search_spaces.text import parse, read_text

from ..analysis.metrics import engineering, metric, shown
from ..config import load_config
from ..journal import JOURNAL
from ..launch import describe_data, space_of
from .describe import describe, describe_input
from .model import FILES, shape_from
from .options import RESULTS, AsJson, Results
from .record import read_record
from .show import QUIET, Json, emit, facts, many, say, table

MEMBERS_SHOWN = 3
DRAWS = 200  # for members that can be built and keep the limits, to be shown
BINS, BAR = 10, 32
SEED = 0
DEFAULT_INPUT, DEFAULT_CLASSES = (3, 32, 32), 10
KNOWN = {
    "exact": "exact: some members cost just that",
    "outer": "no member lies outside; conditions or ties may keep all of them further inside",
    "sampled": "seen among random members; others may lie outside",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is known of a space; `macs` are those of the members drawn that can be built."""

    name: str
    space: Network
    limits: tuple[Limit, ...]
    size: int
    ranges: Mapping[str, Range]
    share: Share
    macs: tuple[int, ...]
    members: tuple[tuple[Network, Cost], ...]


def space(
    named: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG-or-NAME", help="A study's config, a space's file, a preset, or a run."
        ),
    ],
    shape: Annotated[
        str | None,
        typer.Option("--input", metavar="C,H,W", help="The input of a preset; 3,32,32 without it."),
    ] = None,
    classes: Annotated[
        int | None, typer.Option(min=2, help="The classes of a preset; 10 without it.")
    ] = None,
    limit: Annotated[
        list[str] | None, typer.Option(metavar="LIMIT", help="Such as 'macs<=5M'; may be repeated.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, max=1_000_000, help="Random members for shares.")] = 1000,
    results: Results = RESULTS,
    as_json: AsJson = False,
) -> int:
    """Show what a search space holds: its exact size, what members cost, which share of them keeps limits.

    Shares and the histogram are over members drawn with equal chances. Nothing is trained.

    nas space mobile --input 3,224,224 --classes 1000 --limit 'macs<=300M'
    nas space 'darts(width=36, cells=20)'
    nas space mine.yaml
    """
    network, own_limits = space_named(named, shape_from(shape), classes, results=results)
    view = look(named, network, (*own_limits, *map(parse_limit, limit or [])), n=samples)
    if as_json:
        emit(document(view))
    else:
        say(*report(view))
    refuse_contradictions(view.limits)
    prove_feasible(view.space, view.limits)
    return 0


def space_named(
    named: str, shape: tuple[int, ...] | None, classes: int | None, *, results: Path
) -> tuple[Network, tuple[Limit, ...]]:
    """Return the space that a preset's name, a file or a run means, and the limits that come with it."""
    if is_preset(named):
        return preset(named, shape or DEFAULT_INPUT, classes=classes or DEFAULT_CLASSES), ()
    if not named.endswith(FILES) and not Path(named).is_file():
        return _space_of_run(named, results)
    if classes is not None:
        raise BadInput(f"--classes: {named} says its own; give --classes with a preset: {', '.join(PRESETS)}")
    network, limits = _space_of_file(Path(named))
    return (network if shape is None else replace(network, input=shape)), limits


def look(title: str, network: Network, limits: Sequence[Limit], *, n: int) -> View:
    """Count, bound and sample a space; `BadInput` for a limit on what no formula gives."""
    bounded = dict.fromkeys((*METRICS, *(limit.metric for limit in limits)))
    rng = random.Random(SEED)
    return View(
        name=title,
        space=network,
        limits=tuple(limits),
        size=count(network),
        ranges={name: bounds(network, name) for name in bounded},
        share=feasible_share(network, limits, rng=random.Random(SEED), n=n),
        macs=tuple(found.macs for _ in range(n) if (found := _cost(sample(network, rng, by="member")))),
        members=tuple(_members(network, limits)),
    )


def document(view: View) -> dict[str, Json]:
    """Return the JSON of `nas space`; docs/cli.md documents it."""
    return {
        "space": view.name,
        "size": view.size,
        "limits": [str(limit) for limit in view.limits],
        "feasible_share": view.share.share,
        "feasible_interval": [view.share.low, view.share.high],
        "samples": view.share.n,
        **{name: {"low": r.low, "high": r.high, "known": r.known} for name, r in view.ranges.items()},
        "members": [
            {"key": key(member), "description": describe(member), "params": spent.params, "macs": spent.macs}
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
        ("cost", "least", "most"),
        ((metric(n).short, shown(n, r.low), shown(n, r.high)) for n, r in view.ranges.items()),
    )
    yield Text(KNOWN[view.ranges["macs"].known], QUIET)
    yield Text()
    yield facts([(_kept(view.limits), _share(view.share))])
    yield Text()
    yield from _histogram(view.macs, view.limits)
    yield Text()
    yield Text(f"MACs and make of members drawn at random{_of_limits(view)}", QUIET)
    yield facts(
        (f"  {engineering(spent.macs, digits=3):>6}", describe(member)) for member, spent in view.members
    )


def _space_of_run(named: str, results: Path) -> tuple[Network, tuple[Limit, ...]]:
    if not (Path(named) / JOURNAL).is_file() and not (results / named / JOURNAL).is_file():
        raise BadInput(
            f"space: got {named!r}, expected a preset ({', '.join(PRESETS)}), a config or space file "
            f"(.yaml, .json), or a run in {results}{nearest(named, PRESETS)}"
        )
    plan = read_record(named, results).plan
    return plan.space.network, plan.limits


def _space_of_file(path: Path) -> tuple[Network, tuple[Limit, ...]]:
    text = read_text(path)
    said = parse(text, source=str(path))
    if isinstance(said, Mapping) and "network" in said:
        return from_text(text, source=str(path)), ()
    config = load_config(path)
    return space_of(config, describe_data(config)), tuple(map(parse_limit, config.limits))


def _members(network: Network, limits: Sequence[Limit]) -> Iterator[tuple[Network, Cost]]:
    """Yield a few random members that keep the limits, or any where none is met soon."""
    rng = random.Random(SEED + 1)
    drawn = [(m, c) for _ in range(DRAWS) if (c := _cost(m := sample(network, rng, by="member")))]
    kept = [(m, c) for m, c in drawn if not violations(c, limits)]
    seen: set[str] = set()
    for member, spent in kept or drawn:
        if key(member) not in seen and len(seen) < MEMBERS_SHOWN:
            seen.add(key(member))
            yield member, spent


def _cost(member: Network) -> Cost | None:
    try:
        return cost(member)
    except Unbuildable:
        return None


def _kept(limits: Sequence[Limit]) -> str:
    return f"keep {', '.join(map(str, limits))}" if limits else "can be built"


def _of_limits(view: View) -> str:
    if not view.limits or not view.members:
        return ""
    kept = not violations(view.members[0][1], view.limits)
    return " that keep the limits" if kept else f"; none of {DRAWS} keeps the limits"


def _share(share: Share) -> str:
    low, high = (f"{100 * value:.3g}" for value in (share.low, share.high))
    return f"{100 * share.share:.3g} % of {many(share.n, 'member')} drawn (95 % interval: {low} to {high} %)"


def _histogram(macs: Sequence[int], limits: Sequence[Limit]) -> Iterator[RenderableType]:
    """Yield a bar for each tenth of the range of MACs, or of its logarithm where that spans much."""
    if not macs:
        return
    edges = _edges(min(macs), max(macs))
    counts = [sum(low <= m < high for m in macs) for low, high in pairwise(edges)]
    most = next(
        (limit.at_most for limit in limits if limit.metric == "macs" and limit.at_most is not None), None
    )
    yield Text(f"MACs of {many(len(macs), 'member')}, all equally likely", QUIET)
    for (low, high), n in zip(pairwise(edges), counts, strict=True):
        beyond = most is not None and low > most
        bar = "█" * round(BAR * n / max(counts)) or ("▏" if n else "")
        label = f"  {engineering(low, digits=3):>6} to {engineering(high, digits=3):>6}  "
        yield Text.assemble(label, (bar, QUIET if beyond else "cyan"), (f" {n}", QUIET))


def _edges(low: int, high: int) -> list[float]:
    if low == high:
        return [low, low + 1]
    if low > 0 and high / low > 5:
        steps = [low * (high / low) ** (i / BINS) for i in range(BINS)]
    else:
        steps = [low + (high - low) * i / BINS for i in range(BINS)]
    return [*steps, high + 1]
