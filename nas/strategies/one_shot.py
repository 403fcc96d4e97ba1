"""One-shot search: a supernet is trained, its members are searched on its weights, the best are trained anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar

from pydantic import Field

from search_spaces.automaton import count
from search_spaces.block import Whole
from search_spaces.check import combinators
from search_spaces.data import ByKind, register
from search_spaces.errors import BadInput
from search_spaces.largest import largest
from search_spaces.moves import decode

from ..proposal import Kind
from ..recipe import Candidate, Space
from ..sharing import Inherited, Sampler, Sandwich, SharedTraining
from .base import Answer, Request, Scope, Strategy, StrategyConfig, Told, Wait
from .evolution import Evolution

Some = Annotated[int, Field(ge=0, le=1000)]


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class OneShot(StrategyConfig):
    """Trains a supernet by sampled members, then lets another strategy search on its weights (Guo et al. 2020).

    `search` asks for `evaluations` members, each scored with inherited weights after its batch norms were measured
    anew. Then the `best` of them are trained on their own, and `others` spread evenly over all that were scored: only
    these show whether inherited scores rank architectures as their own training does. `epochs` is the supernet's
    budget, without it that of a trial; `limits` are the study's own as far as they are known by formula: without
    `within_limits` the supernet trains members outside them too.
    """

    shares_weights: ClassVar[bool] = True
    inherits: ClassVar[bool] = True

    search: StrategyConfig = field(default_factory=Evolution)
    sampler: Sampler = field(default_factory=Sandwich)
    epochs: Annotated[Whole | None, ByKind()] = None
    evaluations: Whole = 200
    calibration: Whole = 8  # training batches on which batch norms are measured
    best: Whole = 5
    others: Some = 3
    within_limits: bool = True

    def trainings(self, most: int) -> int:
        return min(most, self.best + self.others)

    def planned(self, kind: Kind) -> int:
        return {Kind.SUPERNET: 1, Kind.INHERIT: self.evaluations}.get(kind, 0)

    def check_space(self, space: Space) -> None:
        """Raise `BadInput` where there is nothing to share, or by its path what members cannot share."""
        if not isinstance(space, Candidate):
            raise BadInput(
                "space: got a list of architectures, expected one space, whose members have weights to share"
            )
        if self.search.shares_weights or self.search.promotes:
            does = "trains supernets" if self.search.shares_weights else "stops trainings early"
            raise BadInput(
                f"strategy.search: got {type(self.search).__name__}, which {does} itself, expected a strategy that "
                "asks for architectures alone, such as evolution"
            )
        if (searched := next(combinators(space.recipe), None)) is not None:
            raise BadInput(
                f"recipe.{searched[0]}: got a choice, expected one value: a supernet is trained by one recipe; fix it"
            )
        if count(space.network) == 1:
            raise BadInput(
                "space: got a single network, expected several members to share weights; train it, or open a choice"
            )
        largest(space.network)  # which refuses what cannot share, by its path

    def start(self, scope: Scope) -> Strategy:
        return _OneShot(self, scope)


@dataclass(slots=True)
class _OneShot:
    """What was told, and the strategy that searches: it sees inherited evaluations alone, numbered from 0."""

    config: OneShot
    scope: Scope
    supernet: int | None = None
    failed: bool = False
    scored: list[Told] = field(default_factory=list)
    inner: Strategy | None = None

    def ask(self, number: int) -> Answer:
        if self.supernet is None:
            if self.failed:
                return None
            return self._supernet() if number == 0 else Wait.UNTIL_TOLD
        first = self.supernet + 1
        if number - first < self.config.evaluations and not self._hurries():
            assert self.inner is not None
            candidate = self.inner.ask(number - first)
            if isinstance(candidate, Candidate):
                return self._inherited(candidate)
        return self._training(number)

    def tell(self, told: Told) -> None:
        if told.kind is Kind.SUPERNET:
            self.failed = told.costs is None
            if not self.failed:
                self.supernet = told.number
                self.inner = self.config.search.start(replace(self.scope, admits=self._admits))
        elif told.kind is Kind.INHERIT:
            assert self.inner is not None
            assert self.supernet is not None
            self.scored.append(told)
            self.inner.tell(replace(told, number=told.number - self.supernet - 1, kind=Kind.TRAIN))

    def _hurries(self) -> bool:
        """Tell whether time is up, once enough members are scored for their best to be trained."""
        return len(self.scored) >= self.config.best and self.scope.hurries()

    def _supernet(self) -> Request:
        limits = tuple(map(str, self.scope.limits)) if self.config.within_limits else ()
        settings = SharedTraining(sampler=self.config.sampler, limits=limits)
        return Request(kind=Kind.SUPERNET, settings=settings, epochs=self.config.epochs)

    def _admits(self, candidate: Candidate) -> bool:
        return self.scope.admits_job(self._inherited(candidate))

    def _inherited(self, candidate: Candidate) -> Request:
        settings = Inherited(batches=self.config.calibration)
        return Request(kind=Kind.INHERIT, candidate=candidate, settings=settings, parent=self.supernet)

    def _training(self, number: int) -> Answer:
        """Return the next member to train on its own; what was asked already, `admits` knows."""
        assert self.supernet is not None
        if self.scope.waits(Kind.INHERIT):
            return Wait.UNTIL_TOLD
        for told in self._chosen():
            candidate = decode(self.scope.space, told.code)
            if self.scope.admits(candidate):
                return Request(kind=Kind.TRAIN, candidate=candidate, parent=told.number)
        return None

    def _chosen(self) -> Iterator[Told]:
        """Yield the best, best first, then as many others as are wanted, evenly spread over the ranks below them."""
        done = ranked(self.scored)
        yield from done[: self.config.best]
        rest = done[self.config.best :]
        wanted = min(self.config.others, len(rest))
        yield from (rest[((2 * i + 1) * len(rest)) // (2 * wanted)] for i in range(wanted))


def ranked(scored: Sequence[Told]) -> list[Told]:
    """Return what was scored, best first: by how many dominate it, then by the objectives in their order."""
    done = [(told.costs, told) for told in scored if told.costs is not None]
    beaten = {
        told.number: sum(
            other != own and all(a <= b for a, b in zip(other, own, strict=True)) for other, _ in done
        )
        for own, told in done
    }
    return [
        told for own, told in sorted(done, key=lambda one: (beaten[one[1].number], one[0], one[1].number))
    ]
