"""Limits on latency in a study: what is measured is on disk first and stays, tables stand in, winners are measured."""

from __future__ import annotations

import hashlib
import random
import statistics
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "contracts"))
sys.path.insert(0, str(Path(__file__).parent.parent / "scaling"))
from bench import again, begin, done, plan, run, tiny_space
from simulated_device import measuring
from simulated_machine import Machine

import scaling.latency
from nas.cli.finding import document, finding
from nas.cli.finding import summary as lines_of
from nas.cli.show import console
from nas.config import StudyConfig, read_config
from nas.driver import StopSign, drive
from nas.execution.in_process import InProcess
from nas.history import MEASURED
from nas.journal import read
from nas.latency import Latencies, Latency
from nas.launch import create, latencies_in, reopen
from nas.ledger import nothing_kept
from nas.measured import StopAsked
from nas.plan import Plan
from nas.strategies import Evolution
from nas.study import Study
from scaling.constraints import parse_limit
from scaling.cost import cost
from scaling.device import fingerprint
from scaling.latency_table import Circumstances, LatencyTable, Predictor, table_text
from scaling.latency_table_build import Effort, build_table
from scaling.providers import ANALYTIC, LATENCY
from scaling.timing import Latency as Timed
from scaling.timing import Ratio, Settings
from search_spaces import Network, key, sample
from search_spaces.errors import BadInput
from search_spaces.presets import preset

HERE = fingerprint(torch.device("cpu"))
LIMIT = parse_limit("latency_ms <= 2.5")
DIGITS = (1, 8, 8)


class Stopwatch:
    """Stands for measuring: a thousandth of the MACs, another hundredth more each time it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.reasons: Iterator[str | None] = iter(())
        self.factor = 1.0

    def __call__(self, network: Network, *, settings: Settings) -> Timed:
        name = key(network)
        wobble = (
            1 + int(hashlib.sha256(f"{name}{self.asked.count(name)}".encode()).hexdigest()[:4], 16) / 2**20
        )
        self.asked.append(name)
        ms, reason = self.factor * wobble * cost(network).macs / 20_000, next(self.reasons, None)
        ruled = {"stable": reason is None, "reason": reason}
        return Timed(
            model=name, median_ms=ms, quartiles_ms=(ms, ms), interval_ms=(0.99 * ms, 1.01 * ms), minimum_ms=ms, n=20,
            repeats=1, warm_up=5, seconds=settings.seconds, timer="made up", settings=settings, device=HERE.key,
            fingerprint=HERE, ratio=Ratio(to="sentinel", median=ms, interval=(ms, ms), **ruled), **ruled,
        )  # fmt: skip


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    """Measure by a made-up stopwatch."""
    made = Stopwatch()
    monkeypatch.setattr(scaling.latency, "measure", made)
    return made


def measured_plan(**changes: object) -> Plan:
    providers = (ANALYTIC, Latencies(Latency(), device=HERE.key))
    given = {"limits": (LIMIT,), "providers": providers, "trials": 6, **changes}
    return plan(Evolution(population=3, contestants=2), tiny_space(), **given)


def events(folder: Path, kind: str) -> list[dict[str, object]]:
    return [dict(event.payload) for event in read(folder) if event.type == kind]


def asked(folder: Path) -> list[object]:
    return [said["key"] for said in events(folder, "ask")]


def test_what_breaks_the_limit_is_never_trained_and_each_network_is_measured_once(
    tmp_path: Path, watch: Stopwatch
) -> None:
    study = begin(tmp_path / "run", measured_plan())
    run(study)
    trials = study.history.trials.values()
    assert trials
    assert len(watch.asked) == len(set(watch.asked))
    for trial in trials:
        found = study.history.measured[trial.key, LATENCY]
        assert trial.metrics[LATENCY] == found.value <= 2.5
    assert {entry.limit for entry in study.history.ledger} == {"latency_ms <= 2.5"}
    kinds = [event.type for event in read(tmp_path / "run") if event.type in ("measured", "ask")]
    assert kinds[0] == "measured"  # on disk before it is acted on


def test_a_study_killed_while_it_measures_asks_what_it_would_have_asked_and_measures_nothing_twice(
    tmp_path: Path, watch: Stopwatch
) -> None:
    unbroken = begin(tmp_path / "unbroken", measured_plan())
    run(unbroken)
    every, watch.asked = list(watch.asked), []
    study = begin(tmp_path / "run", measured_plan())
    kills, over = 0, False
    while not over:
        begun = len(watch.asked)
        study.measuring.stopping = lambda begun=begun: len(watch.asked) > begun  # type: ignore[misc]
        try:
            run(study)
            over = True
        except StopAsked:
            kills += 1
            study.journal.close()
            study = again(tmp_path / "run", measured_plan())
    assert kills == len(every) - 1
    assert watch.asked == every
    assert asked(tmp_path / "run") == asked(tmp_path / "unbroken")


def test_a_stop_while_measuring_ends_the_drive_and_a_resume_finishes_it(
    tmp_path: Path, watch: Stopwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, study = StopSign(), begin(tmp_path / "run", measured_plan())

    def stopped(network: Network, *, settings: Settings) -> Timed:
        stop.raised = True
        return watch(network, settings=settings)

    with monkeypatch.context() as patch:
        patch.setattr(scaling.latency, "measure", stopped)
        assert drive(study, executor(), watch=lambda *_: None, stop=stop) == "interrupted"
    study.journal.close()
    assert len(events(tmp_path / "run", "measured")) == 1
    study = again(tmp_path / "run", measured_plan())
    assert drive(study, executor(), watch=lambda *_: None, stop=StopSign()) == "finished"


def executor() -> InProcess:
    return InProcess(lambda proposal, _: done(proposal))


def driven(folder: Path, a_plan: Plan) -> Study:
    study = begin(folder, a_plan)
    assert drive(study, executor(), watch=lambda *_: None, stop=StopSign()) == "finished"
    study.journal.close()
    return study


def test_the_winner_is_measured_once_more_and_once_only(tmp_path: Path, watch: Stopwatch) -> None:
    study = driven(tmp_path / "run", measured_plan())
    assert study.best is not None
    assert watch.asked.count(study.best.key) == 2
    last = study.history.winners[study.best.key, LATENCY]
    assert last.value != study.best.cost[LATENCY]
    resumed = again(tmp_path / "run", measured_plan())
    assert drive(resumed, executor(), watch=lambda *_: None, stop=StopSign()) == "finished"
    assert watch.asked.count(study.best.key) == 2
    assert resumed.history.winners == study.history.winners


def told(study: Study, folder: Path) -> tuple[dict[str, object], str]:
    """Return what JSON says of the winner's latency, and what people read."""
    found = finding(study, folder)
    assert found is not None
    best = document(study, folder, found, ending="finished")["best"]
    assert isinstance(best, dict)
    assert best["metrics"][LATENCY] == best["latency"]["measured_ms"]
    to = console()
    with to.capture() as captured:
        to.print(*lines_of(study, folder, found, next_command=""))
    return best["latency"], " ".join(captured.get().split())


