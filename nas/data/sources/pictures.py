"""Pillow, kept to a few formats and made to refuse: the one place where pictures are opened.

Pillow reports damage by many kinds of error, and a picture that is too large to be true by a warning.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..dataset import Array

Size = tuple[int, int]  # (height, width)
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
DAMAGE = (
    *(OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError),
    *(RuntimeError, MemoryError, AssertionError, struct.error, zlib.error),
    *(Image.DecompressionBombError, Image.DecompressionBombWarning),
)
GREY = ("1", "L", "LA", "La")
ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)  # the EXIF tag, and the values that swap height and width


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the header of a picture says, as it is meant to be seen: a camera's turn is undone."""

    size: Size
    grey: bool
    deep: bool  # grey, of more than 8 bits


def look(path: Path) -> Look:
    """Read the header of a picture; raises one of `DAMAGE`."""
    if not path.is_file():
        raise OSError("no file to read")
    with opened(path) as picture:
        deep = picture.mode.startswith(("I", "F"))
        width, height = picture.size
        turned = picture.getexif().get(ORIENTATION) in TURNED
        size = (width, height) if turned else (height, width)
        return Look(size=size, grey=deep or picture.mode in GREY, deep=deep)


def pixels(path: Path, mode: str, *, size: Size) -> Array:
    """Return a picture as (C, H, W) in Pillow's mode L, RGB (uint8) or F (float32); raises one of `DAMAGE`.

    It is scaled, its sides' ratio kept, until it covers `size`, then cut around its centre (as by Resize and
    CenterCrop of torchvision). What is transparent is laid over white.
    """
    height, width = size
    with opened(path) as stored:
        # A JPEG much larger than needed is decoded at a half, quarter or eighth, never below twice the size.
        stored.draft(None, (2 * max(size), 2 * max(size)))
        picture = _flattened(ImageOps.exif_transpose(stored), mode)
        if picture.size != (width, height):
            picture = ImageOps.fit(picture, (width, height), Image.Resampling.BILINEAR)
        array: Array = np.asarray(picture)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _flattened(picture: Image.Image, mode: str) -> Image.Image:
    if mode == "F" or not picture.has_transparency_data:
        return picture.convert(mode)
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture.convert("RGBA")).convert(mode)


@contextmanager
def strictly() -> Iterator[None]:
    """Make Pillow's warning of a decompression bomb an error, in all threads; its other warnings are dropped.

    What it only grumbles about, such as odd metadata, it reads.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def opened(file: Path | BinaryIO, formats: tuple[str, ...] = FORMATS) -> Image.Image:
    """Return a picture of which only the header is read so far."""
    return Image.open(file, formats=formats)


def reason(error: BaseException) -> str:
    """Return what is wrong with a picture, in a few words of one line."""
    if isinstance(error, UnidentifiedImageError):
        return "no picture of a known format"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"more than {Image.MAX_IMAGE_PIXELS} pixels"
    return " ".join(str(error).split())[:80] or type(error).__name__
