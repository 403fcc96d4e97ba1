"""How a mixture supernet is searched by gradients, as data: the parts combine freely.

| published method | settings |
|---|---|
| DARTS, first order (Liu et al. 2019) | the defaults |
| DARTS, second order | `order: 2` |
| GDAS (Dong & Yang 2019) | `mixing: gumbel` |
| PC-DARTS (Xu et al. 2020) | `partial: 4, edges: true, warmup: 15` |
| DrNAS (Chen et al. 2021) | `mixing: dirichlet` |
| Fair DARTS (Chu et al. 2020) | `mixing: sigmoid, zero: false` |
| DARTS+ (Liang et al. 2019) | `stop_at_skips: 2` |
| DARTS- (Chu et al. 2021) | `auxiliary_skip: 1` |
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from scaling.cost import cost
from scaling.expected import Expected, expected, expected_latency
from scaling.latency_table import load_table, refuse_another
from search_spaces.automaton import count
from search_spaces.block import Whole
from search_spaces.check import combinators
from search_spaces.data import ByKind, register
from search_spaces.errors import BadInput
from search_spaces.mixture import Mixing, Mixture, opened
from search_spaces.network import Network, lower
from search_spaces.settling import settled_choices

from .proposal import Settings
from .recipe import Candidate, Positive, Recipe, Weight

Count = Annotated[int, Field(ge=0, le=2**31)]
Share = Annotated[float, Field(gt=0, lt=1)]
Beta = Annotated[float, Field(ge=0, lt=1)]

HISTORY = "supernet.json"  # in a supernet's trial folder: what each epoch was like


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Gradient(Settings):
    """Settings of a mixture supernet's training, with the paper's numbers: SGD for weights, Adam for `alpha_...`.

    The train part is cut in two: weights learn on one, architecture parameters on the other (`alpha_share` of it).
    `mixing` turns parameters into what weighs the options. Second order takes the gradient through one step of the
    weights, by the finite difference of eq. 8. For `warmup` epochs only weights learn. `auxiliary_skip` is what one
    more skip of each edge that has one weighs, and falls to 0 over the epochs. The cost term adds
    `cost_weight * max(0, expected cost / cost_target - 1)` to the loss of the architecture parameters. A `layout`
    that is probed is the faster one of a few steps: as numbers depend on it in their last bits, it is kept in
    checkpoints, but another run may find the other one. `capture` is compared with plain
    steps before it is used.
    """

    mixing: Literal["softmax", "gumbel", "dirichlet", "sigmoid"] = "softmax"
    order: Literal[1, 2] = 1
    partial: Whole = 1
    edges: bool = False
    zero: bool = True
    derive_zero: bool = True
    pool_norm: bool = True
    fix: tuple[str, ...] = ()  # such as "stages[*].width = largest": choices that cannot be mixed, settled
    batch: Whole = 64
    lr: Positive = 0.025  # of the weights' SGD; falls to 0 by a cosine
    momentum: Beta = 0.9
    decay: Weight = 3e-4
    clip: Weight = 5.0
    alpha_share: Share = 0.5
    alpha_lr: Positive = 3e-4
    alpha_decay: Weight = 1e-3
    alpha_betas: tuple[Beta, Beta] = (0.5, 0.999)
    warmup: Count = 0
    temperature: tuple[Positive, Positive] = (10.0, 0.1)  # of gumbel: at the first and at the last step
    anchor: Weight = 1e-3  # of dirichlet: how strongly concentrations are held near 1 (DrNAS, eq. 8)
    zero_one: Weight = 10.0  # of sigmoid: how strongly weights are driven to 0 or 1 (Fair DARTS, eq. 5)
    stop_at_skips: Annotated[Whole | None, ByKind()] = None  # in one cell of the derived architecture
    auxiliary_skip: Weight = 0.0
    cost: Literal["macs", "params", "latency_ms"] = "macs"
    cost_table: Annotated[str | None, ByKind()] = (
        None  # the file of a latency table, where the cost is a latency
    )
    cost_target: Annotated[Positive | Whole | None, ByKind()] = None
    cost_weight: Weight = 1.0
    layout: Literal["channels_last", "contiguous", "probe"] = "channels_last"  # how maps lie in memory
    capture: bool = False  # a step as a CUDA graph, where there is a GPU
    look: Whole = 1024  # validation examples scored after each epoch, to see how it goes


def recipe_of(settings: Gradient) -> Recipe:
    """Return by what the supernet's weights are trained."""
    return Recipe(
        lr=settings.lr, momentum=settings.momentum, weight_decay=settings.decay, clip=settings.clip,
        batch=settings.batch, schedule="cosine", warmup=0.0, label_smoothing=0.0,
    )  # fmt: skip


