"""The statements of a `forward`: calls nested as by hand, variables named and used again.

A value read once, by a norm, an activation or a join, is written inside its reader's call; every other one gets a
statement. A variable whose value nobody reads any more takes the next one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from .source_form import Form
from .source_text import snake, unused

MODULES = {"torch", "nn", "self"}  # what no variable may hide
LETTERS = ("y", "z", "u", "v", "w")
DEEPEST = 3  # calls in one another
LONGEST = 84  # characters of nested calls, as far as they are known before variables are named


@dataclass(frozen=True, slots=True)
class Row:
    """A part of a unit as `forward` writes it."""

    path: str
    call: Form
    texts: tuple[str | None, ...]  # of the call's slots
    name: str  # of the module, such as `self.conv`
    sources: tuple[int, ...]
    live: bool = True
    nests: bool = False  # whether the call of its source may stand inside its own
    joins: bool = False
    reads: bool = False  # whether a plain function of a variable may stand inside
    stands: bool = False  # whether it is a unit, whose value is named after it
    flag: str | None = None  # the condition under which it is there
    passes: int = 0  # the source that stands for it where it is not

    def text(self, sources: Sequence[str]) -> str:
        """Return the expression over its sources' expressions."""
        return self.call.text(self.texts, sources, name=self.name)


def statements(rows: Sequence[Row], inputs: Sequence[str], output: int) -> list[str]:
    """Return the body of a `forward` with these inputs, down to its `return`."""
    return _Body(rows, inputs, output).lines()


@dataclass(slots=True)
class _Body:
    rows: Sequence[Row]
    inputs: Sequence[str]
    output: int
    nested: set[int] = field(default_factory=set)  # values written inside their reader's call
    last: dict[int, int] = field(default_factory=dict)  # value -> row that reads it last
    names: dict[int, str] = field(default_factory=dict)  # value -> variable

    def lines(self) -> list[str]:
        self.names = dict(enumerate(self.inputs))
        self._nest()
        for i, row in enumerate(self.rows):
            if row.live:
                at = self._written_at(i)
                for source in row.sources:
                    self.last[source] = max(self.last.get(source, -1), at)
        lines: list[str] = []
        live = [i for i, row in enumerate(self.rows) if row.live]
        for flag, members in groupby(live, key=lambda i: self.rows[i].flag):
            group = list(members)
            lines += self._run(group, {}) if flag is None else self._optional(group, flag)
        if lines and lines[-1].startswith("return "):
            return lines
        return [*lines, f"return {self.names[self.output]}"]

    def _value(self, i: int) -> int:
        return len(self.inputs) + i

    def _readers(self, value: int) -> list[int]:
        return [i for i, row in enumerate(self.rows) if row.live for s in row.sources if s == value]

    def _nest(self) -> None:
        """Decide which values stand inside their reader's call."""
        depth: dict[int, int] = {}
        size: dict[int, int] = {}
        taken: dict[int, int] = {}  # reader -> characters nested into it so far
        for i, row in enumerate(self.rows):
            value = self._value(i)
            inner = [s for s in row.sources if s in self.nested]
            depth[value] = 1 + max((depth[s] for s in inner), default=0)
            size[value] = len(row.text(["x"] * len(row.sources))) + sum(size[s] for s in inner)
            readers = self._readers(value)
            if not row.live or len(readers) != 1 or value == self.output:
                continue
            reader = self.rows[readers[0]]
            atom = depth[value] == 1 and not row.joins
            fits = taken.get(readers[0], len(reader.text(["x"] * len(reader.sources)))) + size[value]
            if (
                row.flag == reader.flag
                and depth[value] < DEEPEST
                and fits <= LONGEST
                and (
                    reader.nests
                    or (reader.joins and atom)
                    or (reader.reads and atom and "{self}" not in row.call.pattern)
                )
            ):
                self.nested.add(value)
                taken[readers[0]] = fits

    def _written_at(self, i: int) -> int:
        """Return the row in whose statement this row's expression stands."""
        while self._value(i) in self.nested:
            i = self._readers(self._value(i))[0]
        return i

    def _expression(self, i: int) -> str:
        row = self.rows[i]
        return row.text(
            [
                self._expression(s - len(self.inputs)) if s in self.nested else self.names[s]
                for s in row.sources
            ]
        )

    def _leaves(self, i: int) -> Iterator[int]:
        """Yield the values in variables that a row's statement reads."""
        for source in self.rows[i].sources:
            if source in self.nested:
                yield from self._leaves(source - len(self.inputs))
            else:
                yield source

    def _run(self, group: list[int], goals: dict[int, str]) -> list[str]:
        """Write statements one after the other; `goals` are values that must end in a given variable."""
        lines = []
        for i in group:
            value = self._value(i)
            if value in self.nested:
                continue
            expression = self._expression(i)
            if value == self.output and value not in goals:
                lines.append(f"return {expression}")
                continue
            self.names[value] = goals.get(value) or self._variable(i, goals.values())
            lines.append(f"{self.names[value]} = {expression}")
        return lines

    def _variable(self, i: int, kept: Collection[str]) -> str:
        """Return the variable for a row's value: one that its statement reads last, or a new one."""
        done = [self.names[v] for v in self._leaves(i) if self._dies(v, i)]
        again = [name for name in done if name not in kept]
        if self.rows[i].joins and "." in self.rows[i].path:
            again = []  # the sum of a cell's node is called after the node
        return again[0] if again else self._fresh(i, i)

    def _dies(self, value: int, at: int) -> bool:
        """Tell whether a statement is the last to read a value, and no other value shares its variable."""
        sharing = [v for v, name in self.names.items() if name == self.names[value] and v != value]
        return self._until(value) <= at and all(self._until(v) <= at for v in sharing)

    def _until(self, value: int) -> int:
        return len(self.rows) if value == self.output else self.last.get(value, -1)

    def _fresh(self, i: int, since: int) -> str:
        """Return a name for a row's value that no value has which is read from row `since` on."""
        row = self.rows[i]
        taken = {name for value, name in self.names.items() if self._until(value) >= since} | MODULES
        head, dot, rest = row.path.partition(".")
        if not row.stands and not dot:
            return next((name for name in LETTERS if name not in taken), unused(snake(row.path), taken))
        inner, deeper, _ = rest.partition(".")
        summed = any(other.joins and other.path.startswith(f"{head}.") for other in self.rows)
        whole = (
            not dot or row.joins or not (deeper or summed)
        )  # else the value is one of several under that head
        return unused(snake(head if whole else f"{head}.{inner}"), taken)

    def _optional(self, group: list[int], flag: str) -> list[str]:
        """Write statements under a condition; where it fails, what they pass on takes the place of their values."""
        own = {self._value(i) for i in group}
        escaping = [
            v for v in sorted(own) if v == self.output or any(r not in group for r in self._readers(v))
        ]
        before: list[str] = []
        goals: dict[int, str] = {}
        for value in escaping:
            passed = self._passed(value, own)
            name = self.names[passed]
            if len(escaping) > 1 or not self._dies(passed, value - len(self.inputs)):
                name = self._fresh(value - len(self.inputs), min(group))
                before.append(f"{name} = {self.names[passed]}")
                self.names[value] = name  # taken from here on
            goals[value] = name
        inner = self._run(group, goals)
        return [*before, f"if {flag}:", *(f"    {line}" for line in inner)]

    def _passed(self, value: int, own: set[int]) -> int:
        while value in own:
            row = self.rows[value - len(self.inputs)]
            value = row.sources[row.passes]
        return value
