"""Members within limits so tight that drawing finds none: walks through the space, drawn to what keeps the limits.

Simulated annealing by the rule of Metropolis and Hastings (Kirkpatrick et al. 1983; Hastings 1970). A walk begins at a
fair sample and changes one decision at a time. Its aim at temperature T gives a member the weight exp(-excess / T),
the same to all that keep the limits; as T falls, only those are left. A proposal and its reverse are weighed against
each other where a change opens or closes decisions. So the end of a slow walk is a fair draw among what keeps the
limits, whatever the order of options; that of a walk of bounded length is nearly so: it favours what lies near many
others that keep them, and ends it in one region where there are several far apart.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from math import exp, inf, log
from typing import TypeVar

from .automaton import automaton, draw, option_counts
from .choice import Choice, Decisions, decisions
from .making import from_decisions

SpaceT = TypeVar("SpaceT")
STEPS = 1000  # of one walk
WARM, COLD = 0.5, 0.002  # temperatures, in parts of a limit
COOLING = 0.7  # share of the steps over which the temperature falls
KEPT = 20  # members at the end of a walk, in case the last ones are known


def walk(
    space: SpaceT | Choice[SpaceT],
    excess: Callable[[SpaceT], float],
    rng: random.Random,
    *,
    steps: int = STEPS,
) -> Iterator[SpaceT]:
    """Yield up to 20 members that a walk came by and that keep the limits, the last first; none if it met none.

    `excess` says by how much a member breaks the limits, 0 where it keeps them; it is asked `steps` times.
    """
    here = draw(space, rng, uniform=True)
    if not here:
        return
    member = from_decisions(space, here)
    height = excess(member)
    kept = deque([member] if not height else (), KEPT)
    for step in range(1, steps):
        moved = _moved(space, here, rng)
        if moved is None:
            continue
        there, odds = moved
        member = from_decisions(space, there)
        other = excess(member)
        if _accepted(height, other, _temperature(step / steps), odds, rng):
            here, height = there, other
            if not height:
                kept.append(member)
    yield from reversed(kept)


def wander(
    space: SpaceT | Choice[SpaceT],
    member: SpaceT,
    keeps: Callable[[SpaceT], bool],
    rng: random.Random,
    *,
    moves: int,
) -> SpaceT:
    """Return where a walk of so many moves from a member ends that never leaves what keeps the limits.

    From a fair draw among what keeps them it leads to another one: each move and its reverse are equally likely.
    """
    here = decisions(space, member)
    for _ in range(moves):
        moved = _moved(space, here, rng)
        if moved is not None and rng.random() < exp(min(0.0, moved[1])):
            there = from_decisions(space, moved[0])
            if keeps(there):
                here, member = moved[0], there
    return member


def _temperature(elapsed: float) -> float:
    return WARM * exp(min(1.0, elapsed / COOLING) * log(COLD / WARM))


def _accepted(height: float, other: float, temperature: float, odds: float, rng: random.Random) -> bool:
    rise = 0.0 if other == height else other - height  # both may be infinite
    if rise == inf:
        return False
    gain = odds - rise / temperature
    return gain >= 0 or rng.random() < exp(gain)


def _moved(space: object, here: Decisions, rng: random.Random) -> tuple[Decisions, float] | None:
    """Change one decision; returns where that leads, and the log of the odds of coming back over going there.

    What the change opens is drawn; None where there is no such member.
    """
    path = rng.choice(list(here))
    others = option_counts(space)[path] - 1
    if not others:
        return None
    option = rng.randrange(others)
    made = _completed(space, {**here, path: option + (option >= here[path])}, rng)
    if made is None:
        return None
    there, opened = made
    closed = _completed(space, here, rng, drawn=here.keys() - there.keys())
    assert closed is not None, "a member's own decisions are always live"
    return there, log(len(here)) - log(len(there)) + opened - closed[1]


def _completed(
    space: object, wanted: Decisions, rng: random.Random, *, drawn: frozenset[str] | set[str] = frozenset()
) -> tuple[Decisions, float] | None:
    """Follow the wanted decisions and draw the others; returns them and minus the log of the chance of the draws.

    Wanted ones in `drawn` count as if they had been drawn. None where a wanted option is not live.
    """
    machine, found, surprise = automaton(space), Decisions(), 0.0
    place = machine.root()
    while place is not None and (cell := place[0]) is not None:
        fork = machine.fork(cell, place[1])
        option = found.get(cell.path, wanted.get(cell.path))
        if cell.path not in found and (option is None or cell.path in drawn):
            surprise += log(len(fork.live))
        if option is None:
            option = rng.choice(fork.live)
        if option not in fork.live:
            return None
        found[cell.path] = option
        place = fork.nexts[option]
    return found, surprise