def mixture_of(space: Network, settings: Gradient) -> Mixture:
    """Return the space as these settings open it; raises `BadInput` where it cannot be."""
    mixing = Mixing(
        partial=settings.partial, edges=settings.edges, pool_norm=settings.pool_norm, zero=settings.zero,
        derive_zero=settings.derive_zero, auxiliary=settings.auxiliary_skip > 0,
    )  # fmt: skip
    settled = settled_choices(space, settings.fix)
    if settled.conditions and not count(settled):
        raise BadInput(
            f"fix: got {', '.join(settings.fix) or 'nothing'}, with which no member keeps the space's conditions, "
            "expected values that some member has together; change one of them"
        )
    return opened(settled, mixing)


def expected_cost(mixture: Mixture, settings: Gradient, *, space: Network) -> Expected | None:
    """Return the cost term's expectation, None where there is none; `space` is as it was before choices were settled.

    `BadInput` where its target lies outside of what the space's members cost, or its table is of another space. The
    table's device need not be the one that searches.
    """
    if settings.cost_target is None:
        if settings.cost_table is not None:
            raise BadInput(
                "cost_table: got one without a cost_target, without which costs count for nothing; set cost_target"
            )
        return None
    if settings.cost == "latency_ms":
        if settings.cost_table is None:
            raise BadInput("cost_table: got none, expected the file of a latency table, for cost: latency_ms")
        path = Path(settings.cost_table)
        table = load_table(path)
        refuse_another(table, path, space=space, circumstances=table.circumstances, device=table.device)
        found = expected_latency(mixture, table)
    else:
        found = expected(mixture, lambda network: float(getattr(cost(network), settings.cost)))
    if not found.low <= settings.cost_target <= found.high:
        raise BadInput(
            f"cost_target: got {settings.cost_target:g} {settings.cost}, expected {found.low:g} to {found.high:g}, "
            "which is what members of the space cost; change it"
        )
    return found


def check_gradient(space: Candidate, settings: Gradient) -> None:
    """Raise `BadInput` where a space cannot be searched with these settings; nothing of it needs torch."""
    left = next(combinators(space.recipe, "recipe"), None)
    if left is not None:
        raise BadInput(
            f"{left[0]}: got a choice, expected one value in a search by gradients, which mixes networks alone; say "
            "which"
        )
    if settings.order == 2 and settings.mixing in ("gumbel", "dirichlet"):
        raise BadInput(
            f"order: got 2 with mixing: {settings.mixing}, which draws anew for each loss, expected 1; set order: 1"
        )
    mixture = mixture_of(space.network, settings)
    lower(mixture.network)  # whose options may not fit side by side
    expected_cost(mixture, settings, space=space.network)
    mixed = list(mixture.mixed())
    for name, asked, used in (
        ("partial", settings.partial > 1, any(one.partial > 1 for one in mixed)),
        ("edges", settings.edges, bool(mixture.edges)),
        ("auxiliary_skip", settings.auxiliary_skip > 0, any(one.auxiliary is not None for one in mixed)),
    ):
        if asked and not used:
            raise BadInput(
                f"{name}: got {getattr(settings, name)} in a space that has nothing to use it on, expected cells whose "
                f"edges choose their operation{', a skip among them' if name == 'auxiliary_skip' else ''}; leave it out"
            )
