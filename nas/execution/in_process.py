"""Trials in this very process, one after the other: simple to debug; a trial that hangs cannot be killed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..proposal import Outcome, Proposal
from ..spending import Capacity
from .base import Ended, Report

Run = Callable[[Proposal, Callable[[int, Mapping[str, float]], None]], Outcome]


class InProcess:
    """Runs a trial when it is waited for."""

    def __init__(self, run: Run, *, gpus: float = 0.0) -> None:
        self._run = run
        self._gpus = gpus
        self._next: tuple[Proposal, int] | None = None
        self._running = self._stopped = False

    @property
    def capacity(self) -> Capacity:
        """One after the other."""
        return Capacity(workers=1, gpus=self._gpus, gpus_alone=self._gpus)

    @property
    def free(self) -> int:
        """How many more trials can be taken on now."""
        return int(self._next is None)

    def submit(self, proposal: Proposal, attempt: int, *, alone: bool = False) -> None:
        """Take on a trial; it begins with `wait`. Every trial runs alone here."""
        assert self._next is None, "asked to run two trials at once"
        self._next = (proposal, attempt)

    def wait(self, seconds: float) -> list[Report | Ended]:
        """Run the trial to its end, however long it takes, or until interrupted: it has then no outcome."""
        if self._next is None:
            return []
        proposal, attempt = self._next
        happened: list[Report | Ended] = []
        try:
            self._running = True
            if self._stopped:  # just before it began
                return []
            outcome = self._run(proposal, lambda epoch, m: happened.append(Report(proposal.number, epoch, m)))
            happened.append(Ended(proposal.number, attempt, outcome))
        except KeyboardInterrupt:
            return happened
        finally:
            self._running, self._next = False, None
        return happened

    def interrupt(self) -> None:
        """End the running trial as Ctrl-C ends a program; one that spins in C hears of it when it returns."""
        self._stopped = True
        if self._running:
            raise KeyboardInterrupt

    def close(self) -> None:
        """Nothing is held."""
