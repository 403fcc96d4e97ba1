"""How scores on a supernet's weights are shown: as such, beside how far they agree with own trainings."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from ..agreement import Agreement
from .show import Json, many


def inherited(found: Agreement | None) -> Json:
    """Return the JSON of how far scores of inherited weights and of own trainings agree; None without a supernet."""
    if found is None:
        return None
    return {
        "scored": found.scored, "trained": found.trained, "tau": found.tau,
        "interval": None if found.low is None or found.high is None else [found.low, found.high],
        "warning": found.warning,
    }  # fmt: skip


def inherited_lines(found: Agreement | None) -> Iterator[tuple[str, str | Text]]:
    """Yield what people see of it."""
    if found is None:
        return
    said = f"{many(found.scored, 'member')} scored with a supernet's weights, {found.trained} of them trained anew"
    if found.tau is not None:
        between = "" if found.low is None else f" ({found.low:.2f} to {found.high:.2f})"
        said += f"; rank correlation {found.tau:.2f}{between}"
    yield "inherited", said
    if found.warning:
        yield "", Text(found.warning, "yellow")
