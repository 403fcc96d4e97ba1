"""A search by gradients from a config to a trained winner, with nothing made up: supernet, derivation, trainings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nas.cli.supernets import supernets
from nas.config import read_config
from nas.driver import StopSign, drive
from nas.launch import create, executor_for
from nas.proposal import Kind
from search_spaces.errors import BadInput
from search_spaces.network import Network
from search_spaces.serialise import from_data

CONFIG = """
space: nasbench201(width=4,cells=1)
data: {source: digits, limit: 60}
strategy: {type: darts, epochs: 2, supernet: {batch: 15, look: 30}}
epochs: 1
confirm: {top: 0}
execution: {workers: 0, device: cpu}
"""


def test_a_search_by_gradients_ends_in_an_architecture_trained_from_scratch(tmp_path: Path) -> None:
    config = read_config(CONFIG, source="test")
    study, folder = create(config, name="run", results=tmp_path)
    executor = executor_for(config, folder, study.journal.header)
    assert drive(study, executor, watch=lambda _what, _trial: None, stop=StopSign()) == "finished"
    study.journal.close()
    kinds = [trial.kind for trial in study.history.trials.values()]
    assert kinds == [Kind.SUPERNET, Kind.TRAIN, Kind.FINAL]
    assert study.best is not None
    assert not [name for name in study.best.metrics if name.startswith(("supernet_", "derived_"))]
    (told,) = supernets(study.history, folder)
    assert [Path(str(file)).is_file() for file in told["files"]] == [True]  # type: ignore[union-attr]
    (history,) = folder.glob("trials/*/0/supernet.json")
    said = json.loads(history.read_text())
    trained = study.candidate(study.history.trials[1]).network
    assert from_data(Network, said["derived"]) == trained
    assert len(said["epochs"]) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("space=mixed", "fix="),
        ("recipe={lr: {choice: [0.1, 0.2]}}", "recipe.lr"),
        ("strategy.supernet.cost_target=1", "which is what members of the space cost"),
        ("strategy.supernet.order=2", None),
    ],
)
def test_a_study_that_cannot_be_is_refused_before_it_is_written(
    change: str, message: str | None, tmp_path: Path
) -> None:
    config = read_config(CONFIG, [change], source="test")
    if message is None:
        create(config, name="run", results=tmp_path)[0].journal.close()
        return
    with pytest.raises(BadInput, match=message):
        create(config, name="run", results=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_table_has_no_supernets(tmp_path: Path) -> None:
    text = "space: nasbench201\ntable: nasbench201\nstrategy: darts\nobjectives: ['cifar10_val_12ep:max']\n"
    with pytest.raises(BadInput, match="trains supernets, in a study that looks trials up"):
        create(read_config(text, source="test"), name="run", results=tmp_path)
