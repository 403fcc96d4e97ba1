"""`nas bench`: strategies on a tabular benchmark, with their spread over seeds."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from search_spaces.automaton import count
from search_spaces.errors import BadInput
from search_spaces.names import nearest

from ..analysis.front import Objective
from ..bench import (
    BASELINE,
    PROTOCOLS,
    STANDARD,
    Bench,
    Entrant,
    Runs,
    Table,
    Task,
    bundled,
    load_table,
    own_task,
    rows,
    with_budgets,
)
from ..bench.pool import Done
from ..config import read_config
from ..execution.machine import usable_cpus
from .bench_view import document, report
from .options import RESULTS, AsJson, Results
from .show import console, duration, emit, many, say
from .space import space_named

STRATEGIES = (BASELINE, "evolution", "local_search")  # without --strategy: those that a minute is enough for
SEEDS = 50
FOLDER = "bench"
RUNS_A_WORKER = 8  # fewer are not worth a process


def bench(
    strategy: Annotated[
        list[str] | None,
        typer.Option(metavar="'NAME KEY=VALUE'", help="A strategy, with settings; may be repeated."),
    ] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option(metavar="A|B|two|limited", help="May be repeated; the first three without it."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=100_000, help="Runs of each.")] = SEEDS,
    budget: Annotated[
        list[float] | None, typer.Option(help="Queries, or seconds for A; may be repeated.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; all cores without it.")] = None,
    own: Annotated[
        Path | None,
        typer.Option("--table", metavar="FILE", help="Your own table; with --space, --objective."),
    ] = None,
    space: Annotated[
        str | None, typer.Option(metavar="CONFIG-or-NAME", help="The search space of your table.")
    ] = None,
    objective: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN:max|min", help="Of your table; may be repeated.")
    ] = None,
    clock: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Of your table: what a query costs; budgets count it."),
    ] = None,
    imports: Annotated[
        list[str] | None, typer.Option("--import", metavar="MODULE", help="A module with your strategies.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Where the files go.")] = None,
    results: Results = RESULTS,
    as_json: AsJson = False,
) -> int:
    """Run strategies on NAS-Bench-201, where all 15,625 cells were trained already, or on your own table.

    Protocol A: 12 epochs as signal, 12,000 simulated seconds, scored by test accuracy. B: an oracle, best test
    accuracy by queries. two: the front of test accuracy and MACs. limited: an oracle among the cells within a latency
    limit, 12 limits on four devices, scored by regret. Random search always runs beside.

    nas bench
    nas bench --strategy 'evolution population=50' --strategy bayesian --protocol B --seeds 400
    nas bench --table mine.csv --space mine.yaml --objective accuracy:max
    """
    entrants = entrants_of(strategy or STRATEGIES, imports or [])
    if own is None:
        _refuse({"--space": space, "--objective": objective, "--clock": clock}, needs="--table")
        found, tasks = bundled(), tasks_of(protocol or STANDARD, budget or [])
    else:
        _refuse({"--protocol": protocol}, needs="the bundled table; leave out --table, or --protocol")
        found, task = own_table(
            own, space, objective or [], clock=clock, budgets=budget or [], results=results
        )
        tasks = (task,)
    played = Bench(table=found, entrants=entrants, tasks=tasks, seeds=tuple(range(seeds)))
    return carry_out(played, workers_for(played, workers), out or results / FOLDER, as_json=as_json)


def carry_out(bench: Bench, workers: int, folder: Path, *, as_json: bool) -> int:
    """Play, write the files and say what came of it."""
    from ..bench.files import write_files

    with watching(bench, workers, to=console(stderr=as_json)) as done:
        runs = bench.play(workers=workers, done=done)
        found = rows(runs)
        files = write_files(found, runs, bench.table, folder)
    if as_json:
        emit(document(found, bench.table, files))
    else:
        say(*report(found, runs, files))
    return 0


def entrants_of(specs: Sequence[str], imports: Sequence[str]) -> tuple[Entrant, ...]:
    """Return the strategies that texts such as `evolution population=50` name, random search among them."""
    found = {" ".join(spec.split()): spec for spec in specs}
    if BASELINE not in found:
        found = {BASELINE: BASELINE} | found
    return tuple(_entrant(name, imports) for name in found)


def tasks_of(protocols: Sequence[str], budgets: Sequence[float]) -> tuple[Task, ...]:
    """Return the tasks of protocols, with other budgets where some are given; `BadInput` for an unknown one."""
    for name in protocols:
        if name not in PROTOCOLS:
            raise BadInput(
                f"--protocol: got {name!r}, expected one of {', '.join(PROTOCOLS)}{nearest(name, PROTOCOLS)}"
            )
    tasks = [task for name in dict.fromkeys(protocols) for task in PROTOCOLS[name]]
    if budgets and len({task.clock for task in tasks}) > 1:
        raise BadInput(
            f"--budget: got {', '.join(f'{b:g}' for b in budgets)} for protocols {', '.join(protocols)}, which count "
            "in seconds (A) and in queries (B, two); choose some with --protocol"
        )
    return tuple(with_budgets(task, budgets) if budgets else task for task in tasks)


def own_table(
    path: Path,
    space: str | None,
    objectives: Sequence[str],
    *,
    clock: str | None,
    budgets: Sequence[float],
    results: Path,
) -> tuple[Table, Task]:
    """Return a user's own table and the task it is for; only the columns that are named are read."""
    if space is None:
        raise BadInput(
            "--table: got no --space, expected the search space that the table is about; give its file"
        )
    network, _ = space_named(space, None, None, results=results)
    aims = tuple(map(Objective.parse, objectives))
    task = own_task(path.name.partition(".")[0], aims, size=count(network), clock=clock, budgets=budgets)
    columns = [aim.metric for aim in aims] + ([] if clock is None else [clock])
    return load_table(path, network, columns=columns), task


