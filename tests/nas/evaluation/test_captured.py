"""Steps that are recorded and replayed: equal to plain ones, never harmful, and refused where they cannot be.

On the CPU stand-ins take a CUDA graph's place; one test runs the real thing and needs a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from graphs import Again, Operators, Waits, on_device
from test_gradient import DATA, WAYS, broken_off, proposal, result, workspace
from torch import Generator, Tensor, nn

from nas.data.augment import Flip, Mixup
from nas.data.device import OnDevice
from nas.evaluation import captured, run
from nas.evaluation.captured import Captured, Graph
from nas.evaluation.optimiser import Optimiser
from nas.gradient import Gradient
from nas.proposal import Outcome, Proposal, Status
from nas.recipe import Candidate, Recipe
from search_spaces import supernet_sum

CPU = torch.device("cpu")
REPLAYED = [way for way in WAYS if way != "gumbel"]


def replaying(monkeypatch: pytest.MonkeyPatch, graph: Callable[[], Graph]) -> None:
    monkeypatch.setattr(captured, "graphs_on", lambda _: graph)


def asked_of(settings: Gradient, *, capture: bool = True, **changes: object) -> Proposal:
    return proposal(replace(settings, capture=capture), **changes)  # type: ignore[arg-type]


def mixed_up(asked: Proposal) -> Proposal:
    recipe = Recipe(augment=(Flip(), Mixup(alpha=0.4)))
    return replace(asked, candidate=Candidate(network=asked.candidate.network, recipe=recipe))


@pytest.mark.parametrize("way", ["softmax", "dirichlet", "partial", "auxiliary skip"])
def test_a_search_of_replayed_steps_equals_one_of_plain_steps_bit_for_bit(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three epochs: the rate falls, batches change, a warm-up ends; mixed labels have tensors of their own too."""
    plain = run(mixed_up(asked_of(WAYS[way], capture=False, epochs=3)), workspace(tmp_path / "plain"))
    replays = counted(monkeypatch)
    found = run(mixed_up(asked_of(WAYS[way], epochs=3)), workspace(tmp_path / "replayed"))
    assert result(found) == result(plain)
    assert found.note == plain.note
    recordings = 2 if way == "partial" else 1  # weights alone, then parameters too
    assert len(replays) == 12 + recordings * captured.COMPARED


