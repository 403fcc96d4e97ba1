"""Studies on a table: the bundled one, and a user's own."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pytest

from nas.config import StudyConfig, read_config
from nas.driver import StopSign, drive
from nas.launch import create, executor_for, reopen
from nas.proposal import Kind
from nas.study import Study
from search_spaces import (
    BadInput,
    Choice,
    Classifier,
    Conv,
    Network,
    Repeat,
    Stage,
    enumerate_members,
    key,
    to_yaml,
)

SPACE = Network(
    input=(1, 8, 8),
    stages=(Stage(blocks=Repeat(Conv(kernel=Choice(1, 3)), Choice(1, 2, 3)), width=Choice(2, 4, 8, 16)),),
    head=Classifier(classes=3),
)


def table(folder: Path, rows: list[tuple[str, float]]) -> Path:
    path = folder / "mine.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("key", "accuracy"), *rows])
    return path


def every_row() -> list[tuple[str, float]]:
    rng = random.Random(0)
    return [(key(member), round(rng.random(), 4)) for member in enumerate_members(SPACE)]


def config(folder: Path, path: Path, *more: str) -> StudyConfig:
    (folder / "space.yaml").write_text(to_yaml(SPACE))
    text = f"space: {folder / 'space.yaml'}\ntable: {path}\nobjectives: ['accuracy:max']\ntrials: 24\n"
    return read_config(text, more, source="study")


def finished(study: Study, a_config: StudyConfig, folder: Path, *, most: int = 10**6) -> Study:
    stop = StopSign(raised=False)

    def watch(_what: str, _trial: object) -> None:
        stop.raised = len(study.history.told) >= most

    with study.journal:
        drive(study, executor_for(a_config, folder, study.journal.header), watch=watch, stop=stop)
    return study


def test_a_users_table_is_searched_to_its_best_row_and_nothing_is_trained(tmp_path: Path) -> None:
    rows = every_row()
    a_config = config(tmp_path, table(tmp_path, rows), "strategy=local_search")
    study, folder = create(a_config, name=None, results=tmp_path / "results")
    finished(study, a_config, folder, most=7)
    assert len(study.history.told) == 7
    study, a_config = reopen(folder)
    finished(study, a_config, folder)
    assert folder.name == "mine-space-1"
    assert len(study.history.of(Kind.TRAIN)) == 24
    assert not study.history.of(Kind.CONFIRM) + study.history.of(Kind.FINAL)
    assert study.best is not None
    assert (study.best.key, study.best.metrics["accuracy"]) == max(rows, key=lambda row: row[1])
    assert sorted(path.name for path in folder.iterdir()) == ["journal.jsonl", "lock"]


def test_a_table_that_changed_is_refused_when_a_run_goes_on(tmp_path: Path) -> None:
    rows = every_row()
    a_config = config(tmp_path, table(tmp_path, rows))
    study, folder = create(a_config, name="run", results=tmp_path / "results")
    study.journal.close()
    table(tmp_path, [(rows[0][0], 0.123), *rows[1:]])
    with pytest.raises(
        BadInput, match=r"table: .*mine.csv has fingerprint .*, expected .* as when the run began"
    ):
        executor_for(a_config, folder, study.journal.header)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[1:], "got 23 rows for a space of 24 members"),
        (lambda rows: [*rows, rows[3]], "line 26: got .* a second time, after .*line 5"),
        (lambda rows: [("0" * 16, 0.5), *rows[1:]], "line 2: key: got '0000000000000000'"),
        (lambda rows: [(rows[0][0], float("nan")), *rows[1:]], "line 2: accuracy: got 'nan', expected a finite number"),
    ],
)  # fmt: skip
def test_a_table_that_is_not_whole_is_refused_before_anything_is_written(  # type: ignore[no-untyped-def]
    change, message: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=message):
        create(
            config(tmp_path, table(tmp_path, change(every_row()))), name=None, results=tmp_path / "results"
        )
    assert not (tmp_path / "results").exists()


def test_an_objective_is_a_column(tmp_path: Path) -> None:
    with pytest.raises(
        BadInput, match=r"objectives: got 'acuracy', expected one of accuracy, .*did you mean 'accuracy'"
    ):
        create(
            config(tmp_path, table(tmp_path, every_row()), "objectives=['acuracy:max']"),
            name=None,
            results=tmp_path,
        )


def test_the_bundled_table_is_of_its_own_space_alone(tmp_path: Path) -> None:
    text = "space: darts\ntable: nasbench201\nobjectives: ['cifar10_val_12ep:max']\n"
    with pytest.raises(BadInput, match="set space=nasbench201"):
        create(read_config(text, source="study"), name=None, results=tmp_path)


def test_the_bundled_table_serves_a_study_under_limits(tmp_path: Path) -> None:
    text = (
        "space: nasbench201\ntable: nasbench201\nobjectives: ['cifar10_val_12ep:max', 'macs:min']\n"
        "limits: ['macs <= 100M']\ntrials: 20\n"
    )
    a_config = read_config(text, source="study")
    study, folder = create(a_config, name=None, results=tmp_path)
    finished(study, a_config, folder)
    assert folder.name == "nasbench201-1"
    trials = study.history.of(Kind.TRAIN)
    assert len(trials) == 20
    assert all(trial.metrics["macs"] == trial.metrics["macs_cifar10"] <= 100e6 for trial in trials)
