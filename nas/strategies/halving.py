"""Asynchronous successive halving (ASHA): many candidates begin, the best of each rung are trained on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count, islice, pairwise, takewhile
from math import inf
from typing import Annotated, ClassVar

from pydantic import Field

from search_spaces.block import Whole
from search_spaces.data import register
from search_spaces.errors import BadInput
from search_spaces.moves import decode

from ..dominance import Costs, best_first
from ..proposal import Kind, Rung
from ..recipe import Candidate, Space
from .base import Answer, Code, Request, Scope, Strategy, StrategyConfig, Told, Wait
from .evolution import Evolution


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Halving(StrategyConfig):
    """Begins what `search` asks for and trains on the best `1/reduction` of each rung (Li et al. 2020, algorithm 2).

    Rungs end after `first` epochs, `first * reduction`, and so on, the last after the study's epochs. Where one can be
    promoted it is, from the highest rung first, and else another candidate begins: nothing ever waits for a rung to
    fill. A rung's best come by the objective; with several, by non-dominated sorting and then by crowding distance
    (Schmucker et al. 2021, "Multi-objective asynchronous successive halving"). `search` is told of each candidate
    once, its score after the first rung: all that it compares was then trained equally long.

    Once no more candidates begin, every rung still promotes the best `1/reduction` of it, or `best` where those are
    fewer, so that at least so many end as full trainings. When the study's minutes are over, one is enough.
    """

    promotes: ClassVar[bool] = True

    search: StrategyConfig = field(default_factory=Evolution)
    reduction: Annotated[int, Field(ge=2, le=1000)] = 3
    first: Whole = 1  # epochs of the lowest rung
    best: Whole = 3  # full trainings, at the least

    def check_space(self, space: Space) -> None:
        """Raise `BadInput` where `search` asks for other jobs than trainings, or cannot search such a space."""
        if self.search.shares_weights or self.search.promotes:
            does = "trains supernets" if self.search.shares_weights else "stops trainings early"
            raise BadInput(
                f"strategy.search: got {type(self.search).__name__}, which {does} itself, expected a strategy that "
                "asks for architectures alone, such as evolution; set strategy.search=evolution, or take it without "
                "halving"
            )
        self.search.check_space(space)

    def check_epochs(self, epochs: int) -> None:
        """Raise `BadInput` where not even the lowest rung stops early."""
        if self.first >= epochs:
            raise BadInput(
                f"strategy.first: got {self.first}, expected fewer than the {epochs} epochs of a full training, so "
                "that the lowest rung stops early; make it smaller, or epochs larger"
            )

    def trainings(self, most: int) -> int:
        return self.search.trainings(most)

    def mean_epochs(self, epochs: int) -> float:
        """Return the epochs of a candidate in the mean, where each rung promotes exactly its share."""
        steps = [b - a for a, b in pairwise((0, *self.budgets(epochs)))]
        return sum(step * float(self.reduction) ** -k for k, step in enumerate(steps))

    def budgets(self, epochs: int) -> tuple[int, ...]:
        """Return after how many epochs each rung ends.

        >>> Halving(first=1, reduction=3).budgets(20)
        (1, 3, 9, 20)
        """
        below = takewhile(lambda e: e < epochs, (self.first * self.reduction**k for k in count()))
        return (*below, epochs)

    def start(self, scope: Scope) -> Strategy:
        budgets = self.budgets(scope.epochs)
        machine = _Halving(self, scope, budgets, tuple(_Level() for _ in budgets))
        machine.inner = self.search.start(replace(scope, admits=machine.admits))
        return machine


@dataclass(slots=True)
class _Level:
    """What a rung was told, and of those with scores the order, best first."""

    told: list[Told] = field(default_factory=list)
    codes: set[Code] = field(default_factory=set)
    order: list[Told] | None = field(default_factory=list)  # None: to be worked out anew

    def add(self, told: Told) -> None:
        self.told.append(told)
        self.codes.add(told.code)
        self.order = None

    def ranked(self) -> list[Told]:
        if self.order is None:
            done: list[tuple[Costs, Told]] = [(one.costs, one) for one in self.told if one.costs is not None]
            self.order = [done[i][1] for i in best_first([costs for costs, _ in done])]
        return self.order


@dataclass(slots=True)
class _Halving:
    """The rungs, and the strategy that searches: it sees the first rung alone, candidates numbered from 0."""

    config: Halving
    scope: Scope
    budgets: tuple[int, ...]
    levels: tuple[_Level, ...]
    failed: set[Code] = field(default_factory=set)
    inner: Strategy = field(init=False)

    def ask(self, number: int) -> Answer:
        scope = self.scope
        hurried = scope.hurries()
        if not hurried and (promotion := self._promotion()) is not None:
            return promotion
        if not hurried and scope.begun() < scope.trials:
            answer = self.inner.ask(scope.begun())
            if isinstance(answer, Candidate):
                return self._request(0, answer)
            if answer is not None:
                return self._passed_on(answer)
        return self._owed(1 if hurried else self.config.best)

    def tell(self, told: Told) -> None:
        self.levels[self.budgets.index(told.epochs)].add(told)
        if told.costs is None:
            self.failed.add(told.code)
        if told.before is not None:
            self.inner.tell(replace(told, number=told.before, kind=Kind.TRAIN))

    def hopeless(self) -> Iterator[int]:
        """Yield the rungs that so many of the same rung beat that none of the study's trials can make them promoted."""
        within = max(self.scope.trials // self.config.reduction, self.config.best)
        for level in self.levels[:-1]:
            yield from (told.number for told in level.ranked()[within:])

    def admits(self, candidate: Candidate) -> bool:
        """Tell whether a candidate may begin."""
        return self.scope.admits_job(self._request(0, candidate))

    def _promotion(self) -> Request | None:
        """Return the next promotion among the best share of each rung, from the highest rung first."""
        for k in reversed(range(len(self.levels) - 1)):
            level = self.levels[k]
            share = len(level.told) // self.config.reduction
            if (found := self._first_new(k, iter(level.ranked()[:share]))) is not None:
                return found
        return None

    def _owed(self, least: int) -> Answer:
        """Return a promotion beyond the share, so that `least` of a rung come on; none of a rung that still grows."""
        grows_from = min(self.scope.flying(), default=inf)
        for k in reversed(range(len(self.levels) - 1)):
            if grows_from > self.budgets[k]:
                sound = (told for told in self.levels[k].ranked() if told.code not in self.failed)
                if (found := self._first_new(k, islice(sound, least))) is not None:
                    return found
        return Wait.UNTIL_TOLD if grows_from < inf else None

    def _first_new(self, k: int, chosen: Iterator[Told]) -> Request | None:
        """Return the promotion of the first of these in rung `k` that was not promoted yet."""
        for told in chosen:
            if told.code not in self.levels[k + 1].codes:
                request = self._request(k + 1, decode(self.scope.space, told.code), parent=told.number)
                if self.scope.admits_job(request):  # else it is in flight
                    return request
        return None

    def _request(self, k: int, candidate: Candidate, *, parent: int | None = None) -> Request:
        """Return the training of a candidate up to the end of rung `k`; the top one is a training like any other."""
        epochs, whole = self.budgets[k], self.budgets[-1]
        if epochs == whole:
            return Request(kind=Kind.TRAIN, candidate=candidate, parent=parent)
        settings = Rung(of=whole)
        return Request(kind=Kind.RUNG, candidate=candidate, settings=settings, epochs=epochs, parent=parent)

    def _passed_on(self, answer: Request | Wait) -> Answer:
        if isinstance(answer, Wait):
            return answer
        if answer.kind is Kind.TRAIN and answer.candidate is not None and answer.settings is None:
            return self._request(0, answer.candidate)
        raise BadInput(
            f"strategy.search: got a job {answer.kind.value} from {type(self.config.search).__name__}, expected "
            "trainings alone, for only they can stop early"
        )
