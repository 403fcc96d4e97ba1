"""Every operator of torch that runs, seen below whatever else looks on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

Arguments = Sequence[object]
LAYERS = frozenset(  # what convolutions and dense layers come to
    f"aten.{name}"
    for name in (
        "convolution", "_convolution", "convolution_overrideable", "cudnn_convolution", "_slow_conv2d_forward",
        "addmm", "mm", "_scaled_mm",
    )
)  # fmt: skip
LOOKUP = "aten.embedding"  # reads a matrix of weights and multiplies nothing


class Operators(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own is not typed
    """Counts the operators that run: `times` by name, such as `aten.silu`.

    `weighty` are those that read a weight of `module` with two axes or more and are no view, lookup or pointwise:
    where convolutions and dense layers may hide. `made` is how many numbers those in `LAYERS` put out.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.times: Counter[str] = Counter()
        self.weighty: set[str] = set()
        self.made = 0
        self._weights = {_storage(p) for p in module.parameters() if p.dim() > 1}

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: Sequence[type],
        args: Arguments = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        given = kwargs or {}
        name = str(func.overloadpacket)
        self.times[name] += 1
        plain = func.is_view or name == LOOKUP or torch.Tag.pointwise in func.tags
        if not plain and self._reads_weights([*args, *given.values()]):
            self.weighty.add(name)
        output = func(*args, **given)
        self.made += output.numel() if name in LAYERS and isinstance(output, Tensor) else 0
        return output

    def _reads_weights(self, values: Arguments) -> bool:
        return any(_storage(tensor) in self._weights for tensor in _tensors(values))


def _tensors(values: Arguments) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
