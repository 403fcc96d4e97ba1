"""The weights that the training of a supernet leaves behind, with the space they are of, in one checked file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import cast

from torch import Tensor, nn

from search_spaces.errors import BadInput, StorageError
from search_spaces.modules import available_bytes
from search_spaces.serialise import from_text, key, to_json
from search_spaces.supernet_entangled import Entangled

from ..storage import make_folder
from . import checkpoint

SUPERNET = "supernet.pt"


def keep_supernet(folder: Path, supernet: nn.Module, *, epochs: int) -> None:
    """Write a trained supernet into a folder, whole or not at all; raises `StorageError`."""
    assert isinstance(supernet, Entangled)
    make_folder(folder)
    state = {"space": to_json(supernet.space), "weights": supernet.state_dict()}
    checkpoint.write(folder / SUPERNET, identity=key(supernet.space), epoch=epochs, state=state)


def supernet_in(folder: Path, *, of: str) -> Entangled:
    """Return the supernet that a training left in a folder, on the CPU; the last one is remembered.

    `of` is the key of its space. Raises `StorageError` where it cannot be read, is damaged or of another space: no
    architecture is to blame for that.
    """
    path = folder / SUPERNET
    try:
        found, most = path.stat(), available_bytes() // 2
        if found.st_size > most:
            raise BadInput(f"it has {found.st_size:,} bytes, more than the {most:,} there is room for")
        return _supernet(path, of, found.st_mtime_ns, found.st_size)
    except Exception as error:
        raise StorageError(
            f"{path}: cannot be used ({str(error)[:200]}), expected the weights of the supernet of space {of}; put the "
            "file back, or begin a new run"
        ) from error


@lru_cache(maxsize=1)
def _supernet(path: Path, of: str, changed_ns: int, size: int) -> Entangled:
    _, state = checkpoint.read(path, identity=of, expected_bytes=size)
    supernet = Entangled(from_text(cast(str, state["space"]), source=path.name))
    supernet.load_state_dict(cast("Mapping[str, Tensor]", state["weights"]))
    return supernet
