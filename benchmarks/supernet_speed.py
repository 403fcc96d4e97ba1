"""How long a step of the DARTS supernet takes, beside the plain version of one module an option.

The published size (16 channels, 8 cells, 32x32), batch 64, one thread, one run: the versions take turns, so that a slow
moment hits all. A step is the paper's: gradients of the architecture parameters on one batch, then of the weights
on another, clipped, with Adam and SGD. The plain version runs every layer of every option by a module of its own,
multiplies, adds, and lets `backward` fill all gradients, in the default memory format and with channels last.

On a GPU (`--device cuda`) two more are timed: steps of a whole search, batches drawn too, in the device's number
format, as they are and replayed from a CUDA graph.

    python -m benchmarks.supernet_speed [--rounds 5] [--batch 64] [--device cpu] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.machine import machine
from nas.data.device import DevicePart, OnDevice
from nas.evaluation.gradient_steps import Adam, first_order
from nas.evaluation.mixing import rows_of, shares
from nas.evaluation.optimiser import Optimiser
from nas.evaluation.precision import precision
from nas.evaluation.scoring import scoring
from nas.evaluation.supernet_search import Search, begun
from nas.evaluation.supernet_step import step as search_step
from nas.gradient import Gradient, recipe_of
from nas.proposal import Kind, Proposal
from nas.recipe import Candidate
from search_spaces.mixture import Mixture, opened
from search_spaces.presets import preset
from search_spaces.supernet import Supernet
from tests.supernets import NaiveSupernet, random_alphas, softmaxed

OUT = Path("results/benchmarks/supernet_speed.json")
SETTINGS = Gradient()
Batch = tuple[Tensor, Tensor]
Step = Callable[[Batch, Batch], tuple[Tensor, Tensor]]  # two batches -> gradient of the parameters, loss


def main() -> None:
    given = arguments()
    torch.set_num_threads(1)
    mixture = opened(preset("darts", (3, 32, 32), classes=10))
    device = torch.device(given.device)
    x, y = zip(*(batch(given.batch, seed) for seed in (0, 1)), strict=True)
    batches = [(one.to(device), of.to(device)) for one, of in zip(x, y, strict=True)]
    versions = {
        "plain": plain(mixture, torch.contiguous_format, device),
        "plain, channels last": plain(mixture, torch.channels_last, device),
        "ours": ours(mixture, torch.contiguous_format, device),
        "ours, channels last": ours(mixture, torch.channels_last, device),
    }
    first = {name: tuple(one.cpu() for one in step(*batches)) for name, step in versions.items()}
    timed: dict[str, Callable[[], object]] = {
        name: partial(step, *batches) for name, step in versions.items()
    }
    searches = {} if device.type == "cpu" else searching(mixture, given.batch, device)
    timed |= {name: partial(search_step, search) for name, search in searches.items()}
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(given.rounds):
        for name, step in timed.items():
            seconds[name].append(seconds_of(step, device))
    document = {
        "what": "seconds of one step of the DARTS supernet, one thread; ratios of the fastest rounds",
        "device": given.device if device.type == "cpu" else torch.cuda.get_device_name(device),
        "notes": {name: search.captured.note for name, search in searches.items() if search.captured},
        "parameters": 1_930_618, "batch": given.batch, "rounds": given.rounds, "machine": machine(),
        "seconds": {name: summary(own) for name, own in seconds.items()},
        **compared(seconds, first),
        "relative_difference_in_float64": in_double(mixture),
    }  # fmt: skip
    print(json.dumps(document, indent=1))
    if given.out is not None:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(document, indent=1) + "\n")


def compared(seconds: dict[str, list[float]], first: dict[str, tuple[Tensor, Tensor]]) -> dict[str, object]:
    """Return by how much we are faster, and by how much the numbers of the first step differ."""
    least = {name: min(own) for name, own in seconds.items()}
    best = min((name for name in least if name.startswith("ours")), key=lambda name: least[name])
    gradient, loss = first["plain"]
    differ = {
        name: {
            "loss": abs(one[1] - loss).item() / loss.item(),
            "parameters' gradient": ((one[0] - gradient).norm() / gradient.norm()).item(),
        }
        for name, one in first.items()
    }
    return {
        "chosen": best,
        "times_faster_than_plain": round(least["plain"] / least[best], 3),
        "times_faster_than_plain_channels_last": round(least["plain, channels last"] / least[best], 3),
        "relative_difference_from_plain": differ,
    }


def in_double(mixture: Mixture) -> dict[str, float]:
    """Return by how much scores and gradients of the plain version and ours differ, without float32's noise."""
    net = Supernet(mixture, seed=0).double()
    plain_net = NaiveSupernet(net)
    x, _ = batch(4, 2)
    found = []
    for model in (net, plain_net):
        alphas = random_alphas(net, 0, torch.float64)
        scores = model(x.double(), softmaxed(net, alphas))
        scores.square().sum().backward()
        of_alphas = torch.cat([alpha.grad for alpha in alphas.values() if alpha.grad is not None])
        found.append((scores.detach(), of_alphas, next(model.parameters()).grad))
    names = ("scores", "parameters' gradient", "a weight's gradient")
    pairs = zip(names, *found, strict=True)
    return {name: ((mine - theirs).norm() / theirs.norm()).item() for name, mine, theirs in pairs}


