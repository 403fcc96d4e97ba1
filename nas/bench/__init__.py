"""Strategies on tabular benchmarks, in memory: protocols, runs over seeds, scores and pictures."""

from .play import Ground, best_there_is, play
from .pool import Bench, Entrant, Runs
from .protocols import PROTOCOLS, Report, Task, own_task, with_budgets
from .scores import BASELINE, Row, rows
from .table import Table, bundled, load_table

__all__ = [
    "BASELINE", "PROTOCOLS", "Bench", "Entrant", "Ground", "Report", "Row", "Runs", "Table", "Task", "best_there_is",
    "bundled", "load_table", "own_task", "play", "rows", "with_budgets",
]  # fmt: skip
