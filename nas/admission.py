"""What a study's limits say of a candidate before it is trained, and the ledger of those that were turned away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice

from scaling.constraints import Limit, Violation, broken
from scaling.cost import cost
from scaling.providers import ANALYTIC, values, who_knows
from search_spaces.errors import Unbuildable
from search_spaces.network import Network

from .ledger import TOO_MANY, UNBUILDABLE, Ledger, excess_of
from .measured import Measuring
from .recipe import Candidate


class Admission:
    """Holds candidates against limits, the quickly told ones first; `ledger` is that of the proposal looked for now."""

    def __init__(self, limits: Sequence[Limit], measuring: Measuring) -> None:
        self.ledger = Ledger()
        self._measuring, self._providers = measuring, measuring.providers
        self._metrics = [limit.metric for limit in limits]
        known = {limit: who_knows(limit.metric, self._providers) for limit in limits}
        self._quick = [limit for limit, provider in known.items() if provider and provider.quick]
        self._slow = [limit for limit, provider in known.items() if provider and not provider.quick]

    def begin(self, number: int) -> None:
        """Begin the ledger of a proposal."""
        self.ledger = Ledger(number)

    def keeps(self, network: Network, name: str) -> bool:
        """Tell whether a network, with its key, keeps all limits; one that does not goes to the ledger."""
        violations = self._broken(network) or self._slowly_broken(network, name)
        if violations:
            self.ledger.reject(network, name, violations)
        return not violations

    def excess(self, candidate: Candidate) -> float:
        """Return by how much a candidate breaks those limits that are quickly held against it."""
        violations = self._broken(candidate.network)
        self.ledger.walked += 1
        self.ledger.pass_by(candidate.network, violations)
        return excess_of(violations)

    def cost(self, network: Network) -> dict[str, float]:
        """Return what a network costs by formula, the other metrics that are limited, and what is measured."""
        wanted = [*self._metrics, *self._measuring.metrics]
        return asdict(cost(network)) | values(network, wanted, providers=self._providers)

    def _slowly_broken(self, network: Network, name: str) -> list[Violation]:
        """List what only measuring tells, for as many candidates as may be measured."""
        if self._slow and not self._measuring.may_look_at(name):
            return [TOO_MANY]
        return self._broken(network, quick=False) if self._slow else []

    def _broken(self, network: Network, *, quick: bool = True) -> list[Violation]:
        """List the limits that a network breaks, the first one of those that are not quickly told."""
        try:
            if quick:
                ANALYTIC.of(network)  # whatever the limits are on, it must be buildable
            found = broken(network, self._quick if quick else self._slow, providers=self._providers)
            return list(found if quick else islice(found, 1))
        except Unbuildable:
            return [UNBUILDABLE]
