"""The zoo against torchvision's own classes: the same counts for every member, the same function in each family.

Counting runs torchvision's modules on the meta device, where nothing is computed; hooks on their convolutions and
dense layers count. For equality our weights are carried over in the order of the two state dicts.
"""

from dataclasses import replace
from types import ModuleType

import pytest
import torch
from oracles import hooked_costs
from torch import nn

from scaling.cost import cost
from search_spaces import DenseClassifier, Network
from search_spaces.modules import build
from search_spaces.zoo import FAMILIES, model

OURS_ALONE = ("lenet", "nin", "mobilenet_v1", "nasnet", "amoebanet", "darts")  # torchvision has none of these
MEMBERS = [name for family, names in FAMILIES.items() if family not in OURS_ALONE for name in names]
DEEP = (
    "resnet101", "resnet152", "resnext101_32x8d", "resnext101_64x4d", "wide_resnet101_2", "efficientnet_v2_m",
    "efficientnet_v2_l", *(f"efficientnet_b{i}" for i in range(1, 8)),
)  # fmt: skip
BY_DEPTH = [pytest.param(name, marks=pytest.mark.slow if name in DEEP else ()) for name in MEMBERS]
ONE_EACH = (
    "alexnet", "vgg11_bn", "googlenet", "squeezenet1_0", "squeezenet1_1", "resnet18", "mobilenet_v2",
    "mobilenet_v3_small", "shufflenet_v2_x0_5", "mnasnet0_5", "efficientnet_v2_s",
)  # fmt: skip
SETTINGS = {"googlenet": {"aux_logits": False, "init_weights": False}}  # the auxiliary heads are left out
NARROW = 16  # features of dense layers, so that they need not be drawn by the hundred million


def on_meta(torchvision: ModuleType, name: str, **settings: object) -> nn.Module:
    """Return torchvision's module without storage."""
    with torch.device("meta"):
        module: nn.Module = getattr(torchvision.models, name)(**SETTINGS.get(name, {}), **settings)
        return module


def counted(module: nn.Module, network: Network) -> tuple[int, int, int]:
    with torch.device("meta"):
        return hooked_costs(module, tuple(network.input))


@pytest.mark.parametrize("name", BY_DEPTH)
def test_every_member_counts_as_torchvisions_does(torchvision: ModuleType, name: str) -> None:
    network = model(name)
    own = cost(network)
    assert (own.params, own.macs, own.activations) == counted(on_meta(torchvision, name), network)


def test_every_member_has_as_many_parameters_as_torchvision_states(torchvision: ModuleType) -> None:
    stated = {n: torchvision.models.get_model_weights(n).DEFAULT.meta["num_params"] for n in MEMBERS}
    assert {name: cost(model(name)).params for name in MEMBERS} == stated


@pytest.mark.parametrize("width", [0.35, 0.75, 1.4])
def test_mobilenet_v2_counts_as_torchvisions_does_at_any_width(torchvision: ModuleType, width: float) -> None:
    network = model(f"mobilenet_v2(width={width})")
    theirs = on_meta(torchvision, "mobilenet_v2", width_mult=width)
    assert (cost(network).params, cost(network).macs) == counted(theirs, network)[:2]


@pytest.mark.parametrize("name", ONE_EACH)
def test_each_family_is_the_function_torchvision_computes(torchvision: ModuleType, name: str) -> None:
    network, theirs = model(name), on_meta(torchvision, name)
    if isinstance(network.head, DenseClassifier):
        network = replace(network, head=replace(network.head, hidden=(NARROW, NARROW)))
        narrow(theirs)
    computes_alike(network, theirs, sizes=(64, 97))


@pytest.mark.slow
@pytest.mark.parametrize("name", MEMBERS)
def test_every_member_is_the_function_torchvision_computes(torchvision: ModuleType, name: str) -> None:
    theirs = on_meta(torchvision, name)
    if name.startswith("efficientnet_b"):
        for part in theirs.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.eps = 1e-3  # the authors'; torchvision leaves torch's default in B0 to B4
    computes_alike(model(name), theirs, sizes=(65,))


@pytest.mark.parametrize(
    "name",
    [
        "nin_cifar",
        "mobilenet_v1(width=0.25)",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("nasnet_a_mobile", "amoebanet_a_mobile")),
    ],
)
def test_what_torchvision_lacks_costs_what_hooks_count_on_the_built_module(name: str) -> None:
    network = model(name)
    own = cost(network)
    assert (own.params, own.macs, own.activations) == hooked_costs(build(network), tuple(network.input))


def narrow(theirs: nn.Module) -> None:
    """Give the last three dense layers of torchvision's AlexNet or VGG few features between them."""
    dense = [i for i, part in enumerate(theirs.classifier) if isinstance(part, nn.Linear)]
    widths = (theirs.classifier[dense[0]].in_features, NARROW, NARROW, 1000)
    for i, before, after in zip(dense, widths, widths[1:], strict=False):
        theirs.classifier[i] = nn.Linear(before, after, device="meta")


def computes_alike(network: Network, theirs: nn.Module, *, sizes: tuple[int, ...]) -> None:
    """Check that both give the same scores for the same weights, to 1e-5 of the largest score."""
    torch.manual_seed(1)
    ours = build(network, seed=1)
    settle(ours, torch.randn(8, 3, sizes[0], sizes[0]))
    theirs.to_empty(device="cpu").eval()
    for value, own in zip(theirs.state_dict().values(), ours.state_dict().values(), strict=True):
        assert value.shape == own.shape
        value.copy_(own)
    for size in sizes:
        x = torch.randn(2, 3, size, size)
        with torch.no_grad():
            scores, expected = ours(x), theirs(x)
        largest = expected.abs().max()
        assert (expected[0] - expected[1]).abs().max() > 0.01 * largest  # the input still matters
        assert torch.allclose(scores / largest, expected / largest, rtol=0, atol=1e-5)


def settle(module: nn.Module, x: torch.Tensor) -> None:
    """Draw biases and let norms take over the statistics of some examples, so that signals neither die nor grow."""
    for name, value in module.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(value, 0, 0.1)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 1.0
    with torch.no_grad():
        module.train()(x)
    module.eval()
