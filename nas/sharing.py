"""What jobs on shared weights need to know, as data: which members a step trains, and how one is scored.

A sampler says which members' gradients a step adds up. A new one is a registered `Sampler`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from scaling.constraints import Limit, broken, parse_limit
from scaling.providers import ANALYTIC
from search_spaces.automaton import option_counts
from search_spaces.block import Whole
from search_spaces.data import Data, register
from search_spaces.errors import Unbuildable
from search_spaces.extremes import extreme
from search_spaces.making import resolve
from search_spaces.moves import keeps_conditions, sample
from search_spaces.network import Network
from search_spaces.walks import walk, wander

from .proposal import Settings

OF = 16  # random members, where the largest or smallest of the space breaks the limits
LOOKED_AT, OFTEN = 200, 10  # draws, and how many of them keep the limits where drawing alone will do
TRIES = 400  # draws of a member that keeps the limits, before the nearest one is taken
STARTS = 32  # walks to members within the limits, where few draws keep them
MOVES = 50  # from the end of one of those walks to a step's member
DEALS = 32  # of all members of a fair step, before each is drawn alone
Paths = tuple[Network, ...]
Few = Annotated[int, Field(ge=1, le=64)]


@dataclass(frozen=True, slots=True)
class Space:
    """Where members are drawn from: a space, and the limits that they are to keep where that can be.

    Where few draws keep the limits, `starts` are members that do, from which `one` walks on within them.
    """

    network: Network
    limits: tuple[Limit, ...] = ()
    starts: tuple[Network, ...] = ()

    def one(self, rng: random.Random, *, by: Literal["decision", "member"] = "decision") -> Network:
        """Return a member within the limits: drawn, or nearly any of them alike where few draws keep them.

        Where none was found, the nearest of 400 draws.
        """
        if self.starts:
            return wander(self.network, rng.choice(self.starts), self.keeps, rng, moves=MOVES)
        return self.nearest(sample(self.network, rng, by=by) for _ in range(TRIES))

    def keeps(self, member: Network) -> bool:
        """Tell whether a member keeps the limits."""
        return not self.excess(member)

    def nearest(self, members: Iterator[Network]) -> Network:
        """Return the first member within the limits, or else the one that breaks them least."""
        best: tuple[float, Network] | None = None
        for member in members:
            excess = self.excess(member)
            if best is None or excess < best[0]:
                best = excess, member
            if not excess:
                break
        assert best is not None, "at least one is drawn"
        return best[1]

    def excess(self, member: Network) -> float:
        """Return by how much a member breaks the limits: 0 where it keeps them all."""
        try:
            ANALYTIC.of(member)
            return sum(abs(one.excess) for one in broken(member, self.limits, providers=(ANALYTIC,)))
        except Unbuildable:
            return float("inf")


class Sampler(Data):
    """Which members the gradients of one step are of; each weight moves by the mean over the members that read it."""

    __slots__ = ()
    tagged: ClassVar[bool] = True
    open: ClassVar[bool] = True

    @property
    def distils(self) -> bool:
        """Whether members after the first learn from its outputs."""
        return False

    def paths(self, space: Space, rng: random.Random) -> Paths:
        """Return a step's members, in the order in which they run."""
        raise NotImplementedError


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Uniform(Sampler):
    """Members drawn at random, one a step (Guo et al. 2020, "Single path one-shot").

    Each decision is uniform over its options, or all members are equally likely.
    """

    paths_a_step: Few = 1
    by: Literal["decision", "member"] = "decision"

    def paths(self, space: Space, rng: random.Random) -> Paths:
        return tuple(space.one(rng, by=self.by) for _ in range(self.paths_a_step))


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Fair(Sampler):
    """Every option of every choice equally often, within each step (Chu et al. 2021, "FairNAS", strict fairness).

    A step has as many members as the largest choice has options, or as many as said. Each choice deals its options
    from a shuffled pack: with n options among n members each comes up once; where n does not divide the members, no
    option comes up more than once more than another. A deal that breaks conditions or limits is dealt again; after 32
    of them the members are drawn one by one, and nothing is fair: so it is at nearly every step under limits that
    less than half of the members keep.
    """

    paths_a_step: Annotated[int, Field(ge=0, le=64)] = 0  # 0: as many as the largest choice has options

    def paths(self, space: Space, rng: random.Random) -> Paths:
        members = self.paths_a_step or max(option_counts(space.network).values(), default=1)
        for _ in range(DEALS):
            dealt = _dealt(space.network, members, rng)
            if all(keeps_conditions(space.network, one) and space.keeps(one) for one in dealt):
                return dealt
        return tuple(space.one(rng) for _ in range(members))


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Sandwich(Sampler):
    """The largest member, the smallest, and some at random between (Yu & Huang 2019, the sandwich rule).

    With `distil`, all but the largest learn from its outputs in place of the labels (in-place distillation). Where
    an extreme breaks the limits, it is that of 16 random members by MACs.
    """

    between: Annotated[int, Field(ge=0, le=62)] = 2
    distil: bool = True

    @property
    def distils(self) -> bool:
        return self.distil

    def paths(self, space: Space, rng: random.Random) -> Paths:
        large, small = _extreme(space, "largest", rng), _extreme(space, "smallest", rng)
        return large, *(space.one(rng) for _ in range(self.between)), small


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class SharedTraining(Settings):
    """How a supernet of sliced weights is trained, beside the recipe; `limits` on what is known by formula."""

    sampler: Sampler = Sandwich()
    limits: tuple[str, ...] = ()


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Inherited(Settings):
    """How a member is scored on a supernet's weights: its batch norms are measured on so many training batches."""

    batches: Whole = 8


def space_for(network: Network, settings: SharedTraining, rng: random.Random) -> Space:
    """Return where a supernet's members are drawn from; limits on what only measuring tells are left out.

    Of 200 draws fewer than 10 keep tight limits; 32 walks then lead to members that do, as far as there are any.
    """
    limits = (parse_limit(text) for text in settings.limits)
    space = Space(network, tuple(limit for limit in limits if limit.metric in ANALYTIC.metrics))
    kept = filter(space.keeps, (sample(network, rng) for _ in range(LOOKED_AT)))
    if sum(1 for _ in islice(kept, OFTEN)) == OFTEN:
        return space
    ends = (next(walk(network, space.excess, rng), None) for _ in range(STARTS))
    return replace(space, starts=tuple(end for end in ends if end is not None))


def macs(member: Network) -> float:
    """Return a member's multiply-adds."""
    return ANALYTIC.of(member)["macs"]


def _extreme(space: Space, which: Literal["largest", "smallest"], rng: random.Random) -> Network:
    member = extreme(space.network, which, rng)
    if space.keeps(member):
        return member
    near = rng.sample(space.starts, min(OF, len(space.starts))) or [space.one(rng) for _ in range(OF)]
    return (max if which == "largest" else min)(near, key=macs)


def _dealt(space: Network, members: int, rng: random.Random) -> Paths:
    """Return members whose choices each deal their options from a shuffled pack of its own."""
    packs: dict[str, list[int]] = {}

    def choose(path: str, offered: tuple[object, ...]) -> int:
        pack = packs.setdefault(path, [])
        if not pack:
            pack += rng.sample(range(len(offered)), len(offered))
        return pack.pop()

    return tuple(resolve(space, choose) for _ in range(members))
