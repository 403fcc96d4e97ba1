"""Multiply-adds as fvcore counts them on a built module: a judge of `cost`, which needs neither."""

from __future__ import annotations

import logging
import warnings

import torch
from torch import nn

from search_spaces.layers import Shape

with warnings.catch_warnings():  # it uses parts of torch.jit that torch has deprecated, here and when tracing
    warnings.simplefilter("ignore", DeprecationWarning)
    from fvcore.nn import FlopCountAnalysis

LAYERS = frozenset({"conv", "linear", "addmm", "matmul"})  # what convolutions and dense layers trace to


def fvcore_macs(module: nn.Module, shape: Shape) -> int:
    """Return the multiply-adds of convolutions and dense layers, for one input `(channels, *spatial)`.

    fvcore counts one multiply-add as one. The module is traced in evaluation mode and left as it was.
    """
    logging.getLogger("fvcore.nn.jit_analysis").setLevel(logging.ERROR)
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            counts = FlopCountAnalysis(module, torch.zeros(1, *shape)).by_operator()
    finally:
        for part, training in modes.items():
            part.training = training
    return int(sum(n for operator, n in counts.items() if operator in LAYERS))
