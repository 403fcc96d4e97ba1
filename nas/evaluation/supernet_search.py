"""A search by gradients in progress: all that changes, its steps, and the state that a checkpoint holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import cast

import torch
from torch import Generator, Tensor

from scaling.expected import Expected
from search_spaces.errors import BadInput
from search_spaces.mixed import AUXILIARY
from search_spaces.mixture import Mixture
from search_spaces.supernet import Supernet

from ..data.augment import Augmentation, Targets
from ..data.device import OnDevice
from ..gradient import Gradient, recipe_of
from ..proposal import Proposal
from .checkpoint import State
from .gradient_steps import Adam, buffers_kept, first_order, second_order
from .layout import laid_out, relaid
from .learner import global_generators, set_global_generators, stream_seed
from .mixing import Mixed, Rows, mixed, regularised, rows_of, shares
from .optimiser import Optimiser, learning_rate
from .precision import Precision
from .scoring import Scoring, training_loss
from .stream import Stream

FEWEST = 4  # examples: two for the weights, two for the parameters, for a norm takes no single one


@dataclass(slots=True, kw_only=True, eq=False)
class Search:
    """A supernet, its parameters, both optimisers, where its batches and noise come from, and how far it is."""

    settings: Gradient
    mixture: Mixture
    cost: Expected | None
    rule: Precision
    by: Scoring
    epochs: int
    net: Supernet
    rows: Rows
    alphas: Tensor
    optimiser: Optimiser
    adam: Adam
    weights: Stream
    parameters: Stream
    noise: Generator
    sums: Tensor  # of this epoch: the two losses, the two numbers of steps; on the device
    done: int = 0  # steps
    seconds: float = 0.0
    trace: list[Tensor] = field(default_factory=list)  # what options weighed, after each epoch
    seen: list[dict[str, float]] = field(default_factory=list)  # the metrics of each epoch

    @property
    def epoch(self) -> int:
        """How many epochs are over."""
        return self.done // self.weights.steps

    @property
    def place(self) -> float:
        """How far the search is, from 0 to 1."""
        return self.done / max(1, self.epochs * self.weights.steps)

    def vectors(self) -> dict[str, Tensor]:
        """Return what options weigh in expectation, by the path of each vector."""
        with torch.no_grad():
            return self.rows.vectors(shares(self.settings, self.rows, self.alphas))

    def shares(self) -> dict[str, list[float]]:
        """Return the same as numbers."""
        return {path: row.tolist() for path, row in self.vectors().items()}


def begun(
    proposal: Proposal, settings: Gradient, mixture: Mixture, data: OnDevice, *, rule: Precision, by: Scoring,
    cost: Expected | None, augment: tuple[Augmentation, ...],
) -> Search:  # fmt: skip
    """Return a search before its first step; all of it follows from the proposal's seed."""

    def stream(name: str) -> Generator:
        return Generator(rule.device).manual_seed(stream_seed(proposal.seed, name))

    def batches(numbers: Tensor, name: str) -> Stream:
        return Stream(part=data.train, numbers=numbers, batch=batch, generator=stream(name), augment=augment)

    weights = Generator().manual_seed(stream_seed(proposal.seed, "weights"))
    net = cast(Supernet, rule.place(Supernet(mixture, seed=weights)))
    rows = rows_of(mixture, rule.device)
    alphas = rows.start(stream("alphas")).requires_grad_()
    order = torch.randperm(len(data.train), generator=stream("split"), device=rule.device)
    if len(order) < FEWEST:
        raise BadInput(
            f"data: got {len(order)} examples to train on, expected at least {FEWEST}: two for either part"
        )
    held = min(max(2, round(settings.alpha_share * len(order))), len(order) - 2)
    batch = settings.batch
    even = rows.vectors(rows.softmax(torch.zeros_like(alphas)))
    rule = laid_out(net, rule, asked=settings.layout, x=data.train.pick(order[:batch]), vectors=even)
    relaid(net, rule)
    return Search(
        settings=settings, mixture=mixture, cost=cost, rule=rule, by=by, epochs=proposal.epochs, net=net, rows=rows,
        alphas=alphas, optimiser=Optimiser(net, recipe_of(settings)), adam=Adam(alphas, settings),
        weights=batches(order[held:], "batches"), parameters=batches(order[:held], "parameters"),
        noise=stream("noise"), sums=torch.zeros(4, dtype=torch.float64, device=rule.device),
    )  # fmt: skip


