"""The tabular job: an architecture's metrics are looked up instead of trained for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from search_spaces.errors import BadInput
from search_spaces.network import Network

from ..proposal import Outcome, Proposal, Status


class Rows(Protocol):
    """What knows every member's metrics, such as `nas.bench.Table`."""

    def of(self, network: Network) -> Mapping[str, float]:
        """Return a member's metrics; raises `BadInput` where it has none."""


def look_up(
    proposal: Proposal, table: Rows, *, columns: Sequence[str], seconds: str | None = None
) -> Outcome:
    """Return the columns of a proposal's architecture as its metrics, and the column `seconds` as its cost.

    Budget, seed and recipe change nothing: a table has one row a member. One without a row, or a column that is not
    there, is a failed trial (`bug`) that says so.
    """
    try:
        row = table.of(proposal.candidate.network)
        missing = [name for name in (*columns, *([seconds] if seconds else [])) if name not in row]
        if missing:
            raise BadInput(f"columns: got {missing[0]!r}, expected some of {', '.join(row)}; change it")
    except BadInput as error:
        return Outcome(status=Status.BUG, note=str(error))
    return Outcome(
        status=Status.DONE,
        metrics={name: row[name] for name in columns},
        seconds=row[seconds] if seconds else 0.0,
    )
