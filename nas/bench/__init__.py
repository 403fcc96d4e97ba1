"""Strategies on tabular benchmarks, in memory: protocols, runs over seeds, scores and pictures."""

from .keepers import best_there_is
from .play import Ground, play
from .pool import Bench, Entrant, Runs
from .protocols import PROTOCOLS, STANDARD, Report, Task, Within, own_task, with_budgets
from .scores import ALL, BASELINE, Row, rows
from .table import Table, bundled, load_table

__all__ = [
    "ALL", "BASELINE", "PROTOCOLS", "STANDARD", "Bench", "Entrant", "Ground", "Report", "Row", "Runs", "Table", "Task",
    "Within", "best_there_is", "bundled", "load_table", "own_task", "play", "rows", "with_budgets",
]  # fmt: skip
