"""What a family's file says: the base, how it was scaled, what was asked, and each member with what it came to.

Data only, and enough to make the same family again. What training finds is added to members later.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Annotated

from pydantic import Field

from scaling.compound import Scaling
from scaling.constraints import METRICS, Violation
from scaling.family import Family, Member, NextStep, Request
from scaling.providers import LATENCY
from scaling.rules import Factors
from search_spaces.block import Whole, fixed
from search_spaces.data import ByKind, Data
from search_spaces.errors import BadInput
from search_spaces.network import Network
from search_spaces.serialise import key
from search_spaces.source_text import snake, unused

from .latency import Latency
from .storage import check_name

LONGEST_STEM, LONGEST_NAME = 28, 58  # letters of file names

Number = Annotated[float, Field(allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Maybe = Annotated[Number | None, ByKind()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread(Data):
    """A score over trainings with different seeds."""

    mean: Number
    sd: Annotated[Amount | None, ByKind()] = None  # of one seed, none
    seeds: Whole = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained(Data):
    """What training of a member came to, on the test part."""

    test_accuracy: Annotated[Spread | None, ByKind()] = None
    test_loss: Annotated[Spread | None, ByKind()] = None
    test_rmse: Annotated[Spread | None, ByKind()] = None
    test_r2: Annotated[Spread | None, ByKind()] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed(Data):
    """A member's latency, measured in one session with all the others; see `scaling.timing.Latency`."""

    median_ms: Amount
    interval_ms: tuple[Amount, Amount]
    stable: bool
    reason: Annotated[str | None, ByKind()] = None
    device: str = ""  # the fingerprint's key


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs(Data):
    """What is known of a member by formula, and its latency where a target limits that."""

    params: Count
    macs: Count
    activations: Count
    peak_bytes: Count
    latency_ms: Annotated[Amount | None, ByKind()] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth(Data):
    """Factors over the base; dropout is what was added."""

    depth: Number
    width: Number
    resolution: Number
    dropout: Number = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken(Data):
    """A budget that the next step breaks."""

    metric: str
    value: Maybe  # None where the next network cannot be built
    bound: Number


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Data):
    """The next network, where a budget is not filled: what it has more, and which budgets that breaks."""

    changes: str
    phi: Number
    key: str
    breaks: tuple[Broken, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(Data):
    """One thing that a member answers: a phi, or a target."""

    asked: str
    phi: Maybe = None
    target: Annotated[str | None, ByKind()] = None
    binds: Annotated[str | None, ByKind()] = None
    short: Maybe = None
    next_step: Annotated[Step | None, ByKind()] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberFile(Data):
    """A member: its files, what was asked of it, what it came to."""

    name: str
    key: str
    spec: str  # a file beside the family's
    source: str
    phi: Number
    input: tuple[Whole, ...]
    asked: Growth
    got: Growth
    metrics: Costs
    requests: tuple[Asked, ...]
    latency: Annotated[Timed | None, ByKind()] = None
    trained: Annotated[Trained | None, ByKind()] = None

    def check(self) -> None:
        """Refuse names that could lead elsewhere."""
        for name in (self.name, self.spec, self.source):
            check_name(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyFile(Data):
    """A family."""

    model: str  # what was scaled, as it was named
    base: Network
    base_key: str
    scaling: Scaling
    imports: tuple[str, ...] = ()  # modules that register the user's own rule
    phis: tuple[Number, ...] = ()
    targets: tuple[str, ...] = ()
    latency: Annotated[Latency | None, ByKind()] = None  # how the latency of targets is known
    growth: Maybe = None  # of the expected cost with a step of phi
    members: Annotated[tuple[MemberFile, ...], Field(min_length=1)]
    notes: tuple[str, ...] = ()

    def check(self) -> None:
        """Refuse a base with another key, and members of one name."""
        if key(self.base) != self.base_key:
            raise BadInput(f"base: got a network with key {key(self.base)}, expected {self.base_key}")
        names = [member.name for member in self.members]
        if len(set(names)) < len(names):
            raise BadInput(f"members: got the names {', '.join(names)}, expected each once")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What a command asked for, beside the base and the scaling."""

    model: str
    phis: tuple[float, ...] = ()
    targets: tuple[str, ...] = ()
    latency: Latency | None = None
    imports: tuple[str, ...] = ()


def family_file(made: Family, asking: Asking, timed: Mapping[str, Timed] | None = None) -> FamilyFile:
    """Return what the file of a family says; `timed` has latencies by the members' file names."""
    names = member_names(made, asking.model)
    return FamilyFile(
        model=asking.model,
        base=made.base,
        base_key=key(made.base),
        scaling=made.scaling,
        imports=asking.imports,
        phis=asking.phis,
        targets=asking.targets,
        latency=asking.latency,
        growth=made.growth,
        members=tuple(
            replace(_member(member, name), latency=(timed or {}).get(name))
            for member, name in zip(made.members, names, strict=True)
        ),
        notes=made.notes,
    )


def member_names(made: Family, model: str) -> tuple[str, ...]:
    """Return a name for each member that can be a file's and, in Python, a module's: `resnet18_phi_0_5`."""
    stem, taken = stem_of(model), list[str]()
    for member in made.members:
        taken.append(unused(_name(member, stem, made.scaling)[:LONGEST_NAME].strip("_"), taken))
    return tuple(taken)


def stem_of(model: str) -> str:
    """Return what members are named after.

    >>> stem_of("runs/nets/Small.json"), stem_of("digits-1#best"), stem_of("mobilenet_v2(width=1.4)")
    ('small', 'digits_1_best', 'mobilenet_v2_width_1_4')
    """
    name = model.rpartition("/")[2]
    for ending in (".json", ".yaml", ".yml"):
        name = name.removesuffix(ending)
    return snake(name)[:LONGEST_STEM].strip("_")


def metrics_of(member: MemberFile) -> dict[str, float]:
    """Return all that is known of a member: costs, the latency measured last, mean scores and their spread."""
    known = {name: getattr(member.metrics, name) for name in (*METRICS, LATENCY)}
    if member.latency is not None:
        known[LATENCY] = member.latency.median_ms
    for name, spread in scores_of(member).items():
        known |= {name: spread.mean, f"{name}_sd": spread.sd}
    return {name: value for name, value in known.items() if value is not None}


def scores_of(member: MemberFile) -> dict[str, Spread]:
    """Return what training of a member came to, by metric."""
    if member.trained is None:
        return {}
    found = {field.name: getattr(member.trained, field.name) for field in fields(Trained)}
    return {name: spread for name, spread in found.items() if spread is not None}


def _member(member: Member, name: str) -> MemberFile:
    own = member.metrics
    return MemberFile(
        name=name,
        key=key(member.network),
        spec=f"{name}.json",
        source=f"{name}.py",
        phi=float(member.scaled.phi),
        input=tuple(fixed(n) for n in member.network.input),
        asked=_growth(member.scaled.asked),
        got=_growth(member.scaled.got),
        metrics=Costs(
            **{metric: int(own[metric]) for metric in METRICS},
            latency_ms=float(own[LATENCY]) if LATENCY in own else None,
        ),
        requests=tuple(map(_asked, member.requests)),
    )


def _growth(factors: Factors) -> Growth:
    return Growth(
        depth=factors.depth, width=factors.width, resolution=factors.resolution, dropout=factors.dropout
    )


def _asked(request: Request) -> Asked:
    return Asked(
        asked=request.asked,
        phi=None if request.phi is None else float(request.phi),
        target=", ".join(map(str, request.target)) or None,
        binds=request.binds,
        short=request.short,
        next_step=None if request.next_step is None else _step(request.next_step),
    )


def _step(step: NextStep) -> Step:
    return Step(
        changes=step.changes,
        phi=step.phi,
        key=key(step.network),
        breaks=tuple(map(_broken, step.breaks)),
    )


def _broken(violation: Violation) -> Broken:
    value = float(violation.value)
    return Broken(
        metric=violation.metric, value=value if value < float("inf") else None, bound=float(violation.bound)
    )


def _name(member: Member, stem: str, scaling: Scaling) -> str:
    rows = scaling.rule.points() is not None
    if rows and (published := snake(member.name)):
        return published if scaling.rule.label(0.0) == stem else f"{stem}_as_{published}"
    request = member.requests[-1]
    if request.phi is None:
        return f"{stem}_{_plain(request.asked)}"
    return f"{stem}_phi_{'minus_' * (request.phi < 0)}{_plain(f'{abs(request.phi):g}')}"


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
