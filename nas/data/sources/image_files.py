"""Which pictures a folder holds and which class each is of; sorted, so that no file system's order matters."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from search_spaces.errors import BadInput

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
NAMED = 10  # files that a refusal names
TRAIN, TEST = "train", "test"
HOW = "a class is a subfolder of pictures; a ready split goes below train/ and test/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """The files of a folder of pictures, those of its test part last."""

    classes: tuple[str, ...]
    files: tuple[Path, ...]
    labels: tuple[int, ...]  # of each file
    test: int | None  # how many of the files are of the test part; None where there is none


def listed(root: Path) -> Listed:
    """List the pictures of a folder by class; `BadInput` names what is no such folder, and why."""
    folders, _ = _entries(root, root)
    if TRAIN not in folders or not _holds_folders(root / TRAIN, root):
        return _joined(_by_class(root, root), None)
    others = [name for name in folders if name not in (TRAIN, TEST)]
    if others:
        raise BadInput(
            f"{root}: got {some(others)} beside train/, expected test/ at most; the validation part is split off "
            "train/, so move the pictures there"
        )
    _refuse_pictures(root, root)
    train = _by_class(root / TRAIN, root)
    if TEST not in folders:
        return _joined(train, None)
    test = _by_class(root / TEST, root, least=1)
    foreign = sorted(set(test) - set(train))
    if foreign:
        raise BadInput(
            f"{root / TEST}: got {some(foreign)}, expected the classes of train/; move or remove it"
        )
    return _joined(train, test)


def shown(path: Path | str) -> str:
    """Return a path or name with what cannot be printed escaped."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in str(path))


def some(names: Iterable[str]) -> str:
    """Return the first few of some names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(map(shown, names[:NAMED])) + more


def _joined(train: dict[str, list[Path]], test: dict[str, list[Path]] | None) -> Listed:
    parts = [(name, file) for part in (train, test or {}) for name in part for file in part[name]]
    numbers = {name: number for number, name in enumerate(train)}
    return Listed(
        classes=tuple(train),
        files=tuple(file for _, file in parts),
        labels=tuple(numbers[name] for name, _ in parts),
        test=None if test is None else sum(map(len, test.values())),
    )


def _by_class(folder: Path, root: Path, *, least: int = 2) -> dict[str, list[Path]]:
    """Return the pictures of each class, both sorted by name."""
    _refuse_pictures(folder, root)
    names, _ = _entries(folder, root)
    if not names:
        raise BadInput(f"{shown(folder)}: got no folders, expected some of pictures; {HOW}; check data.path")
    classes = {name: _pictures(folder / name, root) for name in names}
    empty = [name for name in names if not classes[name]]
    if empty:
        raise BadInput(
            f"{shown(folder)}: got no pictures in {some(empty)}, expected {', '.join(ENDINGS)} files; add some, or "
            "remove the folder"
        )
    if len(names) < least:
        raise BadInput(
            f"{shown(folder)}: got one class only ({shown(names[0])}), expected at least two; {HOW}; check data.path"
        )
    return classes


def _pictures(folder: Path, root: Path) -> list[Path]:
    folders, files = _entries(folder, root)
    if folders:
        raise BadInput(
            f"{shown(folder)}: got {some(folders)} inside a class folder, expected pictures only; {HOW}; move "
            "the pictures up, or check data.path"
        )
    if not folder.name.isprintable():
        raise BadInput(f"{shown(folder)}: got a class whose name cannot be printed, expected text; rename it")
    return [folder / name for name in files]


def _refuse_pictures(folder: Path, root: Path) -> None:
    _, files = _entries(folder, root)
    if files:
        raise BadInput(
            f"{shown(folder)}: got {some(files)} outside of a class folder, expected folders of pictures; {HOW}"
        )


def _holds_folders(folder: Path, root: Path) -> bool:
    folders, files = _entries(folder, root)
    return bool(folders) and not files


def _entries(folder: Path, root: Path) -> tuple[list[str], list[str]]:
    """Return the names of the subfolders and of the pictures, sorted; what is hidden is left out."""
    try:
        with os.scandir(folder) as found:
            entries = sorted((entry for entry in found if entry.name[0] != "."), key=lambda entry: entry.name)
        away = [entry.name for entry in entries if entry.is_symlink() and _leads_out(Path(entry.path), root)]
        folders = [entry.name for entry in entries if _is_folder(entry)]
    except OSError as error:
        raise BadInput(
            f"{shown(folder)}: got {error.strerror}, expected a folder to read; check it"
        ) from error
    if away:
        raise BadInput(
            f"{shown(folder)}: got links that lead out of the data's folder: {some(away)}, expected the pictures "
            "themselves; copy them, or set data.path to where they are"
        )
    rest = [entry.name for entry in entries if not _is_folder(entry)]
    return folders, [name for name in rest if name.lower().endswith(ENDINGS)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _leads_out(link: Path, root: Path) -> bool:
    try:
        return not link.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # a link to itself leads nowhere
        return False