@pytest.mark.parametrize(
    ("factor", "reasons", "keeps", "says"),
    [
        (1.0, (), True, "which keeps latency_ms <= 2.5"),
        (30.0, (), False, "which breaks latency_ms <= 2.5"),
        (1.0, ("load: others",) * 3, None, "unstable: load: others; seen, not to be relied on"),
        (1.0, ("load: others",) * 2, True, "which keeps"),  # the third try is calm
    ],
)
def test_the_winners_latency_stands_beside_its_limit(
    tmp_path: Path,
    watch: Stopwatch,
    factor: float,
    reasons: tuple[str, ...],
    keeps: bool | None,
    says: str,
) -> None:
    study = begin(tmp_path / "run", measured_plan(trials=4))
    run(study)
    watch.factor, watch.reasons = factor, iter(reasons)
    study.measure_winner()
    said, text = told(study, tmp_path / "run")
    assert (said["keeps"], said["limits"]) == (keeps, ["latency_ms <= 2.5"])
    assert said["stable"] is (keeps is not None)
    assert says in text


def test_so_many_candidates_are_measured_a_proposal_and_no_more(tmp_path: Path, watch: Stopwatch) -> None:
    tight = measured_plan(limits=(parse_limit("latency_ms <= 0.001"),), most_measured=5)
    study = begin(tmp_path / "run", tight)
    assert run(study) == []
    assert study.history.exhausted
    assert len(watch.asked) == 5
    assert study.finished
    assert study.history.turned_away[MEASURED] > 0
    said = nothing_kept(study.history, study.plan.limits)
    assert "latency_ms <= 0.001 turned most away" in said
    assert "were not measured, for as many others had been as latency.most allows" in said


@pytest.fixture(scope="module")
def table() -> LatencyTable:
    """Return a table of the example's space that was built on a made-up device."""
    space = preset("mixed", DIGITS, classes=10)
    return build_table(
        space, name="mixed", circumstances=Circumstances(), effort=Effort(networks=60, held_out=20),
        measure=measuring(Machine(0, jitter=0.01)),
    )[0]  # fmt: skip


def config(*overrides: str) -> StudyConfig:
    text = "space: mixed\nexecution: {workers: 0}\nepochs: 1\ntrials: 3\nconfirm: {top: 0}"
    return read_config(text, overrides, source="test")


