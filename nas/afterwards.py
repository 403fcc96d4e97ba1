"""What a study asks once its search is over: confirmations of the best few, then the final trainings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from search_spaces.errors import ArchscaleError
from search_spaces.moves import decode, enumerate_members
from search_spaces.serialise import key

from .history import History, Trial
from .plan import Plan
from .proposal import SEARCHING, Identity, Kind
from .recipe import Candidate

Who = Callable[[Candidate, int, int], Identity]  # of a candidate, epochs and a seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A training that is owed, and was not asked yet."""

    kind: Kind
    candidate: Candidate
    epochs: int
    seed: int
    parent: int | None


def due(
    history: History,
    plan: Plan,
    *,
    who: Who,
    finalists: Callable[[], Sequence[Trial]],
    best: Callable[[], Trial | None],
) -> Due | None:
    """Return the next confirmation or final training; None while more must be told first, and at the end."""
    if history.waits_for(*SEARCHING):
        return None
    owed = _confirmation(history, plan, finalists())
    if owed is None and not history.waits_for(Kind.CONFIRM):
        owed = next(finals_due(history, plan, who=who, best=best), None)
    return owed


def finals_due(history: History, plan: Plan, *, who: Who, best: Callable[[], Trial | None]) -> Iterator[Due]:
    """Yield the final trainings that were not asked yet, all members with one seed before the next seed."""
    epochs, first = plan.final_epochs or plan.epochs, plan.seed + 1 + plan.confirm_seeds
    asked = {trial.identity for trial in history.of(Kind.FINAL)}
    for seed in range(first, first + plan.final_seeds):
        for candidate, parent in _to_test(plan, best):
            if who(candidate, epochs, seed) not in asked:
                yield Due(kind=Kind.FINAL, candidate=candidate, epochs=epochs, seed=seed, parent=parent)


def candidate_of(trial: Trial, plan: Plan) -> Candidate:
    """Return what a trial of one architecture trains."""
    found = decode(plan.space, trial.code)
    if key(found.network) != trial.key:
        raise ArchscaleError(
            f"trial {trial.number}: got key {key(found.network)} from its code, expected {trial.key}; this version "
            "of the search space differs from the one that wrote the journal"
        )
    return found


def _confirmation(history: History, plan: Plan, finalists: Sequence[Trial]) -> Due | None:
    asked = {(t.parent, t.identity.seed) for t in history.of(Kind.CONFIRM)}
    for trial in finalists:
        for seed in range(plan.seed + 1, plan.seed + 1 + plan.confirm_seeds):
            if (trial.number, seed) not in asked:
                found = candidate_of(trial, plan)
                return Due(
                    kind=Kind.CONFIRM, candidate=found, epochs=plan.epochs, seed=seed, parent=trial.number
                )
    return None


def _to_test(plan: Plan, best: Callable[[], Trial | None]) -> Iterator[tuple[Candidate, int | None]]:
    if plan.final == "every":
        yield from ((member, None) for member in enumerate_members(plan.space))
    elif plan.final == "best" and (named := best()) is not None:
        yield candidate_of(named, plan), named.number
