"""Search by gradients: a mixture supernet, what it derives, and a training of that from scratch (Liu et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import ClassVar

from search_spaces.block import Whole
from search_spaces.data import register
from search_spaces.derivation import derived
from search_spaces.errors import BadInput

from ..gradient import Gradient, check_gradient, mixture_of
from ..proposal import Kind
from ..recipe import Candidate, Space
from .base import Answer, Request, Scope, Strategy, StrategyConfig, Told, Wait

LOOKED_AT = 2000  # derived architectures, the likeliest first, until one keeps the limits and is new


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Darts(StrategyConfig):
    """Trains a supernet of the whole space for `epochs`, derives, has that trained; `searches` times, seeds apart.

    The paper searches four times and keeps the best by validation. Of what the supernet derives, the likeliest
    architecture that keeps the limits and was not trained yet is asked for. `supernet` says how options are mixed.
    """

    shares_weights: ClassVar[bool] = True

    supernet: Gradient = Gradient()
    epochs: Whole = 50
    searches: Whole = 1

    def trainings(self, most: int) -> int:
        return min(most, self.searches)

    def planned(self, kind: Kind) -> int:
        return self.searches if kind is Kind.SUPERNET else 0

    def check_space(self, space: Space) -> None:
        check_gradient(_one(space), self.supernet)

    def start(self, scope: Scope) -> Strategy:
        return _Darts(self, scope)


@dataclass(slots=True)
class _Darts:
    config: Darts
    scope: Scope
    told: list[Told] = field(default_factory=list)

    def ask(self, number: int) -> Answer:
        if number > len(self.told):
            return Wait.UNTIL_TOLD
        last = self.told[-1] if self.told else None
        if last is not None and last.kind is Kind.SUPERNET and last.costs is not None:
            candidate = self._derived(last)
            if candidate is not None:
                return Request(kind=Kind.TRAIN, candidate=candidate, parent=last.number)
        searched = sum(told.kind is Kind.SUPERNET for told in self.told)
        if searched == self.config.searches:
            return None
        return Request(
            kind=Kind.SUPERNET,
            settings=self.config.supernet,
            epochs=self.config.epochs,
            seed=self.scope.seed + searched,
        )

    def tell(self, told: Told) -> None:
        self.told.append(told)

    def _derived(self, supernet: Told) -> Candidate | None:
        """Return the likeliest architecture that may be trained."""
        space = _one(self.scope.space)
        networks = derived(mixture_of(space.network, self.config.supernet), supernet.weights)
        candidates = (
            Candidate(network=network, recipe=space.recipe) for network in islice(networks, LOOKED_AT)
        )
        return next(filter(self.scope.admits, candidates), None)


def _one(space: Space) -> Candidate:
    """Return a space that is no list of architectures; `BadInput` where it is one."""
    if isinstance(space, Candidate):
        return space
    raise BadInput(
        "space: got a list of architectures, expected one space, in which there is something to mix"
    )
