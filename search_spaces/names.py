"""What to say when a name is not known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the most alike of the known names, or nothing where none is alike.

    >>> nearest("moblie", ["mixed", "mobile"])
    "; did you mean 'mobile'?"
    """
    names = list(known)
    alike = get_close_matches(name, names, n=1) or [
        whole for whole in names if len(name) > 3 and name in whole
    ]
    return f"; did you mean {alike[0]!r}?" if alike else ""
