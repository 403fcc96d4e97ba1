"""`nas space`: what a search space holds."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from scaling.constraints import (
    METRICS,
    Limit,
    Range,
    parse_limit,
    prove_feasible,
    refuse_contradictions,
    violations,
)
from scaling.providers import ANALYTIC, Provider, check_known, values, who_knows
from scaling.shares import Drawn, drawn
from search_spaces.automaton import count
from search_spaces.choice import Choice
from search_spaces.errors import BadInput, Infeasible, Unbuildable
from search_spaces.moves import sample
from search_spaces.names import nearest
from search_spaces.network import Network
from search_spaces.presets import PRESETS, is_preset, preset
from search_spaces.serialise import from_text, key
from search_spaces.text import parse, read_text

from ..architectures import space_of
from ..config import load_config
from ..journal import JOURNAL
from ..launch import data_of, providers_of
from .model import FILES, shape_from
from .options import RESULTS, AsJson, Results
from .record import read_record
from .show import emit, say
from .space_view import View, document, report

MEMBERS_SHOWN = 3
DRAWS = 200  # for members that can be built and keep the limits, to be shown
SEED = 0
DEFAULT_INPUT, DEFAULT_CLASSES = (3, 32, 32), 10


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
    shown_metric: Annotated[
        str, typer.Option("--metric", metavar="METRIC", help="What the histogram is of.")
    ] = "macs",
    samples: Annotated[int, typer.Option(min=1, max=1_000_000, help="Random members for shares.")] = 1000,
    results: Results = RESULTS,
    as_json: AsJson = False,
) -> int:
    """Show what a search space holds: its exact size, what members cost, which share of them keeps limits.

    Shares and the histogram are over members drawn with equal chances. Nothing is trained. A study on a table can
    limit and show its columns, too.

    nas space mobile --input 3,224,224 --classes 1000 --limit 'macs<=300M' --limit 'params>=2M' --metric params
    nas space 'darts(width=36, cells=20)'
    nas space mine.yaml
    """
    network, own_limits = space_named(named, shape_from(shape), classes, results=results)
    limits = (*own_limits, *map(parse_limit, limit or []))
    providers = providers_named(named, network, results=results)
    check_known((one.metric for one in limits), where="limit", providers=providers)
    check_known((shown_metric,), where="--metric", providers=providers)
    view = look(named, network, limits, providers=providers, shown_metric=shown_metric, n=samples)
    if as_json:
        emit(document(view))
    else:
        say(*report(view))
    refuse_contradictions(view.limits)
    prove_feasible(view.space, view.limits, providers=providers)
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


def providers_named(named: str, network: Network, *, results: Path) -> tuple[Provider, ...]:
    """Return who knows metrics of the members: the formulas, and the table of a study or run that has one."""
    if is_preset(named):
        return (ANALYTIC,)
    if not named.endswith(FILES) and not Path(named).is_file():
        return providers_of(read_record(named, results).config, network)
    said = parse(read_text(Path(named)), source=named)
    on_table = isinstance(said, Mapping) and "network" not in said and said.get("table")
    return providers_of(load_config(Path(named)), network) if on_table else (ANALYTIC,)


def look(
    title: str,
    network: Network,
    limits: Sequence[Limit],
    *,
    providers: tuple[Provider, ...],
    shown_metric: str,
    n: int,
) -> View:
    """Count, bound and sample a space."""
    named = list(dict.fromkeys((*METRICS, shown_metric, *(limit.metric for limit in limits))))
    found = drawn(network, named, rng=random.Random(SEED), n=n, providers=providers)
    return View(
        name=title,
        space=network,
        limits=tuple(limits),
        size=count(network),
        ranges={name: _range(network, name, providers, found) for name in named},
        drawn=found,
        metric=shown_metric,
        members=tuple(_members(network, limits, named, providers)),
    )


def _space_of_run(named: str, results: Path) -> tuple[Network, tuple[Limit, ...]]:
    if not (Path(named) / JOURNAL).is_file() and not (results / named / JOURNAL).is_file():
        raise BadInput(
            f"space: got {named!r}, expected a preset ({', '.join(PRESETS)}), a config or space file "
            f"(.yaml, .json), or a run in {results}{nearest(named, PRESETS)}"
        )
    plan = read_record(named, results).plan
    if isinstance(plan.space, Choice):
        raise _a_list(named)
    return plan.space.network, plan.limits


def _space_of_file(path: Path) -> tuple[Network, tuple[Limit, ...]]:
    text = read_text(path)
    said = parse(text, source=str(path))
    if isinstance(said, Mapping) and "network" in said:
        return from_text(text, source=str(path)), ()
    config = load_config(path)
    space = space_of(config, data_of(config))
    if not isinstance(space, Network):
        raise _a_list(str(path))
    return space, tuple(map(parse_limit, config.limits))


def _a_list(named: str) -> BadInput:
    return BadInput(f"{named}: a list of networks, expected a space; `nas profile` shows a network")


def _range(network: Network, name: str, providers: Sequence[Provider], found: Drawn) -> Range:
    """Return what is proved of a metric's range, or what the members drawn show."""
    provider = who_knows(name, providers)
    reach = None if provider is None else provider.reach(network, name)
    if reach is not None:
        return reach
    seen = [known[name] for known in found if known is not None]
    if not seen:
        raise Infeasible(f"space: none of {len(found)} random members can be built; use fewer strides")
    return Range(low=min(seen), high=max(seen), known="sampled")


def _members(
    network: Network, limits: Sequence[Limit], named: Sequence[str], providers: Sequence[Provider]
) -> Iterator[tuple[Network, Mapping[str, float]]]:
    """Yield a few random members that keep the limits, or any where none is met soon."""
    rng, found = random.Random(SEED + 1), list[tuple[Network, Mapping[str, float]]]()
    for member in (sample(network, rng, by="member") for _ in range(DRAWS)):
        try:
            found.append((member, values(member, named, providers=providers)))
        except Unbuildable:
            continue
    kept = [(m, known) for m, known in found if not violations(known, limits)]
    seen: set[str] = set()
    for member, known in kept or found:
        if key(member) not in seen and len(seen) < MEMBERS_SHOWN:
            seen.add(key(member))
            yield member, known
