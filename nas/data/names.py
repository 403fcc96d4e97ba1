"""How an unknown name is refused: with the nearest known one."""

from collections.abc import Iterable

from search_spaces.errors import BadInput
from search_spaces.names import nearest


def unknown(where: str, name: str, *, known: Iterable[str]) -> BadInput:
    """Return the error for `name`, which is none of `known`; the caller raises it.

    >>> str(unknown("source", "digit", known=["npz", "digits"]))
    "source: got 'digit', expected one of digits, npz; did you mean 'digits'?"
    """
    choices = sorted(known)
    hint = nearest(name, choices) or "; check the spelling"
    return BadInput(f"{where}: got {name!r}, expected one of {', '.join(choices)}{hint}")