def workers_for(bench: Bench, asked: int | None) -> int:
    """Return how many processes play; `BadInput` for more than there are cores."""
    cores = usable_cpus()
    if asked is not None and asked > cores:
        raise BadInput(
            f"--workers: got {asked}, expected 1 to {cores}, the cores there are for us; ask for fewer"
        )
    runs = len(bench.entrants) * len(bench.tasks) * len(bench.seeds)
    return asked or min(cores, 1 + runs // RUNS_A_WORKER)


@contextmanager
def watching(bench: Bench, workers: int, *, to: Console) -> Iterator[Done]:
    """Yield what hears of finished runs: one line that changes on a terminal, else a line a strategy and task."""
    told = 0
    todo = len(bench.entrants) * len(bench.tasks)
    names = ", ".join(one.name for one in bench.entrants)
    say(f"{names} on {bench.table.name}: {many(len(bench.seeds), 'seed')}, {many(workers, 'worker')}", to=to)
    if not to.is_terminal or to.is_dumb_terminal:
        yield lambda runs: say(_line(runs), to=to)
        return
    with to.status("playing") as status:

        def done(runs: Runs) -> None:
            nonlocal told
            told += 1
            status.update(f"{told} of {todo}: {_line(runs)}")

        yield done


def _line(runs: Runs) -> str:
    what = f"{runs.task.protocol} {', '.join(of.dataset for of in runs.task.reports)}"
    return f"{runs.strategy}, {what}: {many(len(runs.seeds), 'run')}, {duration(runs.seconds)} of one core"


def _entrant(spec: str, imports: Sequence[str]) -> Entrant:
    try:
        name, *settings = shlex.split(spec)
    except ValueError as error:
        raise BadInput(f"--strategy {spec!r}: {error}; write it as 'evolution population=50'") from None
    overrides = [
        f"imports={json.dumps(list(imports))}", f"strategy={json.dumps(name)}", *(f"strategy.{s}" for s in settings)
    ]  # fmt: skip
    config = read_config("space: nasbench201", overrides, source=f"--strategy {spec!r}")
    return Entrant(name=spec, config=config.strategy)


def _refuse(given: dict[str, object], *, needs: str) -> None:
    wrong = [name for name, value in given.items() if value]
    if wrong:
        raise BadInput(f"{wrong[0]}: got it, expected it only with {needs}")
