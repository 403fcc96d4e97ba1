"""What a node of a cluster says of itself; runs where none of ours may be installed, so it imports nothing of ours."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

VERSIONED = ("archscale", "torch", "ray")
LOOKS, LOOK_SECONDS = 10, 0.3


def probe(node: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return a node's versions, what it cannot import or read, and whether the results folder is the driver's.

    `asked`: `home`, where the driver was started; `results`; `seen`, a file that the driver has put there; `modules`
    and `data`, which trials will need. What went wrong is a text, and nothing is raised.
    """
    if Path(asked["home"]).is_dir():
        os.chdir(asked["home"])
        sys.path.append(asked["home"])
    ours = importable("nas.execution.ray_trial")
    return {
        "node": os.uname().nodename,
        "versions": versions(),
        "archscale": ours,
        "modules": {name: why for name in asked["modules"] if (why := importable(name))},
        "storage": shared(Path(asked["results"]), asked["seen"], node),
        "data": readable(asked["data"]) if asked["data"] else "",
        "token": os.environ.get("RAY_AUTH_MODE", "").lower() == "token",
    }


def versions() -> dict[str, str | None]:
    """Return the versions that must be equal everywhere, without a build's own ending such as +cu128."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in VERSIONED:
        try:
            found[name] = importlib.metadata.version(name).partition("+")[0]
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def importable(module: str) -> str:
    """Return why a module cannot be found, or nothing; those above it are imported."""
    try:
        found = importlib.util.find_spec(module)
    except Exception as error:  # noqa: BLE001 - a user's package may raise anything
        return f"{type(error).__name__}: {error}"[:300]
    return "" if found is not None else f"No module named {module!r}"


def shared(results: Path, seen: str, node: str) -> str:
    """Write a probe into the results folder and look for the driver's; return what is wrong, or nothing."""
    if not results.is_dir():
        return "there is no such folder"
    try:
        (results / f"{seen}-{node}").write_text(node)
        there = comes_into_sight(results / seen)
    except OSError as error:
        return f"{error.strerror or error}"
    return "" if there else "a folder of that name, but not the one that the driver writes to"


def comes_into_sight(path: Path) -> bool:
    """Tell whether a file that is written elsewhere is seen here; a network's file system may take a while."""
    for _ in range(LOOKS):
        os.scandir(path.parent).close()  # which looks anew at the folder
        if path.is_file():
            return True
        time.sleep(LOOK_SECONDS)
    return False


def readable(path: str) -> str:
    """Return why a file or folder cannot be read, or nothing."""
    try:
        if Path(path).is_dir():
            os.scandir(path).close()
        else:
            Path(path).open("rb").close()
    except OSError as error:
        return error.strerror or str(error)
    return ""
