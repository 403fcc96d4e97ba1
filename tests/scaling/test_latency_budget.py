"""Families for measured latencies, on a made-up device whose true latencies are known."""

from __future__ import annotations

import random
from collections.abc import Mapping
from itertools import pairwise

import pytest
from simulated_device import HERE, milliseconds
from simulated_machine import Machine

from scaling.compound import Scaling
from scaling.constraints import parse_limit
from scaling.curve import Curve
from scaling.family import family, parse_target
from scaling.latency import sentinel
from scaling.latency_budget import Measure, MeasuredLatency
from scaling.providers import ANALYTIC, LATENCY
from scaling.rounds import timed_together
from scaling.targets import largest
from scaling.timers import ProcessorTimer
from scaling.timing import Session, Settings
from scaling.verdict import Common, verdict
from search_spaces import Network, key, sample
from search_spaces.errors import Infeasible
from search_spaces.presets import preset

BASE = sample(preset("mobile", (3, 64, 64), classes=10), random.Random(1), by="member")
QUICK = Settings(seconds=0.4)


def on(machine: Machine, asked: list[str]) -> Measure:
    """Return what measures on a made-up device, and notes whom it was asked about."""

    def measure(networks: Mapping[str, Network], settings: Settings) -> Session:
        asked.extend(networks)
        timer = ProcessorTimer(clocks=machine.clocks())
        runs = [machine.compute(milliseconds(one) / 1000) for one in (sentinel(), *networks.values())]
        seen = timed_together(timer, runs, seconds=settings.seconds * len(networks))
        return verdict(
            list(networks), seen, Common("simulated", settings, HERE), timer.now(), timer.resolution
        )

    return measure


def noisy(seed: int = 0, **of_the_machine: object) -> tuple[MeasuredLatency, list[str]]:
    asked: list[str] = []
    return MeasuredLatency(QUICK, measure=on(Machine(seed, jitter=0.015, **of_the_machine), asked)), asked  # type: ignore[arg-type]


@pytest.mark.parametrize("budget", [0.6, 1.3, 2.5])
def test_the_upper_end_of_the_answer_is_within_the_budget_and_that_of_the_next_network_is_not(budget):
    latency, _ = noisy()
    most = budget * milliseconds(BASE)
    curve = Curve(BASE, Scaling(), (ANALYTIC, latency))
    found = largest(curve, (parse_limit(f"{LATENCY} <= {most:.4f}"),))
    assert found.behind is not None
    member, behind = curve.network(found.point), curve.network(found.behind)
    assert latency.known(member).confirmed
    assert latency.known(behind).confirmed
    assert latency.known(member).interval_ms[1] <= round(most, 4) < latency.known(behind).interval_ms[1]
    assert milliseconds(member) <= 1.01 * most  # what is true, which no measurement knows
    assert milliseconds(behind) >= 0.97 * most


def test_a_device_that_slows_down_meanwhile_gives_the_same_family_to_within_its_noise():
    target = (parse_target(f"{LATENCY} <= {2 * milliseconds(BASE):.4f}"),)
    calm, drifting = noisy(), noisy(slower=lambda t: 1 + t / 100)
    (one,), (other,) = (
        family(BASE, targets=target, providers=(ANALYTIC, each[0])).members for each in (calm, drifting)
    )
    assert milliseconds(other.network) == pytest.approx(milliseconds(one.network), rel=0.03)


def test_several_budgets_share_what_was_measured():
    latency, asked = noisy()
    targets = [
        parse_target(f"{LATENCY} <= {times * milliseconds(BASE):.4f}") for times in (0.5, 1, 1.5, 2, 3)
    ]
    found = family(BASE, targets=targets, providers=(ANALYTIC, latency))
    assert len(found.members) == 5
    assert all(a.metrics[LATENCY] < b.metrics[LATENCY] for a, b in pairwise(found.members))
    assert {request.binds for member in found.members for request in member.requests} == {LATENCY}
    assert max(asked.count(name) for name in asked) <= 2  # once to find the way, once with care
    assert len(asked) < 100


def test_latency_and_macs_bind_together():
    latency, _ = noisy()
    loose = 10 * milliseconds(BASE)
    found = family(
        BASE, targets=[parse_target(f"macs <= 20M, {LATENCY} <= {loose:.4f}")], providers=(ANALYTIC, latency)
    )
    (member,) = found.members
    assert member.requests[0].binds == "macs"
    assert member.metrics["macs"] <= 20e6
    assert member.metrics[LATENCY] <= loose


def test_a_latency_that_no_network_of_the_family_keeps_is_refused_with_what_binds():
    latency, _ = noisy()
    with pytest.raises(
        Infeasible, match=r"the smallest network of this family .* has latency_ms .* above 0\.05"
    ):
        family(BASE, targets=[parse_target(f"{LATENCY} <= 0.05")], providers=(ANALYTIC, latency))


def test_an_unstable_measurement_is_tried_again_and_the_calmest_counts():
    latency, asked = noisy(spikes=(0.2, 3.0))
    seen = latency.known(BASE)
    assert not seen.stable
    assert asked.count(key(BASE)) == 3
    assert str(seen.reason).startswith("spikes")
