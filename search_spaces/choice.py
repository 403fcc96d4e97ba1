"""Three combinators and the one walk: a search space is an architecture with `Choice` in some fields.

A node is a frozen dataclass, a tuple, a scalar, or one of the combinators `Choice`, `Repeat`, `Pick`.
A path names a decision: `stages[1].blocks[2]{1}.kernel` is the kernel inside option 1 of the third layer.
Tied choices share the path `@name`. The same path always has the same options.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from itertools import combinations
from math import comb
from typing import Annotated, Generic, TypeVar

from .data import ByKind, by_class, declared
from .errors import BadSpec, OutOfSpace
from .explain import short

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Decisions = dict[str, int]
SPACE_ONLY = {"space_only": True}  # metadata of fields that a resolved spec does not carry
DEEPEST = 4096  # layers in one repeat
MOST_PICKS = 4096  # combinations of one pick
LEAVES = frozenset({int, float, bool, str, type(None)})


@dataclass(frozen=True, slots=True, init=False)
class Choice(Generic[T_co]):
    """One of several options; choices of equal `name` are tied and always take the same option.

    >>> Choice(3, 5, 7).options
    (3, 5, 7)
    """

    options: tuple[T_co, ...]
    name: str | None

    def __init__(self, *options: T_co, name: str | None = None) -> None:
        if not options:
            raise BadSpec("Choice: got no options, expected at least one; give the values to choose from")
        object.__setattr__(self, "options", options)
        object.__setattr__(self, "name", name)


@dataclass(frozen=True, slots=True)
class Repeat(Generic[T_co]):
    """A tuple of `count` items: all alike, or each choosing for itself where `independent`."""

    item: T_co | Choice[T_co]
    count: int | Choice[int]
    independent: bool = False


@dataclass(frozen=True, slots=True, init=False)
class Pick(Generic[T_co]):
    """A tuple of `k` different options in their stated order, such as a node's 2 of n input edges."""

    k: int
    options: tuple[T_co, ...]

    def __init__(self, k: int, *options: T_co) -> None:
        if type(k) is not int or not 1 <= k <= len(options):
            raise BadSpec(f"Pick: got k={k!r} of {len(options)} options, expected 1 <= k <= {len(options)}")
        if comb(len(options), k) > MOST_PICKS:
            raise BadSpec(
                f"Pick: got {k} of {len(options)} options, expected at most {MOST_PICKS:,} combinations"
            )
        object.__setattr__(self, "k", k)
        object.__setattr__(self, "options", options)


Searchable = Annotated[T | Choice[T], ByKind()]


def options(value: T | Choice[T]) -> tuple[T, ...]:
    """Return all that a searchable field may become.

    >>> options(Choice(3, 5)), options(7)
    ((3, 5), (7,))
    """
    return value.options if isinstance(value, Choice) else (value,)


def decisions(space: object, spec: object) -> Decisions:
    """Return the decisions, path -> option index, that make `spec` of `space`: the inverse of `resolve`.

    Raises `OutOfSpace` with the path of what the space cannot produce.
    """
    found: Decisions = {}
    _match(space, spec, "", found)
    return found


def picks(pick: Pick[object]) -> tuple[tuple[int, ...], ...]:
    """List the index combinations a `Pick` chooses among, in lexicographic order."""
    return _picks(len(pick.options), pick.k)


@cache
def _picks(n: int, k: int) -> tuple[tuple[int, ...], ...]:
    return tuple(combinations(range(n), k))


@by_class
def layout(kind: type) -> tuple[tuple[str, ...], tuple[tuple[int, object], ...]]:
    """Return a node class's field names, and (position, blank) of the fields that only a space has."""
    pairs = declared(kind)
    space_only = {f.name for f in fields(kind) if f.metadata.get("space_only")}
    blanks = [(i, default) for i, (name, default) in enumerate(pairs) if name in space_only]
    if any(blank is MISSING for _, blank in blanks):
        raise BadSpec(f"{kind.__name__}: a field that only a space has needs a default")
    return tuple(name for name, _ in pairs), tuple(blanks)


