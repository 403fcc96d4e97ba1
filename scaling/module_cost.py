"""What the parts of any `torch.nn.Module` cost: one forward pass, counted by FlopCounterMode as it goes.

Units are those of `cost`. A part is a module that runs operators or holds weights of its own; what its children
do is theirs, so that the parts add up to the whole. Products of two activations, as in attention, are no layer's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils.flop_counter import FlopCounterMode

from search_spaces.errors import BadInput
from search_spaces.layers import Shape

from .cost import LayerCost
from .lending import part_that_failed
from .operators import LAYERS, Operators
from .trace import FLOPS_PER_MAC, Witness, at_work, by_fvcore, counting, said_by


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleCost:
    """What a module costs, by its parts in the order in which they first ended, and what the witnesses say.

    `idle` are parts with weights that were never called; their shape is the empty one. Parts with neither weights
    nor layers are there for their shapes.
    """

    params: int
    macs: int
    activations: int
    layers: tuple[LayerCost, ...]
    idle: tuple[str, ...]
    witnesses: tuple[Witness, Witness]


def module_cost(name: str, module: nn.Module, shape: Shape) -> ModuleCost:
    """Return what a module costs for one example `(channels, *spatial)`; it is left as it was.

    Raises `BadInput`, with the name of the part where it happened, where the module cannot take the input.
    """
    if any(map(is_lazy, module.parameters())):
        raise BadInput(
            f"{name}: got a module whose weights have no shape yet, expected one that has run once"
        )
    with at_work(module, shape) as (working, x), counting(working) as (counter, seen):
        parts = _Parts(working, counter, seen)
        with parts.watched():
            try:
                working(x)
            except Exception as error:  # whatever the user's module raises, they get a message
                raise BadInput(_refused(name, working, x, error)) from error
    ran, idle = parts.rows()
    return ModuleCost(
        params=sum(layer.params for layer in ran + idle),
        macs=sum(layer.macs for layer in ran),
        activations=sum(layer.activations for layer in ran),
        layers=ran + idle,
        idle=tuple(layer.name for layer in idle),
        witnesses=(said_by(counter, seen), by_fvcore(module, shape)),
    )


class _Parts:
    """Notes what runs between the beginning and the end of each module, less what its children ran."""

    def __init__(self, module: nn.Module, counter: FlopCounterMode, seen: Operators) -> None:
        self.module, self.counter, self.seen = module, counter, seen
        self.done: dict[nn.Module, LayerCost] = {}
        self.within: list[tuple[int, int]] = [(0, 0)]  # of the children of each module that is running
        self.since: list[tuple[int, int]] = []

    @contextmanager
    def watched(self) -> Iterator[None]:
        hooks = [part.register_forward_pre_hook(self._begin) for part in self.module.modules()]
        hooks += [part.register_forward_hook(self._end) for part in self.module.modules()]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def rows(self) -> tuple[tuple[LayerCost, ...], tuple[LayerCost, ...]]:
        """Return the parts that ran and the idle ones that hold weights; a shared weight is its first owner's."""
        taken: set[nn.Parameter] = set()
        names: dict[nn.Module, str] = {}
        params: dict[nn.Module, int] = {}
        for name, part in self.module.named_modules():
            own = set(part.parameters(recurse=False)) - taken
            taken |= own
            names[part], params[part] = name or type(part).__name__, sum(p.numel() for p in own)
        ran = (replace(row, name=names[part], params=params[part]) for part, row in self.done.items())
        leaves = {names[part] for part in names if not any(True for _ in part.children())}
        idle = [part for part in names if params[part] and part not in self.done]
        return (
            tuple(row for row in ran if row.params or row.macs or row.name in leaves),
            tuple(LayerCost(names[part], type(part).__name__, (), params[part], 0, 0) for part in idle),
        )

    def _begin(self, part: nn.Module, inputs: object) -> None:
        self.since.append(self._now())
        self.within.append((0, 0))

    def _end(self, part: nn.Module, inputs: object, output: object) -> None:
        (macs, made), (inner_macs, inner_made) = self._now(), self.within.pop()
        macs_before, made_before = self.since.pop()
        total = macs - macs_before, made - made_before
        self.within[-1] = self.within[-1][0] + total[0], self.within[-1][1] + total[1]
        before = self.done.get(part) or LayerCost("", type(part).__name__, (), 0, 0, 0)
        self.done[part] = replace(
            before,
            shape=_shape(output) or before.shape,
            macs=before.macs + total[0] - inner_macs,
            activations=before.activations + total[1] - inner_made,
        )

    def _now(self) -> tuple[int, int]:
        """Return the multiply-adds and activations so far."""
        counts = self.counter.flop_counts["Global"]
        flops = sum(n for packet, n in counts.items() if str(packet) in LAYERS)
        return flops // FLOPS_PER_MAC, self.seen.made


def _shape(output: object) -> Shape:
    """Return the shape of the first tensor in what a module gives, without the batch."""
    if isinstance(output, Tensor):
        return tuple(output.shape[1:])
    inside = tuple(output.values()) if isinstance(output, Mapping) else output
    if not isinstance(inside, list | tuple):
        return ()
    return next((shape for part in inside if (shape := _shape(part))), ())


def _refused(name: str, module: nn.Module, x: Tensor, error: Exception) -> str:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return (
        f"{name}: {part_that_failed(module, error)} cannot take an input of {tuple(x.shape)} in float32: {first}; "
        "is --input what the module expects?"
    )
