"""Our spaces and strategies in somebody's own `ray.tune.Tuner`: a study as its `search_alg`.

A trial's config holds `network` (a resolved Network, which `search_spaces.modules.build` makes a module of),
`recipe`, `epochs`, `seed` and `key`. What the trainable reports is recorded as it comes; how a trial ended is in the
journal, on disk, before anything is asked next. Given the same folder again, a study goes on where it stood:
what was in flight is asked for first. How many trials there are is Tune's own `num_samples`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, NoReturn, Self, cast

from ray.exceptions import RayActorError
from ray.tune.result import AUTO_RESULT_KEYS, DEBUG_METRICS
from ray.tune.search import Searcher

from scaling.constraints import parse_limit, prove_feasible, refuse_contradictions
from scaling.providers import ANALYTIC, check_known
from search_spaces.errors import BadInput
from search_spaces.network import Network
from search_spaces.serialise import Json, to_data

from .analysis.front import Objective
from .journal import JOURNAL, Journal
from .plan import Plan
from .proposal import LONGEST_NOTE, Outcome, Proposal, Status
from .recipe import Candidate, Recipe
from .strategies import Evolution, StrategyConfig
from .study import Study

ITERATION = "training_iteration"  # how often a trainable has reported, as Tune counts
NOT_METRICS = {*AUTO_RESULT_KEYS, *DEBUG_METRICS, "done", "experiment_tag", "iterations_since_restore"}
NO_END = 2**31  # trials; Tune counts them


class StudySearcher(Searcher):
    """A study that Ray Tune asks and tells: `tune.TuneConfig(search_alg=StudySearcher(space, folder=...))`.

    `strategy` is any that trains single architectures, `limits` such as "macs <= 5M" are kept by all that is asked.
    A trial that Tune's scheduler stops early counts by what it reported last, and its `epochs` say how far it came.
    One whose actor died, once Tune's own retries are used up, is asked for again, up to twice; one whose code
    raised is a bug, and the study stops where the first three are, or five in a row.

    Raises BadInput where the folder's study is another, Infeasible where no member can keep the limits.
    """

    def __init__(
        self,
        space: Network,
        *,
        folder: str | Path,
        strategy: StrategyConfig | None = None,
        metric: str = "validation_accuracy",
        mode: str = "max",
        limits: Sequence[str] = (),
        epochs: int = 20,
        recipe: Recipe | None = None,
        seed: int = 0,
    ) -> None:
        objective = Objective.parse(f"{metric}:{mode}")
        super().__init__(metric=metric, mode=mode)
        plan = Plan(
            space=Candidate(network=space, recipe=recipe or Recipe()),
            strategy=strategy or Evolution(),
            objectives=(objective,),
            limits=tuple(parse_limit(text) for text in limits),
            epochs=epochs,
            trials=NO_END,
            confirm_top=0,
            final="none",
            seed=seed,
        )
        _check(plan, space)
        self._study = Study(plan, _journal(Path(folder), plan, limits))
        self._closed = False
        self._asked: dict[str, tuple[Proposal, int]] = {}  # by Tune's trial id, with the attempt

    @property
    def study(self) -> Study:
        """The study, to read what was found."""
        return self._study

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Return the next trial's config, None while nothing can be asked before more is told."""
        asked = self._study.ask()
        if asked is None:
            over = self._study.history.exhausted and not self._study.history.untold
            return cast("dict[str, Any]", Searcher.FINISHED) if over else None
        self._asked[trial_id] = asked
        proposal, _ = asked
        candidate = proposal.candidate
        return {
            "network": candidate.network, "recipe": candidate.recipe, "epochs": proposal.epochs,
            "seed": proposal.seed, "key": proposal.key,
        }  # fmt: skip

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Record how far a trial has come."""
        if trial_id in self._asked:
            number = self._asked[trial_id][0].number
            self._study.report(number, int(result.get(ITERATION, 0)), _metrics(result))

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Record what came of a trial."""
        if (asked := self._asked.pop(trial_id, None)) is not None:
            proposal, attempt = asked
            outcome = self._failed() if error else self._outcome(proposal, result or {})
            self._study.tell(proposal.number, attempt, outcome)

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Refuse another metric or mode in the `TuneConfig` than the study's own."""
        for name, got, ours in (("metric", metric, self._metric), ("mode", mode, self._mode)):
            if got is not None and got != ours:
                raise BadInput(
                    f"{name}: got {got!r} in TuneConfig, expected {ours!r} as the study has it, or none"
                )
        return True

    def close(self) -> None:
        """Let go of the folder; the study can then be taken up again, here or elsewhere."""
        if not self._closed:
            self._closed = True
            self._study.end("finished")
            self._study.journal.close()

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing: the journal is the truth."""

    def restore_from_dir(self, checkpoint_dir: str) -> None:
        """Nothing: a study is restored when it is made, from its own folder."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:  # Tune copies its settings; there is one journal
        return self

    def __reduce__(self) -> tuple[object, tuple[()]]:  # Tune stores its settings
        return _not_stored, ()

    def _outcome(self, proposal: Proposal, result: Mapping[str, Any]) -> Outcome:
        metrics, seconds = _metrics(result), float(result.get("time_total_s", 0.0))
        if self._metric not in metrics:
            said = ", ".join(sorted(metrics)) or "nothing"
            note = f"{self._metric}: not among what the trainable reported last, which was {said}"
            return Outcome(status=Status.BUG, note=note, seconds=seconds)
        epochs = int(result.get(ITERATION, 0))
        note = f"ended after {epochs} of {proposal.epochs} epochs" if epochs < proposal.epochs else ""
        return Outcome(
            status=Status.DONE, metrics={"epochs": float(epochs), **metrics}, note=note, seconds=seconds
        )

    def _failed(self) -> Outcome:
        """Return what a trial failed with: Tune tells it while it handles the error, and nowhere else."""
        error = sys.exception()
        status = Status.LOST if isinstance(error, RayActorError) else Status.BUG
        return Outcome(
            status=status, note=(str(error) if error else "it raised; Tune has its text")[-LONGEST_NOTE:]
        )


