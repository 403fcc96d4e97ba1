"""Turning and zooming: against torch.rot90, an explicit loop, and polynomials that linear sampling keeps."""

from __future__ import annotations

from itertools import product
from math import prod

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nas.data import Flip, Rotate, Scale
from nas.data.augment.base import Fill
from nas.data.augment.tensors import draw_chosen, draw_strengths, planes, rotate, scale
from search_spaces.choice import Choice
from search_spaces.errors import BadInput

FILLS: tuple[Fill, ...] = ("zero", "edge", "reflect")
seeds = st.integers(0, 2**32)
sizes = st.lists(st.integers(2, 4), min_size=1, max_size=3).map(tuple)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def angles(count: int, degrees: float) -> Tensor:
    return torch.full((count,), degrees, dtype=torch.float64)


@pytest.mark.parametrize("quarters", [-1, 1, 2])
@pytest.mark.parametrize("fill", FILLS)
def test_quarter_turns_of_a_square_are_rot90(quarters: int, fill: Fill) -> None:
    for side in (4, 5):
        x = random(2, 3, side, side)
        turned = rotate(x, (angles(2, 90.0 * quarters),), planes=((0, 1),), fill=fill)
        torch.testing.assert_close(turned, torch.rot90(x, quarters, dims=(2, 3)))


@pytest.mark.parametrize(("axis", "dims"), [(-3, (3, 4)), (-2, (2, 4)), (-1, (2, 3))])
def test_quarter_turns_of_a_cube_about_each_axis_are_rot90(axis: int, dims: tuple[int, int]) -> None:
    x = random(2, 1, 4, 4, 4)
    for quarters in (-1, 1, 2):
        turned = rotate(x, (angles(2, 90.0 * quarters),), planes=planes(3, axis))
        torch.testing.assert_close(turned, torch.rot90(x, quarters, dims=dims))


def test_half_a_turn_mirrors_both_axes_of_any_image() -> None:
    x = random(2, 3, 4, 7)
    torch.testing.assert_close(rotate(x, (angles(2, 180.0),), planes=((0, 1),)), x.flip(2, 3))


def test_a_volume_turns_about_every_axis_by_an_angle_of_its_own() -> None:
    x = random(1, 2, 3, 3, 3)
    quarter = angles(1, 90.0)
    turned = rotate(x, (quarter, quarter, quarter), planes=planes(3, None))
    one_by_one = x
    for dims in ((2, 3), (2, 4), (3, 4)):
        one_by_one = torch.rot90(one_by_one, 1, dims=dims)
    torch.testing.assert_close(turned, one_by_one)


def test_an_angle_turns_by_pixels_not_by_shares_of_the_sides() -> None:
    """A slope along one axis, of a wide image, becomes the slope in the turned direction."""
    rows, columns = torch.meshgrid(torch.arange(9.0) - 4, torch.arange(21.0) - 10, indexing="ij")
    turned = rotate(rows.expand(1, 1, 9, 21), (torch.tensor([30.0]),), planes=((0, 1),))
    expected = rows * 3**0.5 / 2 + columns / 2
    torch.testing.assert_close(turned[0, 0, 3:6, 9:12], expected[3:6, 9:12])


@given(sizes, st.floats(0.3, 3.0), st.integers(0, 100))
def test_a_zoom_of_zero_filled_examples_equals_the_loop(shape: tuple[int, ...], by: float, seed: int) -> None:
    x = random(1, 1, *shape, seed=seed)
    zoomed = scale(x, angles(1, by))
    for place in product(*map(range, shape)):
        at = [(p - (size - 1) / 2) / by + (size - 1) / 2 for p, size in zip(place, shape, strict=True)]
        expected = sum(
            float(x[(0, 0, *corner)])
            * prod(max(0.0, 1 - abs(a - c)) for a, c in zip(at, corner, strict=True))
            for corner in product(*map(range, shape))
        )
        assert float(zoomed[(0, 0, *place)]) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_a_zoom_keeps_the_centre_and_spreads_what_is_round_it(dims: int) -> None:
    offsets = torch.arange(9.0) - 4
    slope = offsets.view(-1, *[1] * (dims - 1)).expand([9] * dims)[None, None]
    zoomed = scale(slope, torch.tensor([2.0]))
    torch.testing.assert_close(zoomed, slope / 2)
    assert zoomed[(0, 0, *[4] * dims)] == 0


