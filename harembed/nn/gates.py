"""Differentiable channel-wise scaling (DCS): gates that learn which channels and filters to keep.

Zhou et al. (SFTNAS), section IV-A: a gate stands on the sensor channels of the input (eq. 1) and behind every
convolution (eq. 2). Here "behind" means behind batch norm and ReLU, so that a closed filter is exactly zero
for the next layer and cutting it away changes nothing.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Kept(NamedTuple):
    """What is left of an axis after its closed part was cut."""

    indices: Tensor  # [K] int64, ascending: of the whole axis
    mask: Tensor  # [K] float, what of it is open: 1, or 0 if it closed since

    def on(self, x: Tensor, axis: int) -> Tensor:
        """b * x along an axis of x that has been cut (eq. 1 and 2)."""
        shape = [1] * x.dim()
        shape[axis] = -1
        return x * self.mask.view(shape)

    def to(self, device: torch.device) -> "Kept":
        return self if self.mask.device == device else Kept(self.indices.to(device), self.mask.to(device))


def take(x: Tensor, axis: int, indices: Tensor) -> Tensor:
    """Those indices of an axis, ascending; x itself if that is all of them."""
    return x if len(indices) == x.shape[axis] else x.index_select(axis, indices)


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
    """One gate per index of an axis: 1 keeps it, 0 removes it. Gates stay on the CPU wherever the weights are: they
    are few, and every step decides by them.

    Parameters
    ----------
    size : int           channels or filters
    threshold : float    of eq. 3; 0.5 in the paper
    spread : float       v starts uniformly in [1 - spread, 1]; all gates start open. Filters are interchangeable:
                         started alike they would all close in the same step, so a pressure that wants one less
                         would take them all

    Attributes
    ----------
    most : int    below `size`, so many are open, those with the largest v, wherever the threshold is
    left : [size] bool    what has not been cut; everything at first
    """

    left: Tensor

    def __init__(self, size: int, threshold: float = 0.5, spread: float = 0.0) -> None:
        super().__init__()
        self.threshold = threshold
        self.most = size
        self.v = nn.Parameter(1.0 - spread * torch.rand(size))
        self.register_buffer("left", torch.ones(size, dtype=torch.bool))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "ChannelGate":
        return self

    def mask(self) -> Tensor:
        """b [size] of zeros and ones, at least one of them 1; its gradient is passed to v unchanged."""
        v = self.v if bool(self.left.all()) else self.v.masked_fill(~self.left, -torch.inf)
        return _Binarise.apply(v, self.threshold, self.most)

    def kept(self) -> Kept:
        """What has to be computed: all that has not been cut, with the part of the mask that belongs to it."""
        indices = torch.nonzero(self.left).flatten()
        return Kept(indices, take(self.mask(), 0, indices))

    @torch.no_grad()
    def cut(self) -> None:
        """Take away what is closed, for good: it is neither computed any more nor can it open again."""
        self.left.copy_(self.mask() > 0)

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
