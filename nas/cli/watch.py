"""What is shown while a run is driven: a live table on a terminal, a line a trial anywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..analysis.metrics import metric, shown
from ..driver import Watch
from ..execution.base import Notice
from ..history import Trial
from ..plan import confirmations, finals
from ..proposal import Kind, Status
from ..spending import seconds_spent
from ..study import Study
from ..winner import confirmed
from .describe import describe
from .estimate import seconds_left, workers_in
from .show import QUIET, clock, duration, many, say, table
from .tally import tally

SHOWN = 8  # trials in the live table
KEY_SHOWN = 8  # of a key's characters there
REFRESHES = 2.0  # a second
SILENT_SECONDS = 180.0  # in a log, before a line says how the run stands
PAUSE_SECONDS = 0.2  # between two drawings for epochs alone
COSTS = ("params", "macs")


@contextmanager
def watching(study: Study, name: str, *, to: Console) -> Iterator[Watch]:
    """Yield what a driver tells its events to; they are shown until the context ends."""
    if not to.is_terminal or to.is_dumb_terminal:
        yield Lines(study, to)
        return
    live = LiveTable(study, name)
    with Live(get_renderable=live.render, console=to, refresh_per_second=REFRESHES, transient=True):
        yield live


class Lines:
    """Prints a line for each trial that ended, or is tried again, and for each notice.

    Where nothing was said for `SILENT_SECONDS`, as long trials may do, a line says how the run stands.
    """

    def __init__(self, study: Study, to: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._study = study
        self._to = to
        self._clock = clock
        self._said_at = clock()

    def __call__(self, what: str, of: Trial | Notice | None) -> None:
        """Show an event."""
        if isinstance(of, Notice):
            self._say(of.text)
        elif of is not None and what in ("told", "retried"):
            place = f"{of.kind.about.phase} {counted(self._study, of.kind)}"
            self._say("  ".join([place, of.key, *_named_scores(self._study, of), status(of)]))
        elif self._clock() >= self._said_at + SILENT_SECONDS:
            self._say(standing(self._study, now=time.time()))

    def _say(self, line: str) -> None:
        say(line, to=self._to)
        self._said_at = self._clock()


class LiveTable:
    """The phase, the time left, the best so far and the last trials, drawn anew a few times a second.

    Events come on the driver's thread and drawing happens on another, which sees only finished pictures.
    """

    def __init__(self, study: Study, name: str) -> None:
        self._study = study
        self._name = name
        self._phase, self._bar = "starting", (0, 1)
        self._notice = ""  # the last word on the place where trials run
        self._body: RenderableType = Text()
        self._ends_at: float | None = None
        self._began_at = time.time() - seconds_spent(study.history)
        self._drawn_at = -PAUSE_SECONDS
        self._best: RenderableType = Group(*self._best_lines())
        if study.history.trials:
            self._draw()

    def __call__(self, what: str, of: Trial | Notice | None) -> None:
        """Show an event."""
        if what == "waited" or not self._study.history.trials:
            return
        if isinstance(of, Notice):
            self._notice = "" if of.over else of.text
        if what == "told":
            self._best = Group(*self._best_lines())
        if what != "report" or time.monotonic() >= self._drawn_at + PAUSE_SECONDS:
            self._draw()

    def render(self) -> RenderableType:
        """Return the picture of this moment."""
        return Group(self._head(), self._body)

    def _draw(self) -> None:
        study, now = self._study, time.time()
        left = seconds_left(study.history, study.plan, workers=workers_in(study.history), now=now)
        self._ends_at = None if left is None else now + left
        newest = next(reversed(study.history.trials.values()))
        self._bar = _progress(study, newest.kind)
        self._phase = newest.kind.about.phase
        notice = [Text(self._notice, "yellow")] if self._notice else []
        self._body = Group(self._best, Text(), _trials(study), *self._turned_away(), *notice)
        self._drawn_at = time.monotonic()

    def _head(self) -> RenderableType:
        done, planned = self._bar
        row = Table.grid(padding=(0, 3, 0, 0))
        bar = ProgressBar(
            total=planned, completed=done, width=24, complete_style="cyan", finished_style="cyan"
        )
        row.add_row(
            Text(self._name, "bold"),
            Text(self._phase, "cyan"),
            bar,
            f"{done} of {planned}",
            Text(self._clock(), QUIET),
        )
        return row

    def _clock(self) -> str:
        now = time.time()
        spent = clock(now - self._began_at)
        return spent if self._ends_at is None else f"{spent}, about {clock(max(0, self._ends_at - now))} left"

    def _best_lines(self) -> Iterator[RenderableType]:
        best = self._study.best
        if best is None:
            yield Text("nothing done yet", QUIET)
            return
        mean = confirmed(self._study.history, self._study.plan).get(best.number)
        first = self._study.plan.objectives[0].metric
        seen = "" if mean is None else f"  confirmed {shown(first, mean)}"
        yield Text.assemble(("best  ", QUIET), ("  ".join(_named_scores(self._study, best)) + seen, "green"))
        yield Text(f"      {describe(self._study.candidate(best).network)}", QUIET)

    def _turned_away(self) -> Iterator[RenderableType]:
        if rejected := self._study.history.rejected:
            yield Text(f"{many(rejected, 'candidate')} turned away by the limits, never trained", QUIET)


def standing(study: Study, *, now: float) -> str:
    """Return in a line how a run stands: what is done of its phase, the best so far, and the time left."""
    history = study.history
    newest = next(reversed(history.trials.values()), None)
    kind = Kind.TRAIN if newest is None else newest.kind
    trials = history.candidates if kind.about.candidate else history.of(kind)
    n, planned = tally(trials, driven=True), _progress(study, kind)[1]
    parts = [", ".join(filter(None, (f"{kind.about.phase}: {n.done} of {planned} done", n.text)))]
    if study.best is not None:
        parts.append("best so far: " + ", ".join(_named_scores(study, study.best)))
    left = seconds_left(history, study.plan, workers=workers_in(history), now=now)
    if left is not None:
        parts.append(f"about {duration(left)} left")
    return "; ".join(parts)


def status(trial: Trial) -> str:
    """Return how a trial stands, in a few words."""
    if trial.outcome is None:
        again = f" ({_attempt(trial)})" if trial.attempts else ""
        return (f"epoch {trial.epoch} of {trial.identity.epochs}" if trial.epoch else "starting") + again
    words = trial.outcome.status.value.replace("_", " ")
    if trial.outcome.status is Status.DONE:
        part = f" after {trial.identity.epochs} of {trial.schedule} epochs" if trial.kind is Kind.RUNG else ""
        return f"{words}{part}, {duration(trial.outcome.seconds)}"
    return f"{words}: {first_line(trial.outcome.note)}" if trial.outcome.note else words


def _attempt(trial: Trial) -> str:
    """Return which attempt it is and why, such as `attempt 2 after out of memory, alone`."""
    why = trial.attempt_notes[-1].partition(":")[0].replace("_", " ")
    return f"attempt {trial.attempts + 1} after {why}{', alone' if trial.alone else ''}"


def first_line(note: str, *, longest: int = 100) -> str:
    """Return the first line of a failure's note, cut where it is long."""
    line = note.strip().partition("\n")[0]
    return line if len(line) <= longest else line[: longest - 1] + "…"


