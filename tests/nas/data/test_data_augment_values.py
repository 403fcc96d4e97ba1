"""Blur, noise, intensity and mixing: against direct formulas, moments and the explicit loss."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor
from torch.nn import functional as F

from nas.data import Blur, Intensity, Mixup, Noise
from nas.data.augment import Mixed, augmented
from nas.data.augment.tensors import adjust, blur, draw_order, draw_share, mix, mix_targets
from nas.evaluation.scoring import Classes, Numbers, training_loss

seeds = st.integers(0, 2**32)
sizes = st.lists(st.integers(2, 6), min_size=1, max_size=3).map(tuple)
sigmas = st.floats(0, 3)


def seeded(seed: int) -> Generator:
    return torch.Generator().manual_seed(seed)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=seeded(seed), dtype=torch.float64)


def numbers(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


@given(sizes, sigmas)
def test_blur_keeps_what_is_constant(shape: tuple[int, ...], sigma: float) -> None:
    x = torch.full((2, 1, *shape), 1.7, dtype=torch.float64)
    torch.testing.assert_close(blur(x, numbers(sigma, 0.0), largest=3.0), x)


@given(sizes, st.floats(0.2, 3))
def test_blur_is_the_direct_convolution_with_the_outer_product_kernel(
    shape: tuple[int, ...], sigma: float
) -> None:
    x, reach = random(1, 2, *shape), math.ceil(3 * sigma)
    line = torch.exp(-numbers(*range(-reach, reach + 1)).square() / (2 * sigma**2))
    line, kernel = line / line.sum(), torch.ones((), dtype=torch.float64)
    for _ in shape:
        kernel = kernel.unsqueeze(-1) * line
    padded = F.pad(x, (reach,) * (2 * len(shape)), mode="replicate")
    convolution = (F.conv1d, F.conv2d, F.conv3d)[len(shape) - 1]
    direct = convolution(padded, kernel.expand(2, 1, *kernel.shape), groups=2)
    torch.testing.assert_close(blur(x, numbers(sigma), largest=sigma), direct)


@given(sizes, st.tuples(sigmas, sigmas))
def test_each_example_is_blurred_by_its_own_sigma(shape: tuple[int, ...], pair: tuple[float, float]) -> None:
    x = random(2, 3, *shape)
    alone = [blur(x[i : i + 1], numbers(pair[i]), largest=3.0) for i in range(2)]
    torch.testing.assert_close(blur(x, numbers(*pair), largest=3.0), torch.cat(alone))


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_noise_has_the_asked_standard_deviation_and_mean_0(dims: int) -> None:
    x = random(4, 2, *[int(20_000 ** (1 / dims))] * dims)
    added = Noise(std=0.3).apply(x, seeded(0)) - x
    assert added.std().item() == pytest.approx(0.3, rel=0.02)
    assert added.mean().item() == pytest.approx(0, abs=0.01)


def test_each_example_draws_its_noise_from_the_range() -> None:
    x = torch.zeros(500, 1, 400)
    stds = Noise(std=(0.1, 0.5), probability=0.5).apply(x, seeded(0)).std(2).flatten()
    noisy = stds[stds > 0]
    assert len(noisy) / 500 == pytest.approx(0.5, abs=0.07)
    assert noisy.min().item() == pytest.approx(0.1, rel=0.15)
    assert noisy.max().item() == pytest.approx(0.5, rel=0.15)
    assert noisy.mean().item() == pytest.approx(0.3, rel=0.1)


@given(sizes, st.floats(-2, 2), st.floats(0, 2))
def test_intensity_shifts_means_and_stretches_spreads(
    shape: tuple[int, ...], shift: float, gain: float
) -> None:
    x = random(2, 3, *shape)
    changed = adjust(x, brightness=numbers(shift, 0.0), contrast=numbers(gain, 1.0)).flatten(2)
    old = x.flatten(2)
    torch.testing.assert_close(changed[0].mean(1), old[0].mean(1) + shift)
    torch.testing.assert_close(changed[0].std(1), old[0].std(1) * gain)
    assert torch.equal(changed[1], old[1])


def test_intensity_stays_within_what_was_asked() -> None:
    x = random(300, 1, 50)
    changed = Intensity(brightness=0.2, contrast=0.4).apply(x, seeded(0))
    shifts, gains = changed.mean(2) - x.mean(2), changed.std(2) / x.std(2)
    assert [shifts.min().item(), shifts.max().item()] == pytest.approx([-0.2, 0.2], abs=0.01)
    assert [gains.min().item(), gains.max().item()] == pytest.approx([0.6, 1.4], abs=0.02)


def test_a_blur_chooses_examples_by_its_probability() -> None:
    x = random(1000, 1, 6)
    changed = Blur(sigma=1.0, probability=0.3).apply(x, seeded(0)) != x
    assert changed.flatten(1).any(1).double().mean().item() == pytest.approx(0.3, abs=0.05)


@given(sizes, seeds, st.floats(0, 1))
def test_mixing_is_the_weighted_sum_of_two_examples(shape: tuple[int, ...], seed: int, share: float) -> None:
    x = random(4, 2, *shape)
    order = draw_order(x, generator=seeded(seed))
    assert sorted(order.tolist()) == [0, 1, 2, 3]
    mixed = mix(x, order, share=torch.tensor(share, dtype=x.dtype))
    for i, other in enumerate(order.tolist()):
        torch.testing.assert_close(mixed[i], share * x[i] + (1 - share) * x[other])


@pytest.mark.parametrize("alpha", [1e-310, 0.001, 0.2, 8.0])
def test_shares_are_distributed_as_beta(alpha: float) -> None:
    generator, x = seeded(0), torch.zeros(1)
    drawn = torch.stack([draw_share(x, alpha, generator=generator) for _ in range(4000)])
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    assert drawn.mean().item() == pytest.approx(0.5, abs=0.03)
    assert drawn.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.06)


def test_a_batch_is_mixed_with_the_asked_probability() -> None:
    generator = seeded(0)
    drawn = [
        draw_share(torch.zeros(1), 1.0, probability=0.3, generator=generator).item() for _ in range(2000)
    ]
    assert sum(share < 1 for share in drawn) / 2000 == pytest.approx(0.3, abs=0.04)


@given(seeds, st.sampled_from([0.0, 0.1]), st.integers(1, 3))
def test_the_loss_of_mixed_labels_is_the_mixed_loss(seed: int, smoothing: float, dims: int) -> None:
    x, output = random(6, 1, *[3] * dims), random(6, 5, seed=seed % 1000)
    y = torch.tensor([0, 1, 2, 3, 4, 0])
    changed, mixed = Mixup(alpha=1.0).transform(x, y, seeded(seed))
    assert isinstance(mixed, Mixed)
    assert isinstance(mixed.second, Tensor)
    assert mixed.first is y
    torch.testing.assert_close(
        changed, mixed.share * x + (1 - mixed.share) * x[draw_order(x, generator=seeded(seed))]
    )
    loss = training_loss(output, mixed, by=Classes(smoothing))
    a, b = (F.cross_entropy(output, part, label_smoothing=smoothing) for part in (y, mixed.second))
    torch.testing.assert_close(loss, mixed.share * a + (1 - mixed.share) * b)
    dense = mixed.share * F.one_hot(y, 5) + (1 - mixed.share) * F.one_hot(mixed.second, 5)
    torch.testing.assert_close(loss, F.cross_entropy(output, dense, label_smoothing=smoothing))


@given(seeds)
def test_labels_mixed_twice_have_the_loss_of_their_distribution(seed: int) -> None:
    x, output, y = random(5, 1, 2), random(5, 3), torch.tensor([0, 1, 2, 0, 1])
    mixup = Mixup(alpha=1.0)
    changed, mixed = augmented(x, y, (mixup, mixup), generator=seeded(seed))
    one_hot, dense = augmented(x, F.one_hot(y).double(), (mixup, mixup), generator=seeded(seed))
    assert torch.equal(changed, one_hot)
    assert isinstance(dense, Tensor)
    torch.testing.assert_close(dense.sum(1), torch.ones(5, dtype=torch.float64))
    torch.testing.assert_close(training_loss(output, mixed, by=Classes()), F.cross_entropy(output, dense))


def test_targets_of_a_regression_are_mixed_themselves() -> None:
    y, order, share = torch.tensor([[1.0], [3.0]]), torch.tensor([1, 0]), torch.tensor(0.75)
    mixed = mix_targets(y, order, share=share)
    assert isinstance(mixed, Tensor)
    assert mixed.tolist() == [[1.5], [2.5]]
    assert training_loss(torch.zeros(2, 1), mixed, by=Numbers()).item() == (1.5**2 + 2.5**2) / 2
