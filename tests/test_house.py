"""The house keeps its order: who imports whom, what loads torch, and what no text of ours says."""

import ast
import doctest
import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

import search_spaces

ROOT = Path(__file__).parent.parent
PACKAGES = ("search_spaces", "scaling", "nas")  # each may import itself and those before it
SIBLINGS = ("strategies", "evaluation", "execution", "data", "analysis")
USES = {("evaluation", "data")}  # a job trains on the parts of a data set and applies augmentations
HOMES = {  # the only files that import them
    "ray": {
        "nas/ray_searcher.py",
        *(
            f"nas/execution/ray_{name}.py"
            for name in ("cluster", "engine", "latency", "preflight", "trial", "tune")
        ),
    },
    "optuna": {"nas/strategies/bayesian.py"},
    "fvcore": {"scaling/trace.py"},
    "safetensors.torch": {"nas/evaluation/job.py"},  # the one place that keeps weights, with what they take
}
TORCH_IN_SPACES = ("modules", "supernet", "torch_")  # beginnings of the names of files that may load torch
LIGHT = (
    "search_spaces.receptive", "search_spaces.zoo", "search_spaces.presets", "scaling.constraints",
    "nas.journal", "nas.study", "nas.launch", "nas.driver", "nas.strategies", "nas.cli.app",
)  # fmt: skip
REGISTRIES = ("pypi", "pythonhosted", "anaconda", "conda-forge", "npmjs", "crates", "download.pytorch")


def sources(package):
    return sorted(path for path in (ROOT / package).rglob("*.py") if "__pycache__" not in path.parts)


def name_of(path):
    return path.relative_to(ROOT).as_posix()


@cache
def imports(path) -> frozenset[str]:
    """Return the absolute names of all modules that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = _base(path, node)
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return frozenset(found)


def _base(path, node):
    if not node.level:
        return node.module
    package = path.relative_to(ROOT).parent.parts
    parts = package[: len(package) - node.level + 1]
    return ".".join((*parts, *([node.module] if node.module else [])))


def reaches(path, package):
    return any(name == package or name.startswith(package + ".") for name in imports(path))


def every_file() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sources(package)


def test_imports_go_from_nas_to_scaling_to_search_spaces_and_never_back():
    wrong = [
        f"{name_of(path)} imports {later}"
        for position, package in enumerate(PACKAGES)
        for path in sources(package)
        for later in PACKAGES[position + 1 :]
        if reaches(path, later)
    ]
    assert wrong == []


def test_siblings_inside_nas_do_not_import_each_other():
    wrong = [
        f"{name_of(path)} imports nas.{other}"
        for sibling in SIBLINGS
        for path in sources(f"nas/{sibling}")
        for other in (*SIBLINGS, "cli", "study")
        if other != sibling and (sibling, other) not in USES and reaches(path, f"nas.{other}")
    ]
    assert wrong == []


def test_strategies_and_analysis_never_see_torch():
    wrong = [
        name_of(path)
        for sibling in ("strategies", "analysis")
        for path in sources(f"nas/{sibling}")
        if reaches(path, "torch")
    ]
    assert wrong == []


@pytest.mark.parametrize("library", sorted(HOMES))
def test_a_heavy_library_has_one_home(library):
    assert {name_of(path) for path in every_file() if reaches(path, library)} <= HOMES[library]


def test_torch_stays_in_the_files_of_search_spaces_that_say_so():
    wrong = [
        name_of(path)
        for path in sources("search_spaces")
        if reaches(path, "torch") and not path.name.startswith(TORCH_IN_SPACES)
    ]
    assert wrong == []


@pytest.mark.parametrize("module", LIGHT)
def test_importing_loads_no_heavy_library(module):
    if find_spec(module) is None:
        pytest.skip(f"there is no {module}")
    heavy = ("torch", "ray", "optuna", "sklearn", "matplotlib", "pandas")
    program = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_no_text_of_ours_names_a_package_registry():
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("this is no git checkout")
    hosts = [registry + ending for registry in REGISTRIES for ending in (".org", ".com", ".io")]
    wrong = []
    for name in done.stdout.splitlines():
        path = ROOT / name
        content = path.read_bytes() if path.is_file() else b""
        if b"\0" not in content[:8000]:
            text = content.decode("utf-8", "replace").lower()
            wrong += [f"{name} names {host}" for host in hosts if host in text]
    assert wrong == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_is_typed_and_says_what_it_is(package):
    assert (ROOT / package / "py.typed").is_file()
    wrong = [name_of(path) for path in sources(package) if not _has_docstring(path)]
    assert wrong == []


def _has_docstring(path):
    text = path.read_text(encoding="utf-8")
    return not text or ast.get_docstring(ast.parse(text)) is not None


MODULES = [info.name for info in pkgutil.walk_packages(search_spaces.__path__, "search_spaces.")]


@pytest.mark.parametrize("module", MODULES)
def test_examples_in_docstrings_hold(module):
    result = doctest.testmod(importlib.import_module(module))
    assert result.failed == 0
