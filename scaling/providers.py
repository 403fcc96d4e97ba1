"""What is known of a network before it is trained, and who knows it: the seam behind limits on any metric.

Formulas are the first provider, a table's columns another; whoever measures or predicts a latency on a device is one
by having these members. Nothing else need know of it: limits, the ledger, `nas space` and the search's walks follow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Protocol, runtime_checkable

from search_spaces.choice import Same
from search_spaces.errors import BadInput
from search_spaces.names import nearest
from search_spaces.network import Network

from .cost import cost
from .ranges import METRICS, Range, bounds

LATENCY = "latency_ms"  # of those who measure or predict it


class Provider(Protocol):
    """What tells some metrics of a network before it is trained."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics' names, such as `macs` or `latency_ms@desk`."""

    @property
    def quick(self) -> bool:
        """Whether thousands of networks can be asked about while one proposal is looked for."""

    def of(self, network: Network) -> Mapping[str, float]:
        """Return all the metrics of a resolved network; raises `Unbuildable`. May be asked again at once."""

    def reach(self, space: Network, metric: str) -> Range | None:
        """Return the range of one of the metrics over a space's members; None where it is not known."""


@runtime_checkable
class Confirming(Provider, Protocol):
    """A provider that measures, and does so with more care where it is told that much depends on it."""

    def confirm(self, networks: Sequence[Network]) -> None:
        """Measure resolved networks side by side, each once for good; `of` tells what came of it from then on."""


class Analytic:
    """Costs worked out by formula (`scaling.cost`)."""

    metrics: tuple[str, ...] = METRICS
    quick = True

    def of(self, network: Network) -> Mapping[str, float]:
        """Return the metrics of a resolved network; raises `Unbuildable`."""
        return _costs(Same(network))

    def reach(self, space: Network, metric: str) -> Range | None:
        """Return the range of a metric over a space's members; `Infeasible` where none can be built."""
        return bounds(space, metric)


ANALYTIC = Analytic()


def provided(providers: Sequence[Provider]) -> tuple[str, ...]:
    """List the metrics that providers know, once each."""
    return tuple(dict.fromkeys(name for provider in providers for name in provider.metrics))


def who_knows(metric: str, providers: Sequence[Provider]) -> Provider | None:
    """Return the provider of a metric: the first of those that know it."""
    return next((provider for provider in providers if metric in provider.metrics), None)


def values(
    network: Network, metrics: Sequence[str], *, providers: Sequence[Provider] = (ANALYTIC,)
) -> dict[str, float]:
    """Return what is known of these metrics, in their order; the others are left out. Raises `Unbuildable`."""
    found = {}
    for name in dict.fromkeys(metrics):
        provider = who_knows(name, providers)
        if provider is not None:
            found[name] = provider.of(network)[name]
    return found


def check_known(
    metrics: Iterable[str],
    *,
    where: str,
    providers: Sequence[Provider] = (ANALYTIC,),
    also: Sequence[str] = (),
) -> None:
    """Raise `BadInput`, naming the nearest, where no provider knows one of the metrics.

    `also` names what somebody would know had it been asked for, such as a latency, which nobody measures unasked.
    """
    known = provided(providers)
    for name in metrics:
        if name not in known:
            could = known if name in also else tuple(dict.fromkeys((*known, *also)))
            raise BadInput(f"{where}: got {name!r}, expected one of {', '.join(could)}{nearest(name, could)}")


@lru_cache(maxsize=4)  # the very same network is often asked about several times in a row
def _costs(key: Same) -> Mapping[str, float]:
    assert isinstance(key.node, Network)
    found = cost(key.node)
    return {name: getattr(found, name) for name in METRICS}