def _check(plan: Plan, space: Network) -> None:
    if plan.strategy.shares_weights:
        raise BadInput(
            f"strategy: got {type(plan.strategy).__name__}, which trains supernets; a trainable of one's own trains "
            "single architectures, so take another, or `nas search` with --cluster"
        )
    plan.strategy.check_space(plan.space)
    check_known((limit.metric for limit in plan.limits), where="limits", providers=(ANALYTIC,))
    refuse_contradictions(plan.limits)
    prove_feasible(space, plan.limits)


def _journal(folder: Path, plan: Plan, limits: Sequence[str]) -> Journal:
    """Begin a journal, or take up the one that is there, if it is of the same study."""
    header: dict[str, Json] = {
        "searcher": {
            "space": to_data(plan.space), "strategy": to_data(plan.strategy), "epochs": plan.epochs,
            "objectives": [str(objective) for objective in plan.objectives], "limits": list(limits),
            "seed": plan.seed,
        }
    }  # fmt: skip
    if not (folder / JOURNAL).exists():
        return Journal.create(folder, header)
    journal = Journal.open(folder)
    before = cast("dict[str, Json]", journal.header.get("searcher", {}))
    now = cast("dict[str, Json]", header["searcher"])
    if differ := [name for name in now if before.get(name) != now[name]]:
        journal.close()
        raise BadInput(
            f"{folder}: its study began with another {' and another '.join(differ)}; go on with what it began with, "
            "or give another folder"
        )
    return journal


def _metrics(result: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers that a trainable reported, without those that Tune adds."""
    return {
        name: float(value)
        for name, value in result.items()
        if not isinstance(value, bool)
        and isinstance(value, Real)
        and name not in NOT_METRICS
        and not name.startswith("config/")
    }


def _not_stored() -> NoReturn:
    raise BadInput(
        "StudySearcher: got restored from what Tune stored, expected to be made anew with its folder, where the "
        "study is; begin a new Tuner with it"
    )
