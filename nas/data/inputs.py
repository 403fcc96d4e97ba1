"""What a model trained on a dataset takes and gives, as data: enough to use its weights without the dataset."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from search_spaces.block import Whole
from search_spaces.data import ByKind, Checked
from search_spaces.errors import BadInput, BadSpec
from search_spaces.serialise import from_data, to_data

from ..strict_json import parse_json, shown
from .dataset import Task
from .spec import Normalise

VERSION = 1

Mean = Annotated[float, Field(allow_inf_nan=False)]
Std = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Names = Annotated[tuple[str, ...] | None, ByKind()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs(Checked):
    """Examples as the dataset has them, how they are normalised, and what a model's outputs stand for.

    `shape` is that of an example, (C, *spatial); for a network of another size it is resized. `mean` and `std`, one a
    channel and in the units of the examples, are 0 and 1 unless `normalise` is per_channel. Outputs are as many
    classes, or targets of a regression in units of their own.
    """

    shape: Annotated[tuple[Whole, ...], Field(min_length=2, max_length=4)]
    dtype: Literal["uint8", "float32"]
    normalise: Normalise
    mean: tuple[Mean, ...]
    std: tuple[Std, ...]
    task: Task
    outputs: Whole
    classes: Names = None  # in order; None where the dataset does not name them

    def check(self) -> None:
        """Refuse numbers and names that are not one a channel and one a class."""
        channels = self.shape[0]
        if (len(self.mean), len(self.std)) != (channels, channels):
            raise BadSpec(
                f"mean: got {len(self.mean)} of it and {len(self.std)} of std, expected {channels} each, one a channel"
            )
        if self.classes is not None and (self.task, len(self.classes)) != ("classification", self.outputs):
            raise BadSpec(
                f"classes: got {len(self.classes)} names for {self.outputs} outputs of a {self.task}, expected one a "
                "class"
            )


def to_json(inputs: Inputs) -> str:
    """Return it as JSON text with the format's version."""
    return json.dumps({"version": VERSION, "input": to_data(inputs)}, indent=2, allow_nan=False) + "\n"


def from_json(text: str, *, source: str) -> Inputs:
    """Return what JSON text says; `source` names it in errors. Raises `BadInput`."""
    said = parse_json(text, where=source)
    if not isinstance(said, Mapping) or set(said) != {"version", "input"}:
        raise BadInput(f"{source}: got {shown(said)}, expected the two keys version and input")
    if said["version"] != VERSION:
        raise BadInput(
            f"{source}: version: got {shown(said['version'])}, expected {VERSION}; was it written by a later release?"
        )
    try:
        return from_data(Inputs, said["input"])
    except BadSpec as error:
        first = str(error).split("\n", 1)[0].removeprefix("spec: ")  # which names the whole
        raise BadInput(f"{source}: input.{first}; put the file back") from None
