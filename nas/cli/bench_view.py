"""What `nas bench` says: its JSON, and what people read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import RenderableType
from rich.text import Text

from ..bench import ALL, BASELINE, Row, Runs, Table, Task
from ..bench.scores import TEST, places_for
from .show import QUIET, Json, many, table

MANY_SEEDS = 400  # tell apart what differs by a twentieth of its spread
SURE = 0.01  # below this, a p earns a star


def document(found: Sequence[Row], of: Table, files: Sequence[Path]) -> dict[str, Json]:
    """Return the JSON of `nas bench`; docs/cli.md documents it."""
    return {
        "table": of.name,
        "members": len(of.rows),
        "rows": [
            {
                "strategy": row.strategy,
                "protocol": row.protocol,
                "dataset": row.dataset,
                "budget": _plain(row.budget),
                "mean": row.mean,
                "sd": row.sd,
                "error": row.error,
                "seeds": row.seeds,
                "gain": row.gain,
                "p": row.p,
            }
            for row in found
        ],
        "baseline": BASELINE,
        "test": TEST,
        "files": [str(path) for path in files],
    }


def report(found: Sequence[Row], runs: Sequence[Runs], files: Sequence[Path]) -> Iterator[RenderableType]:
    """Yield what people see: a table for each task and data set, then where the files are."""
    tasks = dict.fromkeys(one.task for one in runs)
    for task in tasks:
        for of in task.reports if task.within is None else ():
            mine = [row for row in found if (row.protocol, row.dataset) == (task.protocol, of.dataset)]
            yield Text.assemble(
                (f"{task.protocol}  {of.dataset}", "bold"),
                f"  {task.about}; {_lower(of.label)} by {_lower(task.clock_label)}",
            )
            yield _scores(mine, task)
            yield Text()
    settings = [task for task in tasks if task.within is not None]
    if settings:
        yield Text.assemble(
            (settings[0].protocol, "bold"), f"  {_lower(settings[0].reports[0].label)}, by setting and in all"
        )
        yield _over_settings(found, settings)
        yield Text()
    seeds = found[0].seeds
    yield Text(f"mean ± sd over {many(seeds, 'seed')}; *: better than {BASELINE}, p < {SURE} ({TEST})", QUIET)
    if seeds < MANY_SEEDS:
        yield Text(f"more seeds tell smaller differences apart: --seeds {MANY_SEEDS}", QUIET)
    yield Text()
    for path in files:
        yield Text(str(path))


def _scores(found: Sequence[Row], task: Task) -> RenderableType:
    """One line a strategy, a column a budget, and p at the last."""
    places = places_for(max((row.sd or 0.0 for row in found), default=0.0) / 2)
    by_place = {(row.strategy, row.budget): row for row in found}
    heads = (
        "strategy",
        *(f"{budget:,g} " for budget in task.budgets),
        f"p at\N{NO-BREAK SPACE}{task.budgets[-1]:,g}",
    )
    lines = []
    for name in dict.fromkeys(row.strategy for row in found):
        mine = [by_place[name, budget] for budget in task.budgets]
        last = mine[-1].p
        lines.append((name, *(_cell(row, places) for row in mine), "" if last is None else f"{last:.2g}"))
    return table(heads, lines)


def _over_settings(found: Sequence[Row], settings: Sequence[Task]) -> RenderableType:
    """One line a setting, a column a strategy, after the largest budget; then the means over all, and their p."""
    largest = settings[0].budgets[-1]
    mine = {
        (row.dataset, row.strategy): row
        for row in found
        if row.protocol == settings[0].protocol and row.budget == largest
    }
    names = list(dict.fromkeys(strategy for _, strategy in mine))
    places = places_for(max((mine[ALL, name].sd or 0.0 for name in names), default=0.0) / 2)
    lines = [
        (dataset, *(_cell(mine[dataset, name], places) for name in names))
        for dataset in (*(task.reports[0].dataset for task in settings), ALL)
    ]
    chances = ("p", *("" if (p := mine[ALL, name].p) is None else f"{p:.2g} " for name in names))
    return table(("setting", *(f"{name} " for name in names)), [*lines, chances])


def _cell(row: Row, places: int) -> str:
    star = "*" if row.p is not None and row.p < SURE else " "
    spread = "" if row.sd is None else f" ± {row.sd:.{places}f}"
    return f"{row.mean:.{places}f}{spread}{star}"


def _plain(budget: float) -> int | float:
    return int(budget) if budget == int(budget) else budget


def _lower(label: str) -> str:
    """Begin a label small, but for abbreviations."""
    return label if label[:2].isupper() else label[:1].lower() + label[1:]
