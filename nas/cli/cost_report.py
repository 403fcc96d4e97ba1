"""What people see of `nas profile`: the rows, the stages with their shares as bars, the totals, the witnesses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from ..analysis.metrics import engineering, shown
from .costs import By, Profile
from .show import QUIET, facts, many, table

if TYPE_CHECKING:
    from scaling.trace import Witness

ACTIVATIONS, FIELD = "acti- vations", "recept. field"  # heads of two lines
BAR = 24  # columns
EIGHTHS = " ▏▎▍▌▋▊▉"


def report(found: Profile, by: By) -> Iterator[RenderableType]:
    """Yield a row for each layer, block or stage, then the share of each stage, the totals, the witnesses."""
    yield Text.assemble((found.model, "bold"), ("  " + found.description, QUIET))
    yield Text()
    yield _rows(found, by)
    if by == "block":
        yield Text(f"each row is a block; --by layer shows all {many(len(found.layers), 'layer')}", QUIET)
    yield Text()
    yield _stages(found)
    yield Text()
    yield facts(_totals(found))
    if found.witnesses is not None:
        yield Text()
        yield from _witnesses(found, found.witnesses)


def _rows(found: Profile, by: By) -> RenderableType:
    """Return rows with their costs; what a layer is stands in its name, but for modules of the user's own."""
    rows = found.rows(by)
    columns = {
        "name": [row.name for row in rows],
        "layer": [row.layer for row in rows],
        "output": [_times(row.shape) for row in rows],
        "params": [_count(row.params) for row in rows],
        "MACs": [_count(row.macs) for row in rows],
        "share": [_share(row.macs, found.macs) for row in rows],
        ACTIVATIONS: [_count(row.activations) for row in rows],
        FIELD: [_view(row.receptive_field) for row in rows],
    }
    if by != "layer" or found.key:
        del columns["layer"]
    if not any(row.receptive_field for row in rows):
        del columns[FIELD]
    styles = ["" if row.params or row.macs else QUIET for row in rows]
    cells = zip(styles, zip(*columns.values(), strict=True), strict=True)
    return table(
        tuple(columns), ([Text(cell, style) for cell in row] for style, row in cells), left=("name", "layer")
    )


def _stages(found: Profile) -> RenderableType:
    """Return what share of the whole each stage has."""
    rows = found.rows("stage")
    most = max(row.macs for row in rows)
    cells = [
        (
            row.name, _times(row.shape), _share(row.params, found.params),
            _share(row.activations, found.activations), _share(row.macs, found.macs),
            Text(bar(row.macs, most), "cyan"),
        )
        for row in rows
    ]  # fmt: skip
    return table(("stage", "output", "params", ACTIVATIONS, "MACs", ""), cells, left=("",))


def bar(value: int, most: int, *, columns: int = BAR) -> str:
    """Return a bar of blocks, to an eighth of a column; what is not nothing is seen.

    >>> bar(3, 4, columns=2), bar(1, 1000, columns=2), bar(0, 4, columns=2)
    ('█▌', '▏', '')
    """
    eighths = max(round(8 * columns * value / most), 1) if value else 0
    return ("█" * (eighths // 8) + EIGHTHS[eighths % 8]).rstrip()


def _totals(found: Profile) -> Iterator[tuple[str, str]]:
    yield "input", _times(found.input)
    yield "parameters", f"{found.params:,}"
    yield "MACs", f"{found.macs:,}"
    yield "activations", f"{found.activations:,}"
    if found.peak_bytes is not None:
        yield "peak memory", f"{shown('peak_bytes', found.peak_bytes)} of maps, for one example in float32"
    if found.idle:
        yield (
            "never called",
            f"{', '.join(found.idle)}: with weights, which are counted, but no MACs of their own",
        )


def _witnesses(found: Profile, witnesses: Sequence[Witness]) -> Iterator[RenderableType]:
    """Yield what each witness counts, and under it what it has no formula for."""
    own = [("our formula", f"{found.macs:,}", Text())] if found.key else []
    yield table(("counter", "MACs", ""), [*own, *((o.name, _macs(o), _verdict(found, o)) for o in witnesses)])
    for one in witnesses:
        if one.failure:
            yield Text(f"{one.name} failed: {one.failure}", "red")
        if any(one.beyond.values()):
            yield Text(f"{one.name} counts also {_beyond(one)}", QUIET)
        if one.unknown:
            yield Text(f"{one.name} has no formula for {_ran(one.unknown)}", QUIET)
        for operator in one.doubtful:
            yield Text(f"{operator} reads matrices of weights: its multiply-adds are in no total", "bold red")


def _macs(one: Witness) -> str:
    return "failed" if one.failure else f"{one.macs:,}"


def _verdict(found: Profile, one: Witness) -> Text:
    if one.failure or (found.key is None and one.name == "FlopCounterMode"):
        return Text()
    return (
        Text("agrees", QUIET) if one.macs == found.macs else Text(f"{one.macs - found.macs:+,}", "bold red")
    )


def _beyond(one: Witness) -> str:
    return ", ".join(f"{name} {_count(number)}" for name, number in one.beyond.items() if number)


def _ran(times: Mapping[str, int]) -> str:
    """Return operators without the name of torch's own library, the most frequent first."""
    most = sorted(times.items(), key=lambda pair: -pair[1])
    names = ((name.removeprefix("aten").lstrip(".:"), n) for name, n in most)
    return ", ".join(f"{name} ({n:,})" for name, n in names)


def _count(number: int) -> str:
    return engineering(number, digits=3) if number else ""


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if part else ""


def _view(field: tuple[int, ...]) -> str:
    return _times(field) if len(set(field)) > 1 else "".join(map(str, field[:1]))


def _times(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
