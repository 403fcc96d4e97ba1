"""Latency on made-up clocks: what must not pass as stable, what must, and that intervals hold what they say."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
import torch
from simulated_machine import Machine

from scaling.device import fingerprint
from scaling.rounds import Run, Timer, timed_together
from scaling.timers import EventTimer, ProcessorTimer, WaitingTimer
from scaling.timing import Latency, Session, Settings
from scaling.verdict import Common, verdict

HERE = fingerprint(torch.device("cpu"))
SENTINEL_MS, MODEL_MS = 4.0, 6.0
SESSIONS = 1000


def session(
    timer: Timer, runs: Sequence[Run], *, seconds: float = 2.0, settings: Settings | None = None
) -> Session:
    seen = timed_together(timer, runs, seconds=seconds)
    names = [f"model{i}" for i in range(1, len(runs))]
    common = Common("simulated", settings or Settings(), HERE)
    return verdict(names, seen, common, timer.now(), timer.resolution)


def on_processor(machine: Machine, *models_ms: float, seconds: float = 2.0) -> Session:
    """Time models beside the sentinel on a simulated processor."""
    runs = [machine.compute(ms / 1000) for ms in (SENTINEL_MS, *(models_ms or (MODEL_MS,)))]
    return session(ProcessorTimer(clocks=machine.clocks()), runs, seconds=seconds)


def only(seen: Session) -> Latency:
    (latency,) = seen.models
    return latency


def kind(reason: str | None) -> str:
    return (reason or "stable").partition(":")[0]


@pytest.mark.parametrize(("jitter", "memory"), [(0.01, 0.0), (0.02, 0.0), (0.015, 0.3)])
def test_a_quiet_clock_is_never_called_unstable_and_intervals_hold_the_true_median(jitter, memory):
    found: Counter[str] = Counter()
    absolute = relative = 0
    for seed in range(SESSIONS // 3 + 1):
        one = only(on_processor(Machine(seed, jitter=jitter, memory=memory), seconds=1.2))
        found.update([kind(one.reason), kind(one.ratio.reason)])
        absolute += one.interval_ms[0] <= MODEL_MS <= one.interval_ms[1]
        relative += one.ratio.interval[0] <= MODEL_MS / SENTINEL_MS <= one.ratio.interval[1]
    assert set(found) == {"stable"}
    n = SESSIONS // 3 + 1
    assert min(absolute, relative) / n > 0.93  # chance alone: 95 % +- 1.2


@pytest.mark.parametrize(
    ("slower", "kinds"),
    [
        pytest.param(lambda t: 1 + 0.05 * t, {"drift"}, id="slower and slower"),
        pytest.param(lambda t: 1 + (t > 1.3) * 0.1, {"drift"}, id="throttled at some moment"),
        pytest.param(lambda t: 1.1 - 0.05 * t, {"drift"}, id="faster and faster"),
        pytest.param(lambda t: 1 + 0.15 * math.sin(4 * t), {"drift", "spread", "bimodal"}, id="up and down"),
        pytest.param(lambda t: 1 + 0.3 * (int(t * 80) % 2), {"bimodal", "drift"}, id="two clock rates"),
    ],
)
def test_injected_drift_never_passes_as_stable_and_is_not_under_reported(slower, kinds):
    for seed in range(20):
        one = only(on_processor(Machine(seed, jitter=0.015, slower=slower)))
        assert not one.stable
        assert kind(one.reason) in kinds
        least = min(slower(t / 50) for t in range(100))
        assert one.median_ms > MODEL_MS * least * 0.99


def test_drift_cancels_in_the_ratio_to_the_sentinel():
    for seed in range(20):
        one = only(on_processor(Machine(seed, jitter=0.01, slower=lambda t: 1 + 0.1 * t)))
        assert not one.stable
        assert one.ratio.stable
        assert one.ratio.median == pytest.approx(MODEL_MS / SENTINEL_MS, rel=0.015)


@pytest.mark.parametrize("spikes", [(0.15, 1.5), (0.15, 5.0), (0.3, 2.0), (0.5, 3.0)])
def test_injected_spikes_never_pass_as_stable_and_are_not_under_reported(spikes):
    for seed in range(20):
        one = only(on_processor(Machine(seed, jitter=0.015, spikes=spikes)))
        assert not one.stable
        assert kind(one.reason) in {"spikes", "bimodal", "drift", "spread"}
        assert one.median_ms > MODEL_MS * 0.99


def test_a_few_spikes_do_not_matter():
    assert all(only(on_processor(Machine(s, jitter=0.01, spikes=(0.005, 3.0)))).stable for s in range(20))


def test_steady_other_load_is_told_from_a_slow_network_by_the_processors_own_time():
    one = only(on_processor(Machine(jitter=0.01, share=0.5)))
    assert kind(one.reason) == "load"
    assert "50 % of the time" in str(one.reason)
    assert one.median_ms == pytest.approx(2 * MODEL_MS, rel=0.05)


def test_more_threads_than_were_asked_for_do_not_pass():
    assert kind(only(on_processor(Machine(jitter=0.01, cores=3.5))).reason) == "threads"


def test_work_that_goes_on_after_a_run_has_returned_does_not_pass():
    machine = Machine()
    runs = [machine.compute(SENTINEL_MS / 1000), machine.hand_over(MODEL_MS / 1000)]
    one = only(session(ProcessorTimer(clocks=machine.clocks()), runs))
    assert kind(one.reason) == "asynchronous"
    assert kind(one.ratio.reason) == "asynchronous"


@pytest.mark.parametrize(("fresh", "stable"), [(0, True), (30, True), (1000, False)])
def test_a_network_that_is_handed_fresh_memory_in_each_run_does_not_pass(fresh, stable):
    one = only(on_processor(Machine(jitter=0.01, fresh=fresh)))
    assert kind(one.reason) == ("stable" if stable else "memory")
    assert one.ratio.stable == stable


def waiting(machine: Machine) -> Timer:
    return WaitingTimer(synchronise=machine.synchronise, clocks=machine.clocks())


def by_events(machine: Machine) -> Timer:
    return EventTimer(synchronise=machine.synchronise, event=machine.event, clocks=machine.clocks())


def beside_the_processor(machine: Machine) -> Timer:
    return ProcessorTimer(synchronise=machine.synchronise, clocks=machine.clocks())


@pytest.mark.parametrize("timer", [waiting, by_events])
@pytest.mark.parametrize("aside", [False, True])
@pytest.mark.parametrize("milliseconds", [0.05, 6.0])
def test_asynchronous_work_is_waited_for_on_whichever_stream(
    timer: Callable[[Machine], Timer], aside: bool, milliseconds: float
):
    machine = Machine(jitter=0.01)
    runs = [machine.launch(SENTINEL_MS / 1000), machine.launch(milliseconds / 1000, aside=aside)]
    one = only(session(timer(machine), runs))
    assert one.stable, one.reason
    assert one.median_ms == pytest.approx(milliseconds, rel=0.03)


def test_a_run_much_shorter_than_the_clocks_tick_is_repeated_until_it_can_be_told():
    one = only(on_processor(Machine(jitter=0.01, tick=1e-4), 0.02))
    assert one.stable, one.reason
    assert one.repeats >= 2000
    assert one.median_ms == pytest.approx(0.02, rel=0.02)


def test_a_clock_too_coarse_for_any_sample_is_said_to_be_so():
    one = only(on_processor(Machine(jitter=0.01, tick=0.1), 0.002, seconds=5.0))
    assert kind(one.reason) == "clock"


def test_a_network_that_never_warms_up_is_said_to_be_so():
    machine = Machine(jitter=0.002, slower=lambda t: 1 + t)
    assert kind(only(on_processor(machine)).reason) == "warm-up"


def test_warming_up_is_left_out():
    machine = Machine(jitter=0.01, slower=lambda t: 1 + 4 * math.exp(-t / 0.02))
    one = only(on_processor(machine))
    assert one.stable, one.reason
    assert one.median_ms == pytest.approx(MODEL_MS, rel=0.01)


def test_a_network_too_slow_for_the_time_given_says_so_and_still_shows_what_was_seen():
    one = only(on_processor(Machine(jitter=0.01), 900.0, seconds=1.0))
    assert kind(one.reason) == "few"
    assert 1 < one.n < 20


def test_a_slow_network_gets_more_time_than_was_asked_for():
    one = only(on_processor(Machine(jitter=0.01), 100.0, seconds=1.0))
    assert one.n == 20
    assert one.stable, one.reason


def test_networks_measured_together_keep_their_order_and_compare_to_the_first():
    times = (3.0, 1.0, 8.0, 2.0, 5.0, 4.0)
    for seed in range(3):
        machine = Machine(seed, jitter=0.01, slower=lambda t: 1 + 0.03 * t)
        seen = on_processor(machine, *times, seconds=3.0)
        for own, one, ratio in zip(times, seen.models, seen.ratios, strict=True):
            assert ratio.median == pytest.approx(own / times[0], rel=0.01)
            assert ratio.stable, ratio.reason
            assert one.ratio.median == pytest.approx(own / SENTINEL_MS, rel=0.01)
        assert len({one.n for one in seen.models}) == 1
        assert seen.sentinel.n == 2 * seen.models[0].n + 1


def test_equal_clocks_give_equal_results():
    assert on_processor(Machine(3, jitter=0.02)) == on_processor(Machine(3, jitter=0.02))
