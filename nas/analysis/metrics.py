"""How metrics are named and written for people. Standard library only."""

from dataclasses import dataclass
from typing import Literal

Unit = Literal["share", "count", "bytes", "ms", "s", "none"]

_PREFIXES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_SUFFIXES = {"share": " %", "count": "", "bytes": "B", "ms": " ms", "s": " s", "none": ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric's name on an axis and in a sentence, and what its stored number counts.

    A `share` is stored in 0 to 1 and shown in per cent.
    """

    label: str
    short: str
    unit: Unit


METRICS = {
    "accuracy": Metric(label="Accuracy (%)", short="accuracy", unit="share"),
    "validation_accuracy": Metric(label="Validation accuracy (%)", short="validation accuracy", unit="share"),
    "test_accuracy": Metric(label="Test accuracy (%)", short="test accuracy", unit="share"),
    "inherited_accuracy": Metric(
        label="Accuracy with inherited weights (%)", short="accuracy with inherited weights", unit="share"
    ),
    "supernet_train_loss": Metric(label="Training loss of the supernet", short="supernet loss", unit="none"),
    "params": Metric(label="Parameters", short="parameters", unit="count"),
    "macs": Metric(label="MACs (multiply-adds, conv + linear)", short="MACs", unit="count"),
    "activations": Metric(label="Activations (elements)", short="activations", unit="count"),
    "peak_bytes": Metric(label="Peak memory (bytes)", short="peak memory", unit="bytes"),
    "latency_ms": Metric(label="Latency (ms)", short="latency", unit="ms"),
    "train_seconds": Metric(label="Training time (s)", short="training time", unit="s"),
}


def metric(name: str) -> Metric:
    """What is known of a metric; an unknown one goes by its own name."""
    return METRICS.get(name) or Metric(label=name, short=name, unit="none")


def shown(name: str, value: float, *, digits: int = 3) -> str:
    """A value with its unit, to so many significant digits.

    >>> shown("macs", 25_250_000), shown("validation_accuracy", 0.9137), shown("latency_ms", 3.14159)
    ('25.2M', '91.4 %', '3.14 ms')
    """
    return bare(name, value, digits=digits) + _SUFFIXES[metric(name).unit]


def difference(name: str, value: float) -> str:
    """A difference of two values; of shares it is in points, for per cent could be taken for a part of the value.

    >>> difference("validation_accuracy", 0.018), difference("validation_loss", 0.018)
    ('1.8 points', '0.018')
    """
    return f"{bare(name, value)} points" if metric(name).unit == "share" else shown(name, value)


def bare(name: str, value: float, *, digits: int = 3) -> str:
    """A value without its unit, as axis ticks show it.

    >>> bare("macs", 999_999), bare("test_accuracy", 0.5), bare("loss", 0.125)
    ('1M', '50', '0.125')
    """
    return engineering(100 * value if metric(name).unit == "share" else value, digits=digits)


def engineering(value: float, *, digits: int) -> str:
    """A number to so many significant digits with k, M, G, T or P for thousands and so on."""
    rounded = float(f"{value:.{digits - 1}e}")
    for scale, prefix in _PREFIXES:
        if scale <= abs(rounded) < 1e18:
            text = f"{rounded / scale:.{digits}g}"
            return (f"{float(text):.0f}" if "e" in text else text) + prefix
    return f"{rounded:.{digits}g}"
