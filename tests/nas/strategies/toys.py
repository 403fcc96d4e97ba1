"""Small spaces and a driver, for tests that talk to a strategy without a study."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nas.strategies import Scope, StrategyConfig, Told
from search_spaces import Choice
from search_spaces.data import Data
from search_spaces.moves import encode

Code = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Word(Data):
    """Letters to be chosen one by one."""

    letters: tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Small(Data):
    size: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Large(Data):
    size: object
    extra: object


def word(length: int, letters: int = 5) -> Word:
    """Return a space of words; codes are the words themselves."""
    return Word(letters=tuple(Choice(*range(letters)) for _ in range(length)))


def nested(length: int = 3) -> Word:
    """Return a space where one choice opens others: what is open differs from member to member."""
    kinds = Choice(Small(size=Choice(1, 2, 3)), Large(size=Choice(4, 5, 6), extra=Choice(7, 8, 9)))
    return Word(letters=(kinds,) * length)


def distance(code: Code, target: Code) -> int:
    """Return how many steps of one letter lie between two words: a cost with one valley."""
    return sum(abs(a - b) for a, b in zip(code, target, strict=True))


def apart(code: Code, other: Code) -> int:
    """Return in how many decisions two members differ."""
    return sum(a != b for a, b in zip(code, other, strict=True))


class Run:
    """A strategy's machine with what was asked of it and told to it; `refuses` stands for limits."""

    def __init__(
        self,
        config: StrategyConfig,
        space: Data,
        *,
        seed: int = 0,
        refuses: Callable[[Code], bool] = lambda _: False,
    ) -> None:
        self.space = space
        self.asked: list[Code] = []
        self.told: list[Told] = []
        self.refuses = refuses
        self.machine = config.start(Scope(space=space, seed=seed, admits=self.admits))  # type: ignore[arg-type]

    def admits(self, candidate: object) -> bool:
        code = encode(self.space, candidate)
        return code not in self.asked and not self.refuses(code)

    def peek(self) -> Code | None:
        """Return what would be asked next."""
        candidate = self.machine.ask(len(self.asked))
        return None if candidate is None else encode(self.space, candidate)

    def ask(self) -> Code:
        code = self.peek()
        assert code is not None
        self.asked.append(code)
        return code

    def tell(self, code: Code, *costs: float) -> None:
        """Tell the outcome of what was asked; no costs: it failed."""
        self.hear(Told(self.asked.index(code), code, costs or None))

    def hear(self, told: Told) -> None:
        self.told.append(told)
        self.machine.tell(told)

    def go(self, trials: int, cost: Callable[[Code], tuple[float, ...]]) -> list[Code]:
        """Ask and tell, one at a time; returns all that was asked so far."""
        for _ in range(trials):
            code = self.ask()
            self.tell(code, *cost(code))
        return self.asked


def resumed(config: StrategyConfig, run: Run, told: int) -> Run:
    """Return a new run that was told the first outcomes of another one."""
    again = Run(config, run.space, refuses=run.refuses)
    again.asked = run.asked[:told]
    for one in run.told[:told]:
        again.hear(one)
    return again
