"""A family: a base scaled to some phi, or to budgets in any metric, with what was asked and what came of it.

Metrics come from providers: formulas by default, and whoever measures or predicts a latency. Networks that round to
the same are one member, and so are those for a phi that cost no fewer MACs than a larger phi does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from search_spaces.errors import BadInput
from search_spaces.network import Network
from search_spaces.serialise import key

from .changes import changes
from .compound import DEFAULT, Scaled, Scaling, growth, scale, unusual_growth
from .constraints import Violation, parse_limit
from .cost import cost
from .curve import Curve, Point
from .providers import ANALYTIC, Provider
from .ranges import METRICS
from .targets import Found, Target, budgets, largest

CLOSE = 0.03  # by which a member may stay below its budget without a word about the next step


@dataclass(frozen=True, slots=True, kw_only=True)
class NextStep:
    """The next network of the curve, which would break a target: how it differs, and which budgets it breaks."""

    changes: str
    phi: float
    network: Network
    breaks: tuple[Violation, ...]  # the worst first


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked of a member: a phi, or budgets to be kept together."""

    asked: str  # as text: `phi 1`, a row's name, `macs <= 300M, params <= 5M`
    phi: float | None = None
    target: Target = ()
    binds: str | None = None  # the metric whose budget the next network would break first
    short: float | None = None  # by which part the fullest budget is not used up
    next_step: NextStep | None = None  # where that is more than 3 %


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A network of a family; `asked` and `got` are its factors over the base before and after rounding."""

    name: str
    scaled: Scaled
    metrics: Mapping[str, float]  # all that formulas know, and what else its requests name
    requests: tuple[Request, ...]

    @property
    def network(self) -> Network:
        """The network itself."""
        return self.scaled.network


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A base and what it was scaled to, by rising phi."""

    base: Network
    scaling: Scaling
    growth: float | None  # of the expected cost with a step of phi; None where the rule has rows
    members: tuple[Member, ...]
    notes: tuple[str, ...]  # what was merged, and what is unusual


def family(
    base: Network,
    *,
    phis: Sequence[float] = (),
    targets: Sequence[Target] = (),
    scaling: Scaling = DEFAULT,
    providers: Sequence[Provider] = (ANALYTIC,),
) -> Family:
    """Scale a resolved network to each phi and to each target, the largest network within its budgets.

    `BadInput` where nothing is asked for, a metric is not known or the base cannot be scaled so; `Infeasible` where
    a target cannot be reached, with what stands against it; `Unbuildable` where a phi leaves too small a map.
    """
    if not phis and not targets:
        raise BadInput(
            "family: got no phi and no target, expected some; give phi -1, 0, 1 or budgets such as macs <= 1G"
        )
    curve = Curve(base, scaling, providers)
    members = [_at_phi(base, phi, scaling) for phi in phis]
    members += [_at_target(curve, target) for target in targets]
    merged, notes = _merged(sorted(members, key=lambda member: member.scaled.phi))
    axes = len(base.input) - 1
    strange = unusual_growth(scaling, axes)
    return Family(
        base=base,
        scaling=scaling,
        growth=growth(scaling, axes),
        members=tuple(merged),
        notes=(*([strange] if strange else []), *notes),
    )


def parse_target(text: str) -> Target:
    """Return the limits that text such as `macs <= 300M, params <= 5M` says, to be kept together."""
    return tuple(parse_limit(part, where="target") for part in text.split(","))


def _at_phi(base: Network, phi: float, scaling: Scaling) -> Member:
    scaled, name = scale(base, phi, scaling=scaling), scaling.rule.label(phi)
    return Member(
        name=name, scaled=scaled, metrics=_costs(scaled.network), requests=(Request(asked=name, phi=phi),)
    )


def _at_target(curve: Curve, target: Target) -> Member:
    found = largest(curve, target)
    plain = Point(curve.plain_phi(found.point, found.behind), found.point.sizes)
    scaled = curve.scaled(plain)
    metrics = _costs(scaled.network) | _known(curve, found.point, target)
    use = max(metrics[one.metric] / one.at_most for one in budgets(target) if one.at_most)
    request = Request(
        asked=", ".join(map(str, target)),
        target=target,
        binds=found.breaks[0].metric if found.breaks else None,
        short=1 - use,
        next_step=_next_step(curve, found, scaled.network) if 1 - use > CLOSE else None,
    )
    rows = curve.scaling.rule.points()
    name = request.asked if rows is None else curve.scaling.rule.label(plain.phi)
    return Member(name=name, scaled=scaled, metrics=metrics, requests=(request,))


def _next_step(curve: Curve, found: Found, network: Network) -> NextStep | None:
    if found.behind is None:
        return None
    following = curve.scaled(found.behind)
    return NextStep(
        changes=changes(network, following.network),
        phi=found.behind.phi,
        network=following.network,
        breaks=found.breaks,
    )


def _known(curve: Curve, point: Point, target: Target) -> dict[str, float]:
    """Return what providers told of the metrics of a target."""
    told: dict[str, float] = {}
    for limit in target:
        for provider in curve.providers:
            if limit.metric in provider.metrics and limit.metric not in told:
                told[limit.metric] = (curve.values(point, provider) or {})[limit.metric]
    return told


def _costs(network: Network) -> dict[str, float]:
    own = cost(network)
    return {name: getattr(own, name) for name in METRICS}


def _merged(members: Sequence[Member]) -> tuple[list[Member], list[str]]:
    """Merge members, given by rising phi, that are one network or asked for by phi and no cheaper than a larger one."""
    kept: list[Member] = []
    notes: list[str] = []
    for member in reversed(members):
        twin = next((i for i, other in enumerate(kept) if _same(member, other)), None)
        why = "rounds to the same network as"
        if twin is None and kept and _no_cheaper(member, kept[-1]):
            twin, why = len(kept) - 1, "costs no fewer MACs than"
        if twin is None:
            kept.append(member)
            continue
        notes.append(f"{_asked(member)} {why} {_asked(kept[twin])}: one member for both")
        kept[twin] = replace(kept[twin], requests=member.requests + kept[twin].requests)
    return kept[::-1], notes[::-1]


def _same(member: Member, other: Member) -> bool:
    return key(member.network) == key(other.network)


def _no_cheaper(member: Member, larger: Member) -> bool:
    by_phi = all(request.phi is not None for request in member.requests)
    return by_phi and member.metrics["macs"] >= larger.metrics["macs"]


def _asked(member: Member) -> str:
    return " and ".join(request.asked for request in member.requests)
