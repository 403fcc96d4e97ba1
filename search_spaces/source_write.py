"""The text of a class: its `__init__` and its `forward`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from .layers import Activation, Concat, Convolution, Linear, Normalisation, Product, Sum
from .source_classes import Family, by_height, families, nests, spelt
from .source_conditions import choose
from .source_form import Form
from .source_forward import Row, statements
from .source_params import Params, params, settle
from .source_text import INDENT, WIDTH, indented, is_name, unused, wrapped
from .source_units import Unit


def classes(units: Sequence[Unit], reserved: set[str]) -> tuple[list[list[str]], dict[Unit, Form]]:
    """Return the lines of each class that the units need, in an order in which they can stand, and how each is made."""
    made: dict[Unit, Form] = {}
    texts: list[list[str]] = []
    names = set(reserved)
    for level in by_height(units):
        for family in families(level, made):
            name = unused(family.label.name, names)
            names.add(name)
            found = params(family, made)
            choose(found)
            settle(found)
            texts.append(class_text(name, family, found))
            for number, member in enumerate(family.members):
                made[member.unit] = found.form(name, number)
    return texts, made


def class_text(name: str, family: Family, found: Params) -> list[str]:
    """Return the lines of one class."""
    unit = family.whole
    flags = {number: name for run, (name, _) in found.conditions.items() for number in run}
    made = list(_init(family, found, flags))
    arguments = ", ".join(["self", *(f"{x}: Tensor" for x in unit.inputs)])
    body = statements(list(_rows(family, found, flags)), unit.inputs, unit.output)
    lines = [f"class {name}(nn.Module):"]
    if doc := _said(family):
        lines += [*indented(docstring(doc, WIDTH - 4)), ""]
    if made:
        lines += wrapped(f"{INDENT}def __init__({found.signature()}) -> None:")
        lines += [*indented(["super().__init__()", *made], 2), ""]
    lines.append(f"{INDENT}def forward({arguments}) -> Tensor:")
    for line in body:
        lines += wrapped(INDENT * 2 + line)
    return lines


def _said(family: Family) -> str:
    """Return what is said of a class, less the layers that it turned out not to have."""
    doc, layers = family.label.doc, [part.what for part in family.whole.parts]
    for word, kind in ((", norm", Normalisation), (", activation", Activation)):
        if not any(isinstance(layer, kind) for layer in layers):
            doc = doc.replace(word, "")
    return doc


def docstring(text: str, width: int) -> list[str]:
    """Return a sentence as a docstring, in as many lines as it needs."""
    lines, line = [], '"""'
    for word in f"{text}.".split():
        grown = f"{line} {word}" if line not in ('"""', "") else f"{line}{word}"
        if len(grown) > width - 3 and line not in ('"""', ""):
            lines.append(line)
            grown = word
        line = grown
    return [*lines, line, '"""'] if lines else [f'{line}"""']


def reached(path: str) -> str:
    """Return the text of a submodule: attributes where its names can stand as such."""
    return "self" + "".join(
        f".{part}" if is_name(part) else f".get_submodule({quoted(part)})" for part in path.split(".") if part
    )


def quoted(text: str) -> str:
    """Return a text as a literal in double quotes."""
    inner = repr(text)[1:-1]
    return '"' + (inner if "'" in text and '"' not in text else inner.replace('"', '\\"')) + '"'


def _init(family: Family, found: Params, flags: dict[int, str]) -> Iterator[str]:
    """Yield the statements of `__init__` after the call of the base's, to be indented twice."""
    for name, text in found.conditions.values():
        yield from _shifted(f"self.{name} = {text}")
    for param in found.kept():
        yield from _shifted(f"self.{param.name} = {param.name}")
    holders: set[str] = set()
    for flag, group in groupby(range(len(family.whole.parts)), key=flags.get):
        inner: list[str] = []
        for number in group:
            path = family.whole.parts[number].path
            modules = _modules(family, found, number, depth=2 + (flag is not None))
            if modules and flag is None:
                inner += _holders(path, holders)
            elif modules:
                yield from _holders(path, holders)
            inner += modules
        if inner and flag is not None:
            yield f"if self.{flag}:"
        yield from indented(inner, flag is not None)


def _modules(family: Family, found: Params, number: int, *, depth: int) -> list[str]:
    """Return the statements that make a part's module, one of two where members differ in it."""
    part = family.whole.parts[number]
    texts = [
        form.text([found.text((number, variant, True, j), inside=False) for j in range(len(form.slots))])
        for variant, form in enumerate(family.variants(number, found.made))
    ]
    if not texts:
        return []
    unread = "" if part.live else "  # nothing reads it"
    one, *others = (_assigned(part.path, text) + unread for text in texts)
    if not others:
        return _shifted(one, depth)
    choice = found.choices[number].name
    branches = (*indented(_shifted(others[0], depth + 1)), "else:", *indented(_shifted(one, depth + 1)))
    return [f"if {choice}:", *branches]


def _holders(path: str, known: set[str]) -> Iterator[str]:
    """Yield statements that make the modules around a part which are not there yet."""
    known.add(path)
    for i, char in enumerate(path):
        if char == "." and path[:i] not in known:
            known.add(path[:i])
            yield _assigned(path[:i], "nn.Module()")


def _assigned(path: str, text: str) -> str:
    parent, _, leaf = path.rpartition(".")
    if is_name(leaf):
        return f"{reached(parent)}.{leaf} = {text}"
    return f"{reached(parent)}.add_module({quoted(leaf)}, {text})"


def _rows(family: Family, found: Params, flags: dict[int, str]) -> Iterator[Row]:
    for number, part in enumerate(family.whole.parts):
        call = spelt(part, found.made).call
        yield Row(
            path=part.path,
            call=call,
            texts=tuple(found.text((number, 0, False, j), inside=True) for j in range(len(call.slots))),
            name=reached(part.path),
            sources=part.sources,
            live=part.live,
            nests=nests(part),
            joins=isinstance(part.what, Sum | Concat | Product),
            reads=isinstance(part.what, Convolution | Linear),
            stands=isinstance(part.what, Unit),
            flag=f"self.{flags[number]}" if number in flags else None,
            passes=family.passes.get(number, 0),
        )


def _shifted(line: str, depth: int = 2) -> list[str]:
    """Break a statement that will be indented; give it back unindented."""
    return [broken[4 * depth :] for broken in wrapped(INDENT * depth + line)]
