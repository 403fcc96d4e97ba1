"""What ranges are made of: sums of costs, and the variants of one block."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar, cast

from search_spaces.automaton import count
from search_spaces.choice import Choice
from search_spaces.moves import enumerate_members

T = TypeVar("T")
Sums = tuple[int, int, int]  # params, macs, activations
MOST_VARIANTS = 4096  # of one block, or of the input


class NotSeparableError(Exception):
    """A space whose parts' costs cannot be told apart, or are too many to go through."""


def variants(node: T | Choice[T]) -> Sequence[T]:
    """Return every member of a node, such as a block with its kernel open."""
    if count(node) > MOST_VARIANTS:
        raise NotSeparableError
    return cast("Sequence[T]", list(enumerate_members(node)))  # the members of a choice among T are T


def total(many: Iterable[Sums]) -> Sums:
    """Add costs up, each metric on its own."""
    params = macs = activations = 0
    for own in many:
        params, macs, activations = params + own[0], macs + own[1], activations + own[2]
    return params, macs, activations


def times(own: Sums, n: int) -> Sums:
    """Return the cost of a thing that stands `n` times; -1 takes it away."""
    return own[0] * n, own[1] * n, own[2] * n
