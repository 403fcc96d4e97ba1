"""Arrays from a numpy .npz file; nothing in it is unpickled."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from search_spaces.errors import BadInput

from ..arrays import assemble
from ..dataset import Array, Dataset
from ..spec import ArrayKeys, DataSpec
from .settings import existing, refuse_unused

DAMAGE = (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error, NotImplementedError)


def load(spec: DataSpec) -> Dataset:
    """Return the arrays of the file that `spec.keys` names, or those with the usual names."""
    refuse_unused(spec, "size")
    path = existing(spec, "an npz file")
    try:
        with path.open("rb") as file:  # opened here, because numpy leaves a torn archive open
            read = _read(np.load(file, allow_pickle=False), path, spec.keys)
    except DAMAGE as error:
        raise damaged(path, error) from error
    classes = read.pop("classes", None)
    names = None if classes is None else tuple(str(name) for name in classes.reshape(-1).tolist())
    return assemble(path.stem, read, classes=names, layout=spec.layout)


def damaged(path: Path, error: BaseException, *, key: str | None = None) -> BadInput:
    """Return the error for a file, or for one of its arrays; the caller raises it."""
    where = f"{path}" if key is None else f"{path}[{key}]"
    return BadInput(
        f"{where}: got {error}, expected an npz file of plain numbers; write it again with numpy.savez"
    )


def _read(archive: object, path: Path, keys: ArrayKeys) -> dict[str, Array]:
    """Return role -> array, of those that are named or found."""
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise BadInput(f"{path}: got a single array, expected an npz file of named ones; use numpy.savez")
    return {role: _array(archive, path, key) for role, key in _resolved(keys, path, archive.files).items()}


def _resolved(keys: ArrayKeys, path: Path, there: Iterable[str]) -> dict[str, str]:
    """Return role -> key in the file, of those that are named or found."""
    found = {role: key for role in ArrayKeys.__slots__ if (key := getattr(keys, role)) is not None}
    there = set(there)
    if "x" not in found:
        found |= _usual(there)
    found |= {role: role for role in ("groups", "classes") if role in there and role not in found}
    missing = sorted({"x", "y"} - set(found)) + sorted(key for key in found.values() if key not in there)
    if missing:
        raise BadInput(
            f"{path}: got the arrays {', '.join(sorted(there)) or 'none'}, expected also {', '.join(missing)}"
            "; name yours in data.keys"
        )
    return found


def _usual(there: set[str]) -> dict[str, str]:
    if "x_train" not in there:
        return {"x": "x", "y": "y"}
    pair = {"x_test": "x_test", "y_test": "y_test"} if "x_test" in there else {}
    return {"x": "x_train", "y": "y_train"} | pair


def _array(archive: np.lib.npyio.NpzFile, path: Path, key: str) -> Array:
    try:
        value: Array = archive[key]
    except DAMAGE as error:
        raise damaged(path, error, key=key) from error
    return value
