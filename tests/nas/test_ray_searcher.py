"""A study as the `search_alg` of somebody's own Tuner: journalled first, resumable, with Tune's ASHA and loggers."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nas.history import history_of
from nas.journal import read
from nas.proposal import Status
from nas.strategies import Darts, Evolution, Random
from nas.study import StudyStopped
from search_spaces import BadInput, Choice, Classifier, Conv, Network, Stage
from search_spaces.errors import Infeasible

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore")]  # Ray's own

ROOT = Path(__file__).parents[2]
SPACE = Network(
    input=(1, 8, 8),
    stages=(Stage(blocks=(Conv(kernel=Choice(3, 5)),), width=Choice(4, 8, 16)),),
    head=Classifier(classes=10),
)


@pytest.fixture
def searcher(tmp_path: Path) -> Iterator[Callable[..., object]]:
    """Return a maker of searchers over one folder; the one before is closed."""
    from nas.ray_searcher import StudySearcher

    made: list[StudySearcher] = []

    def make(space: Network = SPACE, **words: object) -> StudySearcher:
        for one in made:
            one.close()
        made.append(StudySearcher(space, folder=tmp_path / "study", **words))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        one.close()


def result(score: float, epochs: int) -> dict[str, object]:
    """Return what Tune hands over of a trial that reported a score, with what it adds itself."""
    ours = {"validation_accuracy": score, "validation_loss": 1.0}
    return {**ours, "training_iteration": epochs, "time_total_s": 2.5, "pid": 7, "timestamp": 1, "done": True,
            "trial_id": "a", "config/epochs": 3}  # fmt: skip


def test_a_config_holds_a_network_that_can_be_built_and_how_long_it_is_trained(searcher) -> None:
    from search_spaces.modules import build

    config = searcher(epochs=3, seed=5).suggest("a")
    assert set(config) == {"network", "recipe", "epochs", "seed", "key"}
    assert (config["epochs"], config["seed"]) == (3, 5)
    assert sum(p.numel() for p in build(config["network"]).parameters()) > 0


def test_an_outcome_is_on_disk_before_anything_is_asked_next(searcher, tmp_path: Path) -> None:
    ours = searcher(epochs=3)
    ours.suggest("a")
    ours.on_trial_result("a", result(0.4, 1))
    ours.on_trial_complete("a", result(0.5, 3))
    [trial] = history_of(read(tmp_path / "study")).trials.values()
    assert trial.outcome.metrics == {"validation_accuracy": 0.5, "validation_loss": 1.0, "epochs": 3.0}
    assert (trial.epoch, trial.outcome.note, trial.outcome.seconds) == (1, "", 2.5)


def test_a_trial_that_was_stopped_early_says_after_how_many_epochs(searcher) -> None:
    ours = searcher(epochs=9)
    ours.suggest("a")
    ours.on_trial_complete("a", result(0.5, 2))
    outcome = ours.study.history.trials[0].outcome
    assert (outcome.status, outcome.note) == (Status.DONE, "ended after 2 of 9 epochs")
    assert outcome.metrics["epochs"] == 2.0


def test_a_trial_that_never_reported_the_metric_is_a_bug_that_says_so(searcher) -> None:
    ours = searcher()
    ours.suggest("a")
    ours.on_trial_complete("a", {"training_iteration": 1, "accuracy": 0.5})
    outcome = ours.study.history.trials[0].outcome
    assert outcome.status is Status.BUG
    assert (
        "validation_accuracy: not among what the trainable reported last, which was accuracy" in outcome.note
    )


def fail(ours, trial_id: str, error: Exception) -> None:
    """Tell as Tune does: while it handles the error."""
    try:
        raise error
    except type(error):
        ours.on_trial_complete(trial_id, None, error=True)


def test_an_actor_that_died_is_asked_for_again_and_code_that_raised_is_a_bug(searcher) -> None:
    from ray.exceptions import RayActorError

    ours = searcher()
    first = ours.suggest("a")
    fail(ours, "a", RayActorError(error_msg="its node is gone"))
    assert ours.suggest("b")["key"] == first["key"]
    fail(ours, "b", ValueError("no such layer"))
    trial = ours.study.history.trials[0]
    assert (trial.attempts, trial.outcome.status) == (1, Status.BUG)
    assert "its node is gone" in trial.attempt_notes[0]
    assert "no such layer" in trial.outcome.note


def test_a_study_whose_first_three_trials_raise_stops(searcher) -> None:
    ours = searcher()
    for name in "abc":
        ours.suggest(name)
    for name in "ab":
        fail(ours, name, ValueError("no data"))
    with pytest.raises(StudyStopped, match="no data"):
        fail(ours, "c", ValueError("no data"))


def test_a_study_taken_up_again_asks_first_for_what_was_in_flight_and_then_what_it_would_have_asked(
    searcher, tmp_path: Path
) -> None:
    words = {"strategy": Evolution(population=2, contestants=2), "seed": 3}
    ours = searcher(**words)
    keys = [ours.suggest(name)["key"] for name in "abc"]
    ours.on_trial_complete("a", result(0.5, 20))
    ours = searcher(**words)
    assert [ours.suggest(name)["key"] for name in "bc"] == keys[1:]
    ours.on_trial_complete("b", result(0.6, 20))
    after = ours.suggest("d")["key"]
    from nas.ray_searcher import StudySearcher

    unbroken = StudySearcher(SPACE, folder=tmp_path / "unbroken", **words)
    assert [unbroken.suggest(name)["key"] for name in "abc"] == keys
    unbroken.on_trial_complete("a", result(0.5, 20))
    unbroken.on_trial_complete("b", result(0.6, 20))
    assert unbroken.suggest("d")["key"] == after
    unbroken.close()


def test_a_space_that_is_used_up_ends_the_search(searcher) -> None:
    ours = searcher(strategy=Random())
    for number in range(6):
        assert isinstance(ours.suggest(str(number)), dict)
    assert ours.suggest("more") is None  # six are in flight
    for number in range(6):
        ours.on_trial_complete(str(number), result(0.1, 20))
    assert ours.suggest("more") == "FINISHED"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"metric": "loss", "mode": "least"}, "got 'loss:least', expected"),
        ({"limits": ["mac <= 5M"]}, "limits: got 'mac', expected one of"),
        ({"strategy": Darts()}, "got Darts, which trains supernets"),
    ],
)
def test_what_cannot_be_is_refused_in_words(words, says: str, searcher, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=says):
        searcher(**words)
    assert not (tmp_path / "study").exists()


def test_a_limit_that_no_member_keeps_is_refused(searcher) -> None:
    with pytest.raises(Infeasible, match="macs"):
        searcher(limits=["macs <= 5"])


def test_a_folder_of_another_study_is_refused_with_what_differs(searcher) -> None:
    searcher(seed=1)
    with pytest.raises(BadInput, match="began with another epochs and another seed"):
        searcher(seed=2, epochs=3)
    searcher(seed=1)


def test_another_metric_in_the_tune_config_is_refused(searcher) -> None:
    ours = searcher()
    assert ours.set_search_properties("validation_accuracy", None, {})
    with pytest.raises(BadInput, match="got 'loss' in TuneConfig, expected 'validation_accuracy'"):
        ours.set_search_properties("loss", None, {})


def test_tune_may_copy_it_and_what_it_stores_is_no_second_study(searcher) -> None:
    ours = searcher()
    assert copy.deepcopy(ours) is ours
    with pytest.raises(BadInput, match="made anew with its folder"):
        pickle.loads(pickle.dumps(ours))  # noqa: S301 - ours


@pytest.mark.parametrize("rounds", [(1,), pytest.param((1, 2), marks=pytest.mark.slow)])
def test_the_example_runs_with_asha_and_goes_on_in_its_folder(
    rounds: tuple[int, ...], tmp_path: Path
) -> None:
    for round_number in rounds:
        words = [sys.executable, str(ROOT / "examples" / "tune_with_archscale.py"), str(tmp_path / "run")]
        # Where other tests of this process have joined a cluster, Tune's own loggers are off in the environment.
        env = {name: value for name, value in os.environ.items() if not name.startswith("TUNE_")}
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, cwd=ROOT, timeout=300, env=env
        )
        assert done.returncode == 0, done.stderr
        assert f"{8 * round_number} trials; the best, " in done.stdout
        assert "Traceback" not in done.stderr
    history = history_of(read(tmp_path / "run" / "study"))
    assert len(history.told) == 8 * len(rounds)
    assert all(trial.done for trial in history.trials.values())
    assert list((tmp_path / "run").rglob("events.out.tfevents.*"))  # Tune's own logger of TensorBoard
