"""What the pages say of the code holds: settings with their defaults, links, and the names in snippets of Python."""

from __future__ import annotations

import ast
import builtins
import importlib
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

import pytest

from nas.config import Confirm, Execution, Final, StudyConfig, read_config
from nas.data import ArrayKeys, DataSpec
from nas.data.sources.register import SOURCES
from nas.gradient import Gradient
from nas.latency import Latency
from nas.recipe import Recipe
from scaling.timing import COMPILING, DTYPES, FORMATS
from search_spaces.presets import PRESETS

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md")), ROOT / "results" / "README.md"]
PARTS = {  # of a study, in the order in which docs/study.md has their tables
    "": StudyConfig, "data.": DataSpec, "data.keys.": ArrayKeys, "recipe.": Recipe, "confirm.": Confirm,
    "final.": Final, "execution.": Execution, "latency.": Latency,
}  # fmt: skip
REQUIRED = "must be given"
NAMED = {  # what takes a name that is no Literal
    "space": PRESETS, "data.source": SOURCES, "latency.dtype": DTYPES, "latency.memory_format": FORMATS,
    "latency.compile": COMPILING,
}  # fmt: skip
TABLE = re.compile(r"^\| setting \| default \| may be \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", re.MULTILINE)
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def rows() -> dict[str, dict[str, list[str]]]:
    """Return the cells behind each setting's name, by part of a study."""
    found = TABLE.findall(text_of(ROOT / "docs" / "study.md"))
    cells = [[re.split(r" \| ", line.strip("| ")) for line in table.splitlines()] for table in found]
    return {
        part: {name.strip("`"): rest for name, *rest in of} for part, of in zip(PARTS, cells, strict=True)
    }


ROWS = rows()
SETTINGS = [part + field.name for part, cls in PARTS.items() for field in fields(cls)]


def row(path: str) -> list[str]:
    part, dot, name = path.rpartition(".")
    return ROWS[part + dot][name]


@pytest.mark.parametrize("part", PARTS)
def test_the_page_of_a_study_has_every_setting_and_no_other(part):
    assert list(ROWS[part]) == [field.name for field in fields(PARTS[part])]


@pytest.mark.parametrize("path", SETTINGS)
def test_a_default_of_the_page_changes_nothing_where_it_is_written_out(path):
    base = ["latency={}"] if path.startswith("latency.") else []
    default = row(path)[0]
    if default == REQUIRED:
        (required,) = (field for field in fields(StudyConfig) if field.name == path)
        assert required.default is required.default_factory is MISSING
        return
    assert re.fullmatch(r"`.+`", default), "a default is YAML between backticks"
    written = read_config("space: mixed", [*base, f"{path}={default.strip('`')}"], source="written out")
    assert written == read_config("space: mixed", base, source="left out")


@pytest.mark.parametrize("path", SETTINGS)
def test_the_page_has_each_word_that_a_setting_may_be(path):
    part, dot, name = path.rpartition(".")
    words = {*literals(get_type_hints(PARTS[part + dot], include_extras=True)[name]), *NAMED.get(path, ())}
    assert {word for word in words if f"`{word}`" not in row(path)[1]} == set()


def literals(hint: object) -> Iterator[str]:
    if get_origin(hint) is Literal:
        yield from get_args(hint)
    else:
        for inner in get_args(hint):
            yield from literals(inner)


@pytest.mark.parametrize("name", [field.name for field in fields(Gradient)])
def test_the_page_of_searches_by_gradients_has_every_setting(name):
    assert re.search(rf"`[^`\n]*\b{name}\b", text_of(ROOT / "docs" / "gradient.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_links_to_is_there(page):
    lost = []
    for file, anchor in LINK.findall(text_of(page)):
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(f"{file}#{anchor}")
    assert lost == []


def anchors(page: Path) -> set[str]:
    """Return what headings are linked by."""
    heads = re.findall(r"^#+ (.*)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def snippets() -> Iterator[object]:
    """Yield the snippets that stand alone; docs/spaces.md also shows pieces of spaces, which import nothing."""
    for page in PAGES:
        for found in PYTHON.finditer(text_of(page)):
            line = text_of(page)[: found.start()].count("\n") + 2
            if page.name != "spaces.md" or "import " in found[1]:
                yield pytest.param(found[1], id=f"{page.relative_to(ROOT).as_posix()}:{line}")


@pytest.mark.parametrize("code", list(snippets()))
def test_every_name_in_a_snippet_comes_from_somewhere_that_has_it(code):
    nodes = list(ast.walk(ast.parse(code)))
    known = {*dir(builtins), *(name for node in nodes for name in bound(node))}
    used = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    assert used - known == set()


def bound(node: ast.AST) -> Iterator[str]:
    """Yield the names that a node binds; what is imported must be there."""
    if isinstance(node, ast.Import):
        yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        module = importlib.import_module(str(node.module))
        for alias in node.names:
            there = alias.name == "*" or hasattr(module, alias.name)
            assert there or find_spec(f"{node.module}.{alias.name}"), f"{node.module} has no {alias.name}"
            yield from module.__all__ if alias.name == "*" else [alias.asname or alias.name]
    elif isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
