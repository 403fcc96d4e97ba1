"""A run as its journal tells it, read without a lock: also while a driver works, and after one died."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from search_spaces.errors import ArchscaleError, BadInput
from search_spaces.moves import decode
from search_spaces.network import Network
from search_spaces.serialise import key

from ..config import StudyConfig
from ..history import History, Trial, history_of
from ..journal import LOCK, read
from ..launch import plan_of, run_folder, settings
from ..plan import Plan
from ..proposal import Kind
from ..storage import storage_errors
from ..strict_json import parse_json
from ..winner import winner

State = Literal["running", "finished", "interrupted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A run: where it lies, what it was asked, what happened, and the holder of its lock, if any."""

    folder: Path
    config: StudyConfig
    plan: Plan
    history: History
    driver: str | None
    over: bool  # its last driver left because nothing was left to do

    @property
    def name(self) -> str:
        """The run's name."""
        return self.folder.name

    @property
    def best(self) -> Trial | None:
        """The winner so far."""
        return winner(self.history, self.plan)

    @property
    def state(self) -> State:
        """Whether a driver is at work, and if not, whether anything is left to do."""
        if self.driver is not None:
            return "running"
        return "finished" if self.over else "interrupted"


def read_record(run: str, results: Path) -> Record:
    """Read a run by name or path; `BadInput` where there is none, `StorageError` for a damaged journal."""
    folder = run_folder(run, results)
    driver = driver_of(folder)  # first: what it still writes is then read, not missed
    events = read(folder)
    config, space, _ = settings(events)
    return Record(
        folder=folder,
        config=config,
        plan=plan_of(config, space),
        history=history_of(events),
        driver=driver,
        over=events[-1].type == "end" and events[-1].payload["reason"] == "finished",
    )


def network_of(record: Record, trial: Trial) -> Network:
    """Return the architecture of a trial."""
    found = decode(record.plan.space, trial.code).network
    if key(found) != trial.key:
        raise ArchscaleError(
            f"{record.name}, trial {trial.number}: got key {key(found)} from its code, expected {trial.key}; "
            "use the version that made the run, or take its spec file"
        )
    return found


def trial_named(record: Record, name: str) -> Trial:
    """Return the trial of a run that `best`, or the beginning of an architecture's key, means."""
    if name == "best":
        if record.best is None:
            raise BadInput(
                f"{record.name}#best: no trial is done yet; wait, or see `nas status {record.name}`"
            )
        return record.best
    alike = {t.key: t for t in record.history.of(Kind.TRAIN) if t.key.startswith(name)} if name else {}
    if len(alike) != 1:
        known = ", ".join(sorted(alike)[:3]) or "none of its keys begins so"
        raise BadInput(
            f"{record.name}#{name}: got a key that means {len(alike)} architectures ({known}), expected one; "
            f"`nas status {record.name}` lists the best keys, and #best means the winner"
        )
    return next(iter(alike.values()))


def driver_of(folder: Path) -> str | None:
    """Return who holds a run's lock, such as `process 12 on host since ...`, or None where nobody does."""
    path = folder / LOCK
    if not path.is_file():
        return None
    with storage_errors(path, doing="looking whether a driver holds it"), path.open("rb") as file:
        said = file.read(4096).decode(errors="replace")
        try:
            note = parse_json(said)
        except BadInput:
            note = None
        note = note if isinstance(note, Mapping) else {}
        # Trying takes the lock for an instant in which no driver can begin: only where it tells more.
        if _is_dead(cast("Mapping[str, object]", note)):
            return None
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return f"process {note.get('pid')} on {note.get('host')} since {note.get('since')}"
    return None


def _is_dead(note: Mapping[str, object]) -> bool:
    pid = note.get("pid")
    if note.get("host") != os.uname().nodename or not isinstance(pid, int) or pid < 1:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
