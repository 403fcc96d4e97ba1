"""`nas search --dry-run`: what a search would be and how long it would take, by timing three members."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

from rich.console import RenderableType
from rich.text import Text

from scaling.constraints import METRICS, Limit, violations
from scaling.providers import ANALYTIC, Provider, values, who_knows
from search_spaces.automaton import count
from search_spaces.block import fixed
from search_spaces.errors import Infeasible, Unbuildable
from search_spaces.moves import sample
from search_spaces.network import Network
from search_spaces.serialise import key

from ..analysis.metrics import shown
from ..cluster import check_cluster
from ..config import StudyConfig
from ..launch import executor_for, planned
from ..plan import Plan, confirmations, finals
from ..probes import EPOCHS, SECONDS, Forecast, Parts, Probed, forecasts, parts_of, probed
from ..recipe import Candidate
from .describe import describe
from .show import QUIET, Json, complain, console, duration, emit, facts, many, say, table
from .space import MEMBERS_SHOWN, look
from .space_view import View, shares

SAMPLES = 1000  # for the share that keeps the limits
DRAWS = 200  # for members to time
SEED = 1
DONE, NOTHING_TIMED = 0, 1
NO_SUPERNET = "trainings alone are estimated: the strategy trains a supernet too, which takes its own time"


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What is known of a search before it begins; a list of networks has no view, a table nothing to time."""

    config: StudyConfig
    plan: Plan
    view: View | None
    members: tuple[Candidate, ...]
    parts: Parts | None
    probed: Probed | None
    forecasts: Mapping[str, Forecast]
    notes: tuple[str, ...]
    now: datetime


def dry_run(config: StudyConfig, *, results: Path, as_json: bool) -> int:
    """Say what a search would be, time probes of it, and return the exit code; nothing stays in `results`."""
    made = tried(config, results, to_stderr=as_json)
    if as_json:
        emit(document(made))
    else:
        say(*report(made))
    if made.probed is not None and not made.forecasts:
        failure = made.probed.probes[0].failure
        complain(f"no probe could be timed, so nothing is estimated; the first one ended with {failure}")
        return NOTHING_TIMED
    return DONE


def tried(config: StudyConfig, results: Path, *, to_stderr: bool = False) -> DryRun:
    """Look at a study's space and time probes of its members."""
    plan, space, data = planned(config)
    quick = tuple(provider for provider in plan.providers if provider.quick)  # can be asked of thousands
    limits = [limit for limit in plan.limits if who_knows(limit.metric, quick) is not None]
    view = _view(config, space, limits, quick) if isinstance(space, Network) else None
    members = _members(plan, limits, quick)
    slow = [str(limit) for limit in plan.limits if limit not in limits]
    notes: tuple[str, ...] = (f"{', '.join(slow)}: left out here, for nothing is measured",) if slow else ()
    notes += (NO_SUPERNET,) if config.strategy.shares_weights else ()
    parts = found = None
    by: Mapping[str, Forecast] = {}
    if not config.table:
        batch = max(fixed(member.recipe.batch) for member in members)
        parts = parts_of(cast(int, data["train"]), cast(int, data["validation"]), batch)
        say(f"timing {many(len(members), 'member')} for a few epochs each ...", to=console(stderr=to_stderr))
        found = _timed(config, members, parts, data, results)
        by = forecasts(found, plan, parts, trial_limit=config.execution.trial_seconds)
    return DryRun(
        config=config, plan=plan, view=view, members=members, parts=parts, probed=found, forecasts=by,
        notes=notes, now=datetime.now(UTC),
    )  # fmt: skip


def document(made: DryRun) -> dict[str, Json]:
    """Return the JSON of `nas search --dry-run`; docs/cli.md documents it."""
    view, place = made.view, None if made.probed is None else made.probed.capacity
    gpus = bool(place and place.gpus)
    return {
        "space": made.config.space if isinstance(made.config.space, str) else None,
        "size": count(made.plan.space),
        "limits": [str(limit) for limit in made.plan.limits],
        "feasible_share": None if view is None else view.share.share,
        "feasible_interval": None if view is None else [view.share.low, view.share.high],
        "members": [_member(made, at) for at in range(len(made.members))],
        "trainings": {
            "search": made.plan.trials, "confirmation": confirmations(made.plan), "final": finals(made.plan),
        },
        "workers": None if place is None else place.workers,
        "gpus": None if place is None or not gpus else place.gpus,
        "trial_seconds": _each(made, lambda one: round(one.trial_seconds, 2)),
        "seconds": _each(made, lambda one: round(one.seconds, 1)),
        "trial_gpu_hours": _each(made, lambda one: round(one.trial_gpu_hours, 4)) if gpus else None,
        "gpu_hours": _each(made, lambda one: round(one.gpu_hours, 3)) if gpus else None,
        "finishes_at": _each(made, lambda one: _ends(made, one).isoformat(timespec="seconds")),
        "notes": list(made.notes),
    }  # fmt: skip


def report(made: DryRun) -> Iterator[RenderableType]:
    """Yield what people see."""
    space = made.config.space if isinstance(made.config.space, str) else "a space of its own"
    size = f"{count(made.plan.space):,} candidates"
    yield Text.assemble((space, "bold"), f"  {size} on {made.config.table or made.config.data.source}")
    yield Text()
    if made.view is not None:
        yield facts(shares(made.view))
        yield Text()
    yield table(
        ("member", "parameters", "MACs", "trial", "architecture"),
        [_row(made, at) for at in range(len(made.members))],
        left=("architecture",),
    )
    yield Text()
    if made.config.table:
        yield Text(f"trials are looked up in {made.config.table}, which takes no time worth an estimate")
    if made.forecasts:
        yield facts(_facts(made))
        yield Text(
            "An estimate: what these members took here, times epochs and trials; a search may come to prefer larger "
            "or smaller ones.",
            QUIET,
        )
    yield from (Text(note, "yellow") for note in made.notes)


