"""What a benchmark leaves in a folder: rows, scores, and a picture of each task's reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ..storage import make_folder
from .keepers import best_there_is
from .pool import Runs
from .protocols import Task
from .scores import Row, write_rows, write_scores
from .table import Table

SUMMARY, SCORES = "summary.csv", "scores.csv"


def write_files(found: Sequence[Row], runs: Sequence[Runs], table: Table, folder: Path) -> list[Path]:
    """Write tables and pictures into a folder; `StorageError` where that cannot be."""
    make_folder(folder)
    tables = [write_rows(found, folder / SUMMARY), write_scores(runs, folder / SCORES)]
    return tables + write_pictures(runs, table, folder)


def write_pictures(runs: Sequence[Runs], table: Table, folder: Path, *, prefix: str = "") -> list[Path]:
    """Write a picture of each report, `<prefix><protocol>-<dataset>.png`: what every strategy has, budget by budget."""
    from .curves import plot_curves  # loads matplotlib

    return [
        plot_curves(
            [one for one in runs if one.task == task],
            report=report,
            best=best_there_is(task, table, report),
            path=folder / f"{prefix}{task.protocol}-{of.dataset}.png",
        )
        for task in tasks_of(runs)
        for report, of in enumerate(task.reports)
    ]


def tasks_of(runs: Sequence[Runs]) -> Iterator[Task]:
    """Yield the tasks of runs, in their order."""
    yield from dict.fromkeys(one.task for one in runs)