def counted(study: Study, kind: Kind) -> str:
    """Return how many trials of a kind have ended, of how many, such as `3/24`."""
    done, planned = _progress(study, kind)
    return f"{done}/{planned}"


def _progress(study: Study, kind: Kind) -> tuple[int, int]:
    if kind.about.candidate:
        return study.history.begun_told, max(study.plan.trials, len(study.history.begun))
    plan, asked, done = study.plan, len(study.history.of(kind)), study.history.told_of[kind]
    planned = plan.strategy.planned(kind)
    if kind is Kind.FINAL:
        planned = finals(plan)
    elif kind is Kind.CONFIRM:
        planned = confirmations(plan)
    return done, max(asked, planned)


def _trials(study: Study) -> RenderableType:
    history = study.history
    told = [history.trials[n] for n in history.told[-SHOWN:]]
    trials = [*told, *history.untold.values()][-SHOWN:]
    scores = [_score(study, trial) for trial in trials]
    rows: list[tuple[str | Text, ...]] = [
        (
            str(trial.number),
            trial.kind.about.short or trial.kind.about.phase,
            trial.key[:KEY_SHOWN],
            "" if score is None else shown(*score),
            *(shown(name, trial.cost[name]) if name in trial.cost else "" for name in COSTS),
            Text(status(trial), _style(trial)),
        )
        for trial, score in zip(trials, scores, strict=True)
    ]
    head = _head_of({score[0] for score in scores if score}, study.plan.objectives[0].metric)
    heads = ("trial", "for", "key", head, "parameters", "MACs", "status")
    return table(heads, rows, left=("for", "key", "status"))


def _head_of(names: set[str], first: str) -> str:
    """Return what a column of scores is called: where they are of several kinds, `for` says which is whose."""
    name = first.removeprefix("validation_") if len(names) > 1 else next(iter(names), first)
    return metric(name).short


def _style(trial: Trial) -> str:
    if trial.outcome is None:
        return "cyan"
    return QUIET if trial.done else "red"


def _score(study: Study, trial: Trial) -> tuple[str, float] | None:
    """Return the metric a trial is judged by: a final training by the test part, others by the objective."""
    first = study.plan.objectives[0].metric
    if trial.kind is Kind.INHERIT:  # by the name that says whose score it is
        first = first.replace("validation_", "inherited_")
    names = [name for name in trial.metrics if name.startswith("test_")] if trial.kind is Kind.FINAL else []
    wanted = next((name for name in (first.replace("validation", "test"), *names) if name in names), first)
    return (wanted, trial.metrics[wanted]) if wanted in trial.metrics else None


def _named_scores(study: Study, trial: Trial) -> list[str]:
    score = _score(study, trial)
    scores = [] if score is None or score[0] in trial.cost else [f"{metric(score[0]).short} {shown(*score)}"]
    return [
        *scores,
        *(f"{metric(name).short} {shown(name, trial.cost[name])}" for name in COSTS if name in trial.cost),
    ]
