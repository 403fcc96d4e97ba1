"""Moves over a space, each a walk: sample, mutate, crossover, neighbours, enumerate, encode.

Every result is a member of the space and keeps its conditions. `rng` is a `random.Random`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from typing import Literal, TypeVar

from .automaton import automaton, count, draw, option_counts, slots
from .choice import Choice, decisions
from .errors import Infeasible, OutOfSpace
from .making import from_decisions, resolve

SpaceT = TypeVar("SpaceT")
ABSENT = -1
TRIES = 32


def sample(
    space: SpaceT | Choice[SpaceT], rng: random.Random, *, by: Literal["decision", "member"] = "decision"
) -> SpaceT:
    """Draw a member: each decision uniform over its live options, or all members equally likely.

    The two differ: with depths 1 and 2 of a layer with 9 options, half of the first kind of sample is
    shallow but only a tenth of the second.
    """
    if not count(space):
        raise Infeasible(
            "conditions: no member of this space can keep them; widen a choice or drop a condition"
        )
    return from_decisions(space, draw(space, rng, uniform=by == "member"))


def mutate(space: SpaceT | Choice[SpaceT], spec: SpaceT, rng: random.Random) -> SpaceT:
    """Return a member that differs from `spec` in one decision, all single changes of a path equally likely.

    Layers that a change opens copy the last layer; other new decisions are drawn. Where conditions leave no
    single change, a fresh sample; in a space of one member, that member.
    """
    base = decisions(space, spec)
    paths = list(base)
    rng.shuffle(paths)
    for path in paths:
        options = [i for i in range(option_counts(space)[path]) if i != base[path]]
        rng.shuffle(options)
        for option in options:
            for drawn in (rng, None):  # a draw may break a condition that the copy or option 0 keeps
                mutant = _complete(space, {**base, path: option}, drawn)
                if mutant is not None:
                    return mutant
    return sample(space, rng)


def crossover(space: SpaceT | Choice[SpaceT], a: SpaceT, b: SpaceT, rng: random.Random) -> SpaceT:
    """Return a member that takes each decision from `a` or `b`; `a` if no mix of 32 keeps the conditions."""
    ours, theirs = decisions(space, a), decisions(space, b)
    for _ in range(TRIES):
        mixed = {
            path: rng.choice([d[path] for d in (ours, theirs) if path in d]) for path in {**ours, **theirs}
        }
        child = _complete(space, mixed, rng)
        if child is not None:
            return child
    return a


def neighbours(space: SpaceT | Choice[SpaceT], spec: SpaceT) -> Iterator[SpaceT]:
    """Yield every member one decision away, in a fixed order; what that opens is copied or takes option 0."""
    base = decisions(space, spec)
    for path, chosen in base.items():
        for option in range(option_counts(space)[path]):
            if option != chosen:
                neighbour = changed(space, base, path, option)
                if neighbour is not None:
                    yield neighbour


def changed(space: SpaceT | Choice[SpaceT], base: Mapping[str, int], path: str, option: int) -> SpaceT | None:
    """Return the neighbour of `base`, a member's decisions, that takes another option at `path`.

    None where that breaks a condition. For who looks at some of the neighbours only: each costs a walk.
    """
    return _complete(space, {**base, path: option}, None)


def enumerate_members(space: SpaceT | Choice[SpaceT]) -> Iterator[SpaceT]:
    """Yield every member once."""
    for chosen in automaton(space).members():
        yield from_decisions(space, chosen)


def encode(space: object, spec: object) -> tuple[int, ...]:
    """Return the option index at every slot of the space, -1 where the decision is not open."""
    chosen = decisions(space, spec)
    return tuple(chosen.get(path, ABSENT) for path in slots(space))


def decode(space: SpaceT | Choice[SpaceT], code: tuple[int, ...]) -> SpaceT:
    """Return the member an encoding stands for; entries of decisions that are not open are not read.

    Raises `OutOfSpace` where an open decision has no valid entry or the member breaks the space's conditions.
    """
    names = slots(space)
    if len(code) != len(names):
        raise OutOfSpace(
            f"code: got {len(code)} entries, expected {len(names)}; was it written for another space?"
        )
    chosen = dict(zip(names, code, strict=True))
    spec = from_decisions(space, chosen)
    if not automaton(space).accepts(chosen):
        raise OutOfSpace(
            f"code: got {code}, which breaks the space's conditions; was it written for another space?"
        )
    return spec


def keeps_conditions(space: object, spec: object) -> bool:
    """Tell whether a member that the choices can produce also keeps the space's conditions."""
    return not automaton(space).conditions or automaton(space).accepts(decisions(space, spec))


def _complete(
    space: SpaceT | Choice[SpaceT], wanted: Mapping[str, int], rng: random.Random | None
) -> SpaceT | None:
    """Resolve with the wanted decisions, or None where that breaks a condition.

    A new layer copies the one before; what else is new `rng` draws, or is option 0 without.
    """
    asked: dict[str, tuple[tuple[object, ...], int]] = {}

    def choose(path: str, options: tuple[object, ...]) -> int:
        index = wanted.get(path)
        if index is None:
            index = _copied(path, options, asked)
        if index is None:
            index = rng.randrange(len(options)) if rng else 0
        asked[path] = options, index
        return index

    spec = resolve(space, choose)
    kept = automaton(space).accepts({path: index for path, (_, index) in asked.items()})
    return spec if kept else None


def _copied(
    path: str, options: tuple[object, ...], asked: Mapping[str, tuple[tuple[object, ...], int]]
) -> int | None:
    """Return what the nearest earlier layer of the repeat took: `blocks[2].kernel`, `blocks[1].kernel` ...

    Layers of one repeat share their options, the very same object; stages and explicit layers do not.
    """
    for found in reversed(list(re.finditer(r"\[(\d+)\]", path))):
        for index in reversed(range(int(found[1]))):
            earlier = asked.get(f"{path[: found.start()]}[{index}]{path[found.end() :]}")
            if earlier is not None and earlier[0] is options:
                return earlier[1]
    return None