@dataclass(frozen=True, slots=True, eq=False)
class Same:
    """A cache's key for a node, equal only for the very same object."""

    node: object

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.node is self.node

    def __hash__(self) -> int:
        return id(self.node)


def _match(node: object, value: object, path: str, found: Decisions) -> None:
    match node:
        case Choice():
            _match_choice(node, value, path, found)
        case Repeat():
            _match_repeat(node, value, path, found)
        case Pick():
            _match_pick(node, value, path, found)
        case tuple():
            if not isinstance(value, tuple) or len(value) != len(node):
                raise _out(path, value, f"{len(node)} items")
            for i, (item, part) in enumerate(zip(node, value, strict=True)):
                _match(item, part, f"{path}[{i}]", found)
        case _ if type(node) in LEAVES:
            if type(value) is not type(node) or value != node:
                raise _out(path, value, repr(node))
        case _:
            _match_fields(node, value, path, found)


def _match_fields(node: object, value: object, path: str, found: Decisions) -> None:
    if type(value) is not type(node):
        raise _out(path, value, type(node).__name__)
    names, blanks = layout(type(node))
    skipped = {position for position, _ in blanks}
    for position, name in enumerate(names):
        if position not in skipped:
            inner = f"{path}.{name}" if path else name
            _match(getattr(node, name), getattr(value, name), inner, found)


def _match_choice(choice: Choice[object], value: object, path: str, found: Decisions) -> None:
    if type(value) in LEAVES:  # the common case, without a trial
        for index, option in enumerate(choice.options):
            if type(option) is type(value) and option == value:
                _record(choice, index, path, value, found)
                return
    failures = []
    for index, option in enumerate(choice.options):
        trial = dict(found)
        try:
            _match(option, value, f"{path}{{{index}}}", trial)
        except OutOfSpace as failure:
            failures.append((option, failure))
            continue
        found.clear()
        found.update(trial)
        _record(choice, index, path, value, found)
        return
    alike = [failure for option, failure in failures if type(option) is type(value) and is_dataclass(option)]
    raise (
        alike[0] if len(alike) == 1 else _out(path, value, "one of " + ", ".join(map(_brief, choice.options)))
    )


def _record(choice: Choice[object], index: int, path: str, value: object, found: Decisions) -> None:
    key = path if choice.name is None else "@" + choice.name
    if found.setdefault(key, index) != index:
        tied = _brief(choice.options[found[key]])
        raise _out(path, value, f"{tied}, the value already taken by the choices tied as {choice.name!r}")


def _match_repeat(repeat: Repeat[object], value: object, path: str, found: Decisions) -> None:
    if not isinstance(value, tuple):
        raise _out(path, value, "a tuple of layers")
    _match(repeat.count, len(value), path + ".count", found)
    if repeat.independent:
        for i, part in enumerate(value):
            _match(repeat.item, part, f"{path}[{i}]", found)
        return
    if any(part != value[0] for part in value):
        raise _out(path, value, "layers all alike (the space repeats one item)")
    _match(repeat.item, value[0], path + ".item", found)


def _match_pick(pick: Pick[object], value: object, path: str, found: Decisions) -> None:
    if not isinstance(value, tuple) or len(value) != pick.k:
        raise _out(path, value, f"{pick.k} of the {len(pick.options)} options")
    for index, chosen in enumerate(picks(pick)):
        trial = dict(found)
        try:
            for i, part in zip(chosen, value, strict=True):
                _match(pick.options[i], part, f"{path}{{{i}}}", trial)
        except OutOfSpace:
            continue
        found.clear()
        found.update(trial)
        found[path] = index
        return
    raise _out(path, value, f"{pick.k} of " + ", ".join(map(_brief, pick.options)))


def _out(path: str, got: object, expected: str) -> OutOfSpace:
    return OutOfSpace(
        f"{path or 'spec'}: got {_brief(got)}, expected {expected}; was this spec written for another space?"
    )


def _brief(value: object) -> str:
    if isinstance(value, tuple):
        text = f"{len(value)} items ({', '.join(sorted({_brief(v) for v in value}))})"
        return text if len(text) < 80 else f"{len(value)} items"
    return type(value).__name__ if is_dataclass(value) else short(value)
