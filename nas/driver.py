"""The loop that drives a study: ask, run, record; and how it leaves when told to stop.

SIGINT or SIGTERM once: nothing new is asked, what runs is ended (it is repeated on resume), the journal is
closed and the command ends with 130. Twice: at once. Both are safe, because outcomes are on disk first.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Literal

from .execution.base import Executor, Happening, Notice, Report
from .history import Trial
from .measured import StopAsked
from .study import Study

PAUSE_SECONDS = 0.5
Ending = Literal["finished", "interrupted"]
Watch = Callable[
    [str, Trial | Notice | None], None
]  # asked, report, told, retried: which trial; notice: which; waited: nothing came


@dataclass(slots=True)
class StopSign:
    """Set by the first signal, which then cuts short what the executor waits for."""

    raised: bool = False
    interrupt: Callable[[], None] = lambda: None


def drive(
    study: Study, executor: Executor, *, watch: Watch, stop: StopSign, tidy: Callable[[], None] = lambda: None
) -> Ending:
    """Run a study to its end, or until `stop` is raised; the executor is closed either way.

    `tidy` is called when what has happened is recorded: what it removes, nothing that comes may need.
    """
    stop.interrupt = executor.interrupt
    study.measuring.stopping = lambda: stop.raised
    try:
        with suppress(StopAsked):
            while not stop.raised:
                study.placed(executor.capacity)
                _fill(study, executor, watch, stop)
                if study.finished:
                    study.measure_winner()
                    tidy()
                    study.end("finished")
                    return "finished"
                heard = executor.wait(PAUSE_SECONDS)
                for happened in heard:
                    _record(study, happened, watch)
                tidy()
                if not heard:
                    watch("waited", None)
        study.end("interrupted")
        return "interrupted"
    finally:
        executor.close()


@contextmanager
def stop_on_signals() -> Iterator[StopSign]:
    """Turn the first SIGINT or SIGTERM into a raised sign; a second one ends the process at once."""
    sign = StopSign()

    def handle(number: int, frame: FrameType | None) -> None:
        if sign.raised:
            os._exit(130)
        sign.raised = True
        sign.interrupt()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield sign
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _fill(study: Study, executor: Executor, watch: Watch, stop: StopSign) -> None:
    while executor.free and not stop.raised:
        asked = study.ask()
        if asked is None:
            return
        proposal, attempt = asked
        trial = study.history.trials[proposal.number]
        executor.submit(proposal, attempt, alone=trial.alone)
        watch("asked", trial)


def _record(study: Study, happened: Happening, watch: Watch) -> None:
    if isinstance(happened, Notice):
        watch("notice", happened)
        return
    trial = study.history.trials[happened.number]
    if isinstance(happened, Report):
        study.report(happened.number, happened.epoch, happened.metrics)
        watch("report", trial)
        return
    study.tell(happened.number, happened.attempt, happened.outcome)
    watch("retried" if trial.outcome is None else "told", trial)
