"""A study with an instant evaluator, for suites that run over every strategy and space.

The score is a fixed function of the architecture's key, so that runs can be compared to the last digit.
"""

from __future__ import annotations

import random
import statistics
from functools import cache, partial
from pathlib import Path

from nas.analysis.front import Objective
from nas.journal import Journal
from nas.plan import Plan
from nas.proposal import Kind, Outcome, Proposal, Status
from nas.recipe import Candidate, Recipe
from nas.strategies import StrategyConfig
from nas.study import Study
from scaling.constraints import Limit
from scaling.cost import cost
from search_spaces import Choice, Classifier, Conv, MBConv, Network, NeverFalls, Repeat, Stage, sample
from search_spaces.presets import PRESETS, preset

ACCURACY = (Objective.parse("validation_accuracy:max"),)
TWO = (*ACCURACY, Objective.parse("macs:min"))


@cache
def tiny_space() -> Network:
    """Twelve members: small enough to be searched to the last one."""
    return Network(
        input=(1, 8, 8),
        stages=(Stage(blocks=Repeat(Conv(kernel=Choice(3, 5)), Choice(1, 2)), width=Choice(4, 8, 16)),),
        head=Classifier(classes=10),
    )


@cache
def tied_space() -> Network:
    """Ties, conditions, nested and inactive choices at once."""
    return Network(
        input=(1, 16, 16),
        stages=tuple(
            Stage(
                blocks=Repeat(
                    Choice(Conv(kernel=Choice(3, 5, name="kernel")), MBConv(expand=Choice(2, 4), se=0)),
                    Choice(1, 2, 3),
                    independent=True,
                ),
                width=Choice(8, 12, 16),
                stride=2,
            )
            for _ in range(3)
        ),
        head=Classifier(classes=10),
        conditions=(NeverFalls(),),
    )


SPACES = {
    "tiny": tiny_space,
    "tied": tied_space,
    **{name: partial(cache(preset), name, (1, 8, 8), classes=10) for name in PRESETS},
}


def plan(strategy: StrategyConfig, space: Network, **changes: object) -> Plan:
    """Return a plan for `space`; a recipe with a choice makes the learning rate part of the search."""
    given = {
        "space": Candidate(network=space, recipe=Recipe(lr=Choice(1e-3, 3e-3))),
        "strategy": strategy,
        "objectives": ACCURACY,
        "limits": (half_the_space(space),),
        "epochs": 9,
        "trials": 30,
        "confirm_top": 0,
        "final_epochs": 1,
        **changes,
    }
    return Plan(**given)  # type: ignore[arg-type]


@cache
def half_the_space(space: Network) -> Limit:
    """Return a limit on MACs that about half the members keep, so that it bites in every space."""
    rng = random.Random(0)
    macs = statistics.median_high(cost(sample(space, rng, by="member")).macs for _ in range(51))
    return Limit(metric="macs", at_most=float(macs))


def score(proposal: Proposal) -> float:
    """Return an accuracy that depends on the architecture, the recipe and the seed alone."""
    return random.Random(f"{proposal.key}{proposal.candidate.recipe.lr}{proposal.seed}").uniform(0.1, 0.99)


def begun(asked: list[Proposal]) -> list[Proposal]:
    """List those that begin an architecture's training; promotions go on with one."""
    return [p for p in asked if p.kind in (Kind.TRAIN, Kind.RUNG) and not p.trained]


def done(proposal: Proposal) -> Outcome:
    """Return the outcome of an instant training."""
    names = ("test_accuracy",) if proposal.kind == "final" else ("validation_accuracy",)
    return Outcome(status=Status.DONE, metrics={name: score(proposal) for name in names})


def begin(folder: Path, the_plan: Plan) -> Study:
    """Begin a study in a folder of its own."""
    return Study(the_plan, Journal.create(folder, {}))


def again(folder: Path, the_plan: Plan) -> Study:
    """Open a study where it was left."""
    return Study(the_plan, Journal.open(folder))


def run(study: Study, most: int = 10**6, *, outcome=done) -> list[Proposal]:  # type: ignore[no-untyped-def]
    """Ask and tell up to `most` times, one at a time; returns what was asked."""
    asked = []
    while len(asked) < most and (question := study.ask()) is not None:
        proposal, attempt = question
        asked.append(proposal)
        study.tell(proposal.number, attempt, outcome(proposal))
    return asked
