"""Training a list of networks, each with several seeds, for the test part: a family's members, or any others.

Larger networks need more regularisation: by default dropout and augmentation grow with the MACs, as they do along
published families (Tan & Le 2019, table of dropout rates; Tan & Le 2021, section 4.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log2
from typing import Annotated

from pydantic import Field

from scaling.cost import cost
from scaling.grow import dropping
from search_spaces.block import fixed
from search_spaces.data import Data
from search_spaces.moves import enumerate_members
from search_spaces.network import Network
from search_spaces.serialise import key

from .analysis.spread import Spread, spread
from .config import Final, Listed, StudyConfig
from .data.augment.strength import stronger
from .history import Trial
from .proposal import Kind
from .recipe import Recipe
from .study import Study

Rate = Annotated[float, Field(ge=0, le=1)]
SEEDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Regularisation(Data):
    """How regularisation grows with each doubling of MACs over the base; 0 leaves it as it is.

    `dropout` is added to the head's rate, where it has one: 0.3 over B0 to B7, whose MACs are 98 times B0's, is 0.045 a
    doubling. `augmentation` is the part by which strengths of augmentation grow. Smaller networks than the base have
    less of both.
    """

    dropout: Rate = 0.045
    augmentation: Rate = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """A network of a list and what its trainings came to on the test part, by metric."""

    network: Network
    scores: dict[str, Spread]

    @property
    def key(self) -> str:
        """The network's key, as it was trained: with its own rate of dropout."""
        return key(self.network)

    @property
    def macs(self) -> int:
        """Its multiply-adds."""
        return cost(self.network).macs

    @property
    def params(self) -> int:
        """The numbers it learns."""
        return cost(self.network).params


def training_of(
    base: Network,
    networks: Sequence[Network],
    config: StudyConfig,
    *,
    seeds: int = SEEDS,
    regularisation: Regularisation | None = None,
) -> StudyConfig:
    """Return the config of a study that trains networks grown from a base, each with so many seeds, and tests them.

    The data, recipe, execution and epochs (those of the final training, where the config says them) are the config's.
    A family whose rule raises dropout itself wants `Regularisation(dropout=0)`; None is the default growth.
    """
    grown = Regularisation() if regularisation is None else regularisation
    own = cost(base).macs
    members = [
        _regularised(network, config.recipe, log2(cost(network).macs / own), grown) for network in networks
    ]
    return replace(
        config,
        space=tuple(members),
        table=None,
        limits=(),
        minutes=None,
        latency=None,
        final=Final(of="every", seeds=seeds, epochs=config.final.epochs),
    )


def readings_of(study: Study) -> list[Readings]:
    """Return each network of a list with its scores on the test part so far, in the list's order."""
    members = list(enumerate_members(study.plan.space))
    trials: dict[tuple[int, ...], list[Trial]] = {(i,): [] for i in range(len(members))}
    for trial in study.history.of(Kind.FINAL):
        if trial.done:
            trials[trial.code].append(trial)
    return [Readings(network=member.network, scores=_scores(trials[i,])) for i, member in enumerate(members)]


def _scores(trials: Sequence[Trial]) -> dict[str, Spread]:
    names = {name: None for trial in trials for name in trial.metrics if name.startswith("test_")}
    return {name: spread([t.metrics[name] for t in trials if name in t.metrics]) for name in names}


def _regularised(network: Network, recipe: Recipe, doublings: float, grown: Regularisation) -> Listed:
    factor = (1 + grown.augmentation) ** doublings
    head = dropping(fixed(network.head), round(grown.dropout * doublings, 4))
    augment = tuple(stronger(fixed(one), factor) for one in recipe.augment)
    return Listed(network=replace(network, head=head), recipe=replace(recipe, augment=augment))
