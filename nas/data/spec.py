"""Which data a study runs on, as data; loads neither torch nor numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from search_spaces.block import Whole
from search_spaces.data import ByKind, Checked, Data
from search_spaces.errors import BadInput

from .names import unknown
from .sources.register import SOURCES

Layout = Literal["auto", "channels_first", "channels_last", "one_channel"]
Normalise = Literal["per_channel", "per_example", "none"]
Name = Annotated[str | None, ByKind()]
Size = Annotated[Whole | tuple[Whole, Whole] | None, ByKind()]  # (height, width), or both alike


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayKeys(Data):
    """The names of the arrays in an npz file; None looks for the usual ones.

    Usual are `x_train`, `y_train`, `x_test`, `y_test`, or `x`, `y`, and `groups`, `classes` where they exist.
    """

    x: Name = None
    y: Name = None
    x_test: Name = None
    y_test: Name = None
    groups: Name = None
    classes: Name = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSpec(Checked):
    """A dataset, how it is split, and how much of it is used.

    The split follows from `split_seed` alone, never from a trial's seed. `validation` and `test` are shares
    of all examples; where the source has its own test part, `test` is unused and `validation` is a share of
    the rest. Classes keep their shares in every part; where there are groups, no group is in two parts.

    `normalise` says what a model gets. per_channel: each channel less its mean over its standard deviation in
    the train part. per_example: each channel of each example, less its own mean over its own standard
    deviation, for examples on scales of their own. none: the numbers as they are.
    """

    source: str = "digits"  # a name in SOURCES, or module:attribute
    path: Name = None  # the file or folder, where the source has one
    split_seed: Annotated[int, Field(strict=True, ge=0, lt=2**63)] = 0
    validation: Annotated[float, Field(strict=True, gt=0, lt=1)] = 0.2
    test: Annotated[float, Field(strict=True, ge=0, lt=1)] = 0.2
    limit: Annotated[Annotated[int, Field(ge=2)] | None, ByKind()] = (
        None  # train examples at most, see `split`
    )
    keys: ArrayKeys = ArrayKeys()
    layout: Layout = "auto"  # of x in an npz file or a tuple; see `nas.data.arrays.channels_first`
    size: Size = None  # of images read from a folder; None: the commonest among them
    normalise: Normalise = "per_channel"

    def check(self) -> None:
        """Refuse what no dataset could meet: an unknown source, and settings that do not go together."""
        if ":" not in self.source and self.source not in SOURCES:
            raise unknown("source", self.source, known=[*SOURCES, "module:attribute"])
        if self.validation + self.test >= 1:
            raise BadInput(
                f"validation and test: got {self.validation} and {self.test}, expected a sum below 1; leave "
                "some to train on"
            )
        _check_pairs(self.keys)


def _check_pairs(keys: ArrayKeys) -> None:
    for one, other, names in ((keys.x, keys.y, "x and y"), (keys.x_test, keys.y_test, "x_test and y_test")):
        if (one is None) != (other is None):
            raise BadInput(f"keys: got one of {names}, expected both or neither; name the other too")
    if keys.x_test is not None and keys.x is None:
        raise BadInput("keys: got x_test without x, expected both; name x and y too")
