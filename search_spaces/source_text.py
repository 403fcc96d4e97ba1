"""Python text: names that are safe, values, docstrings, and lines broken as `ruff format` breaks them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from keyword import iskeyword, issoftkeyword

WIDTH = 110
INDENT = "    "
_LOOP = " for _ in "
_BRACKETS = {"(": ")", "[": "]"}


def is_name(text: str) -> bool:
    """Tell whether a text can stand as a name in Python."""
    return text.isascii() and text.isidentifier() and not iskeyword(text)


def class_name(text: str) -> str:
    """Return a text as the name of a class.

    >>> class_name("efficientnet_b0"), class_name("MBConv"), class_name("1x7 net"), class_name("None")
    ('EfficientnetB0', 'MBConv', 'Net1x7Net', 'NoneBlock')
    """
    words = re.findall(r"[A-Za-z0-9]+", text)
    name = "".join(word[0].upper() + word[1:] for word in words) or "Block"
    name = f"Net{name}" if name[0].isdigit() else name
    return name if is_name(name) else f"{name}Block"


def snake(text: str) -> str:
    """Return a text as the name of a variable.

    >>> snake("branch1.part0"), snake("MBConv"), snake("1x7"), snake("class")
    ('branch1_part0', 'mb_conv', 'part_1x7', 'class_')
    """
    parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", text)
    name = re.sub(r"[^a-z0-9]+", "_", parts.lower()).strip("_") or "part"
    name = f"part_{name}" if name[0].isdigit() else name
    return f"{name}_" if iskeyword(name) or issoftkeyword(name) else name


def unused(name: str, taken: Iterable[str]) -> str:
    """Return the name, with a number where it is taken."""
    taken = set(taken)
    number, free = 2, name
    while free in taken:
        free, number = f"{name}{number}", number + 1
    return free


def prose(text: str) -> str:
    """Return text of unknown origin in one line that can stand in a docstring."""
    line = " ".join(text.split()).replace("\\", "/").replace('"', "'")
    return "".join(char for char in line if char.isprintable())


def value_text(value: object) -> str:
    """Return a number, or a tuple of them, as it is written."""
    if isinstance(value, tuple):
        inner = ", ".join(map(value_text, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return repr(value)


def type_text(values: Iterable[object]) -> str:
    """Return the annotation that covers all values.

    >>> type_text([3, (1, 7)]), type_text([False, True]), type_text([((0, 1), (0, 1))])
    ('int | tuple[int, int]', 'bool', 'tuple[tuple[int, int], tuple[int, int]]')
    """
    return " | ".join(dict.fromkeys(map(_type, values)))


def wrapped(line: str) -> list[str]:
    """Return a statement in lines of at most 110 characters, as `ruff format` breaks it.

    >>> wrapped("x = call(" + ", ".join(["argument"] * 20) + ")")[::21]
    ['x = call(', ')']
    """
    if len(line) <= WIDTH:
        return [line]
    before = line[: len(line) - len(line.lstrip())]
    inner = before + INDENT
    left, sign, right = line.partition("return " if line.lstrip().startswith("return ") else " = ")
    terms = _items(right, " + ")
    if sign and len(terms) > 1:
        return [
            f"{left}{sign}(",
            *(f"{inner}{'+ ' if i else ''}{t}" for i, t in enumerate(terms)),
            f"{before})",
        ]
    parts = _split(line)
    if parts is None:
        return [line]
    head, content, tail = parts
    if len(inner + content) <= WIDTH:
        return [head, inner + content, tail]
    items = _items(content)
    item, loop, times = content.rpartition(_LOOP)
    if loop and len(items) == 1 and not content.startswith("*"):
        return [head, *wrapped(inner + item), f"{inner}{loop.lstrip()}{times}", tail]
    return [head, *(part for item in items for part in wrapped(f"{inner}{item},")), tail]


def indented(lines: Iterable[str], depth: int = 1) -> Iterator[str]:
    """Yield the lines further to the right; empty ones stay empty."""
    return (INDENT * depth + line if line else line for line in lines)


def _type(value: object) -> str:
    if isinstance(value, tuple):
        return f"tuple[{', '.join(map(_type, value))}]"
    return type(value).__name__


def _split(line: str) -> tuple[str, str, str] | None:
    """Return (up to the bracket where the line is broken, what stands inside, the rest); None where there is none."""
    groups, depth, start = [], 0, 0
    for i, char in enumerate(line):
        if char in _BRACKETS:
            start = i + 1 if depth == 0 else start
            depth += 1
        elif char in _BRACKETS.values():
            depth -= 1
            if depth == 0 and i > start:
                groups.append((start, i))
    if not groups:
        return None
    start, end = groups[0 if line.lstrip().startswith("def ") else -1]
    return line[:start], line[start:end], line[: len(line) - len(line.lstrip())] + line[end:]


def _items(text: str, at: str = ",") -> list[str]:
    """Split where a mark stands in no bracket."""
    items, depth, begin = [], 0, 0
    for i, char in enumerate(text):
        depth += (char in _BRACKETS) - (char in _BRACKETS.values())
        if depth == 0 and text.startswith(at, i):
            items.append(text[begin:i].strip())
            begin = i + len(at)
    return [item for item in (*items, text[begin:].strip()) if item]
