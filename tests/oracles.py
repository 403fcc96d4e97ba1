"""Independent measurements on a built module, to hold the formulas against.

    hooked_costs(module, input_shape) -> (params, macs, activations)
    measured_peak_bytes(module, input_shape) -> bytes

`input_shape` is `(channels, *spatial)`; both run one sample in evaluation mode and leave the module's mode as
it was. Nothing here reads the graph: the numbers come from real tensors on their way through the module.

MACs: one multiply-add is one, convolution and linear layers only. Activations: the values that convolution
and linear layers put out. Peak bytes: the most bytes of input and layer outputs alive at once, at any moment
just after a layer has run, when its inputs are still there; each storage counts once, so views (slices,
flattening, dropout in evaluation) are free; no working memory inside a layer; no weights.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
Seen = Callable[[nn.Module, Tensor], None]


def hooked_costs(module: nn.Module, input_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return (params, macs, activations) for one sample."""
    macs = activations = 0

    def count(part: nn.Module, output: Tensor) -> None:
        nonlocal macs, activations
        if isinstance(part, CONVOLUTIONS):
            macs += output.numel() * (part.in_channels // part.groups) * prod(part.kernel_size)
            activations += output.numel()
        elif isinstance(part, nn.Linear):
            macs += output.numel() * part.in_features
            activations += output.numel()

    with _watched(module, count):
        module(torch.zeros(1, *input_shape))
    return sum(weight.numel() for weight in module.parameters()), macs, activations


def measured_peak_bytes(module: nn.Module, input_shape: tuple[int, ...]) -> int:
    """Return the most bytes of input and layer outputs alive at once in a forward pass of one sample."""
    alive: dict[int, tuple[StorageWeakRef, int]] = {}
    peak = 0

    def note(value: Tensor) -> None:
        nonlocal peak
        storage = value.untyped_storage()
        for key in [key for key, (reference, _) in alive.items() if reference.expired()]:
            del alive[key]
        alive[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        peak = max(peak, sum(size for _, size in alive.values()))

    def sample() -> Tensor:
        value = torch.zeros(1, *input_shape)
        note(value)
        return value

    with _watched(module, lambda _, output: note(output)):
        module.forward(sample())  # not module(...): its frames would hold the input to the end
    return peak


def layer_outputs(module: nn.Module, *values: Tensor) -> dict[str, tuple[int, ...]]:
    """Return the shape of each layer's real output, without the batch, by the layer's name."""
    names = {part: name for name, part in module.named_modules()}
    shapes: dict[str, tuple[int, ...]] = {}
    with _watched(module, lambda part, output: shapes.__setitem__(names[part], tuple(output.shape[1:]))):
        module(*values)
    return shapes


@contextmanager
def _watched(module: nn.Module, seen: Seen) -> Iterator[None]:
    """Call `seen(leaf, output)` after every leaf module, in evaluation mode and without gradients."""
    leaves = [part for part in module.modules() if not any(part.children())]
    hooks = [leaf.register_forward_hook(lambda part, _, output: seen(part, output)) for leaf in leaves]
    training = {part: part.training for part in module.modules()}
    try:
        with torch.no_grad():
            module.eval()
            yield
    finally:
        for part, mode in training.items():
            part.training = mode
        for hook in hooks:
            hook.remove()
