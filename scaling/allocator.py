"""The C library's heap, kept between runs while something is measured.

glibc gives large freed blocks back to the kernel, or not, by the luck of how the heap lies: in one process a run of a
network then touches thousands of fresh pages, in the next none, and takes up to twice as long. A program that has
served for a while, or has another allocator, keeps its memory; so does this.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # mallopt(3)
KEPT = {M_TRIM_THRESHOLD: 2**31 - 1, M_TOP_PAD: 1 << 26, M_MMAP_MAX: 0}
OWN = {  # what glibc begins with, and the variables that say otherwise
    M_TRIM_THRESHOLD: ("MALLOC_TRIM_THRESHOLD_", 128 * 1024),
    M_TOP_PAD: ("MALLOC_TOP_PAD_", 128 * 1024),
    M_MMAP_MAX: ("MALLOC_MMAP_MAX_", 65536),
}


@contextmanager
def kept_memory() -> Iterator[bool]:
    """Keep freed memory in this process, and tell whether that can be had (glibc); as glibc begins with afterwards."""
    library = _glibc()
    if library is None:
        yield False
        return
    try:
        taken = [library.mallopt(option, value) for option, value in KEPT.items()]
        yield all(one == 1 for one in taken)
    finally:
        for option, (variable, value) in OWN.items():
            library.mallopt(option, _said(variable, value))
        library.malloc_trim(0)


@lru_cache(maxsize=1)
def _glibc() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 - which no other library has
        library.malloc_trim.argtypes = [ctypes.c_size_t]
    except (OSError, AttributeError, TypeError):
        return None
    return library


def _said(variable: str, otherwise: int) -> int:
    text = os.environ.get(variable, "")
    return min(int(text), 2**31 - 1) if text.isdecimal() else otherwise
