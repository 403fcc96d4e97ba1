"""Choices settled beforehand, said in text: `stages[*].width = 24`, `stages[0].blocks.count = largest`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar, cast

from .check import children, combinators
from .choice import LEAVES, Choice, Pick, Repeat, layout, picks
from .errors import BadInput
from .explain import short
from .making import rebuilt

T = TypeVar("T")


def settled_choices(space: T, texts: Sequence[str]) -> T:
    """Return a space with choices settled; of several texts that match a path, the last one counts.

    A text is `path = value`. `[*]` in a path stands for any index, `@name` for all choices tied by that name. A
    value is one of the choice's own, `largest`, `smallest`, or `option N`. `BadInput` says what matches nothing.
    """
    rules = [_rule(text) for text in texts]
    used: set[str] = set()
    settled = _settled(space, "", rules, used)
    for text, _, _ in rules:
        if text not in used:
            known = ", ".join(_named(space))
            raise BadInput(
                f"fix: {short(text)} matches no choice, expected one of {known or 'none, nothing is open'}"
            )
    return cast(T, settled)


Rule = tuple[str, re.Pattern[str], str]  # the text, which paths it is for, the value


def _rule(text: str) -> Rule:
    path, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not path or not value:
        raise BadInput(
            f'fix: got {short(text)}, expected "path = value", such as "stages[*].width = largest"'
        )
    pattern = re.escape(path).replace(re.escape("[*]"), r"\[[^\]]*\]")
    return text, re.compile(pattern), value


def _settled(node: object, path: str, rules: Sequence[Rule], used: set[str]) -> object:
    if isinstance(node, Choice | Pick):
        names = {path, f"@{node.name}"} if isinstance(node, Choice) and node.name else {path}
        found = [rule for rule in rules if any(rule[1].fullmatch(name) for name in names)]
        if found:
            used.update(text for text, _, _ in found)
            index = _option(node, found[-1][2], path)
            if isinstance(node, Choice):
                return _settled(node.options[index], f"{path}{{{index}}}", rules, used)
            return tuple(_settled(node.options[i], f"{path}{{{i}}}", rules, used) for i in picks(node)[index])
    return _inside(node, path, rules, used)


def _inside(node: object, path: str, rules: Sequence[Rule], used: set[str]) -> object:
    if type(node) in LEAVES:
        return node
    parts = [_settled(child, (path + part).removeprefix("."), rules, used) for part, child in children(node)]
    match node:
        case Choice():
            return Choice(*parts, name=node.name)
        case Pick():
            return Pick(node.k, *parts)
        case Repeat():
            return Repeat(parts[1], cast(int, parts[0]), node.independent)
        case tuple():
            return tuple(parts)
    return rebuilt(node, layout(type(node))[0], parts)


def _option(node: Choice[object] | Pick[object], value: str, path: str) -> int:
    options = node.options if isinstance(node, Choice) else picks(node)
    plain = [option for option in options if type(option) in LEAVES]
    numbers = [option for option in plain if isinstance(option, int | float)]
    if value in ("largest", "smallest") and len(numbers) == len(options):
        return options.index(max(numbers) if value == "largest" else min(numbers))
    if value.startswith("option ") and value[7:].isdecimal() and int(value[7:]) < len(options):
        return int(value[7:])
    said = [str(option) for option in plain]
    if value in said and len(plain) == len(options):
        return said.index(value)
    expected = ", ".join(said) if plain else f"option 0 to option {len(options) - 1}"
    raise BadInput(f"fix: {path}: got {short(value)}, expected {expected}")


def _named(space: object) -> list[str]:
    found = []
    for path, node in combinators(space):
        if isinstance(node, Choice | Pick):
            found.append(path)
    return found[:20]
