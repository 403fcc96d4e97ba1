"""Which of a spec's settings a source takes."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from search_spaces.errors import BadInput

from ..spec import DataSpec


def refuse_unused(spec: DataSpec, *names: str) -> None:
    """Raise `BadInput` where a setting was given that this source would not look at."""
    defaults = {field.name: field.default for field in fields(DataSpec)}
    for name in names:
        value = getattr(spec, name)
        if value != defaults[name]:
            raise BadInput(
                f"data.{name}: got {value!r}, expected nothing, as the source {spec.source!r} has no use for "
                "it; leave it out"
            )


def existing(spec: DataSpec, what: str) -> Path:
    """Return the spec's path to `what`, or raise `BadInput` where it is not given or not there."""
    if spec.path is None:
        raise BadInput(
            f"data.path: got nothing, expected {what} for the source {spec.source!r}; set data.path"
        )
    path = Path(spec.path).expanduser()
    try:
        there = path.exists()
    except (OSError, ValueError) as error:
        raise BadInput(f"{spec.path!r}: got {error}, expected {what}; check data.path") from error
    if not there:
        raise BadInput(f"{path}: got no such file or folder, expected {what}; check data.path")
    return path