@pytest.mark.parametrize(
    ("fill", "row"),
    [("zero", [0, 1, 2, 3, 0]), ("edge", [1, 1, 2, 3, 3]), ("reflect", [1.5, 1, 2, 3, 2.5])],
)
def test_what_comes_from_outside_is_as_the_fill_says(fill: Fill, row: list[float]) -> None:
    """Zooming five places out by 2 reads -2, 0, 2, 4, 6 of a signal that has 0 to 4; mirrored, -2 is 1, 6 is 3."""
    x = torch.tensor([[[1.0, 1.5, 2.0, 2.5, 3.0]]])
    assert scale(x, torch.tensor([0.5]), fill=fill)[0, 0].tolist() == pytest.approx(row, abs=1e-5)


@given(sizes, seeds)
def test_a_batch_is_what_its_examples_are_alone(shape: tuple[int, ...], seed: int) -> None:
    x, generator = random(4, 2, *shape), torch.Generator().manual_seed(seed)
    chosen = draw_chosen(x, 0.7, generator=generator)
    factors = draw_strengths(x, (0.5, 2.0), chosen=chosen, neutral=1.0, generator=generator)
    alone = [scale(x[i : i + 1], factors[i : i + 1]) for i in range(len(x))]
    torch.testing.assert_close(scale(x, factors), torch.cat(alone))
    every = planes(len(shape), None)
    turns = [draw_strengths(x, (-90, 90), chosen=chosen, generator=generator) for _ in every]
    if every:
        alone = [
            rotate(x[i : i + 1], tuple(t[i : i + 1] for t in turns), planes=every) for i in range(len(x))
        ]
        torch.testing.assert_close(rotate(x, tuple(turns), planes=every), torch.cat(alone))


def test_strengths_are_uniform_within_their_range_for_the_chosen() -> None:
    x, generator = torch.zeros(20_000, 1, 2), torch.Generator().manual_seed(0)
    chosen = draw_chosen(x, 0.25, generator=generator)
    drawn = draw_strengths(x, (-1.0, 3.0), chosen=chosen, neutral=7.0, generator=generator)
    assert (drawn[~chosen] == 7).all()
    assert drawn[chosen].min() >= -1
    assert drawn[chosen].max() <= 3
    quantiles = torch.quantile(drawn[chosen], torch.tensor([0.25, 0.5, 0.75]))
    torch.testing.assert_close(quantiles, torch.tensor([0.0, 1.0, 2.0]), atol=0.1, rtol=0)


def test_a_probability_is_that_of_an_example() -> None:
    x = random(2000, 1, 4, 4)
    for augmentation in (Rotate(probability=0.3), Scale(probability=0.3)):
        changed = augmentation.apply(x, torch.Generator().manual_seed(0)) != x
        assert changed.flatten(1).any(1).double().mean().item() == pytest.approx(0.3, abs=0.04)


def test_what_cannot_turn_is_refused_whatever_is_open() -> None:
    generator = torch.Generator().manual_seed(0)
    with pytest.raises(BadInput, match=r"Rotate: got signals .* expected images or volumes"):
        Rotate().apply(torch.ones(2, 1, 4), generator)
    with pytest.raises(BadInput, match=r"Rotate.axis: got -1 for images"):
        Rotate(axis=-1).apply(torch.ones(2, 1, 4, 4), generator)
    with pytest.raises(BadInput, match=r"Rotate.axis: got -3 for images"):
        Rotate(axis=Choice(None, -3)).check_axes(2)
    with pytest.raises(BadInput, match=r"Flip.axis: got -2"):
        Flip(axis=Choice(-1, -2)).check_axes(1)
    Rotate(axis=Choice(None, -3)).check_axes(3)
