"""Moves over a space, each a walk: sample, mutate, crossover, neighbours, enumerate, encode.

Every result is a member of the space and keeps its conditions. `rng` is a `random.Random`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from typing import Literal, TypeVar

from .automaton import automaton, conditions_of, draw, option_counts, slots
from .choice import Decisions, decisions, from_decisions, resolve
from .errors import Infeasible, OutOfSpace

SpaceT = TypeVar("SpaceT")
ABSENT = -1
TRIES = 32


def sample(space: SpaceT, rng: random.Random, *, by: Literal["decision", "member"] = "decision") -> SpaceT:
    """Draw a member: each decision uniform over its live options, or all members equally likely.

    The two differ: with depths 1 and 2 of a layer with 9 options, half of the first kind of sample is
    shallow but only a tenth of the second.
    """
    if automaton(space).root() is None:
        raise Infeasible("conditions: no member of this space can keep them; widen a choice or drop a condition")
    return from_decisions(space, draw(space, rng, uniform=by == "member"))


def mutate(space: SpaceT, spec: SpaceT, rng: random.Random) -> SpaceT:
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
            changed = _complete(space, {**base, path: option}, rng)
            if keeps_conditions(space, changed):
                return changed
    return sample(space, rng)


def crossover(space: SpaceT, a: SpaceT, b: SpaceT, rng: random.Random) -> SpaceT:
    """Return a member that takes each decision from `a` or `b`; `a` where no mix in 32 keeps the conditions."""
    ours, theirs = decisions(space, a), decisions(space, b)
    for _ in range(TRIES):
        mixed = {
            path: rng.choice([d[path] for d in (ours, theirs) if path in d]) for path in {**ours, **theirs}
        }
        child = _complete(space, mixed, rng)
        if keeps_conditions(space, child):
            return child
    return a


def neighbours(space: SpaceT, spec: SpaceT) -> Iterator[SpaceT]:
    """Yield every member one decision away, in a fixed order; what a change opens is copied or takes option 0."""
    base = decisions(space, spec)
    for path, chosen in base.items():
        for option in range(option_counts(space)[path]):
            if option != chosen:
                changed = _complete(space, {**base, path: option}, None)
                if keeps_conditions(space, changed):
                    yield changed


def enumerate_members(space: SpaceT) -> Iterator[SpaceT]:
    """Yield every member once."""
    for chosen in automaton(space).members():
        yield from_decisions(space, chosen)


def encode(space: object, spec: object) -> tuple[int, ...]:
    """Return the option index at every slot of the space, -1 where the decision is not open in this member."""
    chosen = decisions(space, spec)
    return tuple(chosen.get(path, ABSENT) for path in slots(space))


def decode(space: SpaceT, code: tuple[int, ...]) -> SpaceT:
    """Return the member an encoding stands for; `OutOfSpace` where an open decision has no valid entry."""
    given = dict(zip(slots(space), code, strict=True))

    def choose(path: str, options: tuple[object, ...]) -> int:
        if not 0 <= given[path] < len(options):
            raise OutOfSpace(f"{path}: got entry {given[path]}, expected 0 to {len(options) - 1}")
        return given[path]

    return resolve(space, choose)


def keeps_conditions(space: object, spec: object) -> bool:
    """Tell whether a member that the choices can produce also keeps the space's conditions."""
    return not conditions_of(space) or automaton(space).accepts(decisions(space, spec))


def _complete(space: SpaceT, wanted: Mapping[str, int], rng: random.Random | None) -> SpaceT:
    """Resolve with the wanted decisions; a new layer copies the one before, else `rng` draws (option 0 without)."""
    made: Decisions = dict(wanted)

    def choose(path: str, options: tuple[object, ...]) -> int:
        for known in (path, *_earlier(path)):
            if known in made:
                made[path] = made[known]
                return made[path]
        made[path] = rng.randrange(len(options)) if rng else 0
        return made[path]

    return resolve(space, choose)


def _earlier(path: str) -> Iterator[str]:
    """Yield the same decision in earlier layers, nearest first: `blocks[2].kernel` -> `blocks[1].kernel`, ..."""
    for found in reversed(list(re.finditer(r"\[(\d+)\]", path))):
        for index in reversed(range(int(found[1]))):
            yield f"{path[: found.start()]}[{index}]{path[found.end() :]}"
