"""What a measurement is asked for, and what it says: data alone."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from search_spaces.errors import BadInput
from search_spaces.names import nearest

from .device import Fingerprint

DTYPES = ("float32", "float16", "bfloat16", "float64")
FORMATS = ("contiguous", "channels_last")
COMPILING = ("none", "default", "reduce-overhead", "max-autotune")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a latency is measured; part of the result."""

    batch: int = 1
    dtype: str = "float32"
    memory_format: str = "contiguous"
    compile: str = "none"  # the mode of torch.compile
    device: str = "cpu"
    threads: int = 1  # of torch, inside an operator
    seconds: float = 2.0  # for each network, its warm-up and its share of the sentinel included

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise BadInput(f"batch: got {self.batch}, expected 1 or more")
        if self.threads < 1:
            raise BadInput(f"threads: got {self.threads}, expected 1 or more")
        if not (isfinite(self.seconds) and self.seconds > 0):
            raise BadInput(f"seconds: got {self.seconds}, expected a time above 0")
        for what, got, known in (
            ("dtype", self.dtype, DTYPES),
            ("memory_format", self.memory_format, FORMATS),
            ("compile", self.compile, COMPILING),
        ):
            if got not in known:
                raise BadInput(
                    f"{what}: got {got!r}, expected one of {', '.join(known)}{nearest(got, known)}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """How many times as long as another network one takes, within rounds: what slows both does not count.

    `interval` holds the median with 95 % confidence.
    """

    to: str
    median: float
    interval: tuple[float, float]
    stable: bool
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """How long one run of a network takes, and whether that can be believed; times are of the whole batch.

    `interval_ms` holds the median with 95 % confidence as far as this session can tell. Where `stable` is
    false, `reason` says why and the numbers are only what was seen.
    """

    model: str
    median_ms: float
    quartiles_ms: tuple[float, float]
    interval_ms: tuple[float, float]
    minimum_ms: float
    n: int  # samples
    repeats: int  # runs in a sample, of which it is the mean
    warm_up: int  # runs before the first sample
    seconds: float  # that the samples lasted
    stable: bool
    reason: str | None
    ratio: Ratio  # to the sentinel
    timer: str
    settings: Settings
    device: str  # the fingerprint's key
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Networks measured together, in the order given, and each one's ratio to the first."""

    models: tuple[Latency, ...]
    ratios: tuple[Ratio, ...]
    sentinel: Latency
    seconds: float
