"""What trials on data share in one process: the data in memory on its device, and where they keep their files."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch

from search_spaces.errors import BadInput
from search_spaces.serialise import Json, from_data

from .data import DataSpec
from .data.device import DevicePart, OnDevice, held_out_to_device, to_device
from .data.load import Part, SearchData, load_search_data, load_test
from .evaluation import Workspace, run
from .evaluation.ranks import Ranks, joined, own_device
from .kept import BEST
from .proposal import Kind, Outcome, Proposal
from .storage import inside


@dataclass(frozen=True, slots=True, kw_only=True)
class Workbench:
    """The data, in memory on its device, and where trials keep their files."""

    spec: DataSpec
    data: OnDevice
    device: str
    folder: Path
    trial_seconds: float | None
    ranks: Ranks = Ranks()

    @classmethod
    def of(cls, setup: Mapping[str, Json]) -> Workbench:
        """Load the data that a setup names; `BadInput` where it is not what the run began with."""
        torch.set_num_threads(cast(int, setup["threads"]))
        spec = from_data(DataSpec, setup["data"])
        loaded = load_search_data(spec)
        if loaded.fingerprint != setup["fingerprint"]:
            raise BadInput(
                f"data: {loaded.name} has fingerprint {loaded.fingerprint}, expected {setup['fingerprint']} as "
                "when the run began; put the data back, or begin a new run"
            )
        ranks = Ranks(number=cast(int, setup.get("rank", 0)), count=cast(int, setup.get("ranks", 1)))
        device = own_device(ranks, device_named(cast(str, setup["device"])))
        if ranks.count > 1:
            joined(ranks, meeting=cast(str, setup["meeting"]), device=device)
        return cls(
            spec=spec,
            data=to_device(_first(loaded, cast("list[int] | None", setup.get("most"))), device),
            device=device,
            folder=Path(cast(str, setup["folder"])),
            trial_seconds=cast("float | None", setup["trial_seconds"]) if ranks.first else None,
            ranks=ranks,
        )

    def run(self, proposal: Proposal, report: Callable[[int, Mapping[str, float]], None]) -> Outcome:
        """Run one trial. Raises `StorageError` where the disk refuses, which is no trial's fault."""
        final = proposal.kind is Kind.FINAL
        return run(
            proposal,
            Workspace(
                folder=inside(self.folder, _folder_of(proposal)),
                parent=self._parent(proposal),
                data=self.data,
                held_out=self._test_part,
                device=self.device,
                ranks=self.ranks if proposal.kind.about.splits else Ranks(),
                report=report,
                deadline=None if final or not self.trial_seconds else time.monotonic() + self.trial_seconds,
            ),
        )

    def _parent(self, proposal: Proposal) -> Path | None:
        """Return the folder of the trial that a proposal continues or follows from, None where there is none."""
        if proposal.parent is None or proposal.parent_key is None:
            return None
        return inside(self.folder, f"trials/{proposal.parent_key}/{proposal.parent}")

    def _test_part(self) -> DevicePart:
        return held_out_to_device(load_test(self.spec), self.device)


def _first(data: SearchData, most: Sequence[int] | None) -> SearchData:
    """Return data of the first examples of its parts, as many as `most` says of train and validation."""
    if most is None:
        return data
    parts = (data.train, data.validation)
    train, validation = (Part(x=p.x[:n], y=p.y[:n]) for p, n in zip(parts, most, strict=True))
    return replace(data, train=train, validation=validation)


def _folder_of(proposal: Proposal) -> str:
    """Return where a trial keeps its files: the winner's final training, that of a member of a list, or a trial."""
    if proposal.kind is not Kind.FINAL:
        return f"trials/{proposal.key}/{proposal.number}"
    return BEST if proposal.parent is not None else f"trained/{proposal.key}/{proposal.number}"


def device_named(name: str, *, where: str = "execution.device") -> str:
    """Return the device that `auto` stands for here; `BadInput` where the one that is named is not there."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise BadInput(f"{where}: got {name}, expected a device of this machine: cpu; set {where}=cpu")
    return name
