"""Search by gradients: a mixture supernet, what it derives, and a training of that from scratch (Liu et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from math import exp
from typing import ClassVar

from search_spaces.block import Whole
from search_spaces.data import register
from search_spaces.derivation import Weights, derive, derived
from search_spaces.errors import BadInput
from search_spaces.mixture import Mixture
from search_spaces.network import Network

from ..gradient import Gradient, check_gradient, mixture_of
from ..proposal import Kind
from ..recipe import Candidate, Space
from .base import Answer, Request, Scope, Strategy, StrategyConfig, Told, Wait

LOOKED_AT = 2000  # derived architectures, the likeliest first, until one keeps the limits and is new
PRICES = tuple(2.0**power for power in range(-2, 11))  # of the excess over the limits, in nats
MOST_EXCESS = 1e3  # of what cannot be built, which breaks them without end
LOOKED_AT_EACH = 50  # then, at each price


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Darts(StrategyConfig):
    """Trains a supernet of the whole space for `epochs`, derives, has that trained; `searches` times, seeds apart.

    The paper searches four times and keeps the best by validation. Of what the supernet derives, the likeliest
    architecture that keeps the limits and was not trained yet is asked for; where none of the 2,000 likeliest does,
    options weigh the less the more they exceed the limits, until one does. `supernet` says how options are mixed.
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
        """Raise `BadInput` where there is nothing to mix, or what is said of it does not go together."""
        check_gradient(_one(space), self.supernet)
        if self.supernet.warmup >= self.epochs:
            raise BadInput(
                f"strategy.supernet.warmup: got {self.supernet.warmup} of {self.epochs} epochs, expected fewer, for "
                "until then what options weigh stays as it began; lower it, or raise strategy.epochs"
            )

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
        mixture = mixture_of(space.network, self.config.supernet)
        likeliest = islice(derived(mixture, supernet.weights), LOOKED_AT)
        candidates = (
            Candidate(network=network, recipe=space.recipe)
            for network in chain(likeliest, self._cheaper(mixture, supernet.weights))
        )
        return next(filter(self.scope.admits, candidates), None)

    def _cheaper(self, mixture: Mixture, weights: Weights) -> Iterator[Network]:
        """Yield what is likeliest where the excess of each option, alone, is taken off the log of what it weighs.

        The price of the excess rises, so that the first that keeps the limits has given up little.
        """
        excess = {
            path: self._excess(mixture, weights, path, slot.entries) for path, slot in mixture.slots.items()
        }
        for price in PRICES:
            priced = {
                path: tuple(w * exp(-price * (e - min(excess[path]))) for w, e in zip(own, excess[path], strict=True))
                if path in excess else own
                for path, own in weights.items()
            }  # fmt: skip
            yield from islice(derived(mixture, priced), LOOKED_AT_EACH)

    def _excess(self, mixture: Mixture, weights: Weights, path: str, entries: int) -> tuple[float, ...]:
        """Return by how much limits are broken where a slot takes one entry or another, all else as derived."""
        recipe = _one(self.scope.space).recipe
        alone = [tuple(float(i == entry) for i in range(entries)) for entry in range(entries)]
        networks = (derive(mixture, {**weights, path: one}) for one in alone)
        found = (self.scope.excess(Candidate(network=network, recipe=recipe)) for network in networks)
        return tuple(min(one, MOST_EXCESS) for one in found)


def _one(space: Space) -> Candidate:
    """Return a space that is no list of architectures; `BadInput` where it is one."""
    if isinstance(space, Candidate):
        return space
    raise BadInput(
        "space: got a list of architectures, expected one space, in which there is something to mix"
    )
