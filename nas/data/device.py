"""A dataset on the device where a model trains, cut into batches by indexing: no loader, no workers.

Batches are x (B, C, *spatial) float32, normalised, and y (B,) int64 or (B, K) float32. For a network of another
resolution (`DevicePart.sized`) they are resized on the device: linearly, antialiased where images shrink.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from search_spaces.errors import BadInput

from .augment import Augmentation, Targets, augmented
from .dataset import Array
from .inputs import Inputs
from .load import HeldOut, Part, SearchData
from .normalise import by_example

LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}  # by the number of spatial axes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DevicePart:
    """One part as tensors on a device; bytes are normalised a batch at a time, floats once beforehand."""

    x: Tensor
    y: Tensor
    mean: Tensor  # (1, C, 1, ...)
    std: Tensor
    size: tuple[int, ...] | None = (
        None  # what batches are resized to, augmented at their own size; None: not at all
    )

    def sized(self, shape: tuple[int, ...]) -> DevicePart:
        """Return the part for a network that takes `shape`, (channels, *spatial): itself where examples have it.

        `BadInput` where the channels or the number of axes are others.
        """
        own = tuple(self.x.shape[1:])
        check_alike(shape, own)
        return self if own == shape else replace(self, size=shape[1:])

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.x)

    def batches(
        self,
        generator: Generator,
        batch_size: int,
        *,
        augment: tuple[Augmentation, ...] = (),
        least: int = 2,
    ) -> Iterator[tuple[Tensor, Targets]]:
        """Yield one epoch of shuffled, augmented training batches.

        The last may be short; it is dropped where it would hold less than `least` examples: batch norm cannot
        take a single one. Everything random comes from `generator`: the same state gives the same epoch.
        """
        order = torch.randperm(len(self), generator=generator, device=generator.device).to(self.x.device)
        for batch in torch.split(order, batch_size)[: self.steps(batch_size, least=least)]:
            yield self.drawn(batch, generator, augment=augment)

    def drawn(
        self, numbers: Tensor, generator: Generator, *, augment: tuple[Augmentation, ...] = ()
    ) -> tuple[Tensor, Targets]:
        """Return a training batch of the examples of these numbers, augmented."""
        x, y = self._normalised(self.x.index_select(0, numbers)), self.y.index_select(0, numbers)
        changed, targets = augmented(x, y, augment, generator=generator)
        return self._resized(changed), targets

    def pick(self, numbers: Tensor) -> Tensor:
        """Return the examples of these numbers as a model takes them."""
        return self._resized(self._normalised(self.x.index_select(0, numbers)))

    def first(self, most: int) -> DevicePart:
        """Return the part's first examples, as a part."""
        return replace(self, x=self.x[:most], y=self.y[:most])

    def steps(self, batch_size: int, *, least: int = 2) -> int:
        """Return the number of batches in an epoch of `batches`."""
        whole, left = divmod(len(self), batch_size)
        return whole + (left >= least)

    def in_order(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every example once, in order, for an evaluation."""
        for x, y in zip(torch.split(self.x, batch_size), torch.split(self.y, batch_size), strict=True):
            yield self._resized(self._normalised(x.clone())), y  # a model may work in place, on its input too

    def _normalised(self, x: Tensor) -> Tensor:
        return normalised(x, self.mean, self.std) if x.dtype == torch.uint8 else x

    def _resized(self, x: Tensor) -> Tensor:
        return x if self.size is None else resized(x, self.size)


def check_alike(shape: tuple[int, ...], examples: tuple[int, ...]) -> None:
    """Raise `BadInput` where a network for `shape` takes other channels or axes than examples have."""
    if len(examples) != len(shape) or examples[0] != shape[0]:
        raise BadInput(
            f"input: got a network for {shape}, expected {examples[0]} channels and {len(examples) - 1} axes as "
            f"examples of {examples} have; sizes may differ, for examples are resized"
        )


def normalised(x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return a batch less the mean over the standard deviation, each (1, C, 1, ...); a new tensor, float32."""
    return x.sub(mean).div_(std)


def resized(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """Return a batch (N, C, *spatial) at another size, or as it is; pixels are areas, corners are not aligned."""
    if tuple(x.shape[2:]) == size:
        return x
    return F.interpolate(x, size=size, mode=LINEAR[len(size)], antialias=len(size) == 2)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OnDevice:
    """What a training job needs of a `SearchData`, on a device."""

    train: DevicePart
    validation: DevicePart
    inputs: Inputs | None = None  # None: parts made by hand; no model that learnt on them is kept


def to_device(data: SearchData, device: torch.device | str, *, as_float: bool = False) -> OnDevice:
    """Copy the train and validation parts to `device`, once.

    Bytes stay bytes and take a quarter of the memory; `as_float` normalises them now, which saves two small
    operators a batch. The batches are the same.
    """
    train, validation = (
        _moved(part, device, mean=data.mean, std=data.std, as_float=as_float)
        for part in (data.train, data.validation)
    )
    return OnDevice(train=train, validation=validation, inputs=data.inputs)


def held_out_to_device(data: HeldOut, device: torch.device | str, *, as_float: bool = False) -> DevicePart:
    """Copy the test part to `device`, for the final report."""
    return _moved(data.test, device, mean=data.mean, std=data.std, as_float=as_float)


def taken(x: Array, inputs: Inputs, *, size: tuple[int, ...], device: torch.device) -> Tensor:
    """Return raw examples, of the shape and type that `inputs` says, as a network of a size takes them.

    They are what the batches of a dataset's parts would be, bit for bit.
    """
    raw = torch.tensor(by_example(x, inputs.normalise), device=device)
    return resized(normalised(raw, _by_channel(inputs.mean, raw), _by_channel(inputs.std, raw)), size)


def _moved(
    part: Part, device: torch.device | str, *, mean: tuple[float, ...], std: tuple[float, ...], as_float: bool
) -> DevicePart:
    x, y = torch.tensor(part.x, device=device), torch.tensor(part.y, device=device)
    centre, spread = _by_channel(mean, x), _by_channel(std, x)
    if as_float or x.dtype != torch.uint8:
        x = normalised(x, centre, spread)
    return DevicePart(x=x, y=y, mean=centre, std=spread)


def _by_channel(numbers: tuple[float, ...], x: Tensor) -> Tensor:
    """Return numbers, one a channel of `x`, as (1, C, 1, ...) float32 beside it."""
    return torch.tensor(numbers, dtype=torch.float32, device=x.device).view(1, -1, *[1] * (x.ndim - 2))
