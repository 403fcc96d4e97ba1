"""How things are written: consoles, tables, JSON, complaints. A place that is no terminal gets plain text."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.box import Box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from search_spaces.serialise import Json as Json
else:
    Json = object  # `nas --help` loads no pydantic


PLAIN_WIDTH = 10_000  # columns where there is no terminal: nothing is wrapped
QUIET = "dim"  # the style of what matters least
_LINE_BELOW_HEAD = Box("    \n    \n ── \n    \n    \n    \n    \n    \n")


class ClosedOutputError(Exception):
    """Standard output was closed by its reader."""


class _Console(Console):
    """Says in an exception of its own that its reader has gone; rich would leave the process."""

    def on_broken_pipe(self) -> None:
        raise ClosedOutputError


def console(*, stderr: bool = False) -> Console:
    """Return a console on standard output, or error; colours and cursor moves only on a terminal."""
    stream = sys.stderr if stderr else sys.stdout
    on_terminal = stream.isatty()
    width = None if on_terminal else PLAIN_WIDTH
    return _Console(
        file=stream, force_terminal=on_terminal, width=width, highlight=False, markup=False, emoji=False
    )


def say(*lines: RenderableType, to: Console | None = None) -> None:
    """Print lines, tables and so on, one below the other; text is wrapped only on a terminal."""
    to = to or console()
    if to.is_terminal:
        for line in lines:
            to.print(line)
        return
    with to.capture() as captured:
        for line in lines:
            to.print(line, soft_wrap=isinstance(line, str | Text))
    plain = "\n".join(line.rstrip() for line in captured.get().split("\n"))
    to.print(Text(plain), end="", soft_wrap=True)


def emit(document: Mapping[str, Json]) -> None:
    """Print one JSON document on standard output."""
    try:
        sys.stdout.write(json.dumps(document, indent=2, allow_nan=False) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise ClosedOutputError from None


def complain(message: str) -> None:
    """Print an error's message on standard error."""
    say(Text.assemble(("nas: ", "bold red"), message), to=console(stderr=True))


def table(heads: Sequence[str], rows: Iterable[Sequence[str | Text]], *, left: Iterable[str] = ()) -> Table:
    """Return a table without frame, one line a row; columns are right-aligned but for the first and `left`.

    Where the terminal is too narrow, the columns of `left` are cut short.
    """
    cut = {i for i, head in enumerate(heads) if head in set(left)}
    made = Table(
        box=_LINE_BELOW_HEAD, show_edge=False, pad_edge=False, header_style="bold", border_style=QUIET
    )
    for i, head in enumerate(heads):
        side: Literal["left", "right"] = "left" if i == 0 or i in cut else "right"
        made.add_column(head.replace(" ", "\n"), justify=side, no_wrap=i not in cut, vertical="bottom")
    for row in rows:
        made.add_row(*(_one_line(cell) if i in cut else cell for i, cell in enumerate(row)))
    return made


def _one_line(cell: str | Text) -> Text:
    text = Text(cell) if isinstance(cell, str) else cell.copy()
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def facts(pairs: Iterable[tuple[str, str | Text]]) -> Table:
    """Return names and values in two columns."""
    made = Table(box=None, show_header=False, pad_edge=False, padding=(0, 3, 0, 0))
    made.add_column(style=QUIET, no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in pairs:
        made.add_row(name, value)
    return made


def short_path(path: Path) -> str:
    """Return a path as the user would type it from where they are."""
    home = Path.cwd()
    return str(path.relative_to(home)) if path.is_relative_to(home) else str(path)


def duration(seconds: float) -> str:
    """Return seconds as people say them.

    >>> duration(7.31), duration(95), duration(3 * 3600 + 60)
    ('7.3 s', '1 min 35 s', '3 h 1 min')
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def clock(seconds: float) -> str:
    """Return seconds as a clock shows them.

    >>> clock(7.31), clock(95), clock(3 * 3600 + 60)
    ('0:07', '1:35', '3:01:00')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def many(number: int, thing: str) -> str:
    """Return a number with the thing it counts.

    >>> many(1, "trial"), many(1200, "trial")
    ('1 trial', '1,200 trials')
    """
    return f"{number:,} {thing}" + ("" if number == 1 else "s")
