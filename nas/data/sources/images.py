"""A folder of pictures, one subfolder a class, perhaps below `train/` and `test/`.

What is no picture by its ending, and what is hidden, is passed over; what would have to be guessed is refused.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from search_spaces.errors import BadInput

from ..dataset import Array, Dataset
from ..spec import DataSpec
from .image_files import listed, shown, some
from .pictures import DAMAGE, Look, Size, look, pixels, reason, strictly
from .settings import existing, refuse_unused

THREADS = 4  # Pillow decodes outside of the interpreter's lock
CHANNELS = {"L": 1, "RGB": 3, "F": 1}
Item = TypeVar("Item")
Result = TypeVar("Result")


def load(spec: DataSpec) -> Dataset:
    """Return the pictures, (N, C, H, W), all of one size; those below test/ are the test part.

    uint8 of one channel where all pictures (but those of the test part) are grey, else of three. Grey
    pictures of 16 or 32 bits keep their numbers, as float32. The size is `spec.size` or the commonest, of
    equals the larger; see `pictures.pixels` for how others come to it.
    """
    refuse_unused(spec, "keys", "layout")
    folder = existing(spec, "a folder with a subfolder of pictures for each class")
    if not folder.is_dir():
        raise BadInput(f"{folder}: got a file, expected a folder with a subfolder of pictures for each class")
    found = listed(folder)
    rest = len(found.files) - (found.test or 0)
    x, labels = _read(folder, found.files, spec, rest=rest), np.array(found.labels)
    given = found.test is not None
    return Dataset(
        name=folder.resolve().name or "images",
        x=x[:rest],
        y=labels[:rest],
        classes=found.classes,
        test_x=x[rest:] if given else None,
        test_y=labels[rest:] if given else None,
    )


def _read(folder: Path, files: Sequence[Path], spec: DataSpec, *, rest: int) -> Array:
    """Decode all files, to what the first `rest` of them ask for; what cannot be read is refused together."""
    with strictly():
        looks = _each(look, files)
        sound = [found for found in looks[:rest] if isinstance(found, Look)]
        if not sound:
            raise _unreadable(folder, zip(files, looks, strict=True))
        mode, size = _mode(folder, files, looks, rest=rest), _size(spec, sound)
        x = _room(folder, len(files), mode=mode, size=size)

        def fill(at: int) -> None:
            x[at] = pixels(files[at], mode, size=size)

        readable = [at for at, found in enumerate(looks) if isinstance(found, Look)]
        for at, failure in zip(readable, _each(fill, readable), strict=True):
            looks[at] = failure or looks[at]
    if any(isinstance(found, str) for found in looks):
        raise _unreadable(folder, zip(files, looks, strict=True))
    return x


def _each(do: Callable[[Item], Result], items: Sequence[Item]) -> list[Result | str]:
    """Return what `do` makes of each item, or in a few words why it could not."""

    def tried(item: Item) -> Result | str:
        try:
            return do(item)
        except DAMAGE as error:
            return reason(error)

    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as threads:
        return list(threads.map(tried, items))


def _unreadable(folder: Path, results: Iterable[tuple[Path, Look | str]]) -> BadInput:
    bad = [f"{file.relative_to(folder)} ({why})" for file, why in results if isinstance(why, str)]
    return BadInput(
        f"{folder}: got {len(bad)} pictures that cannot be read: {some(bad)}; expected whole ones; mend or "
        "remove them"
    )


def _mode(folder: Path, files: Sequence[Path], looks: Sequence[Look | str], *, rest: int) -> str:
    """Return Pillow's name for what all pictures become."""
    known = [(file, found) for file, found in zip(files, looks, strict=True) if isinstance(found, Look)]
    deep = [found.deep for _, found in known]
    if all(deep):
        return "F"
    if any(deep):
        rarer = sum(deep) * 2 <= len(deep)
        odd = [shown(file.relative_to(folder)) for file, found in known if found.deep == rarer]
        raise BadInput(
            f"{folder}: got {len(odd)} pictures with {'more than' if rarer else 'only'} 8 bits a channel among "
            f"{len(deep)}: {some(odd)}; expected one depth; convert them"
        )
    grey = all(found.grey for found in looks[:rest] if isinstance(found, Look))
    return "L" if grey else "RGB"


def _size(spec: DataSpec, looks: Sequence[Look]) -> Size:
    if spec.size is None:
        counts = Counter(found.size for found in looks)
        return max(counts, key=lambda size: (counts[size], size[0] * size[1], size))
    return (spec.size, spec.size) if isinstance(spec.size, int) else spec.size


def _room(folder: Path, count: int, *, mode: str, size: Size) -> Array:
    """Return the empty array for all pictures, if it is no more than half of the machine's memory."""
    shape, kind = (count, CHANNELS[mode], *size), np.dtype("<f4" if mode == "F" else "u1")
    needed, memory = count * CHANNELS[mode] * size[0] * size[1] * kind.itemsize, _memory()
    if needed > memory / 2:
        raise BadInput(
            f"{folder}: got {count} pictures of {size[0]} x {size[1]}, which take {needed / 1e9:.1f} GB, expected "
            f"at most half of the memory of {memory / 1e9:.1f} GB; set data.size to a smaller one"
        )
    return np.empty(shape, dtype=kind)


def _memory() -> int:
    """Return the bytes of this machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
