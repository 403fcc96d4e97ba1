"""Published networks as specs, one family a file, read only when one of its models is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import cast

from ..errors import BadInput
from ..names import nearest
from ..network import Network
from ..settings import settings, split

FAMILIES: Mapping[str, Iterable[str]] = {  # the file of a family -> its models, which its own MODELS makes
    "lenet": ("lenet5",),
    "alexnet": ("alexnet",),
    "vgg": [f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")],
    "nin": ("nin_cifar", "nin_imagenet"),
    "googlenet": ("googlenet",),
    "resnet": (
        "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "resnext101_32x8d",
        "resnext101_64x4d", "wide_resnet50_2", "wide_resnet101_2",
    ),
    "squeezenet": ("squeezenet1_0", "squeezenet1_1"),
    "mobilenet_v1": ("mobilenet_v1",),
    "mobilenet_v2": ("mobilenet_v2",),
    "mobilenet_v3": ("mobilenet_v3_large", "mobilenet_v3_small"),
    "shufflenet_v2": [f"shufflenet_v2_x{width}" for width in ("0_5", "1_0", "1_5", "2_0")],
    "mnasnet": [f"mnasnet{width}" for width in ("0_5", "0_75", "1_0", "1_3")],
    "efficientnet": [f"efficientnet_b{i}" for i in range(8)],
    "efficientnet_v2": [f"efficientnet_v2_{size}" for size in "sml"],
    "nasnet": ("nasnet_a_mobile", "nasnet_a_cifar"),
    "amoebanet": ("amoebanet_a_mobile",),
    "darts": ("darts_v2_cifar", "darts_v2_imagenet"),
}  # fmt: skip
MODELS: Mapping[str, str] = {name: family for family, names in FAMILIES.items() for name in names}


def model(text: str) -> Network:
    """Return a published network by name, `BadInput` naming the nearest where there is none such.

    Settings may follow in brackets where a family has them: `mobilenet_v2(width=1.4)`.
    """
    name, given = split(text)
    if name not in MODELS:
        raise BadInput(f"model: got {name!r}, expected one of {', '.join(MODELS)}{nearest(name, MODELS)}")
    family = import_module(f"{__name__}.{MODELS[name]}")
    make = cast("Mapping[str, Callable[..., Network]]", family.MODELS)[name]
    return make(**settings(make, name, given, what="model"))


def is_model(text: str) -> bool:
    """Tell whether a text names a published network, with settings or without."""
    return split(text)[0] in MODELS
