"""How a search by gradients goes: entropy, skips, and what the derived architecture scores beside the supernet."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from search_spaces.derivation import taken
from search_spaces.mixture import Mixture, Slot
from search_spaces.network import Network
from search_spaces.supernet import Supernet

COLLAPSED = (
    0.5  # of a derived architecture's choices that could skip: so many skips say that a search has failed
)
HOLLOW = 0.75  # of those that could take something without weights
TRY = (
    "try more steps (epochs, a smaller batch) with a warmup, mixing: dirichlet, partial: 4 with edges: true, or "
    "stop_at_skips"
)
UNDECIDED = 0.98  # of the largest entropy
CALIBRATING = 8  # batches that a path's norms are fitted on before it is scored


def entropy(mixture: Mixture, shares: Mapping[str, Sequence[float]]) -> float:
    """Return the mean over slots of the entropy of what options weigh, as a part of the largest possible."""
    parts = []
    for path, slot in mixture.slots.items():
        total = sum(shares[path])
        if slot.entries > 1 and total > 0:
            p = [share / total for share in shares[path]]
            parts.append(-sum(q * math.log(q) for q in p if q > 0) / math.log(slot.entries))
    return sum(parts) / len(parts)


def skips(mixture: Mixture, network: Network) -> dict[str, tuple[int, int]]:
    """Count, for each shared block and for all the rest (""), the slots that skip, and those that could."""
    return _counted(mixture, network, lambda slot: slot.skips)


def _counted(
    mixture: Mixture, network: Network, entries: Callable[[Slot], tuple[int, ...]]
) -> dict[str, tuple[int, int]]:
    counts: dict[str, tuple[int, int]] = {}
    for path, entry in taken(mixture, network).items():
        can = entries(mixture.slots[path])
        if can:
            group = path.partition(".")[0] if path.startswith("shared[") else ""
            so, able = counts.get(group, (0, 0))
            counts[group] = so + (entry in can), able + 1
    return counts


def skip_share(mixture: Mixture, network: Network) -> float:
    """Return which part of the choices that could skip do."""
    counts = skips(mixture, network).values()
    return sum(skipping for skipping, _ in counts) / max(1, sum(able for _, able in counts))


def warnings(
    mixture: Mixture, network: Network, scores: Mapping[str, float], shares: Mapping[str, Sequence[float]]
) -> tuple[str, ...]:
    """Return what to say where a search has failed, as DARTS is known to: each in a sentence, with what to try.

    How the derived path scores is held against the supernet's score only where it has whole channels: with partial
    ones (PC-DARTS) each option learnt beside channels that passed it by, and one path of them was never trained.
    """
    said = []
    if bad := _places(mixture, skips(mixture, network), COLLAPSED):
        said.append(
            f"collapsed: the derived architecture skips {bad} of its choices, so that little is left of it; {TRY}"
        )
    elif bad := _places(mixture, _counted(mixture, network, lambda slot: slot.weightless), HOLLOW):
        said.append(
            f"hollow: the derived architecture learns nothing in {bad} of its choices (skips and pools); {TRY}"
        )
    if scores["entropy"] > UNDECIDED:
        said.append(
            f"undecided: what options weigh has {100 * scores['entropy']:.1f} % of the largest entropy, so that what "
            "is derived is nearly chance; try more epochs or a larger alpha_lr"
        )
    if out := _left_out(mixture, network, shares):
        said.append(
            f"left out: {out[0]} of {out[1]} choices of the derived architecture are not what weighs most, as that "
            "connects nothing or breaks the space's conditions; with derive_zero: true what connects nothing is derived"
        )
    apart = {name: scores.get(f"{name}_validation_accuracy") for name in ("supernet", "derived")}
    if (
        mixture.mixing.partial == 1
        and apart["supernet"] is not None
        and apart["derived"] is not None
        and apart["derived"] < apart["supernet"] / 2
    ):
        said.append(
            f"apart: with the supernet's weights the derived architecture is right on {100 * apart['derived']:.1f} % "
            f"of the validation part, the supernet on {100 * apart['supernet']:.1f} %: how it scores says nothing of it"
        )
    return tuple(said)


def _left_out(
    mixture: Mixture, network: Network, shares: Mapping[str, Sequence[float]]
) -> tuple[int, int] | None:
    """Count the choices whose largest option was not derived, and all; None where there are none such."""
    entries = taken(mixture, network)
    own = {path: shares[path][: len(mixture.slots[path].options)] for path in entries}
    out = sum(own[path][entry] < max(own[path]) for path, entry in entries.items())
    return (out, len(entries)) if out else None


def _places(mixture: Mixture, counts: Mapping[str, tuple[int, int]], share: float) -> str:
    """Say where so large a share, or a larger one, is met; nothing where it is nowhere."""
    names = {f"shared[{i}]": one.name for i, one in enumerate(mixture.space.shared)}
    return " and ".join(
        f"{so} of {able}{f' in the cell {names[group]!r}' if group in names else ''}"
        for group, (so, able) in counts.items()
        if able > 1 and so / able >= share
    )


@contextmanager
def recalibrated(
    model: nn.Module, run: Callable[[Tensor], object], batches: Sequence[Tensor]
) -> Iterator[None]:
    """Fit the norms' statistics to some batches, as the mean over them, and put everything back afterwards.

    What a path's layers see in a supernet is another path's sum: statistics from training are none of its own.
    """
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    kept = [{name: b.clone() for name, b in norm.named_buffers()} for norm in norms]
    momenta, training = [norm.momentum for norm in norms], model.training
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
        model.train()
        with torch.no_grad():
            for x in batches:
                run(x)
        yield
    finally:
        for norm, buffers, momentum in zip(norms, kept, momenta, strict=True):
            norm.momentum = momentum
            for name, value in buffers.items():
                norm.get_buffer(name).copy_(value)
        model.train(training)


class Path(nn.Module):
    """A supernet seen as a network: with given weights of its options, or along one path."""

    def __init__(
        self, table: Mapping[str, Tensor], only: Mapping[str, int] | None, supernet: Supernet
    ) -> None:
        super().__init__()
        self.supernet, self.table, self.only = supernet, table, only

    def forward(self, x: Tensor) -> Tensor:
        return self.supernet(x, self.table, self.only)  # type: ignore[no-any-return]
