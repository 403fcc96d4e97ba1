"""Conditions on members of a space: a short list, as data.

A condition reads one field of every stage, in order, and folds over the values: `step(state, value)` gives
the next state, or None where the condition is broken. `stages.blocks` stands for the number of blocks; a
stride given per axis is read axis by axis.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from .data import ByKind, Data

StageField = Literal["stages.blocks", "stages.stride", "stages.width"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NeverFalls(Data):
    """Each value is at least the one before it; `stages.width` is the usual case."""

    tagged: ClassVar[bool] = True
    of: StageField = "stages.width"

    def step(self, state: float, value: float) -> float | None:
        """Return the next state, or None where the value falls."""
        return value if value >= state else None

    def begin(self) -> float:
        """Return the state before the first value."""
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TotalAtMost(Data):
    """The values add up to `limit` at most; `stages.blocks` limits the depth of the network."""

    tagged: ClassVar[bool] = True
    of: StageField = "stages.blocks"
    limit: int

    def step(self, state: float, value: float) -> float | None:
        """Return the running total, or None once it is over the limit."""
        return state + value if state + value <= self.limit else None

    def begin(self) -> float:
        """Return the state before the first value."""
        return 0


Condition = Annotated[NeverFalls | TotalAtMost, ByKind()]


def conditions_in(fields: Sequence[object]) -> Iterator[Condition]:
    """Yield the conditions among what the fields hold that only a space has."""
    for value in fields:
        if isinstance(value, tuple):
            yield from (item for item in value if isinstance(item, NeverFalls | TotalAtMost))


def reads(condition: Condition, path: str) -> bool:
    """Tell whether a condition reads the value at a path below its network, whatever the indices in it."""
    return re.sub(r"\[\d+\]|\{\d+\}", "", path) == condition.of
