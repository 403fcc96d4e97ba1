"""How far a search by successive halving has come: how many trainings ended at each rung."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

from search_spaces.serialise import Json

from ..history import History, Trial
from ..proposal import Kind


def rungs(history: History) -> list[dict[str, Json]]:
    """Return, by the epochs at which a rung ends, how many are done, running and failed; the last ones are in full.

    Nothing where no training stops early.
    """
    if not history.of(Kind.RUNG):
        return []
    at: dict[int, list[Trial]] = {}
    for trial in chain(history.of(Kind.RUNG), history.of(Kind.TRAIN)):
        at.setdefault(trial.identity.epochs, []).append(trial)
    return [{"epochs": epochs, **_counts(at[epochs])} for epochs in sorted(at)]


def said_of(found: list[dict[str, Json]]) -> str:
    """Say it in a line, such as `50 of 1 epoch, 16 of 3 epochs`; those that failed are among them."""
    return ", ".join(f"{_ended(one)} of {one['epochs']}" for one in found) + " epochs"


def _ended(one: Mapping[str, Json]) -> int:
    done, failed = one["done"], one["failed"]
    assert isinstance(done, int)
    assert isinstance(failed, int)
    return done + failed


def _counts(trials: list[Trial]) -> dict[str, Json]:
    return {
        "done": sum(t.done for t in trials),
        "running": sum(t.outcome is None for t in trials),
        "failed": sum(t.outcome is not None and not t.done for t in trials),
    }
