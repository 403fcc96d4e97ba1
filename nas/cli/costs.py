"""What `nas profile` shows: rows of a model's costs, by layer, by block and by stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Literal

from scaling.cost import LayerCost, cost, layer_costs
from search_spaces.block import fixed
from search_spaces.network import Network, lower
from search_spaces.receptive import receptive_fields
from search_spaces.serialise import key

from .describe import describe
from .show import many

if TYPE_CHECKING:
    from torch import nn

    from scaling.trace import Witness

By = Literal["layer", "block", "stage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A layer, or several added up: their last output and view. A view that is not known has no axes."""

    name: str
    layer: str
    shape: tuple[int, ...]
    params: int
    macs: int
    activations: int
    receptive_field: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a model costs. Of a module of the user's own, `key` and `peak_bytes` are not known.

    `witnesses` is None where they were not asked; `idle` are modules with weights that were never called.
    """

    model: str
    description: str
    input: tuple[int, ...]
    key: str | None
    params: int
    macs: int
    activations: int
    peak_bytes: int | None
    layers: tuple[Row, ...]
    witnesses: tuple[Witness, Witness] | None
    idle: tuple[str, ...] = ()

    def rows(self, by: By) -> tuple[Row, ...]:
        """Return the layers, or what those of each block or stage add up to, in the order in which they begin."""
        if by == "layer":
            return self.layers
        place = self._place_in_network if self.key else self._place_in_module()
        groups: dict[str, list[Row]] = {}
        for row in self.layers:
            groups.setdefault(place(row.name, by), []).append(row)
        return tuple(_added(name, rows) for name, rows in groups.items())

    @staticmethod
    def _place_in_network(name: str, by: By) -> str:
        """Return `stages.1` or `stages.1.blocks.0` for a layer's name; stem and head are stages too."""
        parts = name.split(".")
        if parts[0] == "head":
            return "head"
        return ".".join(parts[: parts.index("blocks") + (0 if by == "stage" else 2)])

    def _place_in_module(self) -> Callable[[str, By], str]:
        """Return what cuts a name below the modules that hold all the others: by one level, or by two."""
        homes = [row.name.split(".")[:-1] for row in self.layers]
        shared = sum(1 for _ in takewhile(lambda parts: len(set(parts)) == 1, zip(*homes, strict=False)))
        return lambda name, by: ".".join(name.split(".")[: shared + (1 if by == "stage" else 2)])


def profile_network(model: str, network: Network, *, ask: bool) -> Profile:
    """Return what a network costs by formula; the witnesses are asked if wanted, which builds it."""
    total = cost(network)
    rows = zip(layer_costs(network), receptive_fields(lower(network)), strict=True)
    return Profile(
        model=model,
        description=describe(network),
        input=tuple(fixed(size) for size in network.input),
        key=key(network),
        params=total.params,
        macs=total.macs,
        activations=total.activations,
        peak_bytes=total.peak_bytes,
        layers=tuple(_row(own, field) for own, field in rows),
        witnesses=_asked(model, network) if ask else None,
    )


def profile_module(model: str, module: nn.Module, shape: tuple[int, ...]) -> Profile:
    """Return what the witnesses count of a module; raises `BadInput` where it cannot take the input."""
    from scaling.module_cost import module_cost

    _check_room({model: module}, shape)
    found = module_cost(model, module, shape)
    return Profile(
        model=model,
        description=f"{type(module).__name__}, counted by FlopCounterMode",
        input=shape,
        key=None,
        params=found.params,
        macs=found.macs,
        activations=found.activations,
        peak_bytes=None,
        layers=tuple(_row(own, ()) for own in found.layers),
        witnesses=found.witnesses,
        idle=found.idle,
    )


def _row(own: LayerCost, receptive_field: tuple[int, ...]) -> Row:
    return Row(
        name=own.name,
        layer=own.layer,
        shape=own.shape,
        params=own.params,
        macs=own.macs,
        activations=own.activations,
        receptive_field=receptive_field,
    )


def _asked(model: str, network: Network) -> tuple[Witness, Witness]:
    from scaling.trace import witnesses  # loads torch and fvcore
    from search_spaces.modules import build

    _check_room({model: network}, None)
    return witnesses(build(network), tuple(fixed(size) for size in network.input))


def _check_room(models: Mapping[str, Network | nn.Module], shape: tuple[int, ...] | None) -> None:
    import torch

    from scaling.room import check_room

    check_room(models, shape, batch=1, dtype=torch.float32, device=torch.device("cpu"))


def _added(name: str, rows: Sequence[Row]) -> Row:
    shapes = [row.shape for row in rows if row.shape]
    return Row(
        name=name,
        layer=many(len(rows), "layer"),
        shape=shapes[-1] if shapes else (),
        params=sum(row.params for row in rows),
        macs=sum(row.macs for row in rows),
        activations=sum(row.activations for row in rows),
        receptive_field=rows[-1].receptive_field,
    )