def step(search: Search) -> None:
    """Take one step: of the parameters, once the warm-up is over, then of the weights."""
    settings = search.settings
    search.net.train()
    lr = learning_rate(recipe_of(settings), (search.done + 0.5) / (search.epochs * search.weights.steps))
    batch = search.weights.draw()
    if search.epoch >= settings.warmup:
        _parameters_step(search, batch, lr)
    with torch.no_grad():
        mix = _mixed(search)
    loss = _loss(search, batch, mix)
    torch.autograd.backward(loss)
    search.optimiser.step(lr)
    search.sums[0] += loss.detach()
    search.sums[2] += 1
    search.done += 1


def expectation(search: Search) -> float:
    """Return what the mixture costs in expectation now."""
    with torch.no_grad():
        return _expected_cost(search).item()


def _expected_cost(search: Search) -> Tensor:
    """Return what the mixture costs in expectation, a function of its parameters."""
    assert search.cost is not None
    own = search.rows.vectors(shares(search.settings, search.rows, search.alphas))
    total = search.alphas.new_tensor(search.cost.base)
    for path, slope in search.cost.slopes.items():
        ops = own[path][: len(slope)]
        total = total + (ops / ops.sum().clamp_min(1e-12) * ops.new_tensor(slope)).sum()
    return total


def state_of(search: Search) -> State:
    """Return all that the next step depends on, torch's global generators included."""
    generators = {"noise": search.noise.get_state(), **global_generators(search.rule.device)}
    return {
        "model": search.net.state_dict(), "alphas": search.alphas.detach(), "optimiser": search.optimiser.state(),
        "adam": list(search.adam.memory), "weights": search.weights.state(), "parameters": search.parameters.state(),
        "generators": generators, "done": search.done, "seconds": search.seconds, "sums": search.sums,
        "trace": search.trace, "seen": search.seen, "channels_last": search.rule.channels_last,
    }  # fmt: skip


def restore(search: Search, state: State) -> Search:
    """Take over a state; raises whatever torch does where it is of another search."""
    done = cast(int, state["done"])
    if not 0 < done <= search.epochs * search.weights.steps:
        raise ValueError(f"it says {done} of {search.epochs * search.weights.steps} steps are done")
    search.rule = replace(search.rule, channels_last=bool(state["channels_last"]))
    relaid(search.net, search.rule)
    search.optimiser = Optimiser(search.net, recipe_of(search.settings))  # its memory lies as the weights do
    search.net.load_state_dict(cast("Mapping[str, Tensor]", state["model"]))
    with torch.no_grad():
        search.alphas.copy_(cast(Tensor, state["alphas"]))
    search.optimiser.restore(cast("list[list[Tensor]]", state["optimiser"]))
    search.adam.restore(cast("list[Tensor]", state["adam"]))
    search.weights.restore(cast("Mapping[str, object]", state["weights"]))
    search.parameters.restore(cast("Mapping[str, object]", state["parameters"]))
    generators = cast("Mapping[str, Tensor]", state["generators"])
    search.noise.set_state(generators["noise"])
    set_global_generators(generators, search.rule.device)
    search.done, search.seconds = done, cast(float, state["seconds"])
    search.sums = cast(Tensor, state["sums"]).to(search.rule.device, copy=True)
    search.trace, search.seen = (
        list(cast("list[Tensor]", state["trace"])),
        list(cast("list[dict[str, float]]", state["seen"])),
    )
    return search


def _parameters_step(search: Search, batch: tuple[Tensor, Targets], lr: float) -> None:
    """Take one step of the architecture parameters."""
    held_out = search.parameters.draw()

    def validation() -> Tensor:
        return _loss(search, held_out, _mixed(search))

    if search.settings.order == 1:
        gradient, loss = first_order(search.alphas, validation)
    else:
        weights = [weight for weight in search.net.parameters() if weight.requires_grad]
        with buffers_kept(search.net):
            gradient, loss = second_order(
                search.alphas,
                weights,
                train=lambda: _loss(search, batch, _mixed(search)),
                validation=validation,
                step=lr,
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


def _mixed(search: Search) -> Mixed:
    return mixed(search.settings, search.rows, search.alphas, search.noise, place=search.place)


def _loss(search: Search, batch: tuple[Tensor, Targets], mix: Mixed) -> Tensor:
    x, y = batch
    vectors = search.rows.vectors(mix.table)
    if search.mixture.mixing.auxiliary:
        vectors[AUXILIARY] = mix.table.new_tensor([search.settings.auxiliary_skip * (1 - search.place)])
    with search.rule.computing():
        output = search.net(search.rule.arrange(x), vectors, mix.only)
    return training_loss(output.float(), y, by=search.by)
