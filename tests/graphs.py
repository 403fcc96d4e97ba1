"""Stand-ins for a CUDA graph, on the CPU: one does a step again as it is written, one the operators it was made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from unittest import mock

import torch
from torch import Generator, Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

WAITING = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "lift_fresh", "masked_select")


class Again:
    """Runs what it was given, so that a replay equals a step bit for bit; what it records it does once."""

    def warm_up(self, run: Callable[[], None]) -> None:
        run()

    def record(self, run: Callable[[], None], generators: Sequence[Generator]) -> None:
        self.run = run
        run()

    def replay(self) -> None:
        self.run()


class Waits(RuntimeError):
    """A step asked for a number, or brought one along, which a CUDA graph would refuse to record."""


class Operators(TorchDispatchMode):
    """Keeps the operators of one run with the tensors they had, and runs them again on the same tensors.

    What Python did in that run is done no more: a number that it worked out stays what it was, as in a CUDA graph.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []

    def warm_up(self, run: Callable[[], None]) -> None:
        run()

    def record(self, run: Callable[[], None], generators: Sequence[Generator]) -> None:
        self.known = set(generators)
        unseen = [mock.patch.object(Tensor, name, refused) for name in ("tolist", "new_tensor", "numpy")]
        with self, unseen[0], unseen[1], unseen[2]:  # they are no operators
            run()

    @torch.no_grad()
    def replay(self) -> None:
        for function, args, kwargs, given in self.calls:
            made = function(*args, **kwargs)
            for old, new in zip(tree_leaves(given), tree_leaves(made), strict=True):
                if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)

    def __torch_dispatch__(
        self,
        function: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        held = dict(kwargs or {})
        if waits(str(function), args):
            raise Waits(f"{function} waits for the device, or brings a number to it")
        generator = held.get("generator")
        if generator is not None and generator not in self.known:
            raise Waits(f"{function} draws from a generator that was not named")
        given = function(*args, **held)
        keep = tree_map(lambda leaf: leaf, (args, held))  # lists of their own
        self.calls.append((function, *keep, given))
        return given


def waits(name: str, args: tuple[Any, ...]) -> bool:
    """Tell whether an operator cannot be recorded: it needs a number on the processor, or has one from there."""
    masks = name.startswith("aten.index") and any(
        isinstance(leaf, Tensor) and leaf.dtype is torch.bool for leaf in tree_leaves(args[1:])
    )
    return masks or name.split(".")[1] in WAITING


def refused(*_: object) -> None:
    raise Waits("a number waits for the device, or is brought to it")


def on_device(numbers: Tensor) -> Tensor:
    """Stand in for `supernet_sum._factors` as it is on a GPU."""
    return numbers.detach()
