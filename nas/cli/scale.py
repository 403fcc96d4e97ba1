"""`nas scale`: a family of one network, by a rule, for steps of phi or for budgets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scaling.compound import Scaling
from scaling.family import Family, family, parse_target
from scaling.providers import ANALYTIC, LATENCY, Provider
from scaling.rules import Rule
from search_spaces.errors import BadInput, BadSpec
from search_spaces.serialise import from_data

from ..family_file import Asking, Timed, family_file, member_names, stem_of
from ..family_folder import write_members
from ..latency import Latencies, Latency, latencies_of
from ..listed import SEEDS, Regularisation
from ..storage import check_name, inside, new_folder
from .model import model_named, shape_from, with_input
from .options import RESULTS, AsJson, Divisor, Fix, Keep, Multiple, Repeats, Results, UnlikeLayers
from .scale_picture import CSV, PICTURE, check_drawable, draw, overlays, write_table
from .scale_rule import rule_named
from .scale_train import train, training
from .scale_view import document, report
from .show import emit, say

if TYPE_CHECKING:
    from scaling.targets import Target

PHIS = (0.0, 1.0, 2.0, 3.0)  # where neither --phi nor --target is given, of rules without rows
MOST_PHIS = 64
DONE, UNSTABLE = 0, 1
GROWN = Regularisation()


def scale(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A published network, a spec file, RUN#best or RUN#key.")
    ],
    rule: Annotated[
        str,
        typer.Option(
            metavar="'NAME KEY=VALUE'",
            help="compound, table, width, depth, resolution, dwr, your own, a file, or a run of `nas fit`.",
        ),
    ] = "compound",
    phi: Annotated[
        str | None, typer.Option(metavar="LIST", help="Steps, such as -1,0,0.5 or 0..7 for whole ones.")
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(metavar="BUDGETS", help="'macs <= 300M, params <= 5M', kept together; may be repeated."),
    ] = None,
    fix: Fix = None,
    unlike: UnlikeLayers = "stretch",
    divisor: Divisor = 8,
    keep: Keep = 0.9,
    repeats: Repeats = "ceil",
    multiple: Multiple = 1,
    shape: Annotated[
        str | None, typer.Option("--input", metavar="C,H,W", help="Another input of the base.")
    ] = None,
    latency: Annotated[
        bool, typer.Option("--latency", help="Measure all members together on this device.")
    ] = False,
    device: Annotated[str, typer.Option(help="Latency: cpu, cuda, cuda:1 or mps.")] = "cpu",
    threads: Annotated[int, typer.Option(help="Latency: threads inside an operator, on a CPU.")] = 1,
    batch: Annotated[int, typer.Option(help="Latency: examples in one run.")] = 1,
    table: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Latency of targets: a table, in place of measuring."),
    ] = None,
    x: Annotated[
        str, typer.Option("--x", metavar="METRIC", help="Across the picture: macs, params, latency_ms ...")
    ] = "macs",
    overlay: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FAMILY", help="In the picture too: resnet, mobilenet_v2 ..., a family of yours, or none."
        ),
    ] = None,
    imports: Annotated[
        list[str] | None, typer.Option("--import", metavar="MODULE", help="A module with a rule of yours.")
    ] = None,
    train_by: Annotated[
        str | None,
        typer.Option(
            "--train", metavar="CONFIG", help="Train the members by a study's YAML file, or as `digits`."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Overrides a setting of --train.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=64, help="Trainings of each member.")] = SEEDS,
    dropout_growth: Annotated[
        float, typer.Option(help="Training: added to dropout a doubling of MACs; 0 keeps it.")
    ] = GROWN.dropout,
    augment_growth: Annotated[
        float, typer.Option(help="Training: the part by which augmentation grows with it; 0 keeps it.")
    ] = GROWN.augmentation,
    name: Annotated[str | None, typer.Option(metavar="RUN", help="The family's name.")] = None,
    results: Results = RESULTS,
    as_json: AsJson = False,
) -> int:
    """Scale a network to a family: for steps of phi, for budgets, or as a published table did.

    A target gets the largest network on the rule's curve that keeps all its budgets. Each member comes as a spec
    and as PyTorch source that needs torch alone. Without --phi and --target: the rows of a table, else phi 0 to 3.

    nas scale efficientnet_b0 --rule table
    nas scale run-1#best --target 'macs <= 2M' --target 'macs <= 4M, params <= 100k'
    nas scale resnet18 --rule 'compound alpha=1.3 beta=1.1 gamma=1.1' --phi=-1,0,1,2
    nas scale run-1#best --rule fitted --train mine.yaml --seeds 3
    nas scale mobilenet_v2 --rule dwr --fix resolution --target 'latency_ms <= 20' --latency
    """
    if settings and train_by is None:
        raise BadInput("--set: got settings but no --train, which they override; add --train CONFIG")
    if train_by is None:
        growth = (
            ("dropout-growth", dropout_growth, GROWN.dropout),
            ("augment-growth", augment_growth, GROWN.augmentation),
        )
        refuse_idle((("seeds", seeds, SEEDS), *growth), "nothing that is trained", "add --train CONFIG")
    base = with_input(model_named(model, Path(results)), shape_from(shape))
    rounding: dict[str, int | float | str] = {
        "divisor": divisor, "keep": keep, "repeats": repeats, "resolution_multiple": multiple,
    }  # fmt: skip
    named = rule_named(rule, imports or (), Path(results))
    scaling = scaling_of(named, rounding=rounding, fix=fix or (), unlike=unlike)
    how = Latency(device=device, threads=threads, batch=batch, table=table)
    asking = asked(model, phi, target or (), scaling.rule, latency=how, imports=tuple(imports or ()))
    if asking.latency is None:
        refuse_idle((("table", table, None),), "no target on latency_ms", "add --target 'latency_ms <= 20'")
        if not latency:
            ways = (("device", device, "cpu"), ("threads", threads, 1), ("batch", batch, 1))
            refuse_idle(ways, "no latency", "add --latency, or a target on latency_ms")
    folder = folder_named(name, model, scaling.rule, Path(results))
    beside = overlays(overlay, base, Path(results))
    check_drawable(x, measured=latency or asking.latency is not None)
    providers = providers_of(asking.latency)
    made = family(
        base,
        phis=asking.phis,
        targets=[parse_target(text) for text in asking.targets],
        scaling=scaling,
        providers=providers,
    )
    unsure = tuple(unstable(made, providers))
    made = replace(made, notes=made.notes + unsure + tuple(unfitted(made, providers)))
    how_trained = None
    if train_by is not None:
        grown = from_data(Regularisation, {"dropout": dropout_growth, "augmentation": augment_growth})
        how_trained = training(
            made, train_by, settings or (), seeds=seeds, regularisation=grown, x=x, overlay=overlay
        )
    file = family_file(made, asking, timed_together(made, model, how) if latency else None)
    with new_folder(folder) as place:
        written = write_members(place, file, made)
        written.append(write_table(file, place / CSV))
        written.append(draw(file, folder.name, beside, x, place / PICTURE))
    if how_trained is not None:
        return train(how_trained, folder, as_json=as_json)
    files = [folder / path.name for path in written]
    emit(document(file, folder, files)) if as_json else say(*report(file, folder))
    drifting = any(m.latency and not m.latency.stable for m in file.members)
    return UNSTABLE if unsure or drifting else DONE


def refuse_idle(options: Sequence[tuple[str, object, object]], without: str, remedy: str) -> None:
    """Refuse options, as (name, given, default), that are given where nothing goes by them."""
    for name, given, default in options:
        if given != default:
            raise BadInput(
                f"--{name}: got {given!r} and {without}, so that it would change nothing; {remedy}"
            )


def scaling_of(
    rule: Rule,
    *,
    rounding: Mapping[str, int | float | str],
    fix: Sequence[str] = (),
    unlike: str = "stretch",
) -> Scaling:
    """Return a checked scaling of what the command line says; `BadInput` names the setting that is wrong."""
    data = {"rounding": dict(rounding), "unlike": unlike, "fix": tuple(fix)}
    try:
        plain = from_data(Scaling, data)
    except BadSpec as error:
        message = str(error).split("\n", 1)[0].removeprefix("spec: ")  # said of the scaling as a whole
        path, _, said = message.partition(":")
        option = path.removeprefix("rounding.").partition("[")[0].replace("_", "-")
        raise BadInput(f"--{option}:{said}") from None
    return replace(plain, rule=rule)


def asked(
    model: str,
    phi: str | None,
    targets: Sequence[str],
    rule: Rule,
    *,
    latency: Latency,
    imports: tuple[str, ...] = (),
) -> Asking:
    """Return what is asked for: phis and targets, or where neither is said a rule's rows or phi 0 to 3."""
    parsed = [parse_target(text) for text in targets]
    phis = phis_from(phi, rule) if phi is not None else ()
    if phi is None and not parsed:
        phis = rule.points() or PHIS
    return Asking(
        model=model,
        phis=phis,
        targets=tuple(", ".join(map(str, target)) for target in parsed),
        latency=latency if _limit_latency(parsed) else None,
        imports=imports,
    )


