"""The module of a whole network: its stem, stages and head, and how features pass between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise

from .network import Step
from .source_layers import lone_module
from .source_text import INDENT, indented, wrapped
from .source_units import Unit

FEW = 2  # equal blocks in a row that are written one by one


@dataclass(frozen=True, slots=True)
class Placed:
    """A block where it stands: its number among the steps, and the text that makes it."""

    step: int
    text: str


@dataclass(frozen=True, slots=True)
class Run:
    """The blocks of the stem, a stage or the head."""

    name: str  # as in the names of the steps: `stem`, `stages.0`, `head`
    blocks: tuple[Placed, ...]
    kind: str  # "chain", "cells" or "mixed"

    @property
    def reached(self) -> str:
        """The text of its module."""
        stages, _, number = self.name.partition(".")
        return f"self.{stages}[{number}]" if number else f"self.{stages}"


def runs(steps: Sequence[Step], texts: Sequence[str]) -> list[Run]:
    """Group the steps of a network by the stage where they stand."""
    found = []
    names = [step.name.partition(".blocks.")[0] for step in steps]
    for name, group in groupby(range(len(steps)), key=names.__getitem__):
        numbers = list(group)
        blocks = tuple(Placed(i, texts[i]) for i in numbers)
        found.append(Run(name, blocks, _kind(steps, numbers)))
    return found


def lone(unit: Unit) -> str | None:
    """Return the torch module that is a whole block, such as a pooling; None where it needs a class."""
    if len(unit.inputs) > 1:
        return None
    if not unit.parts:
        return "nn.Identity()"
    part = unit.parts[0]
    if len(unit.parts) > 1 or isinstance(part.what, Unit):
        return None
    form = lone_module(part.what, part.shapes)
    return None if form is None else form.constant()


def network_class(name: str, doc: Sequence[str], found: Sequence[Run], steps: Sequence[Step]) -> list[str]:
    """Return the lines of the class of a network."""
    stages = [run for run in found if run.name.startswith("stages.")]
    chained = all(run.kind == "chain" for run in stages)
    lines = [f"class {name}(nn.Module):", *indented(doc), ""]
    lines += [f"{INDENT}def __init__(self) -> None:", f"{INDENT * 2}super().__init__()"]
    for part, group in groupby(found, key=lambda run: run.name.partition(".")[0]):
        if part == "stages":
            texts = [f"{_stage(run)}," for run in group]
            depth = 3 if chained else 4
            inner = [line for text in texts for line in wrapped(INDENT * depth + text)]
            if not chained:
                inner = [f"{INDENT * 3}[", *inner, f"{INDENT * 3}]"]
            lines += [f"{INDENT * 2}self.stages = nn.{'Sequential' if chained else 'ModuleList'}(", *inner]
            lines.append(f"{INDENT * 2})")
        else:
            run = next(group)
            text = run.blocks[0].text if part == "head" else _stage(run)
            lines += wrapped(f"{INDENT * 2}self.{part} = {text}")
    lines += ["", f"{INDENT}def forward(self, x: Tensor) -> Tensor:"]
    body = _chained(found) if _plain(found, steps) else _Passing(found, steps).lines()
    return [*lines, *(part for line in body for part in wrapped(INDENT * 2 + line))]


def _kind(steps: Sequence[Step], numbers: list[int]) -> str:
    inner = set(numbers[:-1])
    read = {s for i, step in enumerate(steps) if i not in numbers for s in step.sources}
    pairs = list(pairwise(numbers))
    if steps[numbers[0]].name == "head":
        return "mixed"
    if all(len(steps[i].sources) == 1 for i in numbers):
        return "mixed" if inner & read else "chain"
    cells = all(steps[i].block.memory() == len(steps[i].sources) == 2 for i in numbers)
    threaded = all(steps[j].sources == (i, steps[i].sources[0]) for i, j in pairs)
    within = inner & read <= set(numbers[-2:])
    return "cells" if cells and threaded and within else "mixed"


def _stage(run: Run) -> str:
    """Return the text that makes a stage; many equal blocks in a row are made by a loop."""
    blocks: list[str] = []
    for text, group in groupby(block.text for block in run.blocks):
        times = len(list(group))
        blocks += [text] * times if times <= FEW else [f"*({text} for _ in range({times}))"]
    return f"{'CellStage' if run.kind == 'cells' else 'Stage'}({', '.join(blocks)})"


def _plain(found: Sequence[Run], steps: Sequence[Step]) -> bool:
    """Tell whether every block reads what is just before it and nothing else."""
    return all(step.sources == (i - 1,) for i, step in enumerate(steps)) and all(
        run.kind == "chain" for run in found[:-1]
    )


def _chained(found: Sequence[Run]) -> list[str]:
    parts = dict.fromkeys(run.name.partition(".")[0] for run in found)
    *before, last = parts
    return [*(f"x = self.{part}(x)" for part in before), f"return self.{last}(x)"]


@dataclass(slots=True)
class _Passing:
    """Writes the calls of stages where blocks read more than what is just before them."""

    found: Sequence[Run]
    steps: Sequence[Step]
    names: dict[int, str] = field(default_factory=lambda: {-1: "x"})  # step -> variable; -1 is the input
    done: int = -1  # the last step that has been written
    text: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        rest = list(self.found)
        while rest:
            run = rest.pop(0)
            if run.kind == "cells":
                loop = [run, *(self._following(run, rest) if run.name != "stem" else ())]
                del rest[: len(loop) - 1]
                self._cells(loop)
            elif run.name == "head":
                self.text.append(f"return self.head({self._read(run.blocks[0].step)})")
            elif run.kind == "chain":
                self._assign(run.name, run.blocks[-1].step, run.reached, run.blocks[0].step)
            else:
                for number, block in enumerate(run.blocks):
                    name = f"{run.name}.block{number}"
                    self._assign(name, block.step, f"{run.reached}.blocks[{number}]", block.step)
        return self.text

    def _assign(self, name: str, step: int, module: str, reader: int) -> None:
        call = f"{module}({self._read(reader)})"
        self.done = step
        again = self._readers(step) > 1 or self._needed(self._holder("x"))
        self._take(step, name.replace("stages.", "stage").replace(".", "_") if again else "x")
        self.text.append(f"{self.names[step]} = {call}")

    def _cells(self, loop: list[Run]) -> None:
        """Write one call for each stage of cells, or a loop over several."""
        first, last = loop[0], loop[-1].blocks[-1].step
        read = self._read(first.blocks[0].step)
        newer, older = self.steps[first.blocks[0].step].sources
        self.done = last
        pair = (last, self.steps[last].sources[0])
        for name in ("newer", "older"):
            held = self._holder(name)
            if self._needed(held) and held not in pair:
                self._take(held, f"step{held}")
                self.text.append(f"step{held} = {name}")
        pair_names = ("newer", "older" if self._needed(pair[1]) else "_")
        if len(loop) == 1:
            self.text.append(f"{', '.join(pair_names)} = {first.reached}({read})")
        else:
            if newer == older and self.text[-1:] and self.text[-1].startswith(f"{self.names[newer]} = "):
                call = self.text.pop().partition(" = ")[2]
                kept = f" = {self.names[newer]}" if self._needed(newer) and newer not in pair else ""
                self.text.append(f"newer = older{kept} = {call}")
            elif newer == older:
                self.text.append(f"newer = older = {self.names[newer]}")
            elif read != "newer, older":
                self.text.append(f"newer, older = {read}")
            self.text.append(f"for stage in self.stages{self._span(loop)}:")
            self.text.append("    newer, older = stage(newer, older)")
        for value, name in zip(pair, pair_names, strict=True):
            self._take(value, name)

    def _span(self, loop: list[Run]) -> str:
        """Return the slice that picks some of the stages; nothing where it is all of them."""
        stages = [run.name for run in self.found if run.name.startswith("stages.")]
        start, stop = stages.index(loop[0].name), stages.index(loop[-1].name) + 1
        if (start, stop) == (0, len(stages)):
            return ""
        return f"[{start or ''}:{stop if stop < len(stages) else ''}]"

    def _following(self, run: Run, rest: Sequence[Run]) -> Iterator[Run]:
        """Yield the stages of cells behind one that a single loop can take with it."""
        for after in rest:
            last = run.blocks[-1].step
            threaded = self.steps[last + 1].sources == (last, self.steps[last].sources[0])
            tapped = any(last in step.sources for step in self.steps[last + 3 :])
            if after.kind != "cells" or not threaded or tapped:
                return
            yield after
            run = after

    def _take(self, value: int, name: str) -> None:
        """Note that a variable holds a value from now on, and no other."""
        self.names = {v: other for v, other in self.names.items() if other != name and v != value}
        self.names[value] = name

    def _read(self, step: int) -> str:
        return ", ".join(self.names[source] for source in self.steps[step].sources)

    def _readers(self, value: int) -> int:
        return sum(value in step.sources for step in self.steps)

    def _holder(self, name: str) -> int:
        """Return the value that a variable holds now; -2: none."""
        return next((v for v, other in self.names.items() if other == name), -2)

    def _needed(self, value: int) -> bool:
        return any(value in step.sources for step in self.steps[self.done + 1 :])
