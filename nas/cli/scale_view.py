"""What people and programs see of a family."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import cast

from rich.console import RenderableType
from rich.text import Text

from scaling.constraints import in_units, parse_limit
from scaling.providers import LATENCY

from ..analysis.metrics import metric, shown
from ..family_file import Asked, FamilyFile, Growth, MemberFile, metrics_of, scores_of
from .scale_picture import binds_of
from .show import QUIET, Json, facts, many, short_path, table

DIMENSIONS = ("depth", "width", "resolution")


def document(file: FamilyFile, folder: Path, files: Sequence[Path]) -> dict[str, Json]:
    """Return the JSON of `nas scale`; docs/cli.md documents it."""
    return {
        "run": folder.name,
        "folder": str(folder),
        "model": file.model,
        "rule": type(file.scaling.rule).__name__,
        "growth": file.growth,
        "members": [_member(member, folder) for member in file.members],
        "notes": list(file.notes),
        "files": [str(path) for path in files],
    }


def report(file: FamilyFile, folder: Path) -> Iterator[RenderableType]:
    """Yield what people see: a row a member, what each request met, where the files are, what to do next."""
    yield _table(file)
    yield Text(
        "x base: depth, width, resolution over the base after rounding; in brackets what was asked", QUIET
    )
    requests = [(member, request) for member in file.members for request in member.requests]
    said = [(member.name, _met(request, member)) for member, request in requests if request.target]
    if said:
        yield Text()
        yield facts(said)
    for note in (*file.notes, *_unstable(file)):
        yield Text(note, "yellow")
    yield Text()
    home = short_path(folder)
    yield facts(
        [
            ("family", f"{home}/family.json, family.csv, family.png"),
            ("members", f"{home}/NAME.json, a spec; NAME.py, PyTorch source that needs torch alone"),
            ("next", f"nas profile {folder.name}#{file.members[-1].name}, or nas compare {folder.name} ..."),
        ]
    )


def _table(file: FamilyFile) -> RenderableType:
    timed = any(member.latency for member in file.members) or file.latency is not None
    scores = list(dict.fromkeys(name for member in file.members for name in scores_of(member)))
    heads = [
        "member", "phi", *(f"{name} x\u00a0base" for name in DIMENSIONS), "input", "params", "MACs",
        "peak memory", *(["latency"] if timed else []), *(metric(name).short for name in scores),
        *(["binds"] if any(map(binds_of, file.members)) else []),
    ]  # fmt: skip
    return table(
        heads, [_row(member, file, heads, scores, timed=timed) for member in file.members], left=("member",)
    )


def _row(
    member: MemberFile, file: FamilyFile, heads: Sequence[str], scores: Sequence[str], *, timed: bool
) -> list[str | Text]:
    own = metrics_of(member)
    cells: list[str | Text] = [
        member.name,
        f"{member.phi:.4g}",
        *(_factor(name, member.asked, member.got) for name in DIMENSIONS),
        "x".join(map(str, member.input[1:])),
        *(shown(name, own[name]) for name in ("params", "macs", "peak_bytes")),
    ]
    cells += [_latency(member)] if timed else []
    cells += [_score(member, name) for name in scores]
    return cells + ([binds_of(member) or ""] if heads[-1] == "binds" else [])


def _factor(name: str, asked: Growth, got: Growth) -> str:
    wanted, found = f"{getattr(asked, name):.3g}", f"{getattr(got, name):.3g}"
    return found if wanted == found else f"{found} ({wanted})"


def _latency(member: MemberFile) -> Text:
    if member.latency is None:
        ms = member.metrics.latency_ms
        return Text("" if ms is None else f"{ms:.4g} ms")
    low, high = member.latency.interval_ms
    text = f"{member.latency.median_ms:.4g} ms ({low:.4g} to {high:.4g})"
    return Text(text) if member.latency.stable else Text(f"{text} unstable", "bold red")


def _score(member: MemberFile, name: str) -> str:
    spread = scores_of(member).get(name)
    if spread is None:
        return ""
    around = "" if spread.sd is None else f" ± {shown(name, spread.sd, digits=2)}"
    return f"{shown(name, spread.mean)}{around}, {many(spread.seeds, 'seed')}"


def _met(request: Asked, member: MemberFile) -> str:
    """Say what came of a target: what was got, what binds, and which step would go beyond."""
    metrics = _when_found(member)
    limits = [parse_limit(part) for part in (request.target or "").split(",")]
    got = ", ".join(
        f"{one.metric} {in_units(metrics[one.metric])}" for one in limits if one.metric in metrics
    )
    said = f"{request.asked}: got {got}"
    if request.binds is None:
        return f"{said}; nothing larger on this curve"
    said += f"; {request.binds} binds"
    if request.next_step is None:
        return said
    breaks = ", ".join(
        f"{one.metric} {'that cannot be built' if one.value is None else in_units(one.value)}"
        for one in request.next_step.breaks
    )
    short = f", {100 * (request.short or 0):.1f} % short"
    return f"{said}{short}: the next step ({request.next_step.changes}) has {breaks}"


def _when_found(member: MemberFile) -> dict[str, float]:
    """Return a member's metrics as they were when its target was met: a latency measured later is another number."""
    known = member.metrics.latency_ms
    return metrics_of(member) | ({} if known is None else {LATENCY: known})


def _unstable(file: FamilyFile) -> Iterator[str]:
    for member in file.members:
        if member.latency is not None and not member.latency.stable:
            yield f"{member.name}: its latency is unstable and should not be used: {member.latency.reason}"


def _member(member: MemberFile, folder: Path) -> dict[str, Json]:
    own = metrics_of(member)
    data = cast("Mapping[str, Json]", asdict(member))
    requested, achieved = _budgets(member, _when_found(member))
    return {
        "name": member.name,
        "key": member.key,
        "phi": member.phi,
        "input": list(member.input),
        **{name: own[name] for name in ("params", "macs", "activations", "peak_bytes")},
        "latency": data["latency"],
        "trained": None if member.trained is None else {n: asdict(s) for n, s in scores_of(member).items()},
        "requested": requested,
        "achieved": achieved,
        "binds": binds_of(member),
        "requests": data["requests"],
        "spec": str(folder / member.spec),
        "source": str(folder / member.source),
    }


def _budgets(member: MemberFile, own: Mapping[str, float]) -> tuple[dict[str, Json], dict[str, Json]]:
    """Return the factors and budgets that were asked of a member, the tightest of each, and what it has."""
    limits = [parse_limit(p) for r in member.requests if r.target for p in r.target.split(",")]
    budgets: dict[str, float] = {}
    for limit in limits:
        if limit.at_most is not None:
            budgets[limit.metric] = min(limit.at_most, budgets.get(limit.metric, limit.at_most))
    asked: dict[str, Json] = {name: getattr(member.asked, name) for name in DIMENSIONS}
    got: dict[str, Json] = {name: getattr(member.got, name) for name in DIMENSIONS}
    return asked | budgets, got | {name: own[name] for name in budgets if name in own}
