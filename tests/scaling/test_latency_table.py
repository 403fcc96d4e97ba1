"""Latency tables, built on a made-up device by the real procedure: how well they predict, and what is refused."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from scipy.stats import kendalltau
from simulated_device import HERE, measuring, milliseconds
from simulated_machine import Machine

from scaling.latency import sentinel
from scaling.latency_table import (
    VERSION,
    Circumstances,
    Errors,
    LatencyTable,
    Predictor,
    load_table,
    refuse_another,
    table_text,
)
from scaling.latency_table_build import Effort, HeldOut, build_table
from scaling.latency_table_error import kendall, lead, score
from scaling.latency_table_fit import Timing, fit
from scaling.latency_table_kinds import kinds
from search_spaces import Choice, Classifier, Conv, Network, Repeat, Stage, sample
from search_spaces.errors import BadInput
from search_spaces.presets import preset

EFFORT = Effort(networks=120, held_out=60, seconds=0.1)
MOBILE = preset("mobile", (3, 32, 32), classes=10)


@cache
def built(jitter: float, quirk: float, drift: float) -> tuple[LatencyTable, tuple[HeldOut, ...]]:
    """Return a table of `mobile` on a device so noisy, whose kinds of blocks have such quirks, that drifts so."""
    machine = Machine(1, jitter=jitter, slower=lambda t: 1 + drift * math.sin(t / 3))
    return build_table(
        MOBILE,
        name="mobile",
        circumstances=Circumstances(),
        effort=EFFORT,
        measure=measuring(machine, quirk=quirk),
    )


def ordinary() -> LatencyTable:
    return built(0.02, 0.1, 0.1)[0]


def small_space(*widths: int) -> Network:
    blocks = Repeat(Conv(kernel=Choice(1, 3)), Choice(1, 2))
    return Network(
        input=(3, 8, 8),
        stages=(Stage(blocks=blocks, width=Choice(*widths) if len(widths) > 1 else widths[0]),),
        head=Classifier(classes=4),
    )


def members(n: int) -> Iterator[Network]:
    rng = random.Random(5)
    return (sample(MOBILE, rng, by="member") for _ in range(n))


@pytest.mark.parametrize(
    ("jitter", "quirk", "drift"),
    [
        pytest.param(0.02, 0.1, 0.1, id="an ordinary device"),
        pytest.param(0.01, 0.3, 0.0, id="a calm device of many quirks"),
        pytest.param(0.15, 0.1, 0.3, id="a noisy device that drifts"),
    ],
)
def test_a_table_predicts_networks_it_was_not_fitted_on(jitter: float, quirk: float, drift: float) -> None:
    errors = built(jitter, quirk, drift)[0].errors
    assert errors.table.mape <= max(0.08, 1.2 * errors.again.mape)
    assert errors.lead_low > 0
    assert errors.table.tau > max(errors.macs.tau, errors.macs_activations.tau)


def test_the_error_that_is_told_is_that_of_the_true_latencies() -> None:
    table, held_out = built(0.02, 0.1, 0.1)
    predictor, speed = Predictor(table), table.sentinel_ms / milliseconds(sentinel())
    true = [speed * milliseconds(one.network) for one in held_out]
    predicted = [predictor.predict(one.network).ms for one in held_out]
    assert predicted == pytest.approx([one.predicted_ms for one in held_out])
    assert score(predicted, true).mape == pytest.approx(table.errors.table.mape, abs=0.005)


def test_the_interval_of_a_prediction_holds_nine_in_ten() -> None:
    table, held_out = built(0.02, 0.1, 0.1)
    predictor = Predictor(table)
    found = [(predictor.predict(one.network), one.measured_ms) for one in held_out]
    inside = sum(seen.low_ms <= measured <= seen.high_ms for seen, measured in found)
    assert 0.85 <= inside / len(found) <= 0.95


def test_a_latency_is_a_constant_and_an_entry_for_each_block_and_none_is_negative() -> None:
    table = ordinary()
    entries = {entry.key: entry.ms for entry in table.entries}
    assert min(entries.values()) >= 0
    assert table.constant_ms >= 0
    known = next(n for n in members(300) if all(kind.key in entries for kind in kinds(n)))
    found = Predictor(table).predict(known)
    assert found.ms == pytest.approx(table.constant_ms + sum(entries[kind.key] for kind in kinds(known)))
    assert found.known == pytest.approx(1)


def test_a_kind_that_was_never_timed_goes_by_the_coefficients() -> None:
    table = ordinary()
    bare = Predictor(replace(table, entries=()))
    full = Predictor(table)
    for network in members(20):
        other = bare.predict(network)
        assert other.known <= 0.1  # the constant
        assert other.ms == pytest.approx(full.predict(network).ms, rel=0.3)


def test_the_fewer_networks_hold_a_kind_the_nearer_it_stays_to_the_coefficients() -> None:
    space = small_space(*range(4, 200, 4))
    rng, timings = random.Random(0), []
    often, once = (Conv(kernel=5), Conv(kernel=7))

    def network(last: Conv, width: int) -> Network:
        blocks = (Conv(kernel=rng.choice((1, 3))), last)
        return replace(space, stages=(Stage(blocks=blocks, width=width),))

    def time_of(one: Network, factor: float) -> float:
        return milliseconds(one, quirk=0) * factor * math.exp(rng.gauss(0, 0.01))

    for i in range(150):
        width = rng.choice(range(4, 200, 4))
        timings.append(Timing(one := network(Conv(kernel=3), width), time_of(one, 1.0), 0.01))
        if i % 5 == 0:
            timings.append(Timing(one := network(often, 64), time_of(one, 1.3), 0.01))
    timings.append(Timing(one := network(once, 64), time_of(one, 1.3), 0.01))
    fitted = fit(timings)

    def off(last: Conv) -> float:
        one = network(last, 64)
        return fitted.predict(one) / milliseconds(one, quirk=0)

    assert off(often) == pytest.approx(1.3, rel=0.03)
    assert abs(off(once) - 1.3) > abs(off(often) - 1.3)


def test_equal_seeds_give_equal_tables() -> None:
    def once() -> LatencyTable:
        return build_table(
            small_space(4, 8, 12, 16, 20, 24, 28, 32, 36, 40),
            name="small",
            circumstances=Circumstances(),
            effort=Effort(networks=20, held_out=10, seconds=0.1),
            measure=measuring(Machine(3, jitter=0.02)),
        )[0]

    assert once() == once()


def test_equal_blocks_at_equal_places_are_one_kind_and_a_change_of_its_key_is_noticed() -> None:
    network = Network(
        input=(3, 8, 8), stages=(Stage(blocks=(Conv(), Conv(), Conv()), width=3),), head=Classifier(classes=2)
    )
    first, second, third, head = kinds(network)
    assert first.key == second.key == third.key != head.key
    assert first.name == "Conv 3x8x8 to 3x8x8"
    assert dict(first.features)["convolution macs"] == 3 * 3 * 9 * 64
    assert (VERSION, first.key) == (
        1,
        "dcd4e4e073ff",
    )  # tables on disk know kinds by it: a new one, a new version


def test_rank_correlations_agree_with_scipys_and_their_intervals_hold_them() -> None:
    rng = random.Random(0)
    for _ in range(5):
        a = [rng.randrange(20) for _ in range(60)]
        b = [x + rng.randrange(15) for x in a]
        assert kendall(a, b) == pytest.approx(kendalltau(a, b).statistic)
    true = [rng.uniform(1, 10) for _ in range(50)]
    near, far = ([t * math.exp(rng.gauss(0, s)) for t in true] for s in (0.1, 0.5))
    seen = score(near, true)
    assert seen.tau_low < seen.tau < seen.tau_high
    by, low, high = lead(near, far, true)
    assert 0 < low < by < high
    assert lead(near, near, true) == (0, 0, 0)
    assert kendall([1, 1, 1], [1, 2, 3]) == 0


def test_a_table_reads_back_equal(tmp_path: Path) -> None:
    table = replace(ordinary(), circumstances=Circumstances(batch=4, threads=2))
    path = tmp_path / "table.json"
    path.write_text(table_text(table))
    assert load_table(path) == table


def damaged(change: str) -> str:
    text = table_text(ordinary())
    data = json.loads(text)
    match change:
        case "cut":
            return text[: len(text) // 2]
        case "version":
            data["version"] = VERSION + 1
        case "other":
            data = {"version": 1, "network": {}}
        case "negative":
            data["table"]["entries"][3]["ms"] = -1.0
        case "missing":
            del data["table"]["errors"]["table"]
        case "list":
            data = [1, 2]
        case "infinite":
            return text.replace('"constant_ms": ', '"constant_ms": 1e999, "x": ', 1)
    return json.dumps(data)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("cut", "table.json"),
        ("version", r"got version 2 of a latency table, expected 1; build it again"),
        ("other", "no latency table, expected one that `nas latency --build-table` wrote"),
        ("negative", r"table\.entries\[3\]\.ms: .*build it again"),
        ("missing", r"table\.errors\.table: .*build it again"),
        ("list", "no latency table"),
        ("infinite", "table.json"),
    ],
)
def test_a_damaged_table_or_one_of_another_version_is_refused(tmp_path: Path, change: str, says: str) -> None:
    path = tmp_path / "table.json"
    path.write_text(damaged(change))
    with pytest.raises(BadInput, match=says) as refused:
        load_table(path)
    assert "\n" not in str(refused.value)


def test_a_table_of_another_space_device_or_settings_is_refused_in_one_message() -> None:
    table, path = ordinary(), Path("mobile.json")
    refuse_another(table, path, space=MOBILE, circumstances=Circumstances(), device=HERE.key)
    other = preset("mobile", (3, 32, 32), classes=100)
    with pytest.raises(BadInput) as refused:
        refuse_another(
            table, path, space=other, circumstances=Circumstances(batch=8, threads=2), device="elsewhere"
        )
    for part in ("another space (mobile)", f"device {HERE.key}, expected elsewhere", "batch 1, expected 8"):
        assert part in str(refused.value)


@pytest.mark.parametrize(
    ("effort", "says"),
    [
        (
            {"held_out": 0},
            "held-out: got 0, expected 10 or more; a table is worth what its error on others is",
        ),
        ({"networks": 3}, "networks: got 3, expected 20 or more"),
        ({"seconds": 0.0}, "seconds: got 0.0, expected a time above 0"),
    ],
)
def test_too_little_effort_is_refused(effort: dict[str, float], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        build_table(
            MOBILE,
            name="mobile",
            circumstances=Circumstances(),
            effort=Effort(**effort),  # type: ignore[arg-type]
        )


@pytest.mark.parametrize(
    ("space", "says"),
    [
        (replace(small_space(8), stages=(Stage(blocks=(Conv(),), width=8),)), "got 1 member, expected 250"),
        (small_space(4, 8), "got 8 members, expected 250 .* time each with `nas latency MODEL` instead"),
        (small_space(*range(4, 60, 4)), "got 56 members, expected 250 .*; ask for fewer"),
    ],
)
def test_a_space_with_too_few_members_is_refused_before_anything_is_timed(space: Network, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        build_table(space, name="small", circumstances=Circumstances(), effort=Effort())


def test_members_that_cannot_be_built_are_left_out_and_counted() -> None:
    blocks = Repeat(Conv(kernel=Choice(1, 3, 5, 7), padding="valid"), 2, independent=True)
    space = Network(
        input=(3, 6, 6), stages=(Stage(blocks=blocks, width=Choice(4, 8)),), head=Classifier(classes=2)
    )
    with pytest.raises(BadInput, match="got 12 members that can be built, expected 30"):
        build_table(
            space, name="tight", circumstances=Circumstances(), effort=Effort(networks=20, held_out=10)
        )


def test_timings_that_cannot_be_believed_are_counted() -> None:
    calm, shaken = ordinary().errors, built(0.15, 0.1, 0.3)[0].errors
    assert calm.timings == shaken.timings == EFFORT.networks + 2 * EFFORT.held_out
    assert calm.unstable < 0.1 * calm.timings < 0.5 * shaken.timings < shaken.unstable
    assert isinstance(calm, Errors)
