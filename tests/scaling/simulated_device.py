"""A made-up device on which whole networks run: a roofline for each block, quirks, launches, noise and drift."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import torch
from simulated_machine import Machine

from scaling.device import Fingerprint, fingerprint
from scaling.latency import sentinel
from scaling.latency_table_kinds import Kind, kinds
from scaling.rounds import timed_together
from scaling.timers import ProcessorTimer
from scaling.timing import Latency, Settings
from scaling.verdict import Common, verdict
from search_spaces.network import Network

HERE = fingerprint(torch.device("cpu"))
GROUP = 8


def milliseconds(network: Network, *, quirk: float = 0.1) -> float:
    """Return the true latency: a start, and for each block a roofline times a quirk of its kind."""
    return 0.1 + sum(_block(kind, quirk) for kind in kinds(network))


def _block(kind: Kind, quirk: float) -> float:
    amounts = dict(kind.features)
    compute = sum(n for name, n in amounts.items() if name.endswith(" macs")) / 30e6
    compute += 4 * amounts.get("depthwise macs", 0.0) / 30e6
    moved = sum(n for name, n in amounts.items() if name.endswith((" read", " written", " weights"))) / 8e6
    launches = sum(n for name, n in amounts.items() if name.endswith(" layers")) * 0.004
    return (max(compute, moved) + launches) * math.exp(quirk * random.Random(kind.key).gauss(0, 1))


def measuring(
    machine: Machine, *, seconds: float = 0.1, quirk: float = 0.1, device: Fingerprint = HERE
) -> Callable[[Iterable[tuple[str, Network]]], Iterator[Latency]]:
    """Return what stands for `measure_in_groups`: the real procedure on the made-up device."""

    def measure(models: Iterable[tuple[str, Network]]) -> Iterator[Latency]:
        left = iter(models)
        while some := dict(islice(left, GROUP)):
            timer = ProcessorTimer(clocks=machine.clocks())
            truths = [milliseconds(one, quirk=quirk) for one in (sentinel(), *some.values())]
            runs = [machine.compute(truth / 1000) for truth in truths]
            seen = timed_together(timer, runs, seconds=seconds * len(some))
            common = Common("simulated", Settings(seconds=seconds), device)
            yield from verdict(list(some), seen, common, timer.now(), timer.resolution).models

    return measure
