"""`nas scale --train`: the members of a family trained on data, each with several seeds, in the family's own folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from scaling.family import Family
from search_spaces.errors import StorageError
from search_spaces.serialise import Json

from ..analysis.spread import Spread as Scores
from ..architectures import space_of
from ..config import StudyConfig
from ..driver import Ending
from ..family_file import FamilyFile, Spread, Trained
from ..family_folder import read_family, write_family
from ..launch import create, data_of
from ..listed import Regularisation, readings_of, training_of
from ..plan import finals
from ..proposal import Kind
from ..study import Study
from .running import carry_out, command_for, stopped
from .scale_picture import CSV, PICTURE, draw, overlays, write_table
from .scale_view import document, report
from .search import config_from
from .show import complain, emit, say

EXAMPLE = "digits"  # in the place of a config: the embedded example's data and recipe
DONE, NOTHING_FOUND = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How a family is trained: its study, and what its picture shows beside."""

    config: StudyConfig
    picture: Mapping[str, Json]  # x, overlay


def training(
    made: Family,
    named: str,
    overrides: Sequence[str],
    *,
    seeds: int,
    regularisation: Regularisation,
    x: str,
    overlay: Sequence[str] | None,
) -> Training:
    """Return how a family is trained by a config; `BadInput` where its data does not fit the base.

    Dropout is left to a rule that raises it itself.
    """
    given = config_from(None if named == EXAMPLE else named, epochs_meant(overrides))
    if any(member.scaled.asked.dropout for member in made.members):
        regularisation = replace(regularisation, dropout=0.0)
    networks = [member.network for member in made.members]
    config = training_of(made.base, networks, given, seeds=seeds, regularisation=regularisation)
    space_of(config, data_of(config))
    return Training(config=config, picture={"x": x, "overlay": None if overlay is None else list(overlay)})


def epochs_meant(overrides: Sequence[str]) -> list[str]:
    """Return overrides in which `epochs` means the trainings of members, which go by `final.epochs`.

    >>> epochs_meant(["epochs=5", "seed=1"])
    ['epochs=5', 'seed=1', 'final.epochs=5']
    """
    if any(text.startswith("final") for text in overrides):
        return list(overrides)
    return [*overrides, *(f"final.{text}" for text in overrides if text.startswith("epochs="))]


def train(own: Training, folder: Path, *, as_json: bool) -> int:
    """Train the members of the family in a folder, and return the exit code."""
    study, place = create(
        own.config, name=folder.name, results=folder.parent, purpose={"family": dict(own.picture)}
    )
    return carry_out(study, own.config, place, as_json=as_json)


def trained(study: Study, folder: Path, *, ending: Ending, as_json: bool) -> int:
    """Write into a family's files what its training has come to, say it, and return the exit code."""
    asked = cast("Mapping[str, Json]", study.journal.header["family"])
    record, x = read_family(folder), cast(str, asked["x"])
    file = with_scores(record.file, [row.scores for row in readings_of(study)])
    beside = overlays(cast("list[str] | None", asked["overlay"]), file.base, folder.parent)
    files = [
        write_family(folder, file),
        write_table(file, folder / CSV),
        draw(file, folder.name, beside, x, folder / PICTURE),
    ]
    if as_json:
        emit({**document(file, folder, files), "ending": ending})
    if ending == "interrupted":
        return stopped(study, folder)
    if not any(member.trained for member in file.members):
        complain(
            f"no training of {folder.name} ended well; `{command_for('status', folder)}` says what happened"
        )
        return NOTHING_FOUND
    if not as_json:
        say(*report(file, folder))
    if failed := finals(study.plan) - sum(trial.done for trial in study.history.of(Kind.FINAL)):
        complain(f"{failed} trainings did not end well; `{command_for('status', folder)}` says which")
    return DONE


def with_scores(file: FamilyFile, scores: Sequence[Mapping[str, Scores]]) -> FamilyFile:
    """Return a family's file with what the training of each member came to, in their order."""
    if len(scores) != len(file.members):
        raise StorageError(
            f"family.json: got {len(file.members)} members, expected the {len(scores)} that are trained here; the file "
            "was changed, scale the base again"
        )
    return replace(
        file,
        members=tuple(
            replace(member, trained=_trained(own)) for member, own in zip(file.members, scores, strict=True)
        ),
    )


def _trained(scores: Mapping[str, Scores]) -> Trained | None:
    if not scores:
        return None
    return Trained(**{name: Spread(mean=own.mean, sd=own.sd, seeds=own.n) for name, own in scores.items()})
