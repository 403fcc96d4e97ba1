"""A training cut into rungs is the training made at once, bit for bit, whatever happens to the checkpoints between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NoReturn

import pytest
import torch

from nas.data import Crop, DataSpec
from nas.data.device import to_device
from nas.data.load import load_search_data
from nas.evaluation import Workspace, run, training
from nas.evaluation.training import Training, train
from nas.execution.local import said
from nas.proposal import Kind, Outcome, Proposal, Rung, Status
from nas.recipe import Candidate, Recipe
from nas.worker import proposal_of
from search_spaces import Classifier, Conv, MBConv, Network, Stage

WHOLE = 6
DATA = to_device(load_search_data(DataSpec(limit=100)), "cpu")
NETWORK = Network(
    input=(1, 8, 8),
    stem=Stage(blocks=(Conv(),), width=4),
    stages=(Stage(blocks=(MBConv(expand=2.0),), width=8, stride=2),),
    head=Classifier(classes=10, dropout=0.3),  # draws from the global generator
)
RECIPE = Recipe(augment=(Crop(padding=1),), batch=32)


def unread() -> NoReturn:
    pytest.fail("the test part was read")


def proposal(epochs: int, *, trained: int = 0, recipe: Recipe = RECIPE) -> Proposal:
    """Return a rung, or the full training; numbered by its epochs, so that the parent's number is `trained`."""
    return Proposal(
        number=epochs,
        kind=Kind.TRAIN if epochs == WHOLE else Kind.RUNG,
        candidate=Candidate(network=NETWORK, recipe=recipe),
        epochs=epochs,
        seed=5,
        parent=trained or None,
        settings=None if epochs == WHOLE else Rung(of=WHOLE),
        trained=trained,
    )


@dataclass
class Place:
    """A run's folder; what each job reports is kept."""

    root: Path
    reports: list[tuple[int, Mapping[str, float]]] = field(default_factory=list)

    def workspace(self, of: Proposal) -> Workspace:
        return Workspace(
            folder=self.root / str(of.number),
            parent=None if of.parent is None else self.root / str(of.parent),
            device="cpu",
            data=DATA,
            held_out=unread,
            report=lambda epoch, metrics: self.reports.append((epoch, metrics)),
        )

    def run(self, of: Proposal) -> Outcome:
        self.reports.clear()
        return run(of, self.workspace(of))

    def checkpoints(self, number: int) -> list[Path]:
        return sorted((self.root / str(number)).glob("checkpoint-*"))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def timeless(outcome: Outcome) -> Mapping[str, float]:
    assert outcome.status is Status.DONE, outcome.note
    return {name: value for name, value in outcome.metrics.items() if name != "train_seconds"}


def test_the_job_is_said_to_a_worker_and_read_back() -> None:
    for one in (proposal(2), proposal(4, trained=2), proposal(WHOLE, trained=4)):
        assert proposal_of(said(one)) == one


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "constant"])
def test_a_candidate_promoted_to_the_top_is_bit_for_bit_one_trained_at_once(
    place: Place, schedule: Literal["one_cycle", "cosine", "constant"]
) -> None:
    recipe = replace(RECIPE, schedule=schedule)
    whole = proposal(WHOLE, recipe=recipe)
    alone = Place(place.root / "alone")
    expected = timeless(alone.run(whole))
    before = 0
    for epochs in (1, 2, 4, WHOLE):
        promoted = proposal(epochs, trained=before, recipe=recipe)
        found, before = timeless(place.run(promoted)), epochs
    assert found == expected
    assert promoted.identity == whole.identity
    assert [epoch for epoch, _ in place.reports] == [5, 6]  # only what was not trained yet


def test_the_weights_are_the_same_too(place: Place) -> None:
    def trained(of: Proposal, root: Place) -> Mapping[str, torch.Tensor]:
        space = root.workspace(of)
        return train(
            Training(proposal=of, part=DATA.train, watched=DATA.validation, workspace=space)
        ).model.state_dict()

    whole = trained(proposal(WHOLE), Place(place.root / "alone"))
    trained(proposal(2), place)
    parts = trained(proposal(WHOLE, trained=2), place)
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_a_rung_scores_what_the_whole_training_scored_at_that_epoch(place: Place) -> None:
    place.run(proposal(WHOLE))
    reported = dict(place.reports)
    for epochs in (1, 3, 5):
        scores = timeless(place.run(proposal(epochs)))
        assert {name: scores[name] for name in reported[epochs]} == reported[epochs]
        assert scores["epochs"] == epochs


def test_a_rung_keeps_a_checkpoint_until_its_promotion_is_done(place: Place) -> None:
    place.run(proposal(2))
    assert [path.name[-9:] for path in place.checkpoints(2)] == ["000002.pt"]
    outcome = place.run(proposal(4, trained=2))
    assert outcome.note == "continued after epoch 2"
    assert (len(place.checkpoints(2)), len(place.checkpoints(4))) == (0, 1)
    place.run(proposal(WHOLE, trained=4))
    assert (len(place.checkpoints(4)), len(place.checkpoints(WHOLE))) == (0, 0)


@pytest.mark.parametrize("damage", ["missing", "cut", "flipped", "empty"])
def test_a_promotion_without_a_good_checkpoint_trains_from_the_start_and_says_so(
    place: Place, damage: str
) -> None:
    expected = timeless(Place(place.root / "alone").run(proposal(WHOLE)))
    place.run(proposal(2))
    (left,) = place.checkpoints(2)
    content = left.read_bytes()
    if damage == "missing":
        left.unlink()
    else:
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        left.write_bytes({"cut": content[:middle], "flipped": flipped, "empty": b""}[damage])
    outcome = place.run(proposal(WHOLE, trained=2))
    assert timeless(outcome) == expected
    assert [epoch for epoch, _ in place.reports] == [1, 2, 3, 4, 5, 6]
    assert "no checkpoint of 2 epochs, so trained from the start" in outcome.note
    assert ("was not used" in outcome.note) == (damage != "missing")


def test_a_rung_killed_after_its_last_checkpoint_is_not_trained_again(place: Place) -> None:
    first = timeless(place.run(proposal(2)))
    again = place.run(proposal(2))  # nobody heard of the first one
    assert timeless(again) == first
    assert place.reports == []


def test_a_promotion_killed_in_the_middle_goes_on_from_its_own_checkpoint(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """Stands for a SIGKILL."""

    def stop(epoch: int, _metrics: Mapping[str, float]) -> None:
        if epoch == 5:
            raise Killed

    expected = timeless(Place(place.root / "alone").run(proposal(WHOLE)))
    place.run(proposal(2))
    promoted = proposal(WHOLE, trained=2)
    killed = replace(place.workspace(promoted), report=stop, checkpoint_seconds=0.0)
    monkeypatch.setattr("nas.evaluation.job.failed", _raise)
    with pytest.raises(Killed):
        run(promoted, killed)
    assert len(place.checkpoints(2)) == 1  # still needed, should its own be damaged
    assert timeless(place.run(promoted)) == expected
    assert [epoch for epoch, _ in place.reports] == [5, 6]
    assert not place.checkpoints(2)
    assert not place.checkpoints(WHOLE)


def _raise(error: BaseException, *, seconds: float) -> NoReturn:
    raise error


def test_a_promotion_that_diverges_leaves_nothing_behind(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.run(proposal(2))
    monkeypatch.setattr(training, "learning_rate", lambda *_: 1e30)
    assert place.run(proposal(4, trained=2)).status is Status.DIVERGED
    assert not place.checkpoints(2)
    assert not place.checkpoints(4)
