"""Weighted sums of maps that are made without a copy of each summand, forwards and backwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx


def weighted_sum(total: Tensor | None, summands: Sequence[tuple[Tensor, Tensor | None]]) -> Tensor:
    """Return `total` plus each value times its number (no number: 1); `total` may be overwritten.

    Values are of one shape and layout, numbers of no axes; under autocast values may differ in format.
    """
    ones = [value for value, weight in summands if weight is None]
    weighed = [(value, weight) for value, weight in summands if weight is not None]
    if weighed:
        values = [value for value, _ in weighed]
        numbers = torch.stack([weight for _, weight in weighed])
        summed: Tensor = _WeightedSum.apply(numbers, *values)  # type: ignore[no-untyped-call]
        total = summed if total is None else total.add_(summed)
    for value in ones:
        total = value if total is None else total + value
    assert total is not None, "a sum of nothing"
    return total


class _WeightedSum(torch.autograd.Function):
    """Numbers (n,) and n values; gradients of the numbers are inner products, taken without a product's map."""

    @staticmethod
    def forward(ctx: FunctionCtx, numbers: Tensor, *values: Tensor) -> Tensor:
        ctx.save_for_backward(numbers, *(values if ctx.needs_input_grad[0] else ()))  # type: ignore[attr-defined]
        factors = _factors(numbers)
        total = torch.mul(values[0], factors[0])
        for value, factor in zip(values[1:], factors[1:], strict=True):
            if isinstance(factor, float):
                total.add_(value, alpha=factor)
            else:
                total.addcmul_(value, factor)
        return total

    @staticmethod
    def backward(ctx: FunctionCtx, *given: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = given
        numbers, *values = ctx.saved_tensors  # type: ignore[attr-defined]
        needs = ctx.needs_input_grad  # type: ignore[attr-defined]
        inner = [_inner(grad, value).to(numbers.dtype) for value in values]
        of_numbers = torch.stack(inner) if needs[0] else None
        factors = _factors(numbers)
        return of_numbers, *(
            grad * factor if need else None for factor, need in zip(factors, needs[1:], strict=True)
        )


def _factors(numbers: Tensor) -> Sequence[float] | Tensor:
    """Return numbers to multiply by; on a GPU none is waited for."""
    return numbers.detach() if numbers.is_cuda else cast("list[float]", numbers.tolist())


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """Return the inner product of two maps; as rows, which makes no third map, where they lie alike."""
    dense = (a.dtype, a.stride()) == (b.dtype, b.stride()) and (
        a.is_contiguous() or (a.ndim == 4 and a.is_contiguous(memory_format=torch.channels_last))
    )
    if dense:
        row = (a.numel(),), (1,)
        return torch.dot(a.as_strided(*row), b.as_strided(*row))
    return (a * b).sum()
