"""One step of a search by gradients: what it is given, what it does on the device, and how it is taken."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from search_spaces.mixed import AUXILIARY

from ..gradient import recipe_of
from . import captured
from .captured import NOT_USED, TOLERANCE, Captured, Changes
from .given import Batch, Given
from .gradient_steps import buffers_kept, first_order, second_order
from .mixing import Mixed, mixed, regularised, shares
from .optimiser import learning_rate
from .precision import Precision
from .scoring import training_loss
from .supernet_search import Search


def step(search: Search) -> None:
    """Take one step: of the parameters, once the warm-up is over, then of the weights."""
    search.net.train()
    given = _drawn(search)
    if search.settings.capture and search.captured is None:
        search.captured = _capturing(search)
    if search.captured is None or not search.captured.took(given, phase=given.held_out is None):
        _advance(search, given)
    search.done += 1


def expectation(search: Search) -> float:
    """Return what the mixture costs in expectation now."""
    with torch.no_grad():
        return _expected_cost(search).item()


def _capturing(search: Search) -> Captured[Given]:
    """Return what replays a search's steps, or says why it does not."""
    device, settings = search.rule.device, search.settings
    found = Captured[Given](
        captured.graphs_on(device), partial(_advance, search), changes=partial(_changes, search),
        generators=(search.noise,), device=device, tolerance=TOLERANCE[search.rule.format],
    )  # fmt: skip
    if settings.mixing == "gumbel":
        found.note = (
            f"{NOT_USED}: with mixing: gumbel each step runs another path, which the processor has to know"
        )
    return found


def _changes(search: Search) -> Changes:
    """Return all tensors that a step changes."""
    buffers = list(search.net.buffers())
    means, squares, steps = search.adam.memory
    return {
        "weights": list(search.net.parameters()),
        "weights' momenta": [tensor for own in search.optimiser.state() for tensor in own],
        "norms' statistics": [buffer for buffer in buffers if buffer.is_floating_point()],
        "norms' counts": [buffer for buffer in buffers if not buffer.is_floating_point()],
        "architecture parameters": [search.alphas],
        "parameters' mean gradients": [means],
        "parameters' mean squares": [squares],
        "number of steps": [steps],
        "sums of losses": [search.sums],
    }


def _drawn(search: Search) -> Given:
    """Draw what the next step is given."""
    settings, place = search.settings, search.place
    train = search.weights.draw()
    return Given(
        train=train,
        held_out=search.parameters.draw() if search.epoch >= settings.warmup else None,
        place=place,
        lr=learning_rate(recipe_of(settings), (search.done + 0.5) / (search.epochs * search.weights.steps)),
        auxiliary=search.alphas.new_tensor([settings.auxiliary_skip * (1 - place)])
        if search.mixture.mixing.auxiliary
        else None,
    )


def _advance(search: Search, given: Given) -> None:
    """Do what a step does, on the device alone: no number is waited for, and nothing else changes."""
    if given.held_out is not None:
        _parameters_step(search, given, given.held_out)
    with torch.no_grad():
        mix = _mixed(search, given)
    loss = _loss(search, given, given.train, mix, rule=search.rule)
    torch.autograd.backward(loss)
    search.optimiser.step(given.lr)
    search.sums[0] += loss.detach()
    search.sums[2] += 1


def _parameters_step(search: Search, given: Given, held_out: Batch) -> None:
    """Take one step of the architecture parameters."""
    first = search.settings.order == 1
    # The nudge of second order is smaller than bfloat16 can tell.
    rule = search.rule if first else replace(search.rule, format=torch.float32)

    def lost(batch: Batch) -> Tensor:
        return _loss(search, given, batch, _mixed(search, given), rule=rule)

    if first:
        gradient, loss = first_order(search.alphas, lambda: lost(held_out))
    else:
        weights = [weight for weight in search.net.parameters() if weight.requires_grad]
        with buffers_kept(search.net):
            gradient, loss = second_order(
                search.alphas,
                weights,
                train=lambda: lost(given.train),
                validation=lambda: lost(held_out),
                step=given.lr,
            )
    search.adam.step(gradient + _of_terms(search))
    search.sums[1] += loss
    search.sums[3] += 1


def _of_terms(search: Search) -> Tensor:
    """Return the gradient of what is added to the parameters' loss: regularisation, and the cost above its target."""
    settings = search.settings
    added = regularised(settings, search.rows, search.alphas)
    if search.cost is not None and settings.cost_target is not None:
        over = (_expected_cost(search) / settings.cost_target - 1).clamp_min(0)
        added = added + settings.cost_weight * over
    if not added.requires_grad:
        return torch.zeros_like(search.alphas)
    return torch.autograd.grad(added, search.alphas)[0]


def _expected_cost(search: Search) -> Tensor:
    """Return what the mixture costs in expectation, a function of its parameters."""
    assert search.cost is not None
    own = search.rows.vectors(shares(search.settings, search.rows, search.alphas))
    total = search.alphas.new_full((), search.cost.base)
    for path, slope in search.slopes.items():
        ops = own[path][: len(slope)]
        total = total + (ops / ops.sum().clamp_min(1e-12) * slope).sum()
    return total


def _mixed(search: Search, given: Given) -> Mixed:
    return mixed(search.settings, search.rows, search.alphas, search.noise, place=given.place)


def _loss(search: Search, given: Given, batch: Batch, mix: Mixed, *, rule: Precision) -> Tensor:
    x, y = batch
    vectors = search.rows.vectors(mix.table)
    if given.auxiliary is not None:
        vectors[AUXILIARY] = given.auxiliary
    with rule.computing():
        output = search.net(rule.arrange(x), vectors, mix.only)
    return training_loss(output.float(), y, by=search.by)
