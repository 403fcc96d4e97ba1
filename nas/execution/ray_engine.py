"""Ray Tune as it is run here: what it asks for next, what it is told to end, and who hears what it sees.

Tune counts its own retries; a trial it has begun again is the same `Asked`. One that nobody waits for any more is
stopped by the scheduler at Tune's next step, whatever state it is in.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, Self, cast

from ray import tune
from ray._private import auto_init_hook, worker
from ray.exceptions import RayActorError, RayTaskError
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from .base import Ended, Report
from .ray_trial import Asked, Place, RayTrial, Stopped

ENGINE = "tune"  # of the run's folder, what Tune writes; removed when it has ended
LONGEST_WHY = 500  # characters
FOR_MEMORY = "running low on memory"  # in what Ray says where it killed an actor for that


class Trials(Protocol):
    """Whom Tune works for; its thread calls these."""

    @property
    def stopping(self) -> bool:
        """Whether Tune is to end."""

    def next_asked(self) -> Asked | None:
        """Return the next trial, None for none now."""

    def given_up(self, asked: Asked) -> bool:
        """Tell whether nobody waits for a trial any more."""

    def began(self, asked: Asked, actor: Any) -> None:
        """Note that a trial runs in an actor."""

    def heard(self, asked: Asked, said: Sequence[Report | Ended | Stopped]) -> None:
        """Take what a trial said."""

    def lost(self, asked: Asked, why: str, *, again: bool, for_memory: bool) -> None:
        """Note that a trial's actor or node died, for memory maybe; `again` says that Tune begins it again."""


def run(trials: Trials, place: Place, *, side_by_side: int, reuse: bool) -> None:
    """Run Tune until it is told to end; raises whatever breaks it."""
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(side_by_side)
    cleared(place.folder)
    tune.Tuner(
        RayTrial,
        param_space={"place": place},
        tune_config=tune.TuneConfig(
            search_alg=_Handed(trials), scheduler=_Order(trials), num_samples=-1, reuse_actors=reuse,
            trial_dirname_creator=lambda trial: trial.config["asked"].proposal.key,
        ),
        run_config=tune.RunConfig(
            name=ENGINE, storage_path=str(place.folder), verbose=0, callbacks=[_Heard(trials)], stop=_Stop(trials),
            failure_config=tune.FailureConfig(max_failures=0),  # each trial has its own, see `_Order`
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # trials keep their own
        ),
    ).fit()  # fmt: skip


def quieten() -> None:
    """Keep Ray from printing what nodes say, for standard output is ours, and from joining clusters by itself.

    Without the latter, what Tune's thread still calls once the driver has left would join or begin another one.
    """
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # what fails is told by us
    worker.print_to_stdstream = _nothing_printed
    auto_init_hook.enable_auto_connect = False


def _nothing_printed(data: object, ignore_prefix: bool) -> None:
    """Nothing."""


def cleared(folder: Path) -> None:
    """Remove what Tune wrote into a run's folder."""
    shutil.rmtree(folder / ENGINE, ignore_errors=True)


class _OfThisProcess:
    """Is one and the same for Tune, which copies and stores what it is given."""

    def __init__(self, trials: Trials | None) -> None:
        super().__init__()
        self._of = trials

    @property
    def _trials(self) -> Trials:
        assert self._of is not None, "a stored one is of no run"
        return self._of

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[type[Self], tuple[None]]:
        return type(self), (None,)


class _Handed(_OfThisProcess, Searcher):
    """Hands Tune the trials that the study has asked for."""

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        if self._trials.stopping:
            return cast("dict[str, Any]", Searcher.FINISHED)  # a word that Tune knows
        asked = self._trials.next_asked()
        return None if asked is None else {"asked": asked}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing: what a trial said was heard before."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing: the journal is the truth."""


class _Order(_OfThisProcess, FIFOScheduler):
    """Trials as they come, each begun again as often as it may be, and ended where nobody waits for it."""

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        _expect_all_errors(tune_controller._tune_controller._actor_manager)
        trial.max_failures = trial.config["asked"].starts_again

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        for trial in list(tune_controller.get_live_trials()):
            if not trial.is_finished() and self._trials.given_up(trial.config["asked"]):
                _end(tune_controller._tune_controller, trial)
        return None  # Tune then begins what waits in the order it came

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        return str(TrialScheduler.CONTINUE)


class _Heard(_OfThisProcess, tune.Callback):
    """Tells what Tune sees of trials."""

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._trials.began(trial.config["asked"], trial.temporary_state.ray_actor)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self._trials.heard(trial.config["asked"], result.pop("said"))

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._lost(trial, again=True)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._lost(trial, again=False)

    def _lost(self, trial: Any, *, again: bool) -> None:
        why = _why(trial)
        self._trials.lost(trial.config["asked"], why, again=again, for_memory=FOR_MEMORY in why)


class _Stop(_OfThisProcess, tune.Stopper):
    """Ends all of it when the driver leaves."""

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._trials.stopping


def _end(controller: Any, trial: Any) -> None:
    """Stop a trial in whatever state it is; of one that waits for its actor Tune itself forgets to let go."""
    if trial in controller._staged_trials:
        controller._unstage_trial_with_resources(trial)
    controller._schedule_trial_stop(trial)
    controller._live_trials.discard(trial)


def _expect_all_errors(manager: Any) -> None:
    """Let Tune take every error for an actor's death; it breaks at some, such as where Ray kills for memory."""
    if getattr(manager, "expects_all_errors", False):
        return
    plain = manager._actor_task_failed

    def failed(tracked_actor_task: Any, exception: Exception) -> None:
        if not isinstance(exception, RayActorError | RayTaskError):
            exception = RayActorError(error_msg=f"{type(exception).__name__}: {exception}")
        plain(tracked_actor_task, exception)

    manager._actor_task_failed, manager.expects_all_errors = failed, True


def _why(trial: Any) -> str:
    """Return in one line why a trial's actor was lost: the last of what Tune has noted in the trial's own file."""
    with suppress(OSError, TypeError):  # it could not be written, or there is none
        noted = Path(trial.error_file).read_text(errors="replace").rpartition("Failure # ")[2]
        return " ".join(noted.partition("\n")[2].split())[:LONGEST_WHY]
    return "its actor died"
