"""The files beside a family's members: a table, and a picture with other families on it. Loads matplotlib late."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scaling.constraints import METRICS
from scaling.providers import LATENCY
from search_spaces.block import fixed
from search_spaces.errors import BadInput
from search_spaces.names import nearest
from search_spaces.network import Network
from search_spaces.serialise import key

from ..analysis.series import Series
from ..family_file import FamilyFile, MemberFile, metrics_of, scores_of
from ..family_folder import FamilyRecord, family_folder, read_family
from .published import Published, is_published, published

Overlay = FamilyRecord | Published
CSV, PICTURE = "family.csv", "family.png"
USUAL = ("efficientnet", "resnet", "mobilenet_v2")  # without --overlay
LARGE = 128  # from this size on the base's input is like that of published networks
NONE = "none"


def overlays(asked: Sequence[str] | None, base: Network, results: Path) -> tuple[Overlay, ...]:
    """Return the families to draw beside: those asked for, else some published ones where inputs are alike."""
    if asked is None:
        sizes = [fixed(n) for n in base.input[1:]]
        asked = USUAL if len(sizes) == 2 and min(sizes) >= LARGE else ()
    return tuple(_overlay(text, results) for text in dict.fromkeys(asked) if text != NONE)


def check_drawable(x: str, *, measured: bool) -> None:
    """Raise `BadInput` for a metric that no member will have."""
    known = (*METRICS, LATENCY)
    if x not in known:
        raise BadInput(f"--x: got {x!r}, expected one of {', '.join(known)}{nearest(x, known)}")
    if x == LATENCY and not measured:
        raise BadInput(f"--x: got {LATENCY}, which nothing measures; add --latency")


def draw(file: FamilyFile, name: str, beside: Sequence[Overlay], x: str, path: Path) -> Path:
    """Draw a family by what it costs, against accuracy where all members were trained, else against params."""
    from ..analysis.lines import plot_lines

    y = height(file, x)
    own = series_of(file, name)
    pairs = [(one, series) for one in beside if (series := _beside(one, file, y)) is not None]
    note = _note([one for one, _ in pairs])
    drawn = [own, *(series for _, series in pairs)]
    return plot_lines(drawn, x=x, y=y, path=path, title=f"{file.model} scaled", note=note)


def height(file: FamilyFile, x: str) -> str:
    """Return what is drawn upwards: a score that every member has, else params, or MACs where params go across."""
    scores = [scores_of(member) for member in file.members]
    for name in scores[0]:
        if all(name in one for one in scores):
            return name
    return "macs" if x == "params" else "params"


def series_of(file: FamilyFile, name: str) -> Series:
    """Return a family's members as points, named by what was asked of them, without what all names begin with."""
    labels = [label(member) for member in file.members]
    heads = {text.rpartition("_")[0] for text in labels}
    shared = heads.pop() if len(heads) == 1 else ""
    return Series(
        name=name,
        points=tuple(metrics_of(member) for member in file.members),
        keys=tuple(text.removeprefix(f"{shared}_") for text in labels),
        kind="family",
    )


def label(member: MemberFile) -> str:
    """Return what was asked of a member, in short."""
    return " = ".join(request.asked for request in member.requests)


def write_table(file: FamilyFile, path: Path) -> Path:
    """Write a row a member: factors asked and got, input, metrics, scores."""
    import pandas as pd

    from ..analysis.table import write_csv

    rows = [
        {
            "name": member.name,
            "key": member.key,
            "requested": label(member),
            "phi": member.phi,
            **{f"asked_{name}": getattr(member.asked, name) for name in ("depth", "width", "resolution")},
            **{f"got_{name}": getattr(member.got, name) for name in ("depth", "width", "resolution")},
            "input": "x".join(map(str, member.input)),
            **metrics_of(member),
            "binds": binds_of(member) or "",
        }
        for member in file.members
    ]
    return write_csv(pd.DataFrame(rows), path)


def binds_of(member: MemberFile) -> str | None:
    """Return the metric that keeps a member from being larger, None where nothing does."""
    return next((request.binds for request in member.requests if request.binds), None)


def _overlay(text: str, results: Path) -> Overlay:
    folder = family_folder(text, results)
    if folder is not None:
        return read_family(folder)
    if not is_published(text):
        raise BadInput(
            f"--overlay: {text} is no family in {results}, nor a published one; "
            f"`none` draws nothing beside{nearest(text, USUAL)}"
        )
    return published(text)


def _beside(one: Overlay, file: FamilyFile, y: str) -> Series | None:
    """Return another family as points; None where it has nothing to show, or shows the very same networks."""
    if isinstance(one, FamilyRecord):
        found = series_of(one.file, one.name)
        return found if any(y in point for point in found.points) else None
    same = {key(network) for network in one.networks} <= {member.key for member in file.members}
    if same or y not in METRICS:
        return None
    return Series(name=f"{one.name}, published", points=one.metrics, keys=one.short, kind="baseline")


def _note(beside: Sequence[Overlay]) -> str:
    """Say which inputs the published families' costs hold for."""
    said = [f"{one.name} {one.inputs}" for one in beside if isinstance(one, Published)]
    return f"Published networks at their own inputs: {'; '.join(said)}." if said else ""
