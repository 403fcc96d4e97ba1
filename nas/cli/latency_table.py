"""`nas latency --build-table`: what each kind of block takes on this device, and how far that can be trusted."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rich.console import RenderableType
from rich.text import Text

from search_spaces.serialise import key

from ..storage import make_folder, replace_file
from .show import QUIET, Json, console, duration, emit, facts, many, say, short_path, table
from .space import space_named

if TYPE_CHECKING:
    from scaling.latency_table import Circumstances, LatencyTable, Score
    from scaling.latency_table_build import Effort, HeldOut

    Judged = tuple[LatencyTable, Sequence[HeldOut]]

MOST_UNSTABLE = 0.25  # of the timings, for a table that is to be used
STEPS = 10  # how often progress is told


def build(
    named: str,
    *,
    shape: tuple[int, ...] | None,
    classes: int | None,
    circumstances: Circumstances,
    effort: Effort,
    out: Path | None,
    results: Path,
    as_json: bool,
) -> bool:
    """Build the table of a space, write it and say how good it is; return whether it can be used."""
    from scaling.latency_table import table_text
    from scaling.latency_table_build import build_table  # loads torch

    space, _ = space_named(named, shape, classes, results=results)
    file = (out or Path(f"{_stem(named)}.latency.json")).absolute()
    make_folder(file.parent)
    began = time.monotonic()
    judged = build_table(
        space, name=named, circumstances=circumstances, effort=effort, progress=_teller(began)
    )
    replace_file(file, table_text(judged[0]).encode())
    took = time.monotonic() - began
    if as_json:
        emit(document(judged, file, took))
    else:
        say(*report(judged, file, took))
    return _usable(judged[0])


def document(judged: Judged, file: Path, seconds: float) -> dict[str, Json]:
    """Return the JSON of `nas latency --build-table`; docs/cli.md documents it."""
    found, held_out = judged
    return {
        "space": found.space_name,
        "file": str(file),
        "device": found.device,
        "circumstances": asdict(found.circumstances),
        "sentinel_ms": found.sentinel_ms,
        "entries": len(found.entries),
        "spread": found.spread,
        "errors": cast("dict[str, Json]", asdict(found.errors)),
        "stable": _usable(found),
        "seconds": round(seconds, 1),
        "held_out": [{"key": key(one.network), **_numbers(one)} for one in held_out],
    }


def report(judged: Judged, file: Path, seconds: float) -> Iterator[RenderableType]:
    """Yield what people see."""
    found, _ = judged
    errors = found.errors
    held = many(errors.held_out, "network")
    yield Text.assemble((found.space_name, "bold"), f"  latencies of {held} that were not fitted, by")
    yield Text()
    yield table(
        ("", "mean error", "within 10 %", "Kendall tau", "95\u00a0% interval"),
        [
            _row("the table", errors.table),
            _row("MACs and activations", errors.macs_activations),
            _row("MACs", errors.macs),
            _row("measuring again", errors.again),
        ],
    )
    yield Text()
    yield facts(_facts(found, file, seconds))
    yield Text()
    study = f"latency: {{table: {short_path(file)}}} and limits: ['latency_ms <= 5']"
    yield Text.assemble(("next: ", QUIET), f"{study} in a study's config")


def _facts(found: LatencyTable, file: Path, seconds: float) -> Iterator[tuple[str, str | Text]]:
    errors, how = found.errors, found.circumstances
    lead = f"{errors.lead:+.3f} in tau ({errors.lead_low:+.3f} to {errors.lead_high:+.3f})"
    yield "table", f"{lead} against the better of the two cheap ones; 90 % within {_percent(errors.off_90)}"
    yield (
        "fitted on",
        f"{many(errors.networks, 'network')}; {many(len(found.entries), 'kind')} of blocks in them",
    )
    if errors.unstable:
        share = f"{errors.unstable} of {many(errors.timings, 'timing')}"
        beyond = errors.unstable > MOST_UNSTABLE * errors.timings
        advice = "; stop other programs and build it again" if beyond else ""
        yield "unstable", Text(f"{share}{advice}", "bold red" if beyond else "")
    used = [many(how.batch, "example"), how.dtype, how.memory_format.replace("_", " ")]
    used += [f"compiled ({how.compile})"] if how.compile != "none" else []
    used += [many(how.threads, "thread")] if how.device == "cpu" else []
    yield "a run", ", ".join(used)
    yield "device", f"{found.device_name}, torch {found.torch}; key {found.device}"
    yield "sentinel", f"{found.sentinel_ms:.4g} ms; times are for a device at that speed"
    yield "took", duration(seconds)
    yield "file", short_path(file)


def _row(name: str, score: Score) -> Sequence[str]:
    interval = f"{score.tau_low:.3f} to {score.tau_high:.3f}"
    return name, _percent(score.mape), f"{100 * score.within_10:.0f} %", f"{score.tau:.3f}", interval


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _numbers(one: HeldOut) -> dict[str, float]:
    return {
        "predicted_ms": one.predicted_ms,
        "macs_ms": one.macs_ms,
        "macs_activations_ms": one.macs_activations_ms,
        "measured_ms": one.measured_ms,
        "again_ms": one.again_ms,
    }


def _usable(found: LatencyTable) -> bool:
    return found.errors.unstable <= MOST_UNSTABLE * found.errors.timings


def _stem(named: str) -> str:
    """Return a file's name for a space: that of its preset, file or run."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", Path(named.partition("(")[0]).stem).strip("-.") or "space"


def _teller(began: float) -> Callable[[int, int], None]:
    """Return what says on standard error how far the timings are, ten times in all."""
    to = console(stderr=True)

    def tell(done: int, of: int) -> None:
        if done * STEPS // of > (done - 1) * STEPS // of and done < of:
            left = (time.monotonic() - began) * (of - done) / done
            say(f"timed {done} of {of}; {duration(left)} left", to=to)

    return tell
