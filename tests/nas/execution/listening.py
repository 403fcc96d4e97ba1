"""Which processes listen where, as the kernel tells it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PROC, LISTENS = Path("/proc"), "0A"
FAMILIES = {"tcp": socket.AF_INET, "tcp6": socket.AF_INET6}


def sockets_of(root: int) -> Iterator[tuple[str, str]]:
    """Yield the kind of process and the address of each listening socket of a process and all below it."""
    owners = {inode: pid for pid in _below(root) for inode in _inodes(pid)}
    for name, family in FAMILIES.items():
        for line in (PROC / "net" / name).read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == LISTENS and inode in owners:
                yield _kind(owners[inode], root), _address(local.partition(":")[0], family)


def _below(root: int) -> set[int]:
    parents = {}
    for path in PROC.iterdir():
        with suppress(OSError):
            if path.name.isdigit():
                parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _inodes(pid: int) -> Iterator[str]:
    with suppress(OSError):
        for entry in (PROC / str(pid) / "fd").iterdir():
            with suppress(OSError):
                link = str(entry.readlink())
                if link.startswith("socket:["):
                    yield link[8:-1]


def _kind(pid: int, root: int) -> str:
    if pid == root:
        return "driver"
    said = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")[0].decode()
    return "worker" if said.startswith("ray::IDLE") else Path(said.strip()).name


def _address(words: str, family: int) -> str:
    raw = b"".join(bytes.fromhex(words[i : i + 8])[::-1] for i in range(0, len(words), 8))
    return socket.inet_ntop(family, raw).removeprefix("::ffff:")
