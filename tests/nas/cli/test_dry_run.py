"""`nas search --dry-run`: the forecast from probes, that nothing stays, and how near a real run it comes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import CONFIG, document

import nas.cli.dry_run as dry
from nas.config import load_config
from nas.execution.base import Ended, Happening, Notice, Report
from nas.launch import create, plan_of, planned
from nas.probes import EPOCHS, Parts, Probe, Probed, forecasts, parts_of, probed
from nas.proposal import Outcome, Proposal, Status
from nas.spending import Capacity

PARTS = Parts(train=1000, validation=250, probe_train=100, probe_validation=25)


def probes(*epochs: float | None, capacity: Capacity, beside: float = 0.0, startup: float = 0.0) -> Probed:
    own = (Probe(epoch_seconds=e, beside_seconds=beside, failure="" if e else "bug: no") for e in epochs)
    return Probed(probes=tuple(own), capacity=capacity, startup_seconds=startup)


def plan(*overrides: str):  # type: ignore[no-untyped-def]
    asks = ("trials=20", "epochs=10", "confirm={top: 3, seeds: 2}", "final={epochs: 20}", *overrides)
    config = load_config(CONFIG, asks)
    return plan_of(config, planned(config)[1])


def test_a_forecast_is_epochs_times_trials_over_workers_and_what_comes_after() -> None:
    found = probes(
        0.1, 0.2, 0.3, capacity=Capacity(workers=2, gpus=0.5, gpus_alone=1.0), beside=1.0, startup=5.0
    )
    by = forecasts(found, plan(), PARTS, trial_limit=None)
    trial = 1 + 10 * 0.2 * 10  # the data is ten times what a probe saw
    final = 1 + 20 * 0.2 * 10 * 1.25  # and the winner is trained on both parts
    assert by["mean"].trial_seconds == pytest.approx(trial)
    assert by["mean"].seconds == pytest.approx(5 + trial * 20 / 2 + trial * 6 / 2 + final)
    assert by["mean"].gpu_hours == pytest.approx((26 * trial + final) * 0.5 / 3600)
    assert by["mean"].trial_gpu_hours == pytest.approx(trial * 0.5 / 3600)
    assert by["fastest"].trial_seconds == pytest.approx(11)
    assert by["slowest"].trial_seconds == pytest.approx(31)


@pytest.mark.parametrize(
    ("asks", "search"), [((), 10 * 20), (("minutes=1",), 60), (("execution.trial_seconds=5",), 10 * 5)]
)
def test_caps_shorten_the_search_alone(asks: tuple[str, ...], search: float) -> None:
    found = probes(0.2, capacity=Capacity(workers=2))
    limit = 5.0 if "execution.trial_seconds=5" in asks else None
    trial = 5.0 if limit else 20.0
    mean = forecasts(found, plan(*asks), PARTS, trial_limit=limit)["mean"]
    assert mean.seconds == pytest.approx(search + 3 * trial + 20 * 0.2 * 10 * 1.25)


def test_a_probe_that_failed_is_left_out_and_where_all_did_nothing_is_said() -> None:
    place = Capacity(workers=1)
    with_one = forecasts(probes(None, 0.2, capacity=place), plan(), PARTS, trial_limit=None)
    assert with_one == forecasts(probes(0.2, capacity=place), plan(), PARTS, trial_limit=None)
    assert forecasts(probes(None, None, capacity=place), plan(), PARTS, trial_limit=None) == {}


def test_a_probe_sees_little_data_whole_and_of_much_a_few_batches() -> None:
    assert parts_of(1000, 250, 64).times == 1
    much = parts_of(50_000, 10_000, 100)
    assert (much.probe_train, much.probe_validation, much.times) == (800, 160, 62.5)


class Bench:
    """Takes so long for an epoch of each member, by a clock of its own; two at a time."""

    capacity = Capacity(workers=2)

    def __init__(self, *epoch_seconds: float, warm_up: float) -> None:
        self.now = 100.0
        self.taken: list[int] = []
        self.closed = False
        self._epochs, self._warm_up = epoch_seconds, warm_up
        self._happens: list[tuple[float, Happening]] = []

    @property
    def free(self) -> int:
        return 2 - len({one.number for _, one in self._happens if isinstance(one, Ended)})

    def submit(self, proposal: Proposal, attempt: int, *, alone: bool = False) -> None:
        self.taken.append(proposal.number)
        epoch = self._epochs[proposal.number % len(self._epochs)]
        at = self.now + self._warm_up
        self._happens += [(at + epoch * (i + 1), Report(proposal.number, i + 1)) for i in range(EPOCHS)]
        outcome = Outcome(status=Status.DONE, seconds=self._warm_up + EPOCHS * epoch)
        self._happens += [(at + EPOCHS * epoch, Ended(proposal.number, attempt, outcome))]
        self._happens.sort(key=lambda one: one[0])

    def wait(self, seconds: float) -> Sequence[Happening]:
        self.now, happened = self._happens.pop(0)
        return [happened, Notice("waiting")] if len(self._happens) == 3 else [happened]

    def interrupt(self) -> None:
        """Nothing lasts."""

    def close(self) -> None:
        self.closed = True


def test_probes_run_side_by_side_and_the_first_epoch_counts_as_warming_up() -> None:
    bench, said = Bench(1.0, 2.0, 4.0, warm_up=3.0), list[str]()
    found = probed(bench, ["a", "b", "c"], begun_at=90.0, notice=said.append, clock=lambda: bench.now)  # type: ignore[list-item]
    assert [probe.epoch_seconds for probe in found.probes] == pytest.approx([1, 2, 4])
    assert [probe.beside_seconds for probe in found.probes] == pytest.approx([3, 3, 3])
    assert found.startup_seconds == pytest.approx(10)
    assert bench.taken == [0, 1, 2, 3]  # the fourth keeps the second worker busy
    assert said == ["waiting"]


def test_a_dry_run_gives_its_contract_and_leaves_nothing(tmp_path, nas, monkeypatch):
    bench = Bench(0.1, 0.2, 0.3, warm_up=1.0)
    monkeypatch.setattr(dry, "executor_for", lambda *_, **__: bench)
    monkeypatch.setattr(dry, "probed", lambda *a, **k: probed(*a, **(k | {"clock": lambda: bench.now})))
    home = tmp_path / "results"
    code, out, _ = nas("search", "--dry-run", "--results", home, "--json")
    said = document(out)
    assert code == 0
    assert said["size"] == 3_500_234_809_344
    assert 0 < said["feasible_share"] < 1
    assert said["trainings"] == {"search": 24, "confirmation": 6, "final": 1}
    assert [member["epoch_seconds"] for member in said["members"]] == pytest.approx([0.1, 0.2, 0.3])
    assert all(member["macs"] <= 1_000_000 for member in said["members"])
    seconds = said["seconds"]
    assert seconds["fastest"] < seconds["mean"] < seconds["slowest"]
    assert (said["gpu_hours"], said["workers"]) == (None, 2)
    assert set(dry_run_shown()) == set(said)
    assert bench.closed
    assert not home.exists()
    bench = Bench(0.1, 0.2, 0.3, warm_up=1.0)
    code, out, _ = nas("search", "--dry-run", "--results", home)
    assert code == 0
    assert "by the fastest probe" in out
    assert "keep macs <= 1M" in out


def dry_run_shown() -> dict[str, object]:
    docs = (Path(__file__).parents[3] / "docs" / "cli.md").read_text(encoding="utf-8")
    part = docs.partition("### `nas search --dry-run --json`")[2]
    return document(part.partition("```json\n")[2].partition("```")[0])


@pytest.mark.parametrize(
    ("asks", "code"), [('limits=["macs <= 5k"]', 3), ('limits=["macz <= 5k"]', 2), ("data=no_such_data", 2)]
)
def test_what_a_real_start_refuses_a_dry_run_refuses_too(asks, code, nas, tmp_path):
    got, out, err = nas("search", "--dry-run", asks, "--results", tmp_path)
    assert (got, out) == (code, "")
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_for_a_clusters_nodes_is_no_run_and_is_gone_afterwards(tmp_path):
    home = tmp_path / "results"
    with dry._folder(home) as place:
        assert place.parent == home
        (place / "trials").mkdir()
    assert not home.exists()
    study, _ = create(load_config(CONFIG), name="kept", results=home)
    study.journal.close()
    with dry._folder(home):
        pass
    assert [path.name for path in home.iterdir()] == ["kept"]


@pytest.mark.slow
def test_the_forecast_of_the_example_is_within_twice_of_what_it_takes(tmp_path, nas):
    said = document(nas("search", "--dry-run", "--results", tmp_path, "--json")[1])
    began = time.monotonic()
    code, _, _ = nas("search", "--name", "real", "--results", tmp_path, "--json")
    took = time.monotonic() - began
    assert code == 0
    print(f"forecast {said['seconds']}, took {took:.1f} s")
    assert took / 2 <= said["seconds"]["mean"] <= took * 2
