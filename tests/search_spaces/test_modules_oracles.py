"""Built networks held against torchvision's, and the oracles against published numbers and hand counts."""

from types import ModuleType

import pytest
import torch
from examples import around
from oracles import hooked_costs, measured_peak_bytes
from torch import nn

from search_spaces import MBConv
from search_spaces.graph import Graph, Node
from search_spaces.layers import Activation, Convolution, Sum
from search_spaces.modules import build, build_graph
from search_spaces.zoo import model

RELU = Activation(kind="relu")


def test_efficientnet_b0_is_the_function_torchvision_computes(torchvision: ModuleType) -> None:
    ours = build(model("efficientnet_b0"), seed=1)
    theirs = torchvision.models.efficientnet_b0(weights=None).eval()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3  # the authors'; torchvision leaves torch's default
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    values = theirs.state_dict().values()
    ours.load_state_dict(dict(zip(ours.state_dict(), values, strict=True)))
    ours.eval()
    for size in (64, 97):
        x = torch.rand(2, 3, size, size)
        with torch.no_grad():
            assert torch.allclose(ours(x), theirs(x), atol=1e-5)


def test_the_hooks_count_efficientnet_b0_as_published() -> None:
    params, macs, activations = hooked_costs(build(model("efficientnet_b0")), (3, 224, 224))
    assert (params, macs) == (5_288_548, 385_814_752)
    assert activations == pytest.approx(6.7e6, rel=0.02)  # Dollar et al. 2021, table 2


@pytest.mark.parametrize(
    ("name", "params", "macs"),
    [("resnet18", 11_689_512, 1_814_073_344), ("shufflenet_v2_x1_0", 2_278_604, 144_907_992)],
)
def test_the_hooks_count_torchvision_as_published(
    torchvision: ModuleType, name: str, params: int, macs: int
) -> None:
    assert hooked_costs(getattr(torchvision.models, name)(), (3, 224, 224))[:2] == (params, macs)


def test_the_hooks_leave_no_trace() -> None:
    module = build(around(MBConv(), (8, 8)))
    module.get_submodule("head").eval()
    before = {name: (part.training, len(part._forward_hooks)) for name, part in module.named_modules()}
    weights = {name: value.clone() for name, value in module.state_dict().items()}
    hooked_costs(module, (3, 8, 8))
    measured_peak_bytes(module, (3, 8, 8))
    assert before == {
        name: (part.training, len(part._forward_hooks)) for name, part in module.named_modules()
    }
    assert all(value.equal(weights[name]) for name, value in module.state_dict().items())


def test_a_chain_holds_two_maps_and_lets_go_of_the_input() -> None:
    nodes = tuple(Node(RELU, (i,), (4, 8), f"act{i}") for i in range(5))
    assert measured_peak_bytes(build_graph(Graph(((4, 8),), nodes, 5)), (4, 8)) == 2 * 4 * 8 * 4


def test_a_residual_holds_the_skipped_map() -> None:
    point = Convolution(out=4, kernel=(1,), stride=(1,), dilation=(1,), padding=((0, 0),))
    nodes = (
        Node(point, (0,), (4, 8), "conv"),
        Node(RELU, (1,), (4, 8), "act"),
        Node(Sum(), (2, 0), (4, 8), "sum"),
    )
    assert measured_peak_bytes(build_graph(Graph(((4, 8),), nodes, 3)), (4, 8)) == 3 * 4 * 8 * 4


def test_plain_torch_holds_its_input_no_longer_than_it_must() -> None:
    wide = nn.Sequential(nn.Conv1d(2, 8, 1), nn.ReLU(), nn.Conv1d(8, 2, 1))
    assert measured_peak_bytes(wide, (2, 8)) >= 2 * 8 * 8 * 4
