"""One step of a search by gradients: the architecture parameters', first or second order, then the weights'.

w are a supernet's weights, a its architecture parameters; L_t the loss on a batch of the part that weights learn on,
L_v on one of the part that parameters learn on (Liu et al. 2019, algorithm 1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

from ..gradient import Gradient

NUDGE = 0.01  # of eq. 8: divided by the norm of the gradient it goes along
EPS = 1e-8  # of Adam

Loss = Callable[[], Tensor]  # of one batch, with the weights and parameters as they are now


class Adam:
    """Adam on the architecture parameters, with the paper's L2 decay (Kingma & Ba 2015)."""

    def __init__(self, alphas: Tensor, settings: Gradient) -> None:
        self.alphas, self.settings = alphas, settings
        steps = torch.zeros((), dtype=torch.float32, device=alphas.device)
        self.memory = (torch.zeros_like(alphas), torch.zeros_like(alphas), steps)

    @torch.no_grad()
    def step(self, gradient: Tensor) -> None:
        """Take one step along a gradient."""
        means, squares, steps = ([part] for part in self.memory)
        beta1, beta2 = self.settings.alpha_betas
        adam(
            [self.alphas.detach()], [gradient], means, squares, [], steps,
            fused=True, amsgrad=False, beta1=beta1, beta2=beta2, lr=self.settings.alpha_lr,
            weight_decay=self.settings.alpha_decay, eps=EPS, maximize=False,
        )  # fmt: skip

    def restore(self, memory: Sequence[Tensor]) -> None:
        """Take over what another one remembered."""
        for mine, theirs in zip(self.memory, memory, strict=True):
            mine.copy_(theirs)


def first_order(alphas: Tensor, validation: Loss) -> tuple[Tensor, Tensor]:
    """Return the gradient of L_v(w, a) by a, and the loss: the weights are taken for optimal as they are."""
    loss = validation()
    return _gradients(loss, [alphas])[0], loss.detach()


def second_order(
    alphas: Tensor,
    weights: Sequence[Tensor],
    *,
    train: Loss,
    validation: Loss,
    step: float | Tensor,
    nudge: float = NUDGE,
) -> tuple[Tensor, Tensor]:
    """Return the gradient of L_v(w - step * dL_t/dw, a) by a, and that loss (Liu et al. 2019, eq. 7 and 8).

    The part that goes through the weights is a product of a second derivative and a vector, taken as the difference
    of two gradients. The weights are as before when it returns. With the paper's `nudge` that is right to six digits
    where the loss is smooth; in a tiny network it steps over kinks of relu and max pools, and is some per cent off.
    """
    kept = [weight.detach().clone() for weight in weights]
    down = _gradients(train(), weights)
    with torch.no_grad():
        _descend(weights, down, step)  # w' = w - step * dL_t/dw
    loss = validation()
    direct, *along = _gradients(loss, [alphas, *weights])
    length = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(along)))
    along_by = nudge / length.clamp_min(1e-12)
    sides = []
    for sign in (1.0, -1.0):
        with torch.no_grad():
            torch._foreach_copy_(list(weights), kept)
            torch._foreach_add_(list(weights), torch._foreach_mul(along, sign * along_by))
        sides += _gradients(train(), [alphas])
    with torch.no_grad():
        torch._foreach_copy_(list(weights), kept)
    return direct - step * (sides[0] - sides[1]) / (2 * along_by), loss.detach()


def _descend(weights: Sequence[Tensor], down: Sequence[Tensor], step: float | Tensor) -> None:
    if isinstance(step, Tensor):  # as `alpha` it would be waited for
        torch._foreach_sub_(list(weights), torch._foreach_mul(list(down), step))
    else:
        torch._foreach_sub_(list(weights), list(down), alpha=step)


def _gradients(loss: Tensor, by: Sequence[Tensor]) -> list[Tensor]:
    """Return gradients, 0 for what a sampled path does not reach."""
    return list(torch.autograd.grad(loss, by, allow_unused=True, materialize_grads=True))


@contextmanager
def buffers_kept(model: nn.Module) -> Iterator[None]:
    """Put a model's buffers, the statistics of its norms, back afterwards."""
    buffers = list(model.buffers())
    kept = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in zip(buffers, kept, strict=True):
                buffer.copy_(value)
