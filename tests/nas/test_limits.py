"""Limits in a study: who knows a metric, what the ledger keeps, and searches that few or no members satisfy."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "contracts"))
from bench import SPACES, again, begin, plan, run, tiny_space

from nas.config import StudyConfig, read_config
from nas.history import history_of
from nas.journal import read
from nas.launch import create
from nas.ledger import ENTRIES, nothing_kept
from nas.proposal import Kind
from nas.strategies import Evolution, LocalSearch, Random, StrategyConfig
from nas.study import Study
from scaling.constraints import Limit, parse_limit
from scaling.cost import cost
from scaling.providers import ANALYTIC
from scaling.ranges import Range
from search_spaces import Network, count
from search_spaces.errors import BadInput, Infeasible


@dataclass
class Stopwatch:
    """Stands for who measures a latency: it is slow, and remembers whom it was asked about."""

    metrics: tuple[str, ...] = ("latency_ms@desk",)
    quick: bool = False
    asked: list[Network] = field(default_factory=list)

    def of(self, network: Network) -> Mapping[str, float]:
        """Return a thousandth of the MACs."""
        self.asked.append(network)
        return {self.metrics[0]: cost(network).macs / 1000}

    def reach(self, space: Network, metric: str) -> Range | None:
        """Know nothing before measuring."""
        return None


def trained(study: Study) -> list[Network]:
    return [p.candidate.network for p in run(study) if p.kind is Kind.TRAIN]


def test_a_limit_on_what_is_measured_is_held_and_the_value_kept(tmp_path: Path) -> None:
    limits = (parse_limit("latency_ms@desk <= 60"), parse_limit("params >= 300"))
    watch = Stopwatch()
    study = begin(tmp_path / "run", plan(Random(), tiny_space(), limits=limits, providers=(ANALYTIC, watch)))
    networks = trained(study)
    assert networks
    assert all(cost(network).macs <= 60_000 and cost(network).params >= 300 for network in networks)
    assert all(cost(network).params >= 300 for network in watch.asked)  # what fails cheaply is not measured
    for trial in study.history.trials.values():
        assert trial.metrics["latency_ms@desk"] == trial.metrics["macs"] / 1000
    assert {entry.limit for entry in study.history.ledger} == {"latency_ms@desk <= 60", "params >= 300"}


def test_the_ledger_says_by_how_much_and_counts_what_it_does_not_keep(tmp_path: Path) -> None:
    limits = (parse_limit("macs <= 2.5k"), parse_limit("params >= 20"))
    study = begin(tmp_path / "run", plan(Random(), SPACES["tied"](), limits=limits))
    assert trained(study) == []
    history = study.history
    assert len(history.ledger) == ENTRIES
    assert history.turned_away.total() == history.rejected > ENTRIES
    for entry in history.ledger:
        assert entry.limit in ("macs <= 2.5k", "params >= 20")
        assert entry.excess == pytest.approx(abs(entry.value - entry.bound) / entry.bound)
    study.journal.close()
    assert history_of(read(tmp_path / "run")).turned_away == history.turned_away
    lines = (tmp_path / "run" / "journal.jsonl").read_text().splitlines()
    assert max(len(line) for line in lines if json.loads(line)["type"] in ("ask", "exhausted")) < 10_000


def test_a_search_that_finds_nothing_says_what_was_drawn_and_how_near_it_came(tmp_path: Path) -> None:
    limits = (parse_limit("macs <= 2.5k"), parse_limit("params >= 20"))
    study = begin(tmp_path / "run", plan(Random(), SPACES["tied"](), limits=limits))
    assert study.ask() is None
    assert study.history.nearest is not None
    said = nothing_kept(study.history, limits)
    assert said.startswith(f"none of {study.history.rejected:,} members drawn")
    assert "keeps macs <= 2.5k and params >= 20; macs <= 2.5k turned most away, " in said
    _, broken = study.history.nearest
    assert [entry.metric for entry in broken] == ["macs"]
    assert min(entry.value for entry in study.history.ledger) >= broken[0].value
    assert f"the closest miss, {study.history.nearest[0]}, has macs" in said
    assert "where macs <= 2.5k" in said
    assert "rejected" in study.journal.events[-1].payload


@pytest.mark.parametrize(
    "strategy",
    [
        pytest.param(Random(), marks=pytest.mark.slow),
        pytest.param(Evolution(population=3), marks=pytest.mark.slow),
        LocalSearch(initial=2),
    ],
    ids=str,
)
def test_limits_that_one_member_in_a_million_keeps_are_searched_and_resumed(
    strategy: StrategyConfig, tmp_path: Path
) -> None:
    space = SPACES["mixed"]()
    assert count(space) > 10**12
    limits = (parse_limit("30k <= macs <= 40k"),)  # the least of 100,000 fair samples has 47k
    a_plan = plan(strategy, space, limits=limits, trials=3)
    networks = trained(begin(tmp_path / "whole", a_plan))
    assert len(networks) == 3
    assert all(30_000 <= cost(network).macs <= 40_000 for network in networks)
    begin(tmp_path / "broken", a_plan).journal.close()
    pieces: list[Network] = []
    for _ in range(3):
        study = again(tmp_path / "broken", a_plan)
        pieces += [p.candidate.network for p in run(study, 2) if p.kind is Kind.TRAIN]
        study.journal.close()
    assert pieces == networks


def on_the_table(*limits: str) -> StudyConfig:
    text = "space: nasbench201\ntable: nasbench201\nobjectives: ['cifar10_val_12ep:max']\ntrials: 12\n"
    return read_config(text, [f"limits={json.dumps(limits)}"], source="study")


def test_a_study_on_a_table_may_limit_any_column(tmp_path: Path) -> None:
    study, _ = create(on_the_table("raspi4_ms <= 20", "8 <= gold6226_ms <= 10"), name="run", results=tmp_path)
    networks = [study.ask() for _ in range(3)]
    study.journal.close()
    trials = list(study.history.trials.values())
    assert len(networks) == len(trials) == 3
    for trial in trials:
        assert trial.cost["raspi4_ms"] <= 20
        assert 8 <= trial.cost["gold6226_ms"] <= 10
    assert {entry.metric for entry in study.history.ledger} == {"raspi4_ms", "gold6226_ms"}


def test_a_column_no_member_keeps_is_proved_and_one_nobody_knows_refused(tmp_path: Path) -> None:
    with pytest.raises(Infeasible, match=r"limit raspi4_ms <= 0\.01: .* raspi4_ms can be 0\.011 to 98\.888"):
        create(on_the_table("raspi4_ms <= 0.01"), name="run", results=tmp_path)
    with pytest.raises(
        BadInput, match=r"limits: got 'raspi_ms', expected one of .*params.*did you mean 'raspi4_ms'"
    ):
        create(on_the_table("raspi_ms <= 5"), name="run", results=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_limit_nobody_knows_is_passed_over_by_the_study_itself(tmp_path: Path) -> None:
    """`create` refuses it; a study made by hand holds what it can."""
    limits = (Limit(metric="latency_ms", at_most=1.0),)
    assert trained(begin(tmp_path / "run", plan(Random(), tiny_space(), limits=limits)))
