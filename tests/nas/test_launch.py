"""Beginning a run and going on with one: what is refused before anything is written, and what may change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nas.config import StudyConfig, read_config
from nas.launch import create, describe_data, reopen, run_folder, space_of
from nas.proposal import Kind, Outcome, Status
from search_spaces import Choice, Classifier, Conv, DenseClassifier, Network, Regressor, Stage, to_yaml
from search_spaces.block import Head
from search_spaces.choice import Searchable
from search_spaces.errors import BadInput, Infeasible


def config(*overrides: str) -> StudyConfig:
    return read_config("space: mixed", ["execution.workers=0", "epochs=1", *overrides], source="test")


def space(
    head: Searchable[Head] = Classifier(classes=10),  # noqa: B008 - frozen
    *,
    shape: tuple[int, ...] = (1, 8, 8),
    conv: Conv = Conv(),  # noqa: B008 - frozen
) -> Network:
    return Network(input=shape, stages=(Stage(blocks=(conv,), width=Choice(4, 8)),), head=head)


def regression(folder: Path) -> str:
    x = np.random.default_rng(0).normal(size=(60, 1, 8, 8)).astype("f4")
    np.savez(folder / "targets.npz", x=x, y=x.mean((1, 2, 3))[:, None])
    return f"data={{source: npz, path: {folder / 'targets.npz'}}}"


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        (["space=mixd"], BadInput, r"preset: got 'mixd', .*did you mean 'mixed'\?"),
        (['limits=["macs <= 10"]'], Infeasible, "limit macs <= 10: no architecture .* macs can be 7,920 to "),
        (['limits=["macs <= 500k", "macs >= 600k"]'], Infeasible, "no network can keep both; change one"),
        (['limits=["macz <= 10k"]'], BadInput, r"limits: got 'macz', .*did you mean 'macs'\?"),
        (['objectives=["accuracy:max"]'], BadInput, "got 'accuracy', .*did you mean 'validation_accuracy'"),
        (['objectives=["validation_rmse:min"]'], BadInput, "objectives: got 'validation_rmse'"),
        (['objectives=["validation_accuracy"]'], BadInput, "write validation_accuracy:max, say"),
        (["data.test=0"], BadInput, "data.test: got 0, expected a share above 0"),
    ],
)  # fmt: skip
def test_what_could_never_work_is_refused_before_anything_is_written(
    tmp_path: Path, overrides: list[str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        create(config(*overrides), name=None, results=tmp_path / "results")
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (space(shape=(3, 8, 8)), r"space\.input: got \(3, 8, 8\), expected \(1, 8, 8\), .*data\.layout"),
        (space(shape=(1, 64)), r"space\.input: got \(1, 64\)"),
        (space(Classifier(classes=7)), r"space\.head: got Classifier\(classes=7\), expected Classifier\(classes=10\)"),
        (space(DenseClassifier(classes=7)), r"space\.head: got DenseClassifier\(classes=7\)"),
        (space(Regressor(outputs=10)), r"space\.head: got Regressor\(outputs=10\), expected Classifier"),
        (space(Choice(Classifier(classes=10), Classifier(classes=3))), r"got Classifier\(classes=3\)"),
    ],
)  # fmt: skip
def test_a_space_for_other_data_is_refused_by_place(wrong: Network, message: str) -> None:
    own = replace(config(), space=wrong)
    with pytest.raises(BadInput, match=message):
        space_of(own, describe_data(own))


def test_heads_of_the_same_classes_may_be_a_choice() -> None:
    own = replace(config(), space=space(Choice(Classifier(classes=10), DenseClassifier(classes=10))))
    assert space_of(own, describe_data(own)) == own.space


def test_a_preset_ends_in_a_regressor_where_the_targets_are_real(tmp_path: Path) -> None:
    own = config(regression(tmp_path))
    head = space_of(own, describe_data(own)).head
    assert isinstance(head, Regressor)
    assert head.outputs == 1


def test_a_space_file_is_found_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(to_yaml(space()))
    own = config(f"space={tmp_path / 'mine.yaml'}")
    assert space_of(own, describe_data(own)) == space()


def test_runs_get_the_next_free_number_and_a_taken_name_is_refused(tmp_path: Path) -> None:
    names = []
    for _ in range(2):
        study, folder = create(config(), name=None, results=tmp_path)
        study.journal.close()
        names.append(folder.name)
    assert names == ["digits-mixed-1", "digits-mixed-2"]
    before = (tmp_path / "digits-mixed-1" / "journal.jsonl").read_bytes()
    with pytest.raises(BadInput, match="digits-mixed-1 is a run already; resume it"):
        create(config(), name="digits-mixed-1", results=tmp_path)
    assert (tmp_path / "digits-mixed-1" / "journal.jsonl").read_bytes() == before


@pytest.mark.parametrize("name", ["../x", "X", "", "-rf", "a/b", "x" * 65])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput):
        create(config(), name=name, results=tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_more_trials_and_other_workers_are_kept_over_later_resumes(tmp_path: Path) -> None:
    study, folder = create(config("trials=3"), name="run", results=tmp_path)
    study.journal.close()
    study, amended = reopen(folder, ["trials=9", "execution.workers=2"])
    study.journal.close()
    assert (study.plan.trials, amended.execution.workers) == (9, 2)
    study, later = reopen(folder)
    study.journal.close()
    assert (study.plan.trials, later.execution.workers) == (9, 2)


@pytest.mark.parametrize(
    "override", ["seed=4", "space=mobile", "epochs=3", "strategy=random", 'limits=["macs <= 1M"]']
)
def test_another_search_is_refused_on_resume_and_the_run_is_left_as_it_was(
    tmp_path: Path, override: str
) -> None:
    study, folder = create(config(), name="run", results=tmp_path)
    study.journal.close()
    before = (folder / "journal.jsonl").read_bytes()
    with pytest.raises(BadInput, match=f"got another {override.partition('=')[0]}: .* in the run, .* asked"):
        reopen(folder, [override])
    assert (folder / "journal.jsonl").read_bytes() == before


def test_a_run_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    study, _ = create(config(), name="run", results=tmp_path)
    study.journal.close()
    with pytest.raises(BadInput, match="expected one of: run"):
        run_folder("rum", tmp_path)
    with pytest.raises(BadInput, match="no run lies there"):
        run_folder(str(tmp_path / "rum"), tmp_path)


def test_members_that_do_not_fit_the_input_are_turned_away_and_the_search_goes_on(tmp_path: Path) -> None:
    half = space(conv=Conv(kernel=Choice(3, 11), padding="valid"))
    study, _ = create(replace(config(), space=half), name="run", results=tmp_path)
    asked = 0
    while (proposal := study.ask()) is not None:
        if proposal[0].kind is Kind.TRAIN:
            asked += 1
        study.tell(proposal[0].number, 0, Outcome(status=Status.DONE, metrics={"validation_accuracy": 0.5}))
    study.journal.close()
    assert (asked, study.finished) == (2, True)
    assert {entry.metric for entry in study.history.ledger} == {"buildable"}


def test_what_a_module_of_the_users_raises_is_said_to_be_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs_that_fails.py").write_text("raise ValueError('boom')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(BadInput, match=r"data\.source: theirs_that_fails:load raised ValueError: boom"):
        describe_data(config("data=theirs_that_fails:load"))
    with pytest.raises(BadInput, match="imports: theirs_that_fails raised ValueError: boom"):
        config("imports=[theirs_that_fails]")