def phis_from(text: str, rule: Rule) -> tuple[float, ...]:
    """Return the phis that text such as `-1,0,0.5` or `0..7` says; a rule with rows knows them by name too."""
    rows = {rule.label(phi): phi for phi in rule.points() or ()}
    parts = [part.strip() for part in text.split(",") if part.strip()]
    found = tuple(dict.fromkeys(phi for part in parts for phi in _phis(part, rows)))
    if not 0 < len(found) <= MOST_PHIS:
        raise BadInput(f"--phi: got {len(found)} steps in {text!r}, expected 1 to {MOST_PHIS}")
    return found


def folder_named(name: str | None, model: str, rule: Rule, results: Path) -> Path:
    """Return the folder of the new family; `BadInput` where something lies there already."""
    if name is None:
        kind = type(rule).__name__.removesuffix("Only").lower()
        stem, number = re.sub(r"[^a-z0-9]+", "-", f"{stem_of(model)}-{kind}"), 1
        while (results / f"{stem}-{number}").exists():
            number += 1
        name = f"{stem}-{number}"
    folder = inside(results, check_name(name))
    if folder.exists():
        raise BadInput(
            f"name: {name} is taken, {folder} is there already; give another name, or move it away"
        )
    return folder


def providers_of(how: Latency | None) -> tuple[Provider, ...]:
    """Return who knows the metrics of targets: formulas, and where latency is limited a good table or the device."""
    if how is None:
        return (ANALYTIC,)
    if how.table is not None and (known := latencies_of(how, None)).quick:
        return ANALYTIC, known
    from scaling.latency_budget import MeasuredLatency  # loads torch

    return ANALYTIC, MeasuredLatency(how.circumstances.settings(how.seconds))


