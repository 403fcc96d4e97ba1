"""In which number format and memory layout a device trains: one rule a device.

CPU: float32, channels last. One step of seven small networks (0.5 to 63 M MACs, batch 16 or 64, one thread of
an AVX-512 Zen 5) took 10 to 47 % less time with the channels last; bfloat16 gave up to 45 % for dense
convolutions at 32x32 and twice the time for depthwise ones at 8x8, so it stays off.
CUDA: bfloat16 where the chip has it, channels last, as tensor cores read; this rule is not measured yet.
float16 is never used: it would need its losses scaled.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """A device, the number format of its convolutions and products, and its layout; weights are float32."""

    device: torch.device
    format: torch.dtype = torch.float32
    channels_last: bool = True  # of networks over two axes; others have no faster layout

    def place(self, model: nn.Module) -> nn.Module:
        """Move a model to the device, in the layout."""
        model = model.to(self.device)
        volumes = any(weight.ndim == 5 for weight in model.parameters())
        if self.channels_last and not volumes:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # its stub lacks this
        return model

    def arrange(self, x: Tensor) -> Tensor:
        """Lay a batch out as the model is."""
        planar = self.channels_last and x.ndim == 4
        return x.contiguous(memory_format=torch.channels_last) if planar else x

    def outputs(self, model: nn.Module, x: Tensor) -> Tensor:
        """Return what a model makes of a batch, float32."""
        with self.computing():
            output: Tensor = model(self.arrange(x))
        return output.float()

    def computing(self) -> AbstractContextManager[object]:
        """Return the context in which a model runs."""
        if self.format is torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.format)


def precision(device: str) -> Precision:
    """Return the rule of a device, named as torch does."""
    place = torch.device(device)
    if place.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return Precision(device=place, format=torch.bfloat16)
    return Precision(device=place)
