"""What a run's supernets came to: how each went, its warnings, and a picture of what options weighed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import cast

from rich.console import RenderableType
from rich.text import Text

from search_spaces.errors import ArchscaleError
from search_spaces.serialise import Json

from ..gradient import HISTORY
from ..history import History, Trial
from ..proposal import Kind
from ..storage import inside, read_bounded
from ..strict_json import parse_json
from .show import short_path

LARGEST = 1 << 26  # bytes of a supernet's history


def supernets(history: History, folder: Path) -> list[dict[str, Json]]:
    """Return, for the JSON of `nas search`, each supernet's metrics, its remarks and its picture.

    A supernet's scores are its own; no architecture has them.
    """
    found: list[dict[str, Json]] = []
    for trial in history.of(Kind.SUPERNET):
        if trial.outcome is not None:
            picture = drawn(trial, folder)
            found.append(
                {
                    "trial": trial.number,
                    "status": trial.outcome.status.value,
                    "metrics": dict(trial.outcome.metrics),
                    "note": trial.outcome.note,
                    "files": [] if picture is None else [str(picture)],
                }
            )
    return found


def said(told: list[dict[str, Json]]) -> Iterator[RenderableType]:
    """Yield what people see of the supernets: remarks and warnings, and where the pictures lie."""
    for one in told:
        if one["note"]:
            yield Text(f"supernet {one['trial']}: {one['note']}", "yellow")
        for file in cast("list[str]", one["files"]):
            yield Text(f"what its options weighed: {short_path(Path(file))}", "dim")


def drawn(trial: Trial, folder: Path) -> Path | None:
    """Draw a supernet's history into the run's folder; None where it left none, or the disk refuses."""
    with suppress(ArchscaleError):
        text = read_bounded(inside(folder, f"trials/{trial.key}/{trial.number}") / HISTORY, LARGEST)
        return _drawn(cast("Mapping[str, Json]", parse_json(text.decode())), trial, folder)
    return None


def _drawn(held: Mapping[str, Json], trial: Trial, folder: Path) -> Path:
    from ..analysis.shares import Epoch, Shares, plot_shares  # load matplotlib

    epochs = []
    for epoch in cast("list[dict[str, Json]]", held["epochs"]):
        metrics = {
            name: cast(float, value) for name, value in epoch.items() if name not in ("epoch", "weights")
        }
        weights = cast("Mapping[str, list[float]]", epoch["weights"])
        epochs.append(Epoch(number=cast(int, epoch["epoch"]), metrics=metrics, weights=weights))
    shares = Shares(slots=cast("Mapping[str, list[str]]", held["slots"]), epochs=epochs)
    title = f"{folder.name}: supernet {trial.number}"
    return plot_shares(shares, folder / f"supernet-{trial.number}.png", title=title)
