"""What the training of a list ends with: each network's scores on the test part, over its seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import RenderableType
from rich.text import Text

from ..analysis.metrics import metric, shown
from ..driver import Ending
from ..listed import Readings, readings_of
from ..proposal import Kind
from ..study import Study
from .describe import describe
from .running import command_for, stopped
from .show import QUIET, Json, complain, emit, say, short_path, table

DONE, NOTHING_FOUND = 0, 1


def tested(study: Study, folder: Path, *, ending: Ending, as_json: bool) -> int:
    """Say what each network's trainings came to, and return the exit code."""
    rows = readings_of(study)
    if as_json:
        emit(document(study, rows, folder, ending))
    if ending == "interrupted":
        return stopped(study, folder)
    if not any(row.scores for row in rows):
        complain(
            f"no training of {folder.name} ended well; `{command_for('status', folder)}` says what happened"
        )
        return NOTHING_FOUND
    if not as_json:
        say(*report(study, rows, folder))
    return DONE


def document(study: Study, rows: Sequence[Readings], folder: Path, ending: Ending) -> dict[str, Json]:
    """Return the JSON of a list's training; docs/cli.md documents it."""
    finals = study.history.of(Kind.FINAL)
    return {
        "run": folder.name,
        "folder": str(folder),
        "ending": ending,
        "trainings": sum(t.outcome is not None for t in finals),
        "failed": sum(t.outcome is not None and not t.done for t in finals),
        "networks": [
            {
                "key": row.key,
                "macs": row.macs,
                "params": row.params,
                "scores": {n: {"mean": s.mean, "sd": s.sd, "seeds": s.n} for n, s in row.scores.items()},
            }
            for row in rows
        ],
    }


def report(study: Study, rows: Sequence[Readings], folder: Path) -> Iterator[RenderableType]:
    """Yield what people see: a row a network."""
    name = study.plan.objectives[0].metric.replace("validation_", "test_")
    known = [n for row in rows for n in row.scores]
    name = name if name in known else known[0]
    heads = ("key", "parameters", "MACs", metric(name).short, "seeds", "network")
    yield Text()
    yield table(heads, [_cells(row, name) for row in rows], left=("network",))
    yield Text("each training read the test part once, and nothing was chosen by it", QUIET)
    yield Text()
    yield Text.assemble(("folder ", QUIET), short_path(folder))


def _cells(row: Readings, name: str) -> Sequence[str | Text]:
    score = row.scores.get(name)
    sd = "" if score is None or score.sd is None else f" ± {shown(name, score.sd, digits=2)}"
    return (
        row.key,
        shown("params", row.params),
        shown("macs", row.macs),
        "" if score is None else f"{shown(name, score.mean, digits=4)}{sd}",
        str(score.n if score else 0),
        Text(describe(row.network), QUIET),
    )
