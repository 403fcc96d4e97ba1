"""A family's folder: `family.json`, and of each member its spec and its PyTorch source. Loads no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scaling.family import Family
from search_spaces.data import Data, declared
from search_spaces.errors import BadInput, BadSpec, StorageError
from search_spaces.network import Network
from search_spaces.serialise import Json, from_data, key, load, to_data, to_json
from search_spaces.source import to_source
from search_spaces.text import read_text

from .config import import_modules
from .family_file import FamilyFile, MemberFile
from .storage import check_name, inside, replace_file
from .strict_json import parse_json

FAMILY = "family.json"
VERSION = 1
LARGEST = 32 * 2**20  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyRecord:
    """A family that lies in a folder, and the networks of its members, in their order."""

    folder: Path
    file: FamilyFile
    networks: tuple[Network, ...]

    @property
    def name(self) -> str:
        """The family's name: its folder's."""
        return self.folder.name

    def member(self, name: str) -> tuple[MemberFile, Network]:
        """Return a member by its name, or by what was asked of it, such as `phi 1`; `BadInput` for others."""
        pairs = list(zip(self.file.members, self.networks, strict=True))
        for member, network in pairs:
            if name in (member.name, member.key) or name in [request.asked for request in member.requests]:
                return member, network
        names = ", ".join(member.name for member, _ in pairs)
        raise BadInput(f"{self.name}#{name}: got no member of this family, expected one of {names}")


def write_members(folder: Path, file: FamilyFile, made: Family) -> list[Path]:
    """Write the spec and the PyTorch source of each member, and `family.json` behind them."""
    written = []
    for own, member in zip(file.members, made.members, strict=True):
        text = to_source(member.network, name=own.name, macs=own.metrics.macs)
        for name, content in ((own.spec, to_json(member.network) + "\n"), (own.source, text)):
            replace_file(folder / name, content.encode())
            written.append(folder / name)
    return [write_family(folder, file), *written]


def write_family(folder: Path, file: FamilyFile) -> Path:
    """Write `family.json`, in place of the one that lies there: for what training adds."""
    data = {"version": VERSION, "family": in_full(file)}
    text = json.dumps(data, indent=2, allow_nan=False) + "\n"
    replace_file(folder / FAMILY, text.encode())
    return folder / FAMILY


def read_family(folder: Path) -> FamilyRecord:
    """Read a family and its members' specs; `StorageError` where something is damaged or does not belong."""
    path = folder / FAMILY
    file = _file(path)
    networks = []
    for member in file.members:
        try:
            found = load(inside(folder, member.spec))
        except BadInput as error:
            raise StorageError(
                f"{path}: the spec of {member.name} cannot be read ({error}); scale the base again"
            ) from None
        if key(found) != member.key:
            raise StorageError(
                f"{folder / member.spec}: got a network with key {key(found)}, expected {member.key}, which "
                f"{FAMILY} says; the file was changed, scale the base again"
            )
        networks.append(found)
    return FamilyRecord(folder=folder, file=file, networks=tuple(networks))


def family_folder(text: str, results: Path) -> Path | None:
    """Return the folder of a family that is given by name or path, None where no family lies there."""
    if (Path(text) / FAMILY).is_file():
        return Path(text)
    try:
        folder = inside(results, check_name(text))
    except BadInput:
        return None
    return folder if (folder / FAMILY).is_file() else None


def in_full(node: object) -> Json:
    """Return a node as JSON can hold it, its defaults too: they may be others in a later release.

    Networks are left as `to_data` says them, for their keys go by that.
    """
    if isinstance(node, tuple):
        return [in_full(item) for item in node]
    if isinstance(node, Network) or not isinstance(node, Data):
        return to_data(node)
    tag: dict[str, Json] = {"type": type(node).__name__} if node.tagged else {}
    return tag | {name: in_full(getattr(node, name)) for name, _ in declared(type(node))}


def _file(path: Path) -> FamilyFile:
    said = _mapping(path)
    if said["version"] != VERSION:
        raise BadInput(
            f"{path}: got version {said['version']!r} of a family, expected {VERSION}; was it written by a later "
            "release?"
        )
    data = said["family"]
    import_modules(data.get("imports", ()) if isinstance(data, Mapping) else ())
    try:
        return from_data(FamilyFile, data)
    except BadSpec as error:
        first = str(error).split("\n", 1)[0]
        raise StorageError(f"{path}: family.{first}; the file is damaged, scale the base again") from None


def _mapping(path: Path) -> Mapping[str, Json]:
    try:
        said = parse_json(read_text(path, largest=LARGEST), where=str(path))
    except BadInput as error:
        raise StorageError(f"{error}; the file is damaged, scale the base again") from None
    if not isinstance(said, Mapping) or set(said) != {"version", "family"}:
        raise StorageError(
            f"{path}: got no family, expected one that `nas scale` wrote; scale the base again"
        )
    return said
