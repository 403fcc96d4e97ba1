"""Whom a row of a table is about: from its cell `arch` or `key` to the member's code."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from search_spaces.automaton import automaton, count, option_counts, slots
from search_spaces.errors import BadInput
from search_spaces.explain import short
from search_spaces.genotype import from_genotype, to_genotype
from search_spaces.making import from_decisions
from search_spaces.moves import ABSENT, decode, encode, keeps_conditions
from search_spaces.network import Network
from search_spaces.serialise import key

from ..strategies.base import Code

Reader = Callable[[object], Code]  # raises BadInput with what is wrong with the cell
LISTABLE = 200_000  # members whose keys are worked out; a key takes 0.2 ms
_TOKEN = re.compile(r"[^|+]+")


def by_arch(space: Network) -> Reader:
    """Return a reader of cells in published notation; see `search_spaces.genotype`."""
    parse = _quick(space)

    def read(cell: object) -> Code:
        if not isinstance(cell, str):
            raise BadInput(f"arch: got {short(cell)}, expected text such as |nor_conv_3x3~0|+|...")
        found = parse(cell)
        if found is not None:
            return found
        member = from_genotype(space, cell)
        if not keeps_conditions(space, member):
            raise BadInput(f"arch: got {short(cell)}, which breaks the space's conditions; remove the row")
        return encode(space, member)

    return read


def by_key(space: Network) -> Reader:
    """Return a reader of keys, 16 hex digits; all members are listed for it."""
    if count(space) > LISTABLE:
        raise BadInput(
            f"key: got a space of {count(space):,} members, expected at most {LISTABLE:,} for a table by keys"
        )
    known = {key(member): code for code, member in members(space)}

    def read(cell: object) -> Code:
        code = known.get(cell.strip()) if isinstance(cell, str) else None
        if code is None:
            raise BadInput(
                f"key: got {short(cell)}, expected the key of a member of the space, 16 hex digits; were the keys "
                "made with another space or another input?"
            )
        return code

    return read


def members(space: Network) -> Iterator[tuple[Code, Network]]:
    """Yield every member with its code."""
    names = slots(space)
    for chosen in automaton(space).members():
        yield tuple(chosen.get(path, ABSENT) for path in names), from_decisions(space, chosen)


def _quick(space: Network) -> Callable[[str], Code | None]:
    """Return a parser of `|op~0|+|op~0|op~1|` that looks each edge up, and knows when not to answer.

    The edges' order and the options' names are read off the space, by writing members that differ in one option.
    """
    sizes = tuple(option_counts(space).values())
    try:
        table = _tokens(space, sizes)
        frame = _TOKEN.sub("", _written(space, (0,) * len(sizes)))
    except BadInput:  # other cells, or none: `from_genotype` says so
        return lambda _: None

    def parse(text: str) -> Code | None:
        code = [ABSENT] * len(sizes)
        for place in enumerate(_TOKEN.findall(text)):
            if place not in table:
                return None
            slot, option = table[place]
            code[slot] = option
        return None if ABSENT in code or _TOKEN.sub("", text) != frame else tuple(code)

    return parse


def _tokens(space: Network, sizes: tuple[int, ...]) -> dict[tuple[int, str], tuple[int, int]]:
    """Map (position, `op~source`) of a written cell to (slot, option); `BadInput` where that cannot be done."""
    if automaton(space).conditions:
        raise BadInput("a space with conditions")
    plain = (0,) * len(sizes)
    base = _TOKEN.findall(_written(space, plain))
    found: dict[tuple[int, str], tuple[int, int]] = {}
    for slot, size in enumerate(sizes):
        for option in range(1, size):
            code = (*plain[:slot], option, *plain[slot + 1 :])
            changed = [
                (i, token)
                for i, token in enumerate(_TOKEN.findall(_written(space, code)))
                if base[i : i + 1] != [token]
            ]
            if len(changed) != 1:
                raise BadInput("a decision that is not one edge's operation")
            (position, token) = changed[0]
            found[position, token] = slot, option
            found[position, base[position]] = slot, 0
    return found


def _written(space: Network, code: Code) -> str:
    return to_genotype(decode(space, code))
