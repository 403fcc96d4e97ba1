"""What makes a space sound: options that cannot be confused, ties that agree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import is_dataclass
from itertools import combinations

from .choice import DEEPEST, LEAVES, Choice, Pick, Repeat, layout
from .errors import BadSpec
from .explain import short

MOST_OPTIONS = 1024  # of one choice


def check_choices(space: object) -> None:
    """Raise `BadSpec`, with the path, where options overlap or choices tied by name differ."""
    ties: dict[str, tuple[Choice[object], str]] = {}
    for path, node in combinators(space):
        if isinstance(node, Repeat):
            _check_count(node, path)
            continue
        _check_apart(node.options, path)
        if isinstance(node, Choice) and node.name is not None:
            first, where = ties.setdefault(node.name, (node, path))
            if first.options != node.options:
                raise BadSpec(
                    f"{path}: got the options {short(node.options)}, expected {short(first.options)} as at "
                    f"{where}, because both are tied as {node.name!r}; give one of them another name"
                )


def combinators(
    node: object, path: str = ""
) -> Iterator[tuple[str, Choice[object] | Pick[object] | Repeat[object]]]:
    """Yield (path, combinator) for every `Choice`, `Repeat` and `Pick` below `node`, outer before inner."""
    return ((at, here) for at, here in nodes(node, path) if isinstance(here, Choice | Pick | Repeat))


def nodes(node: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Yield (path, node) for `node` and every node and combinator below it, outer before inner."""
    todo = [(path, node)]
    while todo:
        at, here = todo.pop()
        yield at, here
        inside = [(part, child) for part, child in children(here) if type(child) not in LEAVES]
        todo += [((at + part).removeprefix("."), child) for part, child in reversed(inside)]


def children(node: object) -> Iterator[tuple[str, object]]:
    """Yield (path part, child) of one node."""
    match node:
        case Choice() | Pick():
            yield from ((f"{{{i}}}", option) for i, option in enumerate(node.options))
        case Repeat():
            yield ".count", node.count
            yield ("[*]" if node.independent else ".item"), node.item
        case tuple():
            yield from ((f"[{i}]", item) for i, item in enumerate(node))
        case _ if type(node) in LEAVES:
            return
        case _:
            yield from ((f".{name}", getattr(node, name)) for name in layout(type(node))[0])


def overlap(a: object, b: object) -> bool:
    """Tell whether some spec can come from both; ties are not considered, so it errs towards True."""
    for one, other in ((a, b), (b, a)):
        if isinstance(one, Choice):
            return any(overlap(option, other) for option in one.options)
    for one, other in ((a, b), (b, a)):
        if isinstance(one, Repeat):
            return _overlap_repeat(one, other)
    for one, other in ((a, b), (b, a)):
        if isinstance(one, Pick):
            return _overlap_pick(one, other)
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(overlap, a, b))
    if type(a) is not type(b):
        return False
    if is_dataclass(a):
        return all(overlap(getattr(a, n), getattr(b, n)) for n in layout(type(a))[0])
    return a == b


def _overlap_repeat(repeat: Repeat[object], other: object) -> bool:
    if isinstance(other, Repeat):
        return overlap(repeat.count, other.count) and overlap(repeat.item, other.item)
    if isinstance(other, Pick):
        return (
            overlap(repeat.count, other.k) and sum(overlap(repeat.item, o) for o in other.options) >= other.k
        )
    if not isinstance(other, tuple):
        return False
    return overlap(repeat.count, len(other)) and all(overlap(repeat.item, item) for item in other)


def _overlap_pick(pick: Pick[object], other: object) -> bool:
    if isinstance(other, Pick):
        return pick.k == other.k and any(overlap(a, b) for a in pick.options for b in other.options)
    if not isinstance(other, tuple):
        return False
    return len(other) == pick.k and all(any(overlap(o, item) for o in pick.options) for item in other)


def _check_apart(options: tuple[object, ...], path: str) -> None:
    if len(options) > MOST_OPTIONS:
        raise BadSpec(f"{path}: got {len(options):,} options, expected at most {MOST_OPTIONS:,}")
    for i, j in _suspects(options):
        if overlap(options[i], options[j]):
            pair = f"{short(options[i])} and {short(options[j])}"
            raise BadSpec(
                f"{path}: got options {i} and {j} that overlap ({pair}), "
                "expected options that no architecture can come from twice; remove or narrow one of them"
            )


def _suspects(options: tuple[object, ...]) -> Iterator[tuple[int, int]]:
    """Yield the pairs to compare: scalars only with their like, so that thousands of widths are no burden."""
    groups: dict[object, list[int]] = {}
    for i, option in enumerate(options):
        groups.setdefault((type(option), option) if type(option) in LEAVES else None, []).append(i)
    others = groups.pop(None, [])
    for alike in groups.values():
        yield from combinations(alike, 2)
    yield from combinations(others, 2)
    leaves = [alike[0] for alike in groups.values()]
    for i in others:
        if isinstance(options[i], Choice):  # a choice inside a choice may hold a scalar; other nodes are none
            yield from ((i, j) for j in leaves)


def _check_count(repeat: Repeat[object], path: str) -> None:
    counts = repeat.count.options if isinstance(repeat.count, Choice) else (repeat.count,)
    for count in counts:
        if type(count) is not int or not 1 <= count <= DEEPEST:
            raise BadSpec(
                f"{path}.count: got {short(count)}, expected a whole number of layers, 1 to {DEEPEST}"
            )
