"""Studies whose trials are looked up in a table instead of trained; nothing of it loads torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from scaling.ranges import Range
from search_spaces.errors import BadInput
from search_spaces.network import Network
from search_spaces.serialise import Json

from .bench.rows import LARGEST
from .bench.table import BUNDLED, Table, bundled, load_table
from .evaluation.tabular import look_up
from .execution.in_process import InProcess
from .storage import read_bounded

TASK = "table"  # in a run's header, where other runs have classification or regression


def described(table: str) -> dict[str, Json]:
    """Return what a run's header says of a table: its name, the input of presets, a fingerprint."""
    own = table != BUNDLED
    content = read_bounded(Path(table), LARGEST) if own else repr(sorted(bundled().rows.items())).encode()
    return {
        "name": Path(table).name if own else table, "input": [3, 32, 32], "outputs": 10, "task": TASK,
        "fingerprint": hashlib.sha256(content).hexdigest()[:16], "test": 1,
    }  # fmt: skip


def table_for(table: str, space: Network) -> Table:
    """Return the table by that name or path for a space; `BadInput` where it is one of another space."""
    if table != BUNDLED:
        return load_table(Path(table), space)
    known = bundled()
    if space != known.space:
        raise BadInput(
            f"table: {BUNDLED} holds the members of the preset nasbench201 for inputs of 3x32x32 and 10 classes, got "
            "another space; set space=nasbench201, or give a table of your own"
        )
    return known


@dataclass(frozen=True, slots=True)
class Columns:
    """A table's columns as what limits may be on: known before a trial, for they are only looked up."""

    table: Table

    @property
    def metrics(self) -> tuple[str, ...]:
        """The columns' names."""
        return self.table.columns

    @property
    def quick(self) -> bool:
        """Whether thousands can be looked up."""
        return True

    def of(self, network: Network) -> Mapping[str, float]:
        """Return a member's row; `BadInput` where it is no member."""
        return self.table.of(network)

    def reach(self, space: Network, metric: str) -> Range:
        """Return the least and the most of a column."""
        column = [row[self.table.place(metric)] for row in self.table.rows.values()]
        return Range(low=min(column), high=max(column), known="exact")


def columns_for(table: str, space: Network) -> Columns:
    """Return what a table by that name or path knows of a space's members; raises `BadInput`."""
    return Columns(table_for(table, space))


def lookups(table: str, space: Network, header: Mapping[str, Json]) -> InProcess:
    """Return the executor of a study on a table; `BadInput` where the table is not what the run began with."""
    begun = cast("Mapping[str, Json]", header["data"])["fingerprint"]
    now = described(table)["fingerprint"]
    if now != begun:
        raise BadInput(
            f"table: {table} has fingerprint {now}, expected {begun} as when the run began; put it back, or begin a "
            "new run"
        )
    found = table_for(table, space)
    return InProcess(lambda proposal, _report: look_up(proposal, found, columns=found.columns))
