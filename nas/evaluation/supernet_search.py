"""A search by gradients in progress: all that changes, and the state that a checkpoint holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import cast

import torch
from torch import Generator, Tensor

from scaling.expected import Expected
from search_spaces.errors import BadInput
from search_spaces.mixture import Mixture
from search_spaces.supernet import Supernet

from ..data.augment import Augmentation
from ..data.device import OnDevice
from ..gradient import Gradient, recipe_of
from ..proposal import Proposal
from .captured import Captured
from .checkpoint import State
from .given import Given
from .gradient_steps import Adam
from .layout import laid_out, relaid
from .learner import global_generators, set_global_generators, stream_seed
from .mixing import Rows, rows_of, shares
from .optimiser import Optimiser
from .precision import Precision
from .scoring import Scoring
from .stream import Stream

FEWEST = 4  # examples: two for the weights, two for the parameters, for a norm takes no single one


@dataclass(slots=True, kw_only=True, eq=False)
class Search:
    """A supernet, its parameters, both optimisers, where its batches and noise come from, and how far it is."""

    settings: Gradient
    mixture: Mixture
    cost: Expected | None
    slopes: Mapping[str, Tensor]  # of the cost, on the device
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
    captured: Captured[Given] | None = None  # what replays its steps, where that is asked for
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
    slopes = {} if cost is None else {path: alphas.new_tensor(slope) for path, slope in cost.slopes.items()}
    even = rows.vectors(rows.softmax(torch.zeros_like(alphas)))
    rule = laid_out(net, rule, asked=settings.layout, x=data.train.pick(order[:batch]), vectors=even)
    relaid(net, rule)
    return Search(
        settings=settings, mixture=mixture, cost=cost, slopes=slopes, rule=rule, by=by,
        epochs=proposal.epochs, net=net, rows=rows, alphas=alphas,
        optimiser=Optimiser(net, recipe_of(settings)), adam=Adam(alphas, settings),
        weights=batches(order[held:], "batches"), parameters=batches(order[:held], "parameters"),
        noise=stream("noise"), sums=torch.zeros(4, dtype=torch.float64, device=rule.device),
    )  # fmt: skip


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
    search.captured = None  # it would replay on the tensors of before
    search.trace, search.seen = (
        list(cast("list[Tensor]", state["trace"])),
        list(cast("list[dict[str, float]]", state["seen"])),
    )
    return search
