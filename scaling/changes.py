"""What changed from one network of a family to another, in words."""

from __future__ import annotations

from collections.abc import Iterator

from search_spaces.block import Amount, fixed
from search_spaces.network import Network, Stage


def changes(before: Network, after: Network) -> str:
    """Say how a scaled network differs from another of the same base.

    >>> from dataclasses import replace
    >>> from search_spaces.zoo import model
    >>> changes(model("efficientnet_b0"), replace(model("efficientnet_b0"), input=(3, 225, 225)))
    'resolution 224x224 to 225x225'
    """
    return "; ".join(_changes(before, after)) or "nothing"


def _changes(before: Network, after: Network) -> Iterator[str]:
    if before.input != after.input:
        yield f"resolution {_size(before)} to {_size(after)}"
    pairs = [(fixed(old), fixed(new)) for old, new in zip(before.stages, after.stages, strict=True)]
    named = [
        ("stem", fixed(before.stem), fixed(after.stem)),
        *((f"stages.{i}", *pair) for i, pair in enumerate(pairs)),
    ]
    for name, old, new in named:
        if old is not None and new is not None and old != new:
            yield f"{name}: " + (", ".join(_of_stage(old, new)) or "other widths inside its blocks")
    if before.head != after.head:
        yield "head: " + (", ".join(_of_head(before, after)) or "other widths inside")
    if before.shared != after.shared:
        yield "shared: other widths inside the blocks"


def _of_stage(old: Stage, new: Stage) -> Iterator[str]:
    assert isinstance(old.blocks, tuple)
    assert isinstance(new.blocks, tuple)
    yield from _more(len(old.blocks), len(new.blocks), "block")
    yield from _more(fixed(old.width), fixed(new.width), "channel")


def _of_head(before: Network, after: Network) -> Iterator[str]:
    for field, unit in (("width", "channel"), ("hidden", ""), ("dropout", "")):
        old, new = (getattr(fixed(network.head), field, None) for network in (before, after))
        if old == new:
            continue
        if unit and isinstance(old, int) and isinstance(new, int):
            yield from _more(old, new, unit)
        else:
            yield f"{field} {_listed(old)} to {_listed(new)}"


def _more(old: int, new: int, unit: str) -> Iterator[str]:
    if old != new:
        plural = unit if abs(new - old) == 1 else f"{unit}s"
        yield f"{abs(new - old)} {'more' if new > old else 'fewer'} {plural} ({old} to {new})"


def _listed(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _size(network: Network) -> str:
    sizes: tuple[Amount, ...] = tuple(fixed(n) for n in network.input[1:])
    return "x".join(map(str, sizes))