def counted(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    replays: list[None] = []

    class Counting(Again):
        def replay(self) -> None:
            replays.append(None)
            super().replay()

    replaying(monkeypatch, Counting)
    return replays


@pytest.mark.parametrize("way", REPLAYED)
def test_the_operators_of_one_step_are_those_of_all_steps(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that Python works out in a step may stay in a recording, and no number may be waited for.

    The second order takes its rate by a product of its own, as a tensor is no `alpha`: the last bits differ.
    """
    monkeypatch.setattr(supernet_sum, "_factors", on_device)
    plain = run(mixed_up(asked_of(WAYS[way], capture=False)), workspace(tmp_path / "plain"))
    replaying(monkeypatch, Operators)
    found = run(mixed_up(asked_of(WAYS[way])), workspace(tmp_path / "replayed"))
    assert captured.NOT_USED not in found.note
    if way != "second order":
        assert result(found) == result(plain)
    for path, weights in plain.weights.items():
        assert found.weights[path] == pytest.approx(weights, rel=1e-4)


@pytest.mark.parametrize("way", ["dirichlet", "partial"])
def test_a_killed_search_records_anew_and_continues_bit_for_bit(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaying(monkeypatch, Again)
    asked = asked_of(WAYS[way], epochs=3)
    unbroken = run(asked, workspace(tmp_path / "whole"))
    again = broken_off(asked, tmp_path / "broken", monkeypatch)
    assert "continued after step" in again.note
    assert captured.NOT_USED not in again.note
    assert result(again) == result(unbroken)


class Refusing(Again):
    """Fails in the middle of a step, as where memory is short: gradients are there, the update is not."""

    def record(self, run: Callable[[], None], generators: Sequence[Generator]) -> None:
        def stop(*_: object) -> None:
            raise RuntimeError("operation not permitted\n  when stream is capturing")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Optimiser, "step", stop)
            run()


class Dead(Again):
    def replay(self) -> None:
        pass


class Still(Again):
    """Draws at each replay what it drew at the first one."""

    def record(self, run: Callable[[], None], generators: Sequence[Generator]) -> None:
        self.generators, self.states = generators, list[Tensor]()
        super().record(run, generators)

    def replay(self) -> None:
        self.states = self.states or [generator.get_state() for generator in self.generators]
        for generator, state in zip(self.generators, self.states, strict=True):
            generator.set_state(state)
        super().replay()


@pytest.mark.parametrize(
    ("graph", "way", "why"),
    [
        (Refusing, "softmax", "CUDA graph not used: operation not permitted when stream is capturing"),
        (
            Dead,
            "softmax",
            "replayed steps changed the weights otherwise than steps do, by 100 %",
        ),
        (Still, "dirichlet", "replayed steps changed the"),
        (Operators, "softmax", "a number waits for the device"),  # on a CPU sums wait for theirs
    ],
)
def test_where_replays_fail_or_differ_steps_are_plain_and_a_note_says_why(
    graph: Callable[[], Graph], way: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = run(asked_of(WAYS[way], capture=False), workspace(tmp_path / "plain"))
    replaying(monkeypatch, graph)
    found = run(asked_of(WAYS[way]), workspace(tmp_path / "refused"))
    assert result(found) == result(plain)
    assert why in found.note
    assert found.note.count(captured.NOT_USED) == 1


def test_one_path_a_step_and_a_cpu_are_not_captured_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def note(way: str) -> str:
        plain = run(asked_of(WAYS[way], capture=False), workspace(tmp_path / f"{way} plain"))
        found = run(asked_of(WAYS[way]), workspace(tmp_path / way))
        assert result(found) == result(plain)
        return found.note

    assert "CUDA graph not used: cpu has none" in note("softmax")
    replaying(monkeypatch, lambda: pytest.fail("a path was captured"))
    assert "CUDA graph not used: with mixing: gumbel each step runs another path" in note("gumbel")


@dataclass
class Line:
    """The inputs of a tiny training: points, what they should give, and a rate."""

    x: Tensor
    y: Tensor
    lr: float | Tensor

    def held(self) -> Line:
        return Line(self.x.clone(), self.y.clone(), torch.tensor(self.lr))

    def tensors(self) -> list[Tensor]:
        return [self.x, self.y, torch.as_tensor(self.lr)]


@dataclass
class Training:
    """A linear layer with dropout; what its steps change, and how often Python ran one."""

    layer: nn.Linear = field(default_factory=lambda: nn.Linear(3, 1))
    optimiser: Optimiser = field(init=False)
    runs: int = 0

    def __post_init__(self) -> None:
        with torch.no_grad():
            for number, weight in enumerate(self.layer.parameters(), start=1):
                weight.fill_(0.1 * number)
        self.optimiser = Optimiser(self.layer, Recipe(momentum=0.9, clip=1.0))

    def step(self, given: Line) -> None:
        self.runs += 1
        seen = nn.functional.dropout(given.x, 0.3)
        (self.layer(seen) - given.y).square().mean().backward()
        self.optimiser.step(given.lr)

    def captured(self, graph: Callable[[], Graph]) -> Captured[Line]:
        return Captured(
            graph, self.step, changes=lambda: {"weights": list(self.layer.parameters()), "momenta": [
                memory for own in self.optimiser.state() for memory in own]},
            generators=(), device=CPU, tolerance=1e-3,
        )  # fmt: skip

    def numbers(self) -> list[float]:
        return [number for weight in self.layer.parameters() for number in weight.flatten().tolist()]


def line(n: int, seed: int, lr: float) -> Line:
    x = torch.randn(n, 3, generator=torch.Generator().manual_seed(seed))
    return Line(x, x.sum(1, keepdim=True), lr)


@pytest.mark.parametrize("graph", [Again, Operators])
def test_a_batch_of_another_size_is_left_to_a_plain_step(graph: Callable[[], Graph]) -> None:
    plain, replayed = Training(), Training()
    steps = replayed.captured(graph)
    with torch.random.fork_rng():
        ends = []
        for training in (plain, replayed):
            torch.manual_seed(7)
            for number, size in enumerate((8, 8, 5, 8, 5)):
                given = line(size, number, 0.1 / (1 + number))
                took = training is replayed and steps.took(given)
                assert took == (training is replayed and size == 8)
                if not took:
                    training.step(given)
            ends.append((training.numbers(), torch.get_rng_state().tolist()))
    assert ends[0] == ends[1]
    assert steps.note == ""


def test_python_runs_a_recorded_step_no_more_and_a_new_phase_is_recorded_anew() -> None:
    training = Training()
    steps = training.captured(Operators)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        counts = []
        for number, phase in enumerate("aaabbb"):
            assert steps.took(line(8, number, 0.1), phase)
            counts.append(training.runs)
    first = captured.WARM_UPS + 1 + captured.COMPARED
    assert counts == [first] * 3 + [2 * first] * 3


def test_a_number_that_stays_in_a_recording_is_found_before_it_does_harm() -> None:
    """A rate that Python reads in the step is the one of the recording for ever; the last bits may not hide it."""

    class Careless(Training):
        def step(self, given: Line) -> None:
            with torch.utils._python_dispatch._disable_current_modes():
                rate = float(given.lr)
            super().step(replace(given, lr=rate))

    training = Careless()
    before = training.numbers()
    steps = training.captured(Operators)
    assert not steps.took(line(8, 0, 0.1))
    assert "changed the weights otherwise than steps do" in steps.note
    assert training.numbers() == before
    assert all(weight.grad is None for weight in training.layer.parameters())


def test_a_step_that_fails_leaves_no_gradient_weight_or_draw_behind() -> None:
    training = Training()
    steps = training.captured(Refusing)
    with torch.random.fork_rng():
        before = training.numbers(), torch.get_rng_state().tolist()
        assert not steps.took(line(8, 0, 0.1))
        assert (training.numbers(), torch.get_rng_state().tolist()) == before
    assert all(weight.grad is None for weight in training.layer.parameters())
    assert all(not memory.any() for own in training.optimiser.state() for memory in own)


def test_what_waits_is_seen_by_the_stand_in() -> None:
    """The judge is tried too: each of these is refused by a CUDA graph."""
    x = torch.arange(4.0)
    for wrong in (
        lambda: x[0].item(), lambda: x[x > 1], lambda: x.tolist(), lambda: torch.tensor([1.0]),
        lambda: x.new_tensor([1.0]), lambda: bool(x[0] > 1), lambda: x.clone().exponential_(generator=Generator()),
    ):  # fmt: skip
        with pytest.raises(Waits):
            Operators().record(wrong, [])


@pytest.mark.gpu
@pytest.mark.parametrize("way", REPLAYED)
def test_a_gpu_replays_a_search_as_it_steps(way: str, tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    parts = [
        replace(part, x=part.x.cuda(), y=part.y.cuda(), mean=part.mean.cuda(), std=part.std.cuda())
        for part in (DATA.train, DATA.validation)
    ]
    data = OnDevice(train=parts[0], validation=parts[1])

    def outcome(capture: bool) -> Outcome:
        asked = mixed_up(asked_of(WAYS[way], capture=capture))
        return run(asked, workspace(tmp_path / str(capture), device="cuda", data=data))

    plain, replayed = outcome(False), outcome(True)
    assert replayed.status is Status.DONE, replayed.note
    assert captured.NOT_USED not in replayed.note
    for path, weights in plain.weights.items():
        assert replayed.weights[path] == pytest.approx(weights, rel=0.05, abs=0.01)
