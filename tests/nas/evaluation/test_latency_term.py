"""Expected latency by a table as a cost term: its value, its gradient, where it leads, and what is refused.

The table is built by the real procedure on a made-up device.
"""

from __future__ import annotations

import random
import sys
from functools import cache, partial
from itertools import product
from math import prod
from pathlib import Path

import pytest
import torch
from supernets import tiny
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[2] / "scaling"))
from simulated_device import measuring
from simulated_machine import Machine

from nas.config import read_config
from nas.data.device import DevicePart, OnDevice
from nas.driver import StopSign, drive
from nas.evaluation import supernet_search, supernet_step
from nas.evaluation.precision import Precision
from nas.evaluation.scoring import scoring
from nas.gradient import Gradient, check_gradient, expected_cost, mixture_of
from nas.launch import create, executor_for
from nas.proposal import Kind, Proposal
from nas.recipe import Candidate
from scaling.expected import Expected, expected_latency
from scaling.latency_table import Circumstances, LatencyTable, Predictor, table_text
from scaling.latency_table_build import Effort, build_table
from search_spaces import Choice, Classifier, Conv, DepthwiseSeparable, MBConv, Network, Pool, Stage
from search_spaces.derivation import taken
from search_spaces.errors import BadInput
from search_spaces.mixture import Mixture, opened
from search_spaces.moves import enumerate_members
from search_spaces.serialise import to_json

BLOCKS = Network(
    input=(1, 8, 8),
    stages=tuple(
        Stage(
            blocks=(Choice(Conv(kernel=1), Conv(), DepthwiseSeparable(), MBConv(expand=6.0), Pool()),),
            width=8,
        )
        for _ in range(3)
    ),
    head=Classifier(classes=10),
)


@cache
def table_of(space: Network) -> LatencyTable:
    return build_table(
        space, name="tiny", circumstances=Circumstances(), effort=Effort(networks=40, held_out=10, seconds=0.1),
        measure=measuring(Machine(1, jitter=0.02)),
    )[0]  # fmt: skip


def random_shares(mixture: Mixture, seed: int) -> dict[str, list[float]]:
    rng = random.Random(seed)
    drawn = {path: [rng.random() for _ in range(n)] for path, n in mixture.vectors.items()}
    return {path: [one / sum(row) for one in row] for path, row in drawn.items()}


def linear(found: Expected, shares: dict[str, list[float]]) -> float:
    return found.base + sum(
        s * share for path, own in found.slopes.items() for s, share in zip(own, shares[path], strict=True)
    )


