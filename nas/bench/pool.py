"""All runs of a benchmark, in this process or side by side in several; the scores are the same either way."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from multiprocessing.process import BaseProcess

from search_spaces.errors import ArchscaleError, BadInput

from ..strategies.base import StrategyConfig
from .keepers import Values
from .play import Ground, play_named
from .protocols import Task
from .table import Table

Done = Callable[["Runs"], None]
Run = tuple[int, int, int]  # positions of the entrant and the task, and the seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """A strategy that takes part, and what it is called."""

    name: str
    config: StrategyConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """The runs of one strategy on one task: `values[seed's position][mark's position][report's position]`."""

    strategy: str
    task: Task
    seeds: tuple[int, ...]
    values: tuple[tuple[Values, ...], ...]
    seconds: float  # of one processor, all runs together

    def scores(self, report: int, mark: float) -> list[float]:
        """Return one number a seed; `BadInput` where no query had ended by then."""
        at = self.task.marks.index(mark)
        found = [run[at][report] for run in self.values]
        scores = [value for value in found if value is not None]
        if len(scores) < len(found):
            raise BadInput(
                f"budget: got {mark:g} for protocol {self.task.protocol}, within which no query ends; give a larger one"
            )
        return scores

    def by_seed(self, report: int, mark: float) -> dict[int, float]:
        """Return the scores by seed."""
        return dict(zip(self.seeds, self.scores(report, mark), strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What is played: every entrant on every task with every seed, on one table."""

    table: Table
    entrants: tuple[Entrant, ...]
    tasks: tuple[Task, ...]
    seeds: tuple[int, ...]

    def play(self, *, workers: int = 1, done: Done = lambda _: None) -> list[Runs]:
        """Play it all with so many processes; `done` hears of each strategy and task when its runs are through.

        Raises `BadInput` for a column that the table lacks and for what a strategy raises.
        """
        player = _Player(self)
        for position in range(len(self.tasks)):
            player.ground(position)
        runs = [
            (e, t, s)
            for e, t in product(range(len(self.entrants)), range(len(self.tasks)))
            for s in self.seeds
        ]
        if workers == 1:
            return self._gathered(map(player.play, runs), done)
        with _processes(self, workers) as pool:
            with _sigint_blocked():
                futures = [pool.submit(_play, run) for run in runs]
            return self._gathered((future.result() for future in futures), done)

    def _gathered(self, results: Iterator[tuple[tuple[Values, ...], float]], done: Done) -> list[Runs]:
        gathered = []
        for entrant, task in product(self.entrants, self.tasks):
            found = [next(results) for _ in self.seeds]
            gathered.append(
                Runs(
                    strategy=entrant.name,
                    task=task,
                    seeds=self.seeds,
                    values=tuple(values for values, _ in found),
                    seconds=sum(seconds for _, seconds in found),
                )
            )
            done(gathered[-1])
        return gathered


@dataclass(slots=True)
class _Player:
    """Plays runs of a benchmark in one process."""

    bench: Bench
    grounds: dict[int, Ground] = field(default_factory=dict)

    def play(self, run: Run) -> tuple[tuple[Values, ...], float]:
        entrant, task, seed = run
        strategy = self.bench.entrants[entrant]
        ground, began = self.ground(task), time.process_time()
        return play_named(ground, strategy.name, strategy.config, seed=seed), time.process_time() - began

    def ground(self, task: int) -> Ground:
        if task not in self.grounds:
            self.grounds[task] = Ground.of(self.bench.tasks[task], self.bench.table)
        return self.grounds[task]


_PLAYERS: list[_Player] = []  # a worker process has one


def _begin(bench: Bench) -> None:
    """Make a worker process ready; it ends when its parent does, however that comes."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _PLAYERS.append(_Player(bench))


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _play(run: Run) -> tuple[tuple[Values, ...], float]:
    return _PLAYERS[0].play(run)


@contextmanager
def _processes(bench: Bench, workers: int) -> Iterator[ProcessPoolExecutor]:
    """Yield worker processes; where anything goes wrong they are stopped at once."""
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=_begin, initargs=(bench,)
    )
    try:
        yield pool
    except BaseException as error:
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
        pool.shutdown()  # what was waiting is broken now, and nobody reads it
        if isinstance(error, BrokenProcessPool):
            raise ArchscaleError(
                "workers: a worker process died before its run was through; was memory short? try --workers 1"
            ) from error
        raise
    pool.shutdown()


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Keep Ctrl-C from processes started inside: theirs to leave is when their parent says so."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
