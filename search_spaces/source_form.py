"""Python text with places in it, for what is read and for numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .layers import Axes, Pads
from .source_text import value_text

Value = bool | int | float | tuple[int, ...] | Pads


@dataclass(frozen=True, slots=True)
class Slot:
    """A number in the text: what it is about, its value, and how it is passed; left out at its default."""

    kind: str
    value: Value
    keyword: str = ""
    default: Value | None = None
    role: str = ""

    def usual(self, value: Value) -> bool:
        """Tell whether a value goes without saying."""
        return value == self.default and isinstance(value, bool) == isinstance(self.default, bool)


@dataclass(frozen=True, slots=True)
class Form:
    """Text with places for values read (`{0}`, `{1}` ...), the module's own name (`{self}`) and slots (`{args}`)."""

    pattern: str
    slots: tuple[Slot, ...] = ()

    def skeleton(self) -> tuple[object, ...]:
        """Return all but the numbers."""
        return self.pattern, tuple((slot.kind, slot.keyword, slot.default, slot.role) for slot in self.slots)

    def text(self, texts: Sequence[str | None], sources: Sequence[str] = (), *, name: str = "") -> str:
        """Fill the places; None leaves a slot out."""
        pairs = list(zip(self.slots, texts, strict=True))
        args = [
            f"{slot.keyword}={text}" if slot.keyword else text for slot, text in pairs if text is not None
        ]
        return self.pattern.format(
            *sources,
            self=name,
            args=", ".join(args),
            span=_span({slot.role: text or "" for slot, text in pairs}),
        )

    def constant(self) -> str:
        """Return the text with every slot's own value."""
        return self.text([None if slot.usual(slot.value) else value_text(slot.value) for slot in self.slots])


def same(amounts: Axes) -> int | Axes:
    """Return the one number that all axes have, or all numbers.

    >>> same((3, 3)), same((1, 7))
    (3, (1, 7))
    """
    return amounts[0] if len(set(amounts)) == 1 else amounts


def _span(ends: Mapping[str, str]) -> str:
    """Return a slice's text; with spaces where its ends are more than numbers."""
    start, stop = ends.get("start", ""), ends.get("stop", "")
    plain = all(not text or text.isdigit() for text in (start, stop))
    return f"{start}:{stop}" if plain else f"{start} : {stop}".strip()
