"""GradNorm: weights of several tasks that one network learns (Chen et al., ICML 2018, algorithm 1)."""

from collections.abc import Sequence

import torch
from torch import Tensor

_LEAST = 1e-3  # of a weight: one that reached zero could not come back


class GradNorm:
    """Tasks that learn slowly get steeper gradients.

    Parameters
    ----------
    tasks : how many
    alpha : how much the pace of learning counts (eq. 2); 0 makes all gradients equally steep
    learning_rate : of the weights
    """

    def __init__(self, tasks: int, alpha: float = 1.5, learning_rate: float = 0.025) -> None:
        self.alpha = alpha
        self._weights = torch.ones(tasks, requires_grad=True)
        self._optimizer = torch.optim.Adam([self._weights], learning_rate)
        self._first: Tensor | None = None  # L_i(0)

    @property
    def weights(self) -> Tensor:
        """[tasks]; their sum is the number of tasks."""
        return self._weights.detach()

    def update(self, losses: Sequence[Tensor], shared: Tensor) -> None:
        """Adapt the weights to the losses [] of a batch, whose graph is kept.

        Parameters
        ----------
        shared : the parameters of the last layer that all tasks have in common, W of the paper
        """
        steep = torch.stack([torch.autograd.grad(loss, shared, retain_graph=True)[0].norm() for loss in losses])
        now = torch.stack([loss.detach() for loss in losses])
        if self._first is None:
            self._first = now.clamp_min(1e-8)
        left = now / self._first  # the share of each loss that is left
        norms = self._weights * steep.detach()  # G of eq. 1
        target = (norms.mean() * (left / left.mean()) ** self.alpha).detach()
        self._optimizer.zero_grad()
        (norms - target).abs().sum().backward()  # eq. 2
        self._optimizer.step()
        with torch.no_grad():
            self._weights.clamp_(min=_LEAST)
            self._weights.mul_(len(self._weights) / self._weights.sum())
