"""Losses and scores: cross entropy and accuracy for classes, squared error for a regression.

Output o is (N, classes) or (N, K); y is (N,) int64 or (N, K) float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..data.augment import Mixed, Targets
from ..data.device import DevicePart
from .failures import Diverged
from .precision import Precision

LARGER = 4  # times the training batch: without gradients a batch takes far less memory


class Scoring(Protocol):
    """What one kind of task is trained to lower, and how well it did on a part."""

    main: str  # the score that says which of two models is better
    sign: int  # 1 where more of it is better, else -1

    def loss(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the mean loss of a training batch."""

    def distilled(self, output: Tensor, teacher: Tensor) -> Tensor:
        """Return the mean loss of a training batch against another network's outputs."""

    def sums(self, output: Tensor, y: Tensor) -> Tensor:
        """Return what is summed over batches to score a part: any length, float64."""

    def scores(self, sums: Tensor, y: Tensor) -> dict[str, float]:
        """Return the scores of a part with targets y, from the sums over it."""


class Classes:
    """Cross entropy, in nats; smoothing counts in training alone."""

    main = "accuracy"
    sign = 1

    def __init__(self, smoothing: float = 0.0) -> None:
        self.smoothing = smoothing

    def loss(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the smoothed cross entropy (Szegedy et al. 2016, section 7)."""
        return F.cross_entropy(output, y, label_smoothing=self.smoothing)

    def distilled(self, output: Tensor, teacher: Tensor) -> Tensor:
        """Return the cross entropy to the teacher's probabilities (Hinton et al. 2015, temperature 1)."""
        return F.cross_entropy(output, teacher.softmax(1))

    def sums(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the summed cross entropy and the number of right answers."""
        lost = F.cross_entropy(output, y, reduction="sum")
        return torch.stack((lost.double(), (output.argmax(1) == y).sum().double()))

    def scores(self, sums: Tensor, y: Tensor) -> dict[str, float]:
        """Return loss and accuracy, the share of right answers."""
        lost, right = sums.tolist()
        return {"loss": lost / len(y), "accuracy": right / len(y)}


class Numbers:
    """Mean squared error, in the targets' units: targets far from 1 in size are best scaled beforehand."""

    main = "rmse"
    sign = -1

    def loss(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the mean squared error over examples and targets."""
        return F.mse_loss(output, y)

    def distilled(self, output: Tensor, teacher: Tensor) -> Tensor:
        """Return the mean squared difference."""
        return F.mse_loss(output, teacher)

    def sums(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the squared errors summed over examples, one a target."""
        return (output.double() - y.double()).square().sum(0)

    def scores(self, sums: Tensor, y: Tensor) -> dict[str, float]:
        """Return loss, its root, and R2, the mean over targets; one that never varies counts as 0."""
        spread = (y.double() - y.double().mean(0)).square().sum(0)
        r2 = torch.where(spread > 0, 1 - sums / spread, 0.0).mean()
        loss = (sums.mean() / len(y)).item()
        return {"loss": loss, "rmse": math.sqrt(loss), "r2": r2.item()}


def scoring(part: DevicePart, *, smoothing: float) -> Scoring:
    """Return the scoring of a part's kind of targets."""
    return Numbers() if part.y.is_floating_point() else Classes(smoothing)


def training_loss(output: Tensor, y: Targets, *, by: Scoring) -> Tensor:
    """Return the mean loss of a training batch; of mixed labels, that of both, by their shares.

    Cross entropy is linear in the label's distribution, smoothed or not: this is the loss of the mixed one.
    """
    if not isinstance(y, Mixed):
        return by.loss(output, y)
    first, second = (training_loss(output, part, by=by) for part in (y.first, y.second))
    return y.share * first + (1 - y.share) * second


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    part: DevicePart,
    *,
    name: str,
    by: Scoring,
    rule: Precision,
    batch: int,
    check_time: Callable[[], None],
) -> Mapping[str, float]:
    """Return a model's scores on a part, `<name>_loss` and so on; the model is left in eval mode.

    `batch` is the training batch. Raises `Diverged` where a score is not finite.
    """
    model.eval()
    sums: Tensor | None = None
    for x, y in part.in_order(LARGER * batch):
        check_time()
        of_batch = by.sums(rule.outputs(model, x), y)
        sums = of_batch if sums is None else sums + of_batch
    assert sums is not None, f"the {name} part is empty"
    return finite({f"{name}_{score}": value for score, value in by.scores(sums, part.y).items()})


def finite(metrics: Mapping[str, float]) -> Mapping[str, float]:
    """Return the metrics, or raise `Diverged` naming those that are not finite."""
    bad = [f"{name} is {value}" for name, value in metrics.items() if not math.isfinite(value)]
    if bad:
        raise Diverged(", ".join(bad))
    return metrics
