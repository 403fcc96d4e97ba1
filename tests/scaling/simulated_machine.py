"""A machine whose clocks are made up: what runs on it takes the time that a test says, and no time passes."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from scaling.timers import Clocks

READING = 5e-8  # seconds that looking at a clock takes


class Machine:
    """Wall, thread and process clocks, a core that others may take, and a device that works behind one's back."""

    def __init__(
        self,
        seed: int = 0,
        *,
        jitter: float = 0.0,
        memory: float = 0.0,  # correlation of the jitter from one run to the next
        slower: Callable[[float], float] = lambda _: 1.0,  # factor by wall time
        tick: float = 0.0,
        share: float = 1.0,  # of the core that is ours
        cores: float = 1.0,  # that a run keeps busy
        fresh: int = 0,  # pages that a run is given anew
        spikes: tuple[float, float] = (0.0, 1.0),  # chance and factor
    ) -> None:
        self.rng = random.Random(seed)
        self.wall = self.thread = self.process = 0.0
        self.busy_until = self.aside_until = 0.0  # of a device's two streams
        self.behind = 0.0  # processor seconds that threads of the network's own still owe
        self.jitter, self.memory, self.slower, self.tick = jitter, memory, slower, tick
        self.share, self.cores, self.spikes = share, cores, spikes
        self.fresh, self.faults = fresh, 0
        self.state = self.rng.gauss(0, 1)

    def clocks(self) -> Clocks:
        return Clocks(
            wall=self.read,
            thread=lambda: self.thread,
            process=lambda: self.process,
            sleep=self.sleep,
            faults=lambda: self.faults,
            resolution=self.tick or READING,
        )

    def read(self) -> float:
        self.wall += READING
        return math.floor(self.wall / self.tick) * self.tick if self.tick else self.wall

    def sleep(self, seconds: float) -> None:
        self.wall += seconds
        done = min(self.behind, seconds)
        self.behind -= done
        self.process += done

    def lasting(self, seconds: float) -> float:
        """Draw how long work of so many quiet seconds takes now."""
        self.state = self.memory * self.state + math.sqrt(1 - self.memory**2) * self.rng.gauss(0, 1)
        chance, factor = self.spikes
        spike = factor if chance and self.rng.random() < chance else 1.0
        return seconds * self.slower(self.wall) * math.exp(self.jitter * self.state) * spike

    def compute(self, seconds: float) -> Callable[[], None]:
        """Return a run that works on the processor and then returns."""

        def run() -> None:
            took = self.lasting(seconds)
            self.wall += took / self.share
            self.thread += took
            self.process += took * self.cores
            self.faults += self.fresh

        return run

    def launch(self, seconds: float, *, aside: bool = False) -> Callable[[], None]:
        """Return a run that hands its work to the device, on its stream or another, and returns at once."""

        def run() -> None:
            self.wall += 1e-6
            stream = "aside_until" if aside else "busy_until"
            setattr(self, stream, max(self.wall, getattr(self, stream)) + self.lasting(seconds))

        return run

    def hand_over(self, seconds: float) -> Callable[[], None]:
        """Return a run that leaves its work to a thread nobody waits for."""

        def run() -> None:
            self.wall += 1e-5
            self.thread += 1e-5
            self.process += 1e-5
            self.behind += seconds

        return run

    def synchronise(self) -> None:
        self.wall = max(self.wall, self.busy_until, self.aside_until)

    def event(self) -> Mark:
        return Mark(self)


class Mark:
    """An event in the device's first stream."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self.at = machine, 0.0

    def record(self) -> None:
        self.at = max(self.machine.wall, self.machine.busy_until)

    def elapsed_time(self, end_event: Mark) -> float:
        return 1000 * (end_event.at - self.at)