def _view(
    config: StudyConfig, space: Network, limits: Sequence[Limit], providers: tuple[Provider, ...]
) -> View:
    named = config.space if isinstance(config.space, str) else "space"
    return look(named, space, limits, providers=providers, shown_metric="macs", n=SAMPLES)


def _members(plan: Plan, limits: Sequence[Limit], providers: Sequence[Provider]) -> tuple[Candidate, ...]:
    """Return a few candidates as a search draws its first ones; any where none is met soon that keeps the limits.

    Each decision is equally likely. Of members that are, more are deep, which a search trains less often.
    """
    rng, found, kept = random.Random(SEED), dict[str, Candidate](), dict[str, Candidate]()
    for one in (sample(plan.space, rng) for _ in range(DRAWS)):
        try:
            known = values(one.network, METRICS, providers=(ANALYTIC,))
            known |= values(one.network, [limit.metric for limit in limits], providers=providers)
        except Unbuildable:
            continue
        found[key(one.network)] = one
        if not violations(known, limits):
            kept[key(one.network)] = one
        if len(kept) == MEMBERS_SHOWN:
            break
    if not found:
        raise Infeasible(f"space: none of {DRAWS} random members can be built; use fewer strides")
    return tuple(list((kept or found).values())[:MEMBERS_SHOWN])


def _timed(
    config: StudyConfig, members: tuple[Candidate, ...], parts: Parts, data: Mapping[str, Json], results: Path
) -> Probed:
    """Train members where the search would, in a folder that is gone afterwards."""
    workers = config.execution.workers or (None if config.execution.cluster is not None else 1)
    execution = replace(config.execution, trial_seconds=SECONDS, workers=workers)
    with _folder(None if execution.cluster is None else results) as folder:
        check_cluster(config, folder.parent)
        begun_at = time.monotonic()
        executor = executor_for(
            replace(config, execution=execution),
            folder,
            {"data": data},
            most=(parts.probe_train, parts.probe_validation),
        )
        try:
            return probed(executor, members, begun_at=begun_at, notice=complain)
        finally:
            executor.close()


@contextmanager
def _folder(shared: Path | None) -> Iterator[Path]:
    """Yield a folder that is removed: among the results where a cluster's nodes must see it; it is no run."""
    missing = shared is not None and not shared.is_dir()
    if shared is not None:
        shared.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".probe-", dir=shared) as place:
            yield Path(place)
    finally:
        if shared is not None and missing:
            with suppress(OSError):  # somebody else has written there by now
                shared.rmdir()


def _member(made: DryRun, at: int) -> dict[str, Json]:
    member, probe = made.members[at], None if made.probed is None else made.probed.probes[at]
    spent = values(member.network, ("params", "macs"))
    epoch = None if probe is None or probe.epoch_seconds is None else probe.epoch_seconds
    return {
        "key": key(member.network), "description": describe(member.network),
        "params": spent["params"], "macs": spent["macs"],
        "epoch_seconds": None if epoch is None or made.parts is None else round(epoch * made.parts.times, 4),
        "failure": (probe.failure or None) if probe is not None else None,
    }  # fmt: skip


def _row(made: DryRun, at: int) -> tuple[str | Text, ...]:
    said = _member(made, at)
    seconds = said["epoch_seconds"]
    if isinstance(seconds, float):
        lasts: str | Text = duration(seconds * made.plan.epochs)
    else:
        lasts = Text(str(said["failure"] or ""), "red")
    costs = (shown(name, cast(float, said[name])) for name in ("params", "macs"))
    return (str(said["key"]), *costs, lasts, Text(str(said["description"]), QUIET))


def _facts(made: DryRun) -> Iterator[tuple[str, str]]:
    by, found = made.forecasts, made.probed
    assert found is not None
    assert made.parts is not None
    seen = f"{made.parts.probe_train:,} of {made.parts.train:,} examples"
    yield "probes", f"up to {EPOCHS} epochs each of {seen}, {many(found.capacity.workers, 'worker')}"
    plan = made.plan
    later = f"{many(confirmations(plan), 'confirmation')}, {many(finals(plan), 'final training')}"
    yield "trainings", f"{many(plan.trials, 'trial')} of {many(plan.epochs, 'epoch')}, {later}"
    yield "a trial", _between(made, lambda one: duration(one.trial_seconds))
    yield "the whole run", _between(made, lambda one: duration(one.seconds))
    if found.capacity.gpus:
        yield "GPU-hours", _between(made, lambda one: f"{one.gpu_hours:.2f}")
        yield "of a trial", _between(made, lambda one: f"{one.trial_gpu_hours:.3f} GPU-hours")
    ends = _ends(made, by["mean"]).astimezone()
    yield "begun now, it ends", f"about {ends:%Y-%m-%d %H:%M}"


def _between(made: DryRun, said: Callable[[Forecast], str]) -> str:
    fastest, slowest = (said(made.forecasts[name]) for name in ("fastest", "slowest"))
    return f"about {said(made.forecasts['mean'])}; {fastest} by the fastest probe, {slowest} by the slowest"


def _each(made: DryRun, value: Callable[[Forecast], Json]) -> Json:
    """Return a value of each forecast by its name; None where nothing was timed."""
    return {name: value(one) for name, one in made.forecasts.items()} or None


def _ends(made: DryRun, one: Forecast) -> datetime:
    return made.now + timedelta(seconds=one.seconds)
