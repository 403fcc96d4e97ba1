"""The search by gradients: its equations, what it keeps, that it resumes bit for bit, and that it says how it goes."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from supernets import NaiveSupernet, random_alphas, softmaxed, tiny
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from nas.data.device import DevicePart, OnDevice
from nas.evaluation import Workspace, layout, run, supernet, supernet_step
from nas.evaluation.gradient_steps import NUDGE, first_order, second_order
from nas.evaluation.mixing import mixed, rows_of, shares
from nas.evaluation.precision import Precision
from nas.evaluation.supernet_signs import entropy, recalibrated, skip_share, warnings
from nas.gradient import Gradient, check_gradient, mixture_of
from nas.proposal import Kind, Outcome, Proposal, Status
from nas.recipe import Candidate, Recipe
from scaling.cost import cost
from scaling.expected import expected
from scaling.training_memory import saved_bytes
from search_spaces import Cell, Choice, Classifier, Conv, Stage
from search_spaces.derivation import derive
from search_spaces.errors import ArchscaleError, BadInput
from search_spaces.mixed import AUXILIARY
from search_spaces.mixture import Mixing, opened
from search_spaces.network import Network
from search_spaces.presets import PRESETS, preset
from search_spaces.supernet import Supernet

FIXED = ("stem.width = smallest", "stages[*].width = option 1", "stages[*].blocks.count = 1")
UNEVEN = ("stages[0].width = largest", "stages[1].width = smallest", "stages[2].width = largest")
PLAIN = Gradient(batch=8, alpha_lr=0.05, look=16)
WAYS = {
    "softmax": PLAIN,
    "second order": replace(PLAIN, order=2),
    "gumbel": replace(PLAIN, mixing="gumbel"),
    "dirichlet": replace(PLAIN, mixing="dirichlet"),
    "sigmoid": replace(PLAIN, mixing="sigmoid"),
    "partial": replace(PLAIN, partial=2, edges=True, warmup=1),
    "auxiliary skip": replace(PLAIN, auxiliary_skip=1.0),
    "cost": replace(PLAIN, cost_target=30_000, cost_weight=2.0),
    "contiguous": replace(PLAIN, layout="contiguous"),
}


def part(n: int, seed: int) -> DevicePart:
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 5
    x = torch.randn(n, 3, 8, 8, generator=generator) + 0.3 * y[:, None, None, None]
    return DevicePart(x=x, y=y, mean=torch.zeros(1, 3, 1, 1), std=torch.ones(1, 3, 1, 1))


DATA = OnDevice(train=part(64, 0), validation=part(24, 1))


def proposal(settings: Gradient, *, epochs: int = 2, space: Network | None = None, seed: int = 0) -> Proposal:
    candidate = Candidate(network=space or tiny())
    return Proposal(
        number=0, kind=Kind.SUPERNET, candidate=candidate, epochs=epochs, seed=seed, settings=settings
    )


def workspace(folder: Path, **changes: object) -> Workspace:
    def never() -> DevicePart:
        raise AssertionError("a search never reads the test part")

    given: dict[str, object] = {"folder": folder, "device": "cpu", "data": DATA, "held_out": never, **changes}
    return Workspace(**given)  # type: ignore[arg-type]


def batch(seed: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(6, 3, 8, 8, generator=generator, dtype=dtype), torch.arange(6) % 5


def flat(alphas: dict[str, Tensor]) -> Tensor:
    """Return the table of parameters that the search keeps, as one leaf."""
    widest = max(len(alpha) for alpha in alphas.values())
    rows = [F.pad(alpha.detach(), (0, widest - len(alpha))) for alpha in alphas.values()]
    return torch.stack(rows).requires_grad_()


def test_first_order_gradients_equal_those_of_the_papers_equations() -> None:
    """Eq. 2 written out option by option, and dL_v(w, a)/da; ours goes through the table and the merged sums."""
    net = Supernet(opened(tiny()), seed=1)
    naive = NaiveSupernet(net)
    x, y = batch(3, torch.float32)
    theirs = random_alphas(net, 4)
    F.cross_entropy(naive(x, softmaxed(net, theirs)), y).backward()
    rows = rows_of(net.mixture, torch.device("cpu"))
    table = flat(theirs)

    def validation() -> Tensor:
        return F.cross_entropy(
            net(x, rows.vectors(mixed(PLAIN, rows, table, torch.Generator(), place=0.0).table)), y
        )

    gradient, _ = first_order(table, validation)
    for row, (path, alpha) in zip(gradient, theirs.items(), strict=True):
        assert alpha.grad is not None
        torch.testing.assert_close(row[: len(alpha)], alpha.grad, rtol=1e-5, atol=1e-5, msg=path)


@pytest.mark.parametrize(("act", "nudge"), [("silu", NUDGE), ("relu", 1e-4)])
def test_second_order_gradients_equal_autograd_through_the_unrolled_step(act: str, nudge: float) -> None:
    """Eq. 6 by autograd with a graph of the gradient itself; ours is the finite difference of eq. 7 and 8.

    With the paper's nudge where the loss is smooth; with a smaller one where it has kinks, which 0.01 steps over.
    """
    net = Supernet(opened(tiny(act=act)), seed=1).double()
    naive = NaiveSupernet(net).double()
    step, (xt, yt), (xv, yv) = 0.05, batch(3), batch(5)
    theirs = random_alphas(net, 4, torch.float64)
    weights = dict(naive.named_parameters())
    state = {name: buffer.clone() for name, buffer in naive.named_buffers()}

    def loss(held: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        vectors = softmaxed(net, theirs)
        return F.cross_entropy(functional_call(naive, {**held, **state}, (x, vectors)), y)

    down = torch.autograd.grad(loss(weights, xt, yt), list(weights.values()), create_graph=True)
    unrolled = {name: w - step * g for (name, w), g in zip(weights.items(), down, strict=True)}
    exact = torch.autograd.grad(loss(unrolled, xv, yv), list(theirs.values()))

    rows, table = rows_of(net.mixture, torch.device("cpu")), flat(theirs)
    before = [weight.detach().clone() for weight in net.parameters()]

    def ours(x: Tensor, y: Tensor) -> Tensor:
        vectors = rows.vectors(mixed(PLAIN, rows, table, torch.Generator(), place=0.0).table)
        return F.cross_entropy(net(x, vectors), y)

    found, _ = second_order(
        table, list(net.parameters()),
        train=lambda: ours(xt, yt), validation=lambda: ours(xv, yv), step=step, nudge=nudge,
    )  # fmt: skip
    for row, gradient in zip(found, exact, strict=True):
        torch.testing.assert_close(row[: len(gradient)], gradient, rtol=1e-3, atol=1e-6)
    direct, _ = first_order(table, lambda: ours(xv, yv))
    assert (found - direct).abs().max() > 1e-4  # the second part is there
    for now, then in zip(net.parameters(), before, strict=True):
        assert torch.equal(now, then)


@pytest.mark.parametrize("way", ["softmax", "gumbel", "dirichlet", "sigmoid"])
def test_what_weighs_the_options_is_as_published(way: str) -> None:
    settings = WAYS[way]
    mixture = opened(tiny(), Mixing(edges=True))
    rows = rows_of(mixture, torch.device("cpu"))
    alphas = rows.start(torch.Generator().manual_seed(0)) * 500
    found = mixed(settings, rows, alphas, torch.Generator().manual_seed(1), place=0.5)
    for path, vector in rows.vectors(found.table).items():
        own = rows.vectors(alphas)[path]
        if path in mixture.edges:
            torch.testing.assert_close(vector, own.softmax(0))
        elif way == "sigmoid":
            torch.testing.assert_close(vector, own.sigmoid())
        elif way == "gumbel":
            assert found.only is not None
            assert vector.round().int().tolist() == [int(i == found.only[path]) for i in range(len(vector))]
        else:
            assert vector.sum().item() == pytest.approx(1, abs=1e-5)
    if way == "softmax":
        torch.testing.assert_close(found.table, shares(settings, rows, alphas))


def test_sampled_paths_follow_the_softmax_and_pass_gradients_through_it() -> None:
    mixture = opened(tiny())
    rows = rows_of(mixture, torch.device("cpu"))
    path = next(iter(mixture.slots))
    alphas = rows.start(torch.Generator().manual_seed(0)) * 1000
    expected = rows.vectors(rows.softmax(alphas))[path]
    generator = torch.Generator().manual_seed(1)
    drawn = torch.zeros(len(expected))
    for _ in range(2000):
        only = mixed(WAYS["gumbel"], rows, alphas, generator, place=0.9).only
        assert only is not None
        drawn[only[path]] += 1
    torch.testing.assert_close(drawn / 2000, expected, atol=0.04, rtol=0)
    leaf = alphas.clone().requires_grad_()
    mixed(WAYS["gumbel"], rows, leaf, generator, place=0.0).table[0, 0].backward()
    assert leaf.grad is not None
    assert leaf.grad[0].abs().sum() > 0


def test_dirichlet_samples_have_the_mean_and_the_gradient_of_torchs_own() -> None:
    mixture = opened(tiny())
    rows = rows_of(mixture, torch.device("cpu"))
    alphas = rows.start(torch.Generator().manual_seed(0)) * 500
    generator = torch.Generator().manual_seed(1)
    mean = torch.stack(
        [mixed(WAYS["dirichlet"], rows, alphas, generator, place=0).table for _ in range(3000)]
    ).mean(0)
    torch.testing.assert_close(mean, shares(WAYS["dirichlet"], rows, alphas), atol=0.03, rtol=0)
    from nas.evaluation.mixing import _Dirichlet

    concentration = torch.tensor([0.5, 1.0, 2.0], requires_grad=True)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        theirs = torch.distributions.Dirichlet(concentration).rsample()
    ours = _Dirichlet.apply(concentration, torch.Generator().manual_seed(3))
    torch.testing.assert_close(ours, theirs)
    slopes = [torch.autograd.grad(sample.square().sum(), concentration)[0] for sample in (theirs, ours)]
    torch.testing.assert_close(slopes[1], slopes[0])


def test_an_auxiliary_skip_is_a_branch_of_its_own_with_its_own_weights_where_it_strides() -> None:
    """Chu et al. 2021: beside the options each edge has a skip that beta weighs; where nothing strides it is x."""
    plain, helped = (Supernet(opened(tiny(), Mixing(auxiliary=aux)), seed=1) for aux in (False, True))
    held = plain.state_dict()
    missing, unexpected = helped.load_state_dict(held, strict=False)
    assert not unexpected
    assert missing
    assert all(name.startswith("stages.1.") and ".auxiliary." in name for name in missing)  # the strided cell
    x, vectors = batch(3, torch.float32)[0], softmaxed(plain, random_alphas(plain, 4))
    torch.testing.assert_close(helped(x, vectors), plain(x, vectors))  # no number for it: it weighs nothing
    beta = 0.7
    with_it = helped(x, {**vectors, AUXILIARY: torch.tensor([beta])})
    assert (with_it - plain(x, vectors)).abs().max() > 1e-3
    for (
        name,
        weight,
    ) in helped.named_parameters():  # the same weights as the skip option: then it is only more of it
        if ".auxiliary." in name:
            weight.data.copy_(helped.get_parameter(name.replace(".auxiliary.", ".option1.")).data)
    slots = helped.mixture.slots
    more = {
        path: vector + beta * torch.eye(len(vector))[slots[path].skips[0]] for path, vector in vectors.items()
    }
    again = helped(x, {**vectors, AUXILIARY: torch.tensor([beta])})
    torch.testing.assert_close(again, plain(x, more), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_a_search_gives_weights_metrics_and_a_history_and_no_accuracy_of_an_architecture(
    way: str, tmp_path: Path
) -> None:
    reports: list[dict[str, float]] = []
    outcome = run(
        proposal(WAYS[way]), workspace(tmp_path, report=lambda _, metrics: reports.append(dict(metrics)))
    )
    assert outcome.status is Status.DONE, outcome.note
    assert len(reports) == 2
    assert "validation_accuracy" not in outcome.metrics
    assert {"derived_validation_accuracy", "entropy", "skip_share"} <= set(outcome.metrics)
    assert ("supernet_validation_accuracy" in outcome.metrics) == (way != "gumbel")
    mixture = mixture_of(tiny(), WAYS[way])
    assert {path: len(vector) for path, vector in outcome.weights.items()} == mixture.vectors
    derive(mixture, outcome.weights)
    history = json.loads((tmp_path / supernet.HISTORY).read_text())
    assert [epoch["epoch"] for epoch in history["epochs"]] == [1, 2]
    assert history["epochs"][-1]["weights"] == {
        path: pytest.approx(list(v)) for path, v in outcome.weights.items()
    }
    assert [file.name for file in tmp_path.iterdir()] == [supernet.HISTORY]  # no checkpoint is left behind


class Killed(KeyboardInterrupt):
    """Ends a search as a signal does."""


def killed_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real, done = supernet.step, 0

    def step(search: object) -> None:
        nonlocal done
        if done == steps:
            raise Killed
        done += 1
        real(search)  # type: ignore[arg-type]

    monkeypatch.setattr(supernet, "step", step)


def broken_off(asked: Proposal, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Outcome:
    """Kill a search three times and let it end; an epoch has 4 steps: in the first one, at its end and later on."""
    for steps in (3, 2, 4):
        with monkeypatch.context() as patch:
            killed_after(steps, patch)
            with pytest.raises(Killed):
                run(asked, workspace(folder, checkpoint_seconds=0.0, clock=Ticks()))
    return run(asked, workspace(folder, checkpoint_seconds=0.0, clock=Ticks()))


def result(outcome: Outcome) -> object:
    timeless = {name: value for name, value in outcome.metrics.items() if name != "train_seconds"}
    return outcome.status, timeless, outcome.weights


@pytest.mark.parametrize("way", WAYS)
def test_a_killed_search_continues_bit_for_bit_in_the_middle_of_an_epoch(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = proposal(WAYS[way], epochs=3)
    unbroken = run(asked, workspace(tmp_path / "whole"))
    again = broken_off(asked, tmp_path / "broken", monkeypatch)
    assert "continued after step" in again.note
    assert result(again) == result(unbroken)
    assert [e["weights"] for e in _epochs(tmp_path / "broken")] == [
        e["weights"] for e in _epochs(tmp_path / "whole")
    ]


class Ticks:
    """A clock that stands still, so that a checkpoint is due after every step."""

    def __call__(self) -> float:
        return 0.0


def _epochs(folder: Path) -> list[dict[str, object]]:
    return json.loads((folder / supernet.HISTORY).read_text())["epochs"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("damage", ["missing", "truncated", "flipped", "empty", "another space"])
def test_a_damaged_checkpoint_is_not_used_and_the_earlier_one_is(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault test 9, for supernets."""
    asked = proposal(PLAIN)
    unbroken = run(asked, workspace(tmp_path / "whole"))
    folder = tmp_path / "broken"
    with monkeypatch.context() as patch:
        killed_after(5, patch)
        with pytest.raises(Killed):
            run(asked, workspace(folder, checkpoint_seconds=0.0, clock=Ticks()))
    newest = max(folder.glob("checkpoint-*.pt"))
    whole = newest.read_bytes()
    if damage == "missing":
        newest.unlink()
    elif damage == "another space":
        with monkeypatch.context() as patch:
            killed_after(5, patch)
            other = proposal(PLAIN, space=tiny(3))
            with pytest.raises(Killed):
                run(other, workspace(tmp_path / "other", checkpoint_seconds=0.0, clock=Ticks()))
        newest.write_bytes(max((tmp_path / "other").glob("checkpoint-*.pt")).read_bytes())
    else:
        half = len(whole) // 2
        flipped = whole[:half] + bytes([whole[half] ^ 1]) + whole[half + 1 :]
        newest.write_bytes({"truncated": whole[:half], "flipped": flipped, "empty": b""}[damage])
    again = run(asked, workspace(folder, checkpoint_seconds=0.0, clock=Ticks()))
    assert result(again) == result(unbroken)
    assert "continued after step 4" in again.note
    if damage != "missing":
        assert "was not used" in again.note


