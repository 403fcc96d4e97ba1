"""The supernet's module: equal to the plain one, and a member's weights lifted out of it."""

from __future__ import annotations

import random

import pytest
import torch
from supernets import NaiveSupernet, random_alphas, softmaxed, tiny
from test_mixture import SPACES

from search_spaces.errors import BadInput
from search_spaces.mixture import Mixing, opened
from search_spaces.modules import build
from search_spaces.moves import sample
from search_spaces.presets import preset
from search_spaces.supernet import Supernet, lifted, one_path
from search_spaces.supernet_sum import weighted_sum

WAYS = {
    "plain": Mixing(),
    "without pool norms": Mixing(pool_norm=False),
    "edges": Mixing(edges=True),
    "partial": Mixing(partial=2, edges=True),
}


def inputs(supernet: Supernet, n: int = 4) -> torch.Tensor:
    return torch.randn(n, *supernet.mixture.space.input, generator=torch.Generator().manual_seed(5))


def settle_norms(supernet: Supernet) -> None:
    """Give every norm the statistics of a few batches."""
    with torch.no_grad():
        for seed in range(3):
            supernet(inputs(supernet), softmaxed(supernet, random_alphas(supernet, seed)))


def test_the_darts_supernet_learns_exactly_the_published_number() -> None:
    supernet = Supernet(opened(preset("darts", (3, 32, 32), classes=10)))
    assert sum(weight.numel() for weight in supernet.parameters()) == 1_930_618


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("way", WAYS)
def test_outputs_gradients_and_statistics_equal_those_of_one_module_an_option(name: str, way: str) -> None:
    supernet = Supernet(opened(SPACES[name](), WAYS[way]), seed=1).double()
    naive = NaiveSupernet(supernet)
    x = inputs(supernet).double()
    sides = []
    for model in (supernet, naive):
        alphas = random_alphas(supernet, 2, torch.float64)
        y = model(x, softmaxed(supernet, alphas))
        y.square().sum().backward()
        of_alphas = torch.cat([alphas[path].grad for path in alphas])  # type: ignore[misc]
        sides.append((y.detach(), of_alphas, model.state_dict()))
    (ours, of_ours, _), (theirs, of_theirs, _) = sides
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(of_ours, of_theirs, rtol=1e-7, atol=1e-9)
    for node, layer in zip(supernet.graph.nodes, naive.layers, strict=True):
        mine = supernet.get_submodule(node.name)
        for (label, a), (_, b) in zip(mine.named_parameters(), layer.named_parameters(), strict=True):
            assert a.grad is not None, f"{node.name}.{label}"
            torch.testing.assert_close(a.grad, b.grad, rtol=1e-6, atol=1e-8)
        for (_, a), (_, b) in zip(mine.named_buffers(), layer.named_buffers(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_the_layout_changes_neither_outputs_nor_gradients() -> None:
    """torch's backward pass of a batch norm reads an expanded scale beyond its end where channels lie last."""
    found = []
    for layout in (torch.contiguous_format, torch.channels_last):
        supernet = Supernet(opened(tiny(width=8)), seed=1).to(memory_format=layout)
        y = supernet(
            inputs(supernet).contiguous(memory_format=layout), softmaxed(supernet, random_alphas(supernet, 2))
        )
        y.square().sum().backward()
        found.append(
            [y.detach(), *(weight.grad for weight in supernet.parameters() if weight.grad is not None)]
        )
    for plain, last in zip(*found, strict=True):
        torch.testing.assert_close(plain, last, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("pool_norm", [True, False])
@pytest.mark.parametrize("name", SPACES)
def test_a_lifted_member_gives_the_outputs_of_its_path(name: str, pool_norm: bool) -> None:
    supernet = Supernet(opened(SPACES[name](), Mixing(pool_norm=pool_norm)), seed=1)
    settle_norms(supernet)
    supernet.eval()
    x = inputs(supernet)
    rng = random.Random(3)
    for _ in range(4):
        member = sample(supernet.mixture.space, rng)
        vectors, only = one_path(supernet.mixture, member)
        with torch.no_grad():
            alone = lifted(supernet, member)(x)
            torch.testing.assert_close(supernet(x, vectors), alone, rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(supernet(x, vectors, only), alone, rtol=1e-5, atol=1e-5)


def test_without_pool_norms_a_lifted_member_is_the_built_one_weight_for_weight() -> None:
    supernet = Supernet(opened(SPACES["darts"](), Mixing(pool_norm=False)))
    member = sample(supernet.mixture.space, random.Random(0))
    ours, built = lifted(supernet, member).state_dict(), build(member).state_dict()
    assert [(name, tensor.shape) for name, tensor in ours.items()] == [(n, t.shape) for n, t in built.items()]


def test_half_a_members_channels_are_not_lifted() -> None:
    supernet = Supernet(opened(tiny(), Mixing(partial=2)))
    with pytest.raises(BadInput, match="partial=2, whose options have a part of a member's channels"):
        lifted(supernet, sample(supernet.mixture.space, random.Random(0)))


def test_a_stranger_is_not_lifted() -> None:
    supernet = Supernet(opened(tiny()))
    with pytest.raises(BadInput):
        lifted(supernet, sample(tiny(3), random.Random(1)))


def test_one_path_runs_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    supernet = Supernet(opened(tiny()))
    _, only = one_path(supernet.mixture, sample(supernet.mixture.space, random.Random(2)))
    assert len(supernet._path(only)[0]) < len(supernet._steps) / 2


def test_equal_seeds_give_equal_weights() -> None:
    a, b, c = (Supernet(opened(tiny()), seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)


@pytest.mark.parametrize("first", [torch.float32, torch.bfloat16])
def test_a_weighted_sum_takes_values_of_two_formats_as_autocast_gives_them(first: torch.dtype) -> None:
    """A cell that reads its input as it is, float32, beside convolutions in bfloat16."""
    formats = (first, torch.bfloat16, torch.float32)
    values = [
        torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(i)).to(f)
        for i, f in enumerate(formats)
    ]
    leaves = [value.requires_grad_() for value in values]
    numbers = [torch.tensor(n, requires_grad=True) for n in (0.5, -1.0, 2.0)]
    weighted_sum(None, list(zip(leaves, numbers, strict=True))).float().square().sum().backward()
    exact = sum(n.item() * v.detach().float() for n, v in zip(numbers, leaves, strict=True))
    for number, leaf in zip(numbers, leaves, strict=True):
        assert number.grad is not None
        assert leaf.grad is not None
        assert leaf.grad.dtype is leaf.dtype
        torch.testing.assert_close(
            number.grad, (2 * exact * leaf.detach().float()).sum(), rtol=0.03, atol=0.3
        )
        torch.testing.assert_close(leaf.grad.float(), 2 * exact * number.item(), rtol=0.03, atol=0.1)


def test_a_step_in_bfloat16_is_near_one_in_float32() -> None:
    net = Supernet(opened(tiny()), seed=0)
    alphas, x = random_alphas(net, 0), torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    found = []
    for enabled in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            scores = net(x, softmaxed(net, alphas)).float()
        gradients = torch.autograd.grad(scores.square().mean(), list(alphas.values()))
        found.append((scores.detach(), torch.cat(gradients)))
    torch.testing.assert_close(found[1][0], found[0][0], rtol=0.05, atol=0.05)
    assert torch.cosine_similarity(found[1][1], found[0][1], dim=0) > 0.98