def unstable(made: Family, providers: Sequence[Provider]) -> Iterator[str]:
    """Yield a note for each member whose latency, as it met its target, cannot be relied on."""
    if all(provider.quick for provider in providers):
        return
    from scaling.latency_budget import MeasuredLatency  # loads torch

    measured = [one for one in providers if isinstance(one, MeasuredLatency)]
    for member in made.members:
        for provider in measured if LATENCY in member.metrics else ():
            reason = provider.known(member.network).reason
            if reason is not None:
                yield f"{member.name}: the latency that met it is unstable: {reason}"


def unfitted(made: Family, providers: Sequence[Provider]) -> Iterator[str]:
    """Yield a note for each member that met a target on latency by a table that was fitted on other kinds of blocks."""
    for table in (one for one in providers if isinstance(one, Latencies)):
        for member in made.members if table.predictor is not None else ():
            if LATENCY in member.metrics and (doubt := table.doubt(member.network)):
                yield f"{member.name}: {doubt}"


def timed_together(made: Family, model: str, how: Latency) -> Mapping[str, Timed]:
    """Measure all members in one session, in turn, and return their latencies by file name."""
    from scaling.latency import measure_together  # loads torch

    networks = dict(zip(member_names(made, model), (one.network for one in made.members), strict=True))
    session = measure_together(networks, settings=how.circumstances.settings(how.seconds))
    return {
        one.model: Timed(
            median_ms=one.median_ms,
            interval_ms=one.interval_ms,
            stable=one.stable,
            reason=one.reason,
            device=one.device,
        )
        for one in session.models
    }


def _phis(part: str, rows: Mapping[str, float]) -> Sequence[float]:
    if part in rows:
        return [rows[part]]
    if span := re.fullmatch(r"(-?\d{1,4})\.\.(-?\d{1,4})", part):
        return [float(phi) for phi in range(int(span[1]), int(span[2]) + 1)]
    try:
        return [float(part)]
    except ValueError:
        named = f", or {', '.join(rows)}" if rows else ""
        raise BadInput(f"--phi: got {part!r}, expected numbers such as -1,0,0.5 or 0..7{named}") from None


def _limit_latency(targets: Sequence[Target]) -> bool:
    return any(limit.metric == LATENCY for target in targets for limit in target)
