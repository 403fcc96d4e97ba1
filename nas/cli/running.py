"""Drive a study to its end, showing how it goes, and say what was found: what `search` and `resume` share."""

from __future__ import annotations

import os
from pathlib import Path

from rich.console import Console

from search_spaces.errors import Infeasible

from ..config import StudyConfig
from ..driver import Ending, drive, stop_on_signals
from ..execution.machine import crowded
from ..launch import executor_for, latencies_in
from ..ledger import nothing_kept
from ..plan import finals
from ..study import Study
from ..tidying import Tidying
from .finding import Finding, document, finding, summary
from .options import RESULTS, VARIABLE
from .show import ClosedOutputError, complain, console, emit, many, say, short_path
from .supernets import said as remarks
from .supernets import supernets
from .watch import status, watching

DONE, NOTHING_FOUND, INTERRUPTED = 0, 1, 130


def carry_out(study: Study, config: StudyConfig, folder: Path, *, as_json: bool) -> int:
    """Run a study from where it stands, say what came of it, and return the exit code.

    Progress goes to standard output, or to standard error where that is kept for JSON.
    """
    ending = driven(study, config, folder, to=console(stderr=as_json))
    if ending is None:
        return INTERRUPTED
    if "fit" in study.journal.header:
        from .fitting import fitted  # here, for it drives studies by this file

        return fitted(study, config, folder, ending=ending, as_json=as_json)
    if "family" in study.journal.header:
        from .scale_train import trained

        return trained(study, folder, ending=ending, as_json=as_json)
    if study.plan.final == "every":
        from .tested import tested

        return tested(study, folder, ending=ending, as_json=as_json)
    found = finding(study, folder)
    told = supernets(study.history, folder)
    if as_json:
        emit(document(study, folder, found, ending=ending) | ({"supernets": told} if told else {}))
    else:
        say(*remarks(told))
    if ending == "interrupted":
        return stopped(study, folder)
    return _told(study, folder, found, as_json=as_json)


def driven(study: Study, config: StudyConfig, folder: Path, *, to: Console) -> Ending | None:
    """Run a study from where it stands; None where nobody reads the output any more, which is then said.

    The journal is closed at the end, however that comes.
    """
    say(_opening(study, config, folder), to=to)
    if config.execution.cluster is None and (
        warning := crowded(config.execution.here, config.execution.threads)
    ):
        complain(warning)
    try:
        executor = executor_for(config, folder, study.journal.header)
        with (  # the signals after the executor, for Ray takes them for itself when it begins
            stop_on_signals() as stop,
            watching(study, folder.name, to=to) as watch,
        ):
            return drive(study, executor, watch=watch, stop=stop, tidy=Tidying(study, folder))
    except ClosedOutputError:
        complain(f"nobody reads the output any more, so the run was stopped. {_how_to_go_on(study, folder)}")
        return None
    finally:
        study.journal.close()


def stopped(study: Study, folder: Path) -> int:
    """Say how to go on with a run that was stopped, and return the exit code."""
    complain(f"stopped as asked. {_how_to_go_on(study, folder)}")
    return INTERRUPTED


def command_for(command: str, folder: Path) -> str:
    """Return the command line that gives a command this run, from where the user is."""
    home = Path(os.environ.get(VARIABLE, RESULTS)).resolve()
    elsewhere = "" if folder.parent == home else f" --results {short_path(folder.parent)}"
    return f"nas {command} {folder.name}{elsewhere}"


def _opening(study: Study, config: StudyConfig, folder: Path) -> str:
    told = len(study.history.told)
    every = study.plan.final == "every"
    epochs = (study.plan.final_epochs if every else None) or study.plan.epochs
    parts = [
        many(finals(study.plan) if every else study.plan.trials, "training" if every else "trial")
        + (f" looked up in {config.table}" if config.table else f" of {many(epochs, 'epoch')}"),
        f"limits: {', '.join(config.limits)}" if config.limits else "no limits",
        _where(config),
    ]
    if known := latencies_in(study.plan):
        parts.insert(2, known.said())
    begun = f"; {told} of its jobs {'is' if told == 1 else 'are'} done already" if told else ""
    return f"{folder.name}: {', '.join(parts)}; in {short_path(folder)}{begun}"


def _where(config: StudyConfig) -> str:
    asked = config.execution
    if asked.cluster is not None:
        return f"on the cluster {asked.cluster}"
    return "in this process" if config.table or asked.here == 0 else many(asked.here, "worker")


def _told(study: Study, folder: Path, found: Finding | None, *, as_json: bool) -> int:
    history = study.history
    if found is None:
        failed = [trial for trial in history.trials.values() if trial.outcome is not None and not trial.done]
        if history.exhausted and not history.begun and not failed:
            raise Infeasible(
                f"{folder.name}: {nothing_kept(history, study.plan.limits)}; widen a limit or the space. "
                f"`{command_for('status', folder)}` has the whole ledger"
            )
        last = f", the last, of kind {failed[-1].kind.value}, with {status(failed[-1])}" if failed else ""
        complain(
            f"no trial of {folder.name} ended well{last}; `{command_for('status', folder)}` says what happened"
        )
        return NOTHING_FOUND
    if not as_json:
        say(*summary(study, folder, found, next_command=command_for("compare", folder)))
    return DONE


def _how_to_go_on(study: Study, folder: Path) -> str:
    kept = many(len(study.history.told), "finished job")
    return f"{kept} on disk, nothing is lost. Go on with: {command_for('resume', folder)}"
