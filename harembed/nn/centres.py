"""Centre loss: features of one class are drawn to a point of their own (Wen et al., ECCV 2016)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Centres(nn.Module):
    """Passes features [N, H] on; while training, it knows how far they are from the centres of their classes.

    As in Attend-and-Discriminate (Abedin et al. 2021) features are scaled to length 1 first, and the loss is the mean
    square of all differences. Departures: centres start at length 1 and are learnt by the network's optimiser; Wen et
    al. move them by a rule of its own (their eq. 4), which the authors' code starts at a normal distribution.
    """

    def __init__(self, classes: int, features: int) -> None:
        super().__init__()
        self.centres = nn.Parameter(F.normalize(torch.randn(classes, features), dim=1))
        self._seen: Tensor | None = None  # of the last batch, until its loss is asked for

    def forward(self, x: Tensor) -> Tensor:
        self._seen = F.normalize(x, dim=1) if self.training else None
        return x

    def loss(self, y: Tensor) -> Tensor:
        """Of the batch that has just passed, with labels y [N]."""
        assert self._seen is not None, "a training batch must pass first"
        seen, self._seen = self._seen, None
        return F.mse_loss(seen, self.centres[y])


def centre_loss(model: nn.Module, y: Tensor) -> Tensor | float:
    """The sum over all Centres of a network; 0 if it has none."""
    return sum((module.loss(y) for module in model.modules() if isinstance(module, Centres)), 0.0)
