"""Multiply-adds as others count them on a built module: fvcore and torch's FlopCounterMode, the judges of `cost`.

All numbers are multiply-adds for one example, in evaluation mode. fvcore counts one multiply-add as one;
FlopCounterMode counts it as two operations and is halved here, once. Where they agree with `cost` by definition
is convolutions and dense layers; what each counts beyond these is kept apart, by operator:

- fvcore: 2 for each value of a batch norm (4 or 5 of other norms), 1 for each value that a 2-D adaptive average
  pooling reads, 1 or 4 for each that a 2-D nearest or bilinear upsampling gives, products of two activations
  (`matmul`, `bmm`, `einsum`). It takes some operators for free without saying so (`relu`, `cat`, dropout,
  padding, slices and other views).
- FlopCounterMode: products of two activations (`bmm`, `baddbmm`, fused attention), and nothing else.

Neither counts biases. An operator that a witness has no formula for is in `unknown`, with the times it ran. fvcore
counts a trace, from which torch drops layers whose output nobody reads: they are in `uncalled`.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.backends import mha
from torch.utils.flop_counter import FlopCounterMode

from search_spaces.layers import Shape

from .lending import lent
from .operators import LAYERS as OPERATORS
from .operators import Operators

with warnings.catch_warnings():  # it uses parts of torch.jit that torch has deprecated, here and when tracing
    warnings.simplefilter("ignore", DeprecationWarning)
    from fvcore.nn import FlopCountAnalysis
    from fvcore.nn.jit_handles import get_shape, matmul_flop_jit

FLOPS_PER_MAC = 2  # of FlopCounterMode: a multiplication and an addition
LAYERS = OPERATORS | {"conv", "linear", "addmm", "mm"}  # of FlopCounterMode, then of fvcore


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """What one counter says of a module, in multiply-adds by operator, and what it does not know.

    `doubtful` are unknown operators that read a matrix of weights, so that they may well hold multiply-adds which
    no total has. `uncalled` are modules with weights that fvcore's trace has nothing of. Where the counter failed,
    `failure` says why and there are no counts.
    """

    name: str
    operators: Mapping[str, int] = field(default_factory=dict)
    unknown: Mapping[str, int] = field(default_factory=dict)  # how often each ran
    doubtful: tuple[str, ...] = ()
    uncalled: tuple[str, ...] = ()
    failure: str | None = None

    @property
    def macs(self) -> int:
        """Multiply-adds of convolutions and dense layers, which is what `cost` counts."""
        return sum(n for operator, n in self.operators.items() if operator in LAYERS)

    @property
    def beyond(self) -> Mapping[str, int]:
        """What the counter counts of other operators."""
        return {operator: n for operator, n in self.operators.items() if operator not in LAYERS}


def witnesses(module: nn.Module, shape: Shape) -> tuple[Witness, Witness]:
    """Return what FlopCounterMode and fvcore count of a module, for one input `(channels, *spatial)`.

    The module runs on copies of its weights in evaluation mode, on the device where it is, and is left as it was.
    What its own code raises is left as it is.
    """
    return by_flop_counter(module, shape), by_fvcore(module, shape)


def by_flop_counter(module: nn.Module, shape: Shape) -> Witness:
    """Return what FlopCounterMode counts; a module on the meta device is counted without being computed."""
    with at_work(module, shape) as (working, x), counting(working) as (counter, seen):
        working(x)
    return said_by(counter, seen)


@contextmanager
def counting(module: nn.Module) -> Iterator[tuple[FlopCounterMode, Operators]]:
    """Count what a module does meanwhile, by FlopCounterMode and by operators."""
    seen = Operators(module)
    with seen, FlopCounterMode(display=False) as counter:  # the operators are seen last, as they are counted
        yield counter, seen


def said_by(counter: FlopCounterMode, seen: Operators) -> Witness:
    """Return what a counter has counted, beside all the operators that ran."""
    known = {str(packet) for packet in counter.flop_registry}
    unknown = {name: n for name, n in seen.times.items() if name not in known}
    counts = counter.get_flop_counts().get("Global", {})
    return Witness(
        name="FlopCounterMode",
        operators={str(packet): n // FLOPS_PER_MAC for packet, n in counts.items()},
        unknown=unknown,
        doubtful=tuple(name for name in unknown if name in seen.weighty),
    )


def by_fvcore(module: nn.Module, shape: Shape) -> Witness:
    """Return what fvcore counts by tracing; a module that cannot be traced makes a witness that says so."""
    with at_work(module, shape) as (working, x), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _traced(working, x)
        except Exception as error:  # noqa: BLE001 - it is the tracer's failure, which is what there is to report
            first = (str(error).strip().splitlines() or [""])[0]
            return Witness(name="fvcore", failure=f"{type(error).__name__}: {first}")


@contextmanager
def at_work(module: nn.Module, shape: Shape) -> Iterator[tuple[nn.Module, Tensor]]:
    """Lend a module out for counting, with one example of zeros `(1, channels, *spatial)` where its weights are.

    Attention runs operator by operator meanwhile: neither witness knows torch's fused path.
    """
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    lending = lent(module, device, dtype=torch.float32, memory_format="contiguous")
    with lending as working, _unfused_attention(), torch.random.fork_rng([]), torch.no_grad():
        yield working, torch.zeros(1, *shape, device=device)


@contextmanager
def _unfused_attention() -> Iterator[None]:
    before = mha.get_fastpath_enabled()
    mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        mha.set_fastpath_enabled(before)


def _traced(module: nn.Module, x: Tensor) -> Witness:
    analysis = FlopCountAnalysis(module, x).set_op_handle("aten::matmul", _matmul)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    weighty = {
        name for name, part in module.named_modules() if any(True for _ in part.parameters(recurse=False))
    }
    return Witness(
        name="fvcore",
        operators={operator: int(n) for operator, n in analysis.by_operator().items()},
        unknown=dict(analysis.unsupported_ops()),
        uncalled=tuple(sorted(weighty & analysis.uncalled_modules())),
    )


def _matmul(inputs: list[torch._C.Value], outputs: list[torch._C.Value]) -> Counter[str]:
    """Count as fvcore does; a factor of two axes makes a dense layer, as torch itself and FlopCounterMode take it."""
    axes = [len(get_shape(value)) for value in inputs]
    return Counter({"mm" if min(axes) == 2 else "matmul": matmul_flop_jit(inputs, outputs)})
