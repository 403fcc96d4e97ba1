"""CIFAR-10 as an npz of lossless WebP strips, 94 MiB in place of 180: how it can be kept in small files.

Arrays for each part, train and test: `_webp` (bytes of all strips), `_offsets` (strip i is bytes offsets[i] to
offsets[i + 1]), `_labels` (N,). A strip is 32 wide and holds its pictures one above the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np

from search_spaces.errors import BadInput

from ..dataset import Array, Dataset, Undecoded
from .npz import DAMAGE, damaged
from .pictures import DAMAGE as BAD_PICTURE
from .pictures import opened, reason, strictly

FILE = "cifar10_webp.npz"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32
TALLEST = 16_383 // SIDE  # pictures in a strip: WebP allows no taller one
AGAIN = "write the file again"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Strips:
    """One part as it is stored; whether its pictures are whole, only decoding shows."""

    where: str
    webp: Array  # uint8 (bytes,)
    offsets: Array  # int64 (strips + 1,)
    labels: Array  # uint8 (N,)


def load(path: Path) -> Dataset:
    """Return CIFAR-10 as uint8 (N, 3, 32, 32); the test part stays as it is stored until it is asked for."""
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("a single array")
            train, test = (_strips(path, part, archive) for part in ("train", "test"))
    except DAMAGE as error:
        raise damaged(path, error) from error
    return Dataset(
        name="cifar10",
        x=_decoded(train),
        y=train.labels,
        classes=CLASSES,
        test=Undecoded(
            count=len(test.labels), stored=_digest(test), decode=lambda: (_decoded(test), test.labels)
        ),
    )


def _strips(path: Path, part: str, archive: Mapping[str, Array]) -> Strips:
    """Read one part and hold its arrays against each other."""
    names = [f"{part}_{what}" for what in ("webp", "offsets", "labels")]
    missing = [name for name in names if name not in archive]
    if missing:
        raise BadInput(f"{path}: got no {missing[0]}, expected CIFAR-10 in strips; check data.path")
    webp, offsets, labels = (archive[name] for name in names)
    sound = (
        webp.dtype == labels.dtype == np.uint8
        and offsets.dtype.kind == "i"
        and (webp.ndim, labels.ndim, offsets.ndim) == (1, 1, 1)
        and len(offsets) > 1
        and (offsets[0], offsets[-1]) == (0, len(webp))
        and bool((np.diff(offsets) > 0).all())
        and 0 < len(labels) <= TALLEST * (len(offsets) - 1)
        and int(labels.max()) < len(CLASSES)
    )
    if not sound:
        raise BadInput(
            f"{path}: got {part}_webp, {part}_offsets and {part}_labels that do not fit together, expected "
            f"bytes, ascending places from 0 to their end, and labels from 0 to 9; {AGAIN}"
        )
    return Strips(where=f"{path}[{part}_webp]", webp=webp, offsets=offsets, labels=labels)


def _digest(strips: Strips) -> str:
    digest = sha256(strips.labels.tobytes() + strips.offsets.astype("<i8").tobytes())
    digest.update(np.ascontiguousarray(strips.webp).data)
    return digest.hexdigest()


def _decoded(strips: Strips) -> Array:
    """Return the pictures of a part as uint8 (N, 3, 32, 32), one strip being held at a time."""
    x = np.empty((len(strips.labels), 3, SIDE, SIDE), dtype=np.uint8)
    done = 0
    for number, (start, end) in enumerate(zip(strips.offsets[:-1], strips.offsets[1:], strict=True)):
        pictures = _pictures(f"{strips.where} strip {number}", strips.webp[start:end].tobytes())
        if done + len(pictures) > len(x):
            break
        x[done : done + len(pictures)] = pictures
        done += len(pictures)
    else:
        if done == len(x):
            return x
    raise BadInput(f"{strips.where}: got other than {len(x)} pictures, expected one a label; {AGAIN}")


def _pictures(where: str, data: bytes) -> Array:
    """Return the pictures (n, 3, 32, 32) of one strip."""
    try:
        with strictly(), opened(BytesIO(data), ("WEBP",)) as strip:
            width, height = strip.size
            if width != SIDE or height % SIDE:
                raise ValueError(f"{width} x {height} pixels")
            pixels = np.asarray(strip.convert("RGB"))
    except BAD_PICTURE as error:
        raise BadInput(
            f"{where}: got {reason(error)}, expected WebP of width {SIDE} and a height in steps of {SIDE}; {AGAIN}"
        ) from error
    return pixels.reshape(-1, SIDE, SIDE, 3).transpose(0, 3, 1, 2)
