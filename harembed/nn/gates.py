"""Differentiable channel-wise scaling (DCS): gates that learn which channels and filters to keep.

Zhou et al. (SFTNAS), section IV-A: a gate stands on the sensor channels of the input (eq. 1) and behind every
convolution (eq. 2). Here "behind" means behind batch norm and ReLU, so that a closed filter is exactly zero
for the next layer and cutting it away changes nothing.
"""

import torch
from torch import Tensor, nn


class _Binarise(torch.autograd.Function):
    """Eq. 3 forward, eq. 4 backward (straight-through)."""

    @staticmethod
    def forward(ctx, v: Tensor, threshold: float, most: int) -> Tensor:
        if most < len(v):  # not in eq. 3: how many are open is given, the order of v says which
            return torch.zeros_like(v).index_fill_(0, torch.argsort(v, descending=True, stable=True)[:most], 1.0)
        b = (v > threshold).to(v.dtype)
        if not bool(b.any()):
            # Departure from eq. 3: with every gate shut the network would be constant and no gradient could
            # ever open one again, so the most wanted one stays open.
            b[torch.argmax(v)] = 1.0
        return b

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None]:
        return grad, None, None


class ChannelGate(nn.Module):
    """One gate per index of an axis: 1 keeps it, 0 removes it.

    Parameters
    ----------
    size : int           channels or filters
    axis : int           the axis of the activation that they lie on
    threshold : float    of eq. 3; 0.5 in the paper
    spread : float       v starts uniformly in [1 - spread, 1]; all gates start open. Filters are interchangeable:
                         started alike they would all close in the same step, so a pressure that wants one less
                         would take them all

    Attributes
    ----------
    most : int    below `size`, so many are open, those with the largest v, wherever the threshold is
    """

    def __init__(self, size: int, axis: int = 1, threshold: float = 0.5, spread: float = 0.0) -> None:
        super().__init__()
        self.axis = axis
        self.threshold = threshold
        self.most = size
        self.v = nn.Parameter(1.0 - spread * torch.rand(size))

    def mask(self) -> Tensor:
        """b [size] of zeros and ones, at least one of them 1; its gradient is passed to v unchanged."""
        return _Binarise.apply(self.v, self.threshold, self.most)

    def forward(self, x: Tensor) -> Tensor:
        """b * x along the axis (eq. 1 and 2)."""
        shape = [1] * x.dim()
        shape[self.axis] = -1
        return x * self.mask().view(shape)

    def open(self) -> tuple[int, ...]:
        """Indices that are kept, ascending; never empty."""
        with torch.no_grad():
            return tuple(int(i) for i in torch.nonzero(self.mask()).flatten())

    @torch.no_grad()
    def clamp(self) -> None:
        """Hold v in [0, 1] after an optimiser's step.

        Departure from the paper, which lets v run: a gate that drifted far beyond the threshold would need as
        many steps to come back, and decisions would freeze by accident. Where the order of v decides, all are moved
        and, if need be, drawn together: held at 1, the most wanted would be equal.
        """
        if self.most < len(self.v):
            low, high = self.v.min(), self.v.max()
            self.v.sub_(low).div_((high - low).clamp(min=1.0))
        else:
            self.v.clamp_(0.0, 1.0)
