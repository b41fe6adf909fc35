"""The regression networks of figure 2: an MLP, and a CNN over the epochs; both with or without the structure.

Input of both: [N, statistics, epochs] and [N, static features], standardised; output [N].
"""

import torch
from torch import Tensor, nn

UNITS = 64
KERNELS, KERNEL = 64, 3  # of the convolution over the epochs


def _core(inputs: int) -> nn.Sequential:
    """Three layers of 64 units (section 3.4), and a linear output."""
    return nn.Sequential(nn.Linear(inputs, UNITS), nn.ReLU(), nn.Linear(UNITS, UNITS), nn.ReLU(),
                         nn.Linear(UNITS, UNITS), nn.ReLU(), nn.Linear(UNITS, 1))


class Mlp(nn.Module):
    """All numbers side by side (figures 2A and 2C)."""

    def __init__(self, statistics: int, epochs: int, static: int) -> None:
        super().__init__()
        self.core = _core(statistics * epochs + static)

    def forward(self, series: Tensor, static: Tensor) -> Tensor:
        return self.core(torch.cat([series.flatten(1), static], 1)).squeeze(1)


class Cnn(nn.Module):
    """A convolution over the epochs before the same core, which the static features enter at its first layer: the
    second of the network (figures 2B and 2D)."""

    def __init__(self, statistics: int, epochs: int, static: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(statistics, KERNELS, KERNEL, padding=KERNEL // 2)
        self.core = _core(KERNELS * epochs + static)

    def forward(self, series: Tensor, static: Tensor) -> Tensor:
        features = torch.relu(self.conv(series)).flatten(1)
        return self.core(torch.cat([features, static], 1)).squeeze(1)


NETWORKS: dict[str, type[Mlp | Cnn]] = {"mlp": Mlp, "cnn": Cnn}
