"""Several processes, ranks, that train one network together, each on a device of its own.

All draw the same batch from the same generator, each takes its part of it, and `DistributedDataParallel` averages
the gradients while they are still being worked out: a step is that of the whole batch, as on one device. Only batch
norm differs: each rank normalises by its own part, as in Goyal et al. 2017 (section 3), and the statistics that are
kept are rank 0's. Rank 0 alone reports, scores and writes.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from search_spaces.errors import BadInput

from ..data.augment import Mixed, Targets
from ..proposal import Status
from ..recipe import LEAST_EACH
from .failures import TrialFailure

LONGEST_SILENCE = 600.0  # seconds that ranks wait for one another: rank 0 scores and writes while others wait
CUT_OFF_WORDS = (  # how torch says it, in a RuntimeError, where another rank is gone or silent
    "gloo", "NCCL", "pair closure",
)  # fmt: skip
LOOPBACK = {"Linux": "lo", "Darwin": "lo0"}


class CutOff(TrialFailure):
    """Another rank is gone, or says nothing; it is not this one's fault."""

    status = Status.LOST


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """Which one of how many ranks this process is; a lone one does everything."""

    number: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the rank that reports, scores and writes."""
        return self.number == 0

    @property
    def least(self) -> int:
        """The examples that a batch must hold."""
        return LEAST_EACH * self.count

    def check_batch(self, batch: int) -> None:
        """Refuse a batch that cannot be split."""
        if self.count > 1 and batch < self.least:
            raise BadInput(
                f"recipe.batch: got {batch} on {self.count} devices, expected {self.least} or more, "
                f"{LEAST_EACH} for each"
            )

    def over(self, model: nn.Module) -> nn.Module:
        """Return what runs a model, its weights first made those of rank 0, and averages its gradients.

        A weight that no example reaches keeps no gradient, on one rank as on several.
        """
        if self.count == 1:
            return model
        with warnings.catch_warnings():  # torch 2.13 has another name for not sending buffers at every step
            warnings.simplefilter("ignore", FutureWarning)
            return DistributedDataParallel(model, broadcast_buffers=False, static_graph=True)

    def part(self, x: Tensor, y: Targets) -> tuple[Tensor, Targets, float]:
        """Return this rank's part of a batch, and what its mean loss counts: all have the batch's mean on average."""
        if self.count == 1:
            return x, y, 1.0
        mine = slice(len(x) * self.number // self.count, len(x) * (self.number + 1) // self.count)
        return x[mine], _part(y, mine), (mine.stop - mine.start) * self.count / len(x)

    def total(self, number: Tensor) -> Tensor:
        """Return the sum of a number over the ranks."""
        if self.count > 1:
            distributed.all_reduce(number)
        return number

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """Let rank 0 do what is within before all others do."""
        if not self.first:
            distributed.barrier()
        yield
        if self.first and self.count > 1:
            distributed.barrier()

    def check_agreed(self, number: int, device: torch.device) -> None:
        """Raise `CutOff` where ranks do not say the same number."""
        if self.total(torch.tensor(number, device=device)).item() != number * self.count:
            raise CutOff(f"rank {self.number} stands at {number}, and others elsewhere")

    @contextmanager
    def together(self) -> Iterator[None]:
        """Raise `CutOff` where another rank is gone."""
        try:
            yield
        except RuntimeError as error:
            if self.count > 1 and any(word in str(error) for word in CUT_OFF_WORDS):
                raise CutOff(f"another rank is gone, or says nothing: {error}") from error
            raise


def joined(ranks: Ranks, *, meeting: str, device: str) -> None:
    """Meet the other ranks, all on this machine, by a file that none but they write; once a process."""
    for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):  # so that nothing listens to other machines
        if (loopback := LOOPBACK.get(os.uname().sysname)) is not None:
            os.environ.setdefault(name, loopback)
    place = torch.device(device)
    if place.type == "cuda":
        torch.cuda.set_device(place)
    distributed.init_process_group(
        "nccl" if place.type == "cuda" else "gloo",
        init_method=f"file://{meeting}", rank=ranks.number, world_size=ranks.count,
        timeout=timedelta(seconds=LONGEST_SILENCE),
    )  # fmt: skip


def own_device(ranks: Ranks, device: str) -> str:
    """Return the device of this rank's own; `BadInput` where there are too few."""
    if ranks.count == 1 or not device.startswith("cuda"):
        return device
    if torch.cuda.device_count() < ranks.count:
        raise BadInput(
            f"execution.gpus: got {torch.cuda.device_count()} devices here, expected {ranks.count}; ask for fewer"
        )
    return f"cuda:{ranks.number}"


def _part(y: Targets, mine: slice) -> Targets:
    if not isinstance(y, Mixed):
        return y[mine]
    return Mixed(first=_part(y.first, mine), second=_part(y.second, mine), share=y.share)
