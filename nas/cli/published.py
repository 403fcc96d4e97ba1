"""Published networks as lines of a picture: families by name, with a short name for each member."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scaling.constraints import METRICS
from scaling.cost import cost
from search_spaces.block import fixed
from search_spaces.errors import BadInput
from search_spaces.names import nearest
from search_spaces.network import Network
from search_spaces.zoo import FAMILIES, is_model, model

LINES: Mapping[str, Mapping[str, str]] = {  # those of one construction; elsewhere a family is all its models
    "resnet": {f"resnet{depth}": str(depth) for depth in (18, 34, 50, 101, 152)},
    "resnext": {name: name.removeprefix("resnext") for name in ("resnext50_32x4d", "resnext101_32x8d")},
    "mobilenet_v1": {f"mobilenet_v1(width={width})": width for width in ("0.25", "0.5", "0.75", "1.0")},
    "mobilenet_v2": {
        f"mobilenet_v2(width={width})": width for width in ("0.35", "0.5", "0.75", "1.0", "1.4")
    },
    "vgg": {f"vgg{depth}": str(depth) for depth in (11, 13, 16, 19)},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Published networks in a row: names, short names, costs, each for its own input."""

    name: str
    members: tuple[str, ...]
    short: tuple[str, ...]
    networks: tuple[Network, ...]

    @property
    def metrics(self) -> tuple[dict[str, float], ...]:
        """What formulas know of each."""
        return tuple({name: getattr(cost(one), name) for name in METRICS} for one in self.networks)

    @property
    def inputs(self) -> str:
        """The inputs that the costs hold for, such as `3x224x224` or `3x224x224 to 3x600x600`."""
        shapes = sorted({tuple(fixed(n) for n in one.input) for one in self.networks})
        ends = dict.fromkeys("x".join(map(str, shape)) for shape in (shapes[0], shapes[-1]))
        return " to ".join(ends)


def is_published(text: str) -> bool:
    """Tell whether a text names a published family or network."""
    return text in LINES or text in FAMILIES or is_model(text)


def published(text: str) -> Published:
    """Return a published family by name, or one network, by rising MACs; `BadInput` for others."""
    if not is_published(text):
        known = sorted({*LINES, *FAMILIES})
        raise BadInput(
            f"published family: got {text!r}, expected one of {', '.join(known)}, or a published network"
            f"{nearest(text, known)}"
        )
    if text in LINES:
        names = dict(LINES[text])
    elif not is_model(text):
        several = len(tuple(FAMILIES[text])) > 1
        names = {name: name.removeprefix(text).strip("_") if several else name for name in FAMILIES[text]}
    else:
        names = {text: text}
    found = sorted(((model(name), name) for name in names), key=lambda pair: cost(pair[0]).macs)
    return Published(
        name=text,
        members=tuple(name for _, name in found),
        short=tuple(names[name] for _, name in found),
        networks=tuple(network for network, _ in found),
    )
