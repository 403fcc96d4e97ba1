"""A training step that is recorded once and then replayed: on a GPU as a CUDA graph, which launches all of it at once.

A replay repeats device work on the same tensors: it reads its inputs from tensors that are filled beforehand, numbers
that change from step to step (a learning rate) included. Recording is never allowed to change a training or to end
it: all that a step changes is put back after the trials, and a replay that does not do what the step does, or an
exception on the way, means that steps are taken without it, and a note that says so.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

import torch
from torch import Generator, Tensor

from .learner import global_generators, set_global_generators

WARM_UPS = 3  # steps before a recording, in which libraries choose kernels and allocate
COMPARED = 2  # steps: noise that stands still shows at the second
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 5e-2}  # a part of what they change: sums have any order
NOT_USED = "CUDA graph not used"

Changes = Mapping[str, Sequence[Tensor]]  # all tensors that a step changes in place, by what they are


class Graph(Protocol):
    """Records what a callable does on a device, and does it again on the same tensors."""

    def warm_up(self, run: Callable[[], None]) -> None:
        """Run it as a recording would, without one."""

    def record(self, run: Callable[[], None], generators: Sequence[Generator]) -> None:
        """Record it; it draws from these generators and from the device's global one."""

    def replay(self) -> None:
        """Do again what was recorded; generators go on."""


class Inputs(Protocol):
    """What one step is given."""

    def held(self) -> Self:
        """Return copies in tensors of their own, numbers too."""

    def tensors(self) -> list[Tensor]:
        """Return all that differs between steps, in a fixed order; numbers as tensors."""


InputsT = TypeVar("InputsT", bound=Inputs)


class CudaGraph:
    """A CUDA graph. Not yet run on a GPU by anybody: `Captured` compares what it does before it counts."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.graph = device, torch.cuda.CUDAGraph()
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def warm_up(self, run: Callable[[], None]) -> None:
        """Run it on the stream that records."""
        with torch.cuda.device(self.device):
            self.stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self.stream):
                run()
            torch.cuda.current_stream().wait_stream(self.stream)

    def record(self, run: Callable[[], None], generators: Sequence[Generator]) -> None:
        """Record it; nothing runs. What other threads do on the device meanwhile is not refused."""
        for generator in generators:
            self.graph.register_generator_state(generator)
        gc.collect()  # another graph that is freed in a recording would end it
        with (
            torch.cuda.device(self.device),
            torch.cuda.graph(self.graph, stream=self.stream, capture_error_mode="thread_local"),
        ):
            run()

    def replay(self) -> None:
        """Launch it on the current stream."""
        with torch.cuda.device(self.device):
            self.graph.replay()


def graphs_on(device: torch.device) -> Callable[[], Graph] | None:
    """Return what makes graphs on a device; None where there are none."""
    return (lambda: CudaGraph(device)) if device.type == "cuda" else None


class Captured(Generic[InputsT]):
    """Takes steps by replays. `run` is a step: device work alone, the same whatever its inputs hold."""

    def __init__(
        self, graphs: Callable[[], Graph] | None, run: Callable[[InputsT], None], *, changes: Callable[[], Changes],
        generators: Sequence[Generator], device: torch.device, tolerance: float,
    ) -> None:  # fmt: skip
        self.graphs, self.run, self.changes = graphs, run, changes
        self.generators, self.device, self.tolerance = generators, device, tolerance
        self.recorded: tuple[Graph, InputsT] | None = None
        self.phase: object = None
        # why steps are not, or no longer, replayed
        self.note = "" if graphs else f"{NOT_USED}: {device.type} has none"

    def took(self, given: InputsT, phase: object = None) -> bool:
        """Take a step by a replay; False, with nothing done, where it has to be taken without.

        In a phase all steps do the same; it is recorded at its first one, and the phase before is forgotten. Where a
        batch has another shape than that step's, it is not replayed.
        """
        if self.note:
            return False
        if self.recorded is None or phase != self.phase:
            self.recorded, self.phase = None, phase  # memory of the phase before is free for this one
            try:
                self.recorded = self._recorded(given)
            except Exception as error:  # noqa: BLE001 - torch raises many kinds, and steps without it are as good
                self.note = f"{NOT_USED}: {' '.join(str(error).split())[:300]}"
                return False
        graph, inputs = self.recorded
        if not _filled(inputs, given):
            return False
        graph.replay()
        return True

    def _recorded(self, given: InputsT) -> tuple[Graph, InputsT]:
        """Record a step and compare replays with it; raises where they differ. All is as it was afterwards."""
        assert self.graphs is not None
        graph, inputs = self.graphs(), given.held()
        before = self._state()
        try:
            for tensor in inputs.tensors():
                if tensor.is_floating_point():
                    tensor.mul_(0.5)  # so that a number which stays in the recording shows below
            for _ in range(WARM_UPS):
                graph.warm_up(lambda: self.run(inputs))
            graph.record(lambda: self.run(inputs), self.generators)
            self._put_back(before)
            for _ in range(COMPARED):
                self.run(given)
            expected = self._state()
            self._put_back(before)
            _filled(inputs, given)
            for _ in range(COMPARED):
                graph.replay()
            found = self._state()
        finally:
            self._put_back(before)
        _compare(before.tensors, expected.tensors, found.tensors, tolerance=self.tolerance)
        return graph, inputs

    def _state(self) -> _State:
        copies = {name: [tensor.detach().clone() for tensor in own] for name, own in self.changes().items()}
        drawn = [generator.get_state() for generator in self.generators]
        return _State(copies, drawn, global_generators(self.device))

    @torch.no_grad()
    def _put_back(self, state: _State) -> None:
        for name, own in self.changes().items():
            for tensor, value in zip(own, state.tensors[name], strict=True):
                tensor.copy_(value)
                tensor.grad = None  # a step that was cut short leaves some
        for generator, at in zip(self.generators, state.generators, strict=True):
            generator.set_state(at)
        set_global_generators(state.globally, self.device)


@dataclass(frozen=True, slots=True)
class _State:
    tensors: Changes
    generators: list[Tensor]
    globally: dict[str, Tensor]


def _filled(inputs: Inputs, given: Inputs) -> bool:
    """Copy what is given into a recording's inputs; False, with nothing copied, where shapes differ."""
    own, new = inputs.tensors(), given.tensors()
    if [tensor.shape for tensor in own] != [tensor.shape for tensor in new]:
        return False
    for mine, theirs in zip(own, new, strict=True):
        mine.copy_(theirs)
    return True


def _compare(before: Changes, expected: Changes, found: Changes, *, tolerance: float) -> None:
    """Raise where replays left anything else than steps did: counts exactly, the rest as a part of the change."""
    for name, stepped in expected.items():
        moved = gap = 0.0
        for start, step, replay in zip(before[name], stepped, found[name], strict=True):
            moved += (step.double() - start.double()).square().sum().item()
            gap += (step.double() - replay.double()).square().sum().item()
        exact = not any(tensor.is_floating_point() for tensor in stepped)
        apart = math.sqrt(gap / moved) if moved else math.inf if gap else 0.0
        if not apart <= (0.0 if exact else tolerance):
            raise RuntimeError(
                f"{COMPARED} replayed steps changed the {name} otherwise than steps do, by {100 * apart:.3g} % of that "
                f"change, expected at most {100 * tolerance:g} %"
            )