def test_expected_latency_of_blocks_is_the_mean_of_the_predictions_over_all_members() -> None:
    mixture, table = opened(BLOCKS), table_of(BLOCKS)
    shares, found, predictor = random_shares(mixture, 3), expected_latency(mixture, table), Predictor(table)
    members = list(enumerate_members(BLOCKS))
    assert len(members) == 125
    chances = [prod(shares[path][i] for path, i in taken(mixture, one).items()) for one in members]
    assert sum(chances) == pytest.approx(1)
    latencies = [predictor.predict(one).ms for one in members]
    mean = sum(chance * ms for chance, ms in zip(chances, latencies, strict=True))
    assert linear(found, shares) == pytest.approx(mean, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((min(latencies), max(latencies)))
    assert found.low < 0.8 * found.high  # or nothing is told


def test_expected_latency_of_cells_is_the_mean_of_what_the_coefficients_say_of_them() -> None:
    """A table's entries are of whole cells, and some cells were timed: those do not add up over edges."""
    space = tiny()
    mixture, table = opened(space), table_of(space)
    cells = [False, True, True, False]  # stem, two cells, head
    shares, predictor = random_shares(mixture, 4), Predictor(table)
    assert any(entry.name.startswith("Cell") for entry in table.entries)
    mean = 0.0
    for member in enumerate_members(space):
        chance = prod(shares[path][i] for path, i in taken(mixture, member).items())
        mean += chance * predictor.additive(member, cells)
    # A sum of one value is none, so that layers do not quite add up over edges.
    assert linear(expected_latency(mixture, table), shares) == pytest.approx(mean, rel=0.02)


def settings(folder: Path, space: Network, **changes: object) -> Gradient:
    path = folder / "table.json"
    path.write_text(table_text(table_of(space)))
    given = {"cost": "latency_ms", "cost_table": str(path), "batch": 8, "look": 16, **changes}
    return Gradient(**given)  # type: ignore[arg-type]


def begun(asked: Gradient) -> supernet_search.Search:
    part = DevicePart(
        x=torch.zeros(16, 1, 8, 8), y=torch.arange(16) % 10, mean=torch.zeros(1), std=torch.ones(1)
    )
    proposal = Proposal(
        number=0, kind=Kind.SUPERNET, candidate=Candidate(network=BLOCKS), epochs=1, seed=0, settings=asked
    )
    mixture = mixture_of(BLOCKS, asked)
    return supernet_search.begun(
        proposal, asked, mixture, OnDevice(train=part, validation=part), rule=Precision(device=torch.device("cpu")),
        by=scoring(part, smoothing=0.0), cost=expected_cost(mixture, asked, space=BLOCKS), augment=(),
    )  # fmt: skip


@pytest.mark.parametrize("mixing", ["softmax", "gumbel"])
def test_the_terms_gradient_is_that_of_finite_differences_of_the_mean_over_members(
    mixing: str, tmp_path: Path
) -> None:
    table = table_of(BLOCKS)
    found = expected_latency(opened(BLOCKS), table)
    target, weight = (found.low * 3 + found.high) / 4, 2.5
    search = begun(settings(tmp_path, BLOCKS, mixing=mixing, cost_target=target, cost_weight=weight))
    with torch.no_grad():
        search.alphas.mul_(500)  # as after some steps
    gradient = supernet_step._of_terms(search)
    alphas = search.alphas.detach().double()
    members = [
        (list(taken(search.mixture, one).values()), Predictor(table).predict(one).ms)
        for one in enumerate_members(BLOCKS)
    ]

    def term(of: Tensor) -> float:
        p = of.softmax(1)
        chances = [torch.stack([p[row, i] for row, i in enumerate(way)]).prod() for way, _ in members]
        mean = sum(float(chance) * ms for chance, (_, ms) in zip(chances, members, strict=True))
        return weight * max(0.0, mean / target - 1)

    assert term(alphas) > 0
    for row, entry in product(range(3), range(5)):
        step = torch.zeros_like(alphas)
        step[row, entry] = 1e-4
        slope = (term(alphas + step) - term(alphas - step)) / 2e-4
        assert gradient[row, entry].item() == pytest.approx(slope, rel=1e-3, abs=1e-6)


def test_a_study_with_a_latency_target_moves_to_it_and_derives_below_its_limit(tmp_path: Path) -> None:
    found = expected_latency(opened(BLOCKS), table_of(BLOCKS))
    target = found.low + 0.08 * (found.high - found.low)
    path, space = tmp_path / "table.json", tmp_path / "space.json"
    path.write_text(table_text(table_of(BLOCKS)))
    space.write_text(to_json(BLOCKS))
    kept: dict[str, list[float]] = {}
    for name, weight in (("free", 0.0), ("held", 20.0)):
        asked = (
            f"{{batch: 15, look: 30, alpha_lr: 0.1, cost: latency_ms, cost_table: '{path}', cost_target: {target}, "
            f"cost_weight: {weight}}}"
        )
        text = f"""
space: '{space}'
data: {{source: digits, limit: 90}}
strategy: {{type: darts, epochs: 8, supernet: {asked}}}
epochs: 1
confirm: {{top: 0}}
execution: {{workers: 0, device: cpu}}
"""
        config = read_config(text, source="test")
        study, folder = create(config, name=name, results=tmp_path / "runs")
        drive(
            study, executor_for(config, folder, study.journal.header), watch=lambda *_: None, stop=StopSign()
        )
        study.journal.close()
        [supernet] = study.history.of(Kind.SUPERNET)
        kept[name] = [report["expected_latency_ms"] for report in reports(folder)]
        assert supernet.metrics["expected_latency_ms"] == kept[name][-1]
        best = study.best
        assert best is not None
        if name == "held":
            derived = Predictor(table_of(BLOCKS)).predict(study.candidate(best).network).ms
            assert derived <= target
    evenly = linear(found, {path: [0.2] * 5 for path in found.slopes})
    assert evenly > 1.15 * target  # above it at first,
    assert kept["held"][-1] == pytest.approx(target, rel=0.05)  # and about there at last
    assert kept["free"][-1] > 1.1 * target


def reports(folder: Path) -> list[dict[str, float]]:
    from nas.journal import read

    events = [dict(event.payload) for event in read(folder) if event.type == "report"]
    return [dict(one["metrics"]) for one in events if "expected_latency_ms" in one["metrics"]]  # type: ignore[arg-type, call-overload]


def test_a_target_out_of_reach_and_a_table_of_another_space_are_refused(tmp_path: Path) -> None:
    found = expected_latency(opened(BLOCKS), table_of(BLOCKS))
    check = partial(check_gradient, Candidate(network=BLOCKS))
    check(settings(tmp_path, BLOCKS, cost_target=(found.low + found.high) / 2))
    with pytest.raises(BadInput, match=rf"got {2 * found.high:g} latency_ms, expected {found.low:g} to"):
        check(settings(tmp_path, BLOCKS, cost_target=2 * found.high))
    with pytest.raises(BadInput, match=r"table\.json: got a latency table of another space \(tiny\)"):
        check(settings(tmp_path, tiny(), cost_target=1.0))