def seconds_of(step: Callable[[], object], device: torch.device) -> float:
    """Return how long a step takes until the device has done it."""
    began = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def searching(mixture: Mixture, size: int, device: torch.device) -> dict[str, Search]:
    """Return two searches after their first step, one of which replays."""
    x, y = batch(16 * size, 3)
    one = torch.ones(1, 3, 1, 1, device=device)
    part = DevicePart(x=x.to(device), y=y.to(device), mean=0 * one, std=one)
    found = {}
    for name, capture in (("a search", False), ("a search, captured", True)):
        settings = Gradient(batch=size, capture=capture)
        asked = Proposal(
            number=0, kind=Kind.SUPERNET, candidate=Candidate(network=mixture.space), epochs=50, seed=0,
            settings=settings,
        )  # fmt: skip
        found[name] = begun(
            asked, settings, mixture, OnDevice(train=part, validation=part), rule=precision(str(device)),
            by=scoring(part, smoothing=0.0), cost=None, augment=(),
        )  # fmt: skip
        search_step(found[name])
    return found


def ours(mixture: Mixture, layout: torch.memory_format, device: torch.device) -> Step:
    """Return a step as the search takes it."""
    net = Supernet(mixture, seed=0).to(device).to(memory_format=layout)
    rows = rows_of(mixture, device)
    alphas = rows.start(torch.Generator().manual_seed(0)).to(device).requires_grad_()
    adam, sgd = Adam(alphas, SETTINGS), Optimiser(net, recipe_of(SETTINGS))

    def loss(x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(net(x, rows.vectors(shares(SETTINGS, rows, alphas))), y)

    def step(train: Batch, held_out: Batch) -> tuple[Tensor, Tensor]:
        (xt, yt), (xv, yv) = (laid(one, layout) for one in (train, held_out))
        gradient, _ = first_order(alphas, lambda: loss(xv, yv))
        adam.step(gradient)
        with torch.no_grad():
            vectors = rows.vectors(shares(SETTINGS, rows, alphas))
        lost = F.cross_entropy(net(xt, vectors), yt)
        lost.backward()
        sgd.step(0.025)
        return gradient.clone(), lost.detach()

    return step


def plain(mixture: Mixture, layout: torch.memory_format, device: torch.device) -> Step:
    """Return a step as the published code takes it."""
    like = Supernet(mixture, seed=0)
    net = NaiveSupernet(like).to(device).to(memory_format=layout)
    rows = rows_of(mixture, device)
    alphas = nn.Parameter(rows.start(torch.Generator().manual_seed(0)).to(device))
    adam = torch.optim.Adam([alphas], lr=3e-4, betas=(0.5, 0.999), weight_decay=1e-3)
    sgd = torch.optim.SGD(net.parameters(), lr=0.025, momentum=0.9, weight_decay=3e-4, nesterov=True)

    def loss(x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(net(x, rows.vectors(rows.softmax(alphas))), y)

    def step(train: Batch, held_out: Batch) -> tuple[Tensor, Tensor]:
        (xt, yt), (xv, yv) = (laid(one, layout) for one in (train, held_out))
        adam.zero_grad()
        loss(xv, yv).backward()
        assert alphas.grad is not None
        gradient = alphas.grad.clone()
        adam.step()
        sgd.zero_grad()
        lost = loss(xt, yt)
        lost.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        sgd.step()
        return gradient, lost.detach()

    return step


def laid(one: Batch, layout: torch.memory_format) -> Batch:
    return one[0].contiguous(memory_format=layout), one[1]


def batch(size: int, seed: int) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, 3, 32, 32, generator=generator), torch.randint(
        0, 10, (size,), generator=generator
    )


def summary(seconds: list[float]) -> dict[str, float]:
    return {
        "least": round(min(seconds), 3), "median": round(statistics.median(seconds), 3),
        "most": round(max(seconds), 3),
    }  # fmt: skip


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=OUT)
    return parser.parse_args()


if __name__ == "__main__":
    main()