def with_table(folder: Path, table: LatencyTable, *overrides: str) -> StudyConfig:
    (folder / "table.json").write_text(table_text(table))
    return config(f"latency.table={folder / 'table.json'}", *overrides)


def test_a_table_within_the_tolerance_answers_and_only_the_winner_is_measured(
    tmp_path: Path, watch: Stopwatch, table: LatencyTable
) -> None:
    rng, predictor = random.Random(0), Predictor(table)
    space = preset("mixed", DIGITS, classes=10)
    most = statistics.median(predictor.predict(sample(space, rng)).ms for _ in range(21))
    asked_for = with_table(tmp_path, table, f'limits=["latency_ms <= {most}"]', "trials=8")
    study, folder = create(asked_for, name="run", results=tmp_path)
    known = latencies_in(study.plan)
    assert known is not None
    assert "by " in known.said()
    assert drive(study, executor(), watch=lambda *_: None, stop=StopSign()) == "finished"
    study.journal.close()
    assert study.best is not None
    assert watch.asked == [study.best.key]
    assert all(trial.cost[LATENCY] <= most for trial in study.history.trials.values())
    assert study.history.rejected
    said, _ = told(study, folder)
    assert said["searched_by"] == "table"


def test_a_table_beyond_the_tolerance_is_not_used(
    tmp_path: Path, watch: Stopwatch, table: LatencyTable
) -> None:
    off = replace(table, errors=replace(table.errors, table=replace(table.errors.table, mape=0.2)))
    study, _ = create(with_table(tmp_path, off), name="run", results=tmp_path)
    known = latencies_in(study.plan)
    assert known is not None
    assert "latencies measured, for the mean error" in known.said()
    assert study.ask() is not None
    study.journal.close()
    assert len(watch.asked) == 1  # without a limit too: it is noted of each trial
    within, _ = create(with_table(tmp_path, off, "latency.tolerance=0.3"), name="other", results=tmp_path)
    within.journal.close()
    assert getattr(latencies_in(within.plan), "quick", None) is True


def test_a_limit_or_an_objective_on_latency_needs_no_more_than_its_name(
    tmp_path: Path, watch: Stopwatch
) -> None:
    for number, asked_for in enumerate(
        ('limits=["latency_ms <= 99"]', "objectives=['validation_accuracy:max', 'latency_ms:min']")
    ):
        study, _ = create(config(asked_for), name=f"run-{number}", results=tmp_path)
        assert study.ask() is not None
        study.journal.close()
        assert len(watch.asked) == number + 1
    assert latencies_in(create(config(), name="plain", results=tmp_path)[0].plan) is None


@pytest.mark.parametrize(
    ("changed", "overrides", "says"),
    [
        ({"device": "elsewhere"}, (), "latency table of device elsewhere, expected"),
        ({"space": "0" * 16}, (), r"another space \(mixed\)"),
        ({}, ("latency.batch=8",), "batch 1, expected 8"),
    ],
)
def test_a_table_of_another_device_space_or_settings_is_refused_before_anything_is_written(
    tmp_path: Path, table: LatencyTable, changed: dict[str, str], overrides: tuple[str, ...], says: str
) -> None:
    other = replace(table, **changed)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=says):
        create(with_table(tmp_path, other, *overrides), name="run", results=tmp_path)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("latency={dtype: float23}", "did you mean 'float32'"),
        ("latency={device: 'cuda:99'}", "expected one that is here"),
        ("latency={table: nosuch.json}", "nosuch.json: no such file"),
        ("latency={tolerance: 7}", "tolerance"),
        ("latency={batches: 7}", "batches"),
    ],
)
def test_bad_settings_are_one_message(tmp_path: Path, override: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        create(config(override), name="run", results=tmp_path)


def test_a_run_goes_on_only_with_the_table_and_on_the_device_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: LatencyTable, watch: Stopwatch
) -> None:
    study, folder = create(with_table(tmp_path, table), name="run", results=tmp_path)
    study.journal.close()
    reopen(folder)[0].journal.close()
    with_table(tmp_path, replace(table, constant_ms=table.constant_ms + 1))
    with pytest.raises(BadInput, match=r"latency\.table: got \w{16}, expected \w{16} as when the run began"):
        reopen(folder)
    study, folder = create(config("latency={}"), name="measured", results=tmp_path)
    study.journal.close()
    monkeypatch.setattr("scaling.device.fingerprint", lambda _: replace(HERE, key="elsewhere"))
    with pytest.raises(BadInput, match=r"latency\.device: got elsewhere, expected .*; go on with it there"):
        reopen(folder)