@pytest.mark.parametrize("faster", ["channels_last", "contiguous"])
def test_a_probed_layout_is_kept_where_a_search_goes_on(
    faster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The probe is told which is faster; after the kill it is told otherwise, and what the checkpoint says counts."""
    unbroken = run(proposal(replace(PLAIN, layout=faster)), workspace(tmp_path / "whole"))  # type: ignore[arg-type]
    asked = proposal(replace(PLAIN, layout="probe"))

    def probe_finds(name: str) -> None:
        monkeypatch.setattr(
            layout,
            "_seconds",
            lambda _net, rule, _x, _vectors: float(rule.channels_last != (name == "channels_last")),
        )

    probe_finds(faster)
    with monkeypatch.context() as patch:
        killed_after(3, patch)
        with pytest.raises(Killed):
            run(asked, workspace(tmp_path / "broken", checkpoint_seconds=0.0, clock=Ticks()))
    probe_finds("contiguous" if faster == "channels_last" else "channels_last")
    again = run(asked, workspace(tmp_path / "broken", checkpoint_seconds=0.0, clock=Ticks()))
    assert result(again) == result(unbroken)


def test_three_examples_are_too_few(tmp_path: Path) -> None:
    few = OnDevice(train=DATA.train.first(3), validation=DATA.validation)
    outcome = run(proposal(PLAIN), workspace(tmp_path, data=few))
    assert "got 3 examples to train on, expected at least 4" in outcome.note


def test_a_loss_that_is_not_finite_is_diverged_and_leaves_no_checkpoint(tmp_path: Path) -> None:
    broken = replace(DATA.train, x=DATA.train.x * math.inf)
    outcome = run(
        proposal(PLAIN), workspace(tmp_path, data=OnDevice(train=broken, validation=DATA.validation))
    )
    assert outcome.status is Status.DIVERGED
    assert not list(tmp_path.glob("checkpoint-*"))


@pytest.mark.parametrize("name", ["darts", "nasbench201", "tiny", "partial"])
def test_saved_bytes_are_predicted_within_one_percent(name: str) -> None:
    """Every tensor that autograd keeps for the backward pass, each store once, weights and statistics left out."""
    spaces = {
        "darts": ("darts(width=8,cells=4)", Mixing()),
        "nasbench201": ("nasbench201(width=8,cells=1)", Mixing(pool_norm=False)),
        "partial": ("darts(width=8,cells=3)", Mixing(partial=4, edges=True)),
    }
    space, mixing = spaces.get(name, ("", Mixing()))
    mixture = opened(preset(space, (3, 16, 16), classes=10) if space else tiny(width=8), mixing)
    net = Supernet(mixture).to(memory_format=torch.channels_last)
    own = {t.untyped_storage().data_ptr() for t in (*net.parameters(), *net.buffers())}
    kept: dict[int, int] = {}
    alive: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        store = tensor.untyped_storage()
        if store.data_ptr() not in own:
            kept[store.data_ptr()] = store.nbytes()
            alive.append(tensor)
        return tensor

    x = torch.randn(8, *mixture.space.input).contiguous(memory_format=torch.channels_last)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = net(x, softmaxed(net, random_alphas(net, 0))).sum()
    measured = sum(kept.values())
    assert loss.requires_grad
    assert saved_bytes(mixture, batch=8) == pytest.approx(measured, rel=0.01)


def test_a_supernet_beyond_the_memory_is_refused_before_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supernet, "available_bytes", lambda: 1_000_000)
    monkeypatch.setattr(supernet, "begun", lambda *_, **__: pytest.fail("it was made"))
    outcome = run(proposal(replace(PLAIN, batch=64)), workspace(tmp_path))
    assert outcome.status is Status.OUT_OF_MEMORY
    assert "GiB by formula" in outcome.note
    assert "supernet.partial" in outcome.note


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (replace(PLAIN, cost_target=1.0), "cost_target: got 1 macs, expected"),
        (replace(PLAIN, cost_target=10**12), "which is what members of the space cost"),
        (replace(PLAIN, order=2, mixing="gumbel"), "order: got 2 with mixing: gumbel"),
        (replace(PLAIN, cost="latency_ms", cost_target=1.0), "expected the file of a latency table"),
        (replace(PLAIN, fix=("stages[0].width = 8",)), "matches no choice"),
    ],
)
def test_settings_that_cannot_be_are_refused_beforehand(settings: Gradient, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        check_gradient(Candidate(network=tiny()), settings)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (replace(PLAIN, fix=(FIXED[0], FIXED[2], *UNEVEN)), "fix: got .*with wh"),
        (replace(PLAIN, fix=FIXED, partial=2), "partial: got 2 in a space that has nothing to use it on"),
        (replace(PLAIN, fix=FIXED, edges=True), "edges: got True in a space"),
        (replace(PLAIN, fix=FIXED, auxiliary_skip=1.0), "auxiliary_skip: got 1.0 .*a skip among them"),
        (replace(PLAIN, fix=FIXED, cost="latency_ms", cost_table="none.json"), "cost_table: got one without a cost_t"),
    ],
)  # fmt: skip
def test_settings_that_a_space_cannot_use_are_refused_beforehand(settings: Gradient, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        check_gradient(Candidate(network=preset("mixed", (1, 8, 8), classes=10)), settings)


def test_options_that_do_not_fit_side_by_side_are_refused_before_anything_is_written() -> None:
    unlike = Network(
        input=(1, 8, 8), head=Classifier(classes=5),
        stages=(Stage(blocks=(Choice(Conv(), Conv(padding="valid")),), width=8),),
    )  # fmt: skip
    with pytest.raises(ArchscaleError):
        check_gradient(Candidate(network=unlike), PLAIN)
    with pytest.raises(ArchscaleError):
        check_gradient(Candidate(network=PRESETS["darts"]((3, 8, 8), 5, width=16)), replace(PLAIN, partial=3))


def test_skips_at_the_end_of_a_warm_up_end_nothing(tmp_path: Path) -> None:
    settings = replace(PLAIN, stop_at_skips=1, alpha_lr=1e-9, warmup=2)
    for seed in range(3):
        outcome = run(proposal(settings, epochs=3, seed=seed), workspace(tmp_path / str(seed)))
        assert outcome.metrics["epochs"] == 3


def test_second_order_is_computed_in_full_precision_whatever_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, seen, forward = [False], set[tuple[bool, torch.dtype]](), Supernet.forward

    def entered(*given: object, **more: object) -> tuple[Tensor, Tensor]:
        inside[0] = True
        found = second_order(*given, **more)  # type: ignore[arg-type]
        inside[0] = False
        return found

    def watched(net: Supernet, *given: object) -> Tensor:
        output = forward(net, *given)  # type: ignore[arg-type]
        if torch.is_grad_enabled():
            seen.add((inside[0], output.dtype))
        return output

    half = Precision(device=torch.device("cpu"), format=torch.bfloat16)
    monkeypatch.setattr(supernet, "precision", lambda _: half)
    monkeypatch.setattr(supernet_step, "second_order", entered)
    monkeypatch.setattr(Supernet, "forward", watched)
    outcome = run(proposal(WAYS["second order"], epochs=1), workspace(tmp_path))
    assert outcome.status is Status.DONE
    assert seen == {(True, torch.float32), (False, torch.bfloat16)}


def test_a_recipe_with_a_choice_is_refused() -> None:
    with pytest.raises(BadInput, match=r"recipe\.lr: got a choice"):
        check_gradient(Candidate(network=tiny(), recipe=Recipe(lr=Choice(0.1, 0.2))), PLAIN)


def test_a_cost_target_makes_the_mixture_cheaper_in_expectation(tmp_path: Path) -> None:
    mixture = opened(tiny())
    macs = expected(mixture, lambda network: float(cost(network).macs))
    costs = {}
    for name, target in (("free", None), ("cheap", 9_000)):
        settings = replace(PLAIN, cost_target=target, cost_weight=50.0, alpha_lr=0.1)
        weights = run(proposal(settings, epochs=4), workspace(tmp_path / name)).weights
        costs[name] = macs.base + sum(
            slope * weight
            for path, slopes in macs.slopes.items()
            for slope, weight in zip(slopes, weights[path], strict=True)
        )
    assert costs["cheap"] < 0.9 * costs["free"]


def test_a_search_ends_where_skips_have_come_to_dominate(tmp_path: Path) -> None:
    """An auxiliary skip has nothing to do with it: parameters are set by a rate of zero and a start that skips."""
    settings = replace(PLAIN, stop_at_skips=1, alpha_lr=1e-9)
    outcome = run(proposal(settings, epochs=4, seed=3), workspace(tmp_path))
    mixture = mixture_of(tiny(), settings)
    skipping = skip_share(mixture, derive(mixture, outcome.weights)) > 0
    assert (outcome.metrics["epochs"] < 4) == skipping
    assert ("skips in one cell" in outcome.note) == skipping


def one_option(entry: int) -> dict[str, list[float]]:
    mixture = opened(tiny(3))
    return {path: [1.0 if i == entry else 0.0 for i in range(n)] for path, n in mixture.vectors.items()}


def test_collapse_into_skips_is_warned_of_and_named() -> None:
    mixture, fine = opened(tiny(3)), {"entropy": 0.5}

    def said_of(entry: int) -> tuple[str, ...]:
        return warnings(mixture, derive(mixture, one_option(entry)), fine, one_option(entry))

    (said,) = said_of(1)
    assert "skips 6 of 6 in the cell 'cell'" in said
    (said,) = said_of(4)  # average pools
    assert "learns nothing in 6 of 6 in the cell 'cell'" in said
    assert said_of(3) == ()


def test_an_edge_that_weighs_nothing_most_is_cut_and_where_it_is_not_that_is_said() -> None:
    """As NAS-Bench-201's authors derive; with DARTS's rule the next best is taken, and the run says so."""
    weights = {**one_option(3), "shared[0].block.nodes[0][0]": [0.4, 0.0, 0.3, 0.2, 0.1, 0.0]}
    for derive_zero, ops in ((True, ["Zero", "ActConv"]), (False, ["ActConv", "ActConv"])):
        mixture = opened(tiny(3), Mixing(derive_zero=derive_zero))
        network = derive(mixture, weights)
        cell = network.shared[0].block
        assert isinstance(cell, Cell)
        assert [type(edge.op).__name__ for edge in (cell.nodes[0][0], cell.nodes[1][0])] == ops  # type: ignore[index, union-attr]
        said = warnings(mixture, network, {"entropy": 0.5}, weights)
        assert [text.partition(":")[0] for text in said] == ([] if derive_zero else ["left out"])
    assert "1 of 6 choices" in said[0]


def test_a_path_of_partial_channels_is_not_held_against_the_supernet() -> None:
    scores = {"entropy": 0.5, "supernet_validation_accuracy": 0.5, "derived_validation_accuracy": 0.1}
    for partial, kinds in ((1, ["apart"]), (2, [])):
        mixture = opened(tiny(3), Mixing(partial=partial))
        said = warnings(mixture, derive(mixture, one_option(3)), scores, one_option(3))
        assert [text.partition(":")[0] for text in said] == kinds


def test_an_undecided_search_and_one_whose_derivation_fails_are_warned_of() -> None:
    mixture = opened(tiny(3))
    scores = {"entropy": 0.99, "supernet_validation_accuracy": 0.5, "derived_validation_accuracy": 0.1}
    undecided, apart = warnings(mixture, derive(mixture, one_option(3)), scores, one_option(3))
    assert undecided.startswith("undecided: what options weigh has 99.0 %")
    assert "right on 10.0 % of the validation part, the supernet on 50.0 %" in apart


def test_entropy_is_1_where_all_weighs_alike_and_0_where_one_does() -> None:
    mixture = opened(tiny(3))
    assert entropy(mixture, {path: [0.2] * n for path, n in mixture.vectors.items()}) == pytest.approx(1)
    assert entropy(mixture, one_option(2)) == 0


def test_recalibration_is_the_mean_over_the_batches_and_is_undone() -> None:
    net = Supernet(opened(tiny()))
    before = {name: buffer.clone() for name, buffer in net.named_buffers()}
    x = torch.randn(16, 3, 8, 8)
    vectors = softmaxed(net, random_alphas(net, 0))
    norm = net.get_submodule("stem.blocks.0.conv_norm")
    with recalibrated(net, lambda batch: net(batch, vectors), [x[:8], x[8:]]):
        conv = net.get_submodule("stem.blocks.0.conv")
        means = [conv(half).mean((0, 2, 3)) for half in (x[:8], x[8:])]
        torch.testing.assert_close(norm.running_mean, (means[0] + means[1]) / 2, rtol=1e-4, atol=1e-5)
    assert all(torch.equal(buffer, before[name]) for name, buffer in net.named_buffers())
