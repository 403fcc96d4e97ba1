"""`nas latency`: how long models take on this device, and whether that can be believed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.console import RenderableType
from rich.text import Text

from scaling.latency_table import Circumstances
from search_spaces.block import fixed
from search_spaces.errors import BadInput
from search_spaces.network import Network
from search_spaces.serialise import key

from .latency_table import build
from .model import model_named, shape_from, with_input
from .options import RESULTS, AsJson, Results
from .own import names_own, own_model
from .show import Json, duration, emit, facts, many, say, table

if TYPE_CHECKING:
    from torch import nn

    from scaling.latency import Latency, Session
    from scaling.timing import Settings

    Models = Mapping[str, Network | nn.Module]

STABLE, UNSTABLE = 0, 1  # exit codes
SECONDS = 2.0  # for each model
INTERVAL = "95\u00a0% interval"  # stays in one line as a head


def latency(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL...",
            help="Published networks, spec files, RUN#best or RUN#key, or your own module:attribute.",
            show_default=False,
        ),
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option("--input", metavar="C,H,W", help="Another input; a module of your own needs one."),
    ] = None,
    batch: Annotated[int, typer.Option(help="Examples in one run.")] = 1,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 or mps.")] = "cpu",
    threads: Annotated[
        int, typer.Option(help="Threads inside an operator, on a CPU: 1 repeats best, more is faster.")
    ] = 1,
    dtype: Annotated[str, typer.Option(help="float32, float16, bfloat16 or float64.")] = "float32",
    channels_last: Annotated[
        bool, typer.Option("--channels-last", help="Lay weights and input out with channels last.")
    ] = False,
    compiling: Annotated[
        str,
        typer.Option(
            "--compile",
            metavar="MODE",
            help="torch.compile first: none, default, reduce-overhead or max-autotune.",
        ),
    ] = "none",
    seconds: Annotated[
        float | None, typer.Option(help="The time to spend on each model: 2, or 0.5 for a table.")
    ] = None,
    build_table: Annotated[
        str | None,
        typer.Option(metavar="SPACE", help="Build a table of what blocks take, for a preset, config or run."),
    ] = None,
    classes: Annotated[int | None, typer.Option(min=2, help="Table: the classes of a preset.")] = None,
    networks: Annotated[int | None, typer.Option(help="Table: networks to fit; 200 without it.")] = None,
    held_out: Annotated[
        int | None, typer.Option(help="Table: networks to judge it by; 50 without it.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Table: where to write it.")] = None,
    results: Results = RESULTS,
    as_json: AsJson = False,
) -> int:
    """Measure how long models take on this device, with the spread, and say where that cannot be believed.

    Models are timed in turn with a small fixed network, the sentinel, so that drift of the device cancels in
    ratios. Exit code 1 where a number is unstable: it is shown with the reason, and should not be used.

    nas latency mobilenet_v2
    nas latency mobilenet_v2 efficientnet_b0 --batch 8 --threads 2
    nas latency mynets:Small mynets:Large --input 3,96,96
    nas latency --build-table mobile --input 3,64,64 --out mobile.json
    """
    how = Circumstances(
        batch=batch,
        dtype=dtype,
        memory_format="channels_last" if channels_last else "contiguous",
        compile=compiling,
        device=device,
        threads=threads,
    )
    of_table = {"--classes": classes, "--networks": networks, "--held-out": held_out, "--out": out}
    _check_asked(models, build_table, [name for name, value in of_table.items() if value is not None])
    if build_table is not None:
        from scaling.latency_table_build import Effort  # loads torch

        wanted = {"networks": networks, "held_out": held_out}
        effort = replace(Effort(), **{name: n for name, n in wanted.items() if n is not None})
        if seconds is not None:
            effort = replace(effort, seconds=seconds)
        usable = build(
            build_table, shape=shape_from(shape), classes=classes, circumstances=how, effort=effort, out=out,
            results=results, as_json=as_json,
        )  # fmt: skip
        return STABLE if usable else UNSTABLE
    from scaling.latency import measure_together  # loads torch

    assert models is not None
    given = _given(models, shape_from(shape), results)
    session = measure_together(
        given, settings=how.settings(SECONDS if seconds is None else seconds), shape=shape_from(shape)
    )
    if as_json:
        emit(document(session, given, shape_from(shape)))
    else:
        say(*report(session))
    return STABLE if all(one.stable for one in session.models) else UNSTABLE


def _check_asked(models: Sequence[str] | None, build_table: str | None, of_table: Sequence[str]) -> None:
    """Refuse what goes together with a table alone, or not with one."""
    if build_table is None and not models:
        raise BadInput("latency: got no MODEL, expected one or more, or --build-table SPACE")
    if build_table is None and of_table:
        raise BadInput(f"{of_table[0]}: it says how a table is built, and there is no --build-table SPACE")
    if build_table is not None and models:
        raise BadInput(f"--build-table {build_table}: got {models[0]} too, expected no MODEL beside it")


def document(session: Session, models: Models, shape: tuple[int, ...] | None) -> dict[str, Json]:
    """Return the JSON of `nas latency`; docs/cli.md documents it."""
    rows = [_row(one, models[one.model], shape) for one in session.models]
    if len(rows) == 1:
        return rows[0]
    first = [{"ratio_to_first": asdict(ratio)} for ratio in session.ratios]
    return {
        "models": [{**row, **to_first} for row, to_first in zip(rows, first, strict=True)],
        "sentinel": asdict(session.sentinel),
        "stable": all(one.stable for one in session.models),
        "device": session.sentinel.device,
        "seconds": session.seconds,
    }


def report(session: Session) -> Iterator[RenderableType]:
    """Yield what people see."""
    if len(session.models) == 1:
        yield from _one(session.models[0])
    else:
        yield from _several(session)
        yield Text()
    yield facts(
        [*_circumstances(session.sentinel, session.models[0].settings), ("took", duration(session.seconds))]
    )


def _given(texts: Sequence[str], shape: tuple[int, ...] | None, results: Path) -> Models:
    """Return the models by the name that is shown; one given twice is told from itself."""
    models: dict[str, Network | nn.Module] = {}
    for text in texts:
        times = sum(name.partition(" ")[0] == text for name in models)
        model = own_model(text) if names_own(text) else model_named(text, Path(results))
        models[f"{text} ({times + 1})" if times else text] = (
            with_input(model, shape) if isinstance(model, Network) else model
        )
    return models


def _row(one: Latency, model: Network | nn.Module, shape: tuple[int, ...] | None) -> dict[str, Json]:
    from scaling.latency import METHOD

    return {
        **cast("dict[str, Json]", asdict(one)),
        "key": key(model) if isinstance(model, Network) else None,
        "input": [fixed(n) for n in model.input] if isinstance(model, Network) else list(shape or ()),
        "method": METHOD,
    }


def _one(one: Latency) -> Iterator[RenderableType]:
    yield Text(one.model, "bold")
    if one.reason:
        yield Text(f"unstable: {one.reason}", "bold red")
        yield Text("what was seen, not to be relied on:", "red")
    low, high = one.ratio.interval
    unsteady = f"; unstable: {one.ratio.reason}" if one.ratio.reason not in (None, one.reason) else ""
    yield facts(
        [
            ("median", f"{_ms(one.median_ms)} ms"),
            ("95 % interval", _span(one.interval_ms)),
            ("quartiles", _span(one.quartiles_ms)),
            ("minimum", f"{_ms(one.minimum_ms)} ms"),
            (
                "samples",
                f"{one.n}, each the mean of {many(one.repeats, 'run')}, after {one.warm_up} to warm up",
            ),
            (
                "to sentinel",
                f"{one.ratio.median:.4g} times as long ({low:.4g} to {high:.4g}){unsteady}",
            ),
            ("stable", "no" if one.reason else "yes"),
        ]
    )


def _several(session: Session) -> Iterator[RenderableType]:
    heads = (
        "model",
        "median ms",
        INTERVAL,
        "quartiles",
        "minimum",
        "to first",
        INTERVAL,
        "stable",
    )
    rows = [
        (
            one.model, _ms(one.median_ms), _span(one.interval_ms, ""), _span(one.quartiles_ms, ""),
            _ms(one.minimum_ms), f"{ratio.median:.4g}", "{:.4g} to {:.4g}".format(*ratio.interval),
            Text("yes") if one.stable else Text("no", "bold red"),
        )
        for one, ratio in zip(session.models, session.ratios, strict=True)
    ]  # fmt: skip
    yield table(heads, rows, left=("model",))
    for one in session.models:
        if one.reason:
            yield Text(f"{one.model} is unstable: {one.reason}", "red")
    for one, ratio in zip(session.models, session.ratios, strict=True):
        if ratio.reason and not one.reason:
            yield Text(f"{one.model}: its ratio to the first is unstable: {ratio.reason}", "red")


def _circumstances(sentinel: Latency, settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield what the numbers hold for."""
    device = sentinel.fingerprint
    used = [many(settings.batch, "example"), settings.dtype, settings.memory_format.replace("_", " ")]
    if settings.compile != "none":
        used.append(f"compiled ({settings.compile})")
    if device.kind == "cpu":
        used.append(f"{many(settings.threads, 'thread')} of {many(device.cores, 'core')} (--threads)")
    yield "a run", f"{', '.join(used)}; {sentinel.timer}"
    yield "device", f"{device.name}, {many(device.cores, 'core')}, torch {device.torch}; key {device.key}"
    unsteady = f"; unstable: {sentinel.reason}" if sentinel.reason else ""
    yield "sentinel", f"{_ms(sentinel.median_ms)} ms ({_span(sentinel.interval_ms)}){unsteady}"


def _span(pair: tuple[float, float], unit: str = " ms") -> str:
    return f"{_ms(pair[0])} to {_ms(pair[1])}{unit}"


def _ms(value: float) -> str:
    return f"{value:.4g}" if value < 10_000 else f"{value:,.0f}"
