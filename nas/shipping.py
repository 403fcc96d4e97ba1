"""What a cluster is sent of a study: its working folder without data and results; what would not ship is refused."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from search_spaces.errors import BadInput
from search_spaces.presets import is_preset

from .config import StudyConfig
from .storage import check_name

MOST_BYTES = 100 << 20  # of all files together; Ray's own limit is 500 MB, kept in the head's memory
LEFT_OUT = frozenset(
    ("results", "node_modules", "build", "dist", "__pycache__", "venv", "env", "wandb", "mlruns")
)  # folders, beside all whose names begin with a dot: .env holds secrets
NAMED = 5  # largest files, in a refusal
EPOCH = (1980, 1, 1, 0, 0, 0)  # of every file in a package: the same files make the same package


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A search to be run on a cluster: its config's file, settings, name, and folders there that all nodes share."""

    config_file: Path
    overrides: Sequence[str] = ()
    name: str
    results: PurePosixPath
    shared: Sequence[PurePosixPath] = ()

    def __post_init__(self) -> None:
        """Refuse a name that no run may have."""
        check_name(self.name)

    @property
    def folders(self) -> Sequence[PurePosixPath]:
        """The folders that all nodes share."""
        return self.shared or (self.results.parent,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A zip archive, and its name, which follows from what is in it."""

    name: str
    content: bytes
    files: int

    @property
    def uri(self) -> str:
        """What Ray calls it."""
        return f"gcs://{self.name}"


def command(order: Order, *, config_file: str) -> str:
    """Return the command line that runs an order on a cluster, where its config lies in `config_file`."""
    words = ["python", "-m", "nas", "search", config_file, *order.overrides]
    words += ["--cluster", "auto", "--results", str(order.results), "--name", order.name]
    return shlex.join(words)


def check(order: Order, config: StudyConfig, home: Path) -> None:
    """Refuse a study that names what the cluster would not have, by `BadInput`."""
    if not order.results.is_absolute():
        raise BadInput(
            f"--results: got {order.results}, expected the absolute path, on the cluster, of a folder that all nodes "
            "share, such as /mnt/shared/results; the folder that a job starts in is removed after it"
        )
    inside(order.config_file, home, what="CONFIG")
    for what, path in files_of(config):
        if not on_the_cluster(path, order):
            inside(Path(path), home, what=what)
    data = config.data.path
    if data is not None and not config.table and not on_the_cluster(data, order):
        raise BadInput(
            f"data.path: got {data}, which is not shipped; expected an absolute path on the cluster inside "
            f"{_either(order)}: put the data there, and say data.path=PATH, or --shared DIR where they lie elsewhere"
        )
    for module in modules_of(config):
        _check_module(module, home)


def files_of(config: StudyConfig) -> Iterator[tuple[str, str]]:
    """Yield the files that a study reads when it begins: what names them, and their paths."""
    if isinstance(config.space, str) and not is_preset(config.space):
        yield "space", config.space
    if config.table and ("/" in config.table or Path(config.table).suffix):
        yield "table", config.table
    if config.latency is not None and config.latency.table:
        yield "latency.table", config.latency.table


def modules_of(config: StudyConfig) -> Sequence[str]:
    """List the modules of the user's own that a study imports."""
    module, own, _ = config.data.source.partition(":")
    return (*config.imports, *((module,) if own else ()))


def on_the_cluster(path: str, order: Order) -> bool:
    """Tell whether a path is said to be one on the cluster's shared storage."""
    one = PurePosixPath(path)
    return one.is_absolute() and ".." not in one.parts and any(one.is_relative_to(f) for f in order.folders)


def inside(path: Path, home: Path, *, what: str) -> Path:
    """Return a path relative to the working folder, of a file that ships with it; else `BadInput`."""
    there = (home / path).resolve()
    if path.is_absolute():
        raise BadInput(
            f"{what}: got {path}, an absolute path, which would not be there on the cluster; put it into {home} and "
            "write it relative to that, or name with --shared a folder that all nodes have and that holds it"
        )
    if not there.is_relative_to(home.resolve()) or not there.is_file():
        raise BadInput(
            f"{what}: got {path}, expected a file inside {home}, which is what is shipped; copy it there"
        )
    return there.relative_to(home.resolve())


def pack(home: Path, needed: Sequence[Path], *, leave_out: Sequence[str] = ()) -> Package:
    """Pack a working folder: what git would keep, or all but the usual droppings, and always what is `needed`.

    Raises BadInput where that is too much, naming the largest files.
    """
    files = sorted({*_kept(home, leave_out), *needed}, key=Path.as_posix)
    sizes = {path: (home / path).stat().st_size for path in files}
    if sum(sizes.values()) > MOST_BYTES:
        largest = sorted(files, key=lambda path: -sizes[path])[:NAMED]
        named = ", ".join(f"{path} ({sizes[path] / 1e6:.0f} MB)" for path in largest)
        raise BadInput(
            f"{home}: its files are {sum(sizes.values()) / 1e6:.0f} MB, expected {MOST_BYTES / 1e6:.0f} at most; the "
            f"largest: {named}. Put data on the cluster's storage, and leave the rest out with --leave-out PATTERN"
        )
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            entry = zipfile.ZipInfo(path.as_posix(), date_time=EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o755 if os.access(home / path, os.X_OK) else 0o644) << 16
            archive.writestr(entry, (home / path).read_bytes())
    content = made.getvalue()
    return Package(
        name=f"_ray_pkg_{hashlib.sha256(content).hexdigest()[:16]}.zip", content=content, files=len(files)
    )


def _kept(home: Path, leave_out: Sequence[str]) -> Iterator[Path]:
    for path in _listed_by_git(home) or _walked(home):
        plain = (home / path).is_file() and not (home / path).is_symlink()
        if plain and not _is_left_out(path, leave_out):
            yield path


def _is_left_out(path: Path, leave_out: Sequence[str]) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    droppings = any(part in LEFT_OUT for part in path.parts[:-1])
    return hidden or droppings or any(path.match(one) or path.is_relative_to(one) for one in leave_out)


def _listed_by_git(home: Path) -> list[Path]:
    asked = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(asked, cwd=home, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):  # no git, or no repository of its
        return []
    return [Path(os.fsdecode(name)) for name in done.stdout.split(b"\0") if name]


def _walked(home: Path) -> Iterator[Path]:
    for folder, names, files in os.walk(home):
        names[:] = [name for name in names if name not in LEFT_OUT and not name.startswith(".")]
        yield from (Path(folder, name).relative_to(home) for name in files)


def _check_module(module: str, home: Path) -> None:
    """Refuse a module that lies on this machine, but neither in what is shipped nor among installed packages."""
    found = importlib.util.find_spec(module)
    where = Path(found.origin).resolve() if found is not None and found.origin else None
    installed = where is None or any(
        "site-packages" in part or "dist-packages" in part for part in where.parts
    )
    if where is None or installed or where.is_relative_to(home.resolve()):
        return
    if not where.is_relative_to(Path(sys.base_prefix)):
        raise BadInput(
            f"{module}: lies in {where.parent}, outside {home}, which is what is shipped; copy it there, or install it "
            f"on the cluster's nodes, as --pip does"
        )


def _either(order: Order) -> str:
    return " or ".join(map(str, order.folders))
