"""One searchable layer: convolutions of several kernel sizes and the identity, of which one runs at a time."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harembed.nn.gates import ChannelGate, Kept, take
from harembed.nn.temporal import ConvNorm, conv_over_time
from harembed.space import Padding

FILTER_SPREAD = 0.4  # of the gates on filters, see ChannelGate
IDENTITY = 0  # option 0 of every layer; option j is kernels[j - 1]


@dataclass(frozen=True)
class Pick:
    """One decision: the option and its vector p (eq. 5), one-hot in value, differentiable in the search."""

    option: int
    p: Tensor


def weigh(x: Tensor, pick: Pick) -> Tensor:
    """Multiply by the p of the operator that made x: 1 in value, and the gradient of eqs. 6-7 for alpha."""
    return x * pick.p[pick.option].to(x.device) if pick.p.requires_grad else x


class GatedConv(nn.Module):
    """Convolution, batch norm, ReLU, gate on the filters (eq. 2 of Zhou et al.).

    Parameters
    ----------
    filters_in, filters : int    at most; gates close some
    shape : (rows, samples)      of the filter
    stride : int                 over time
    """

    def __init__(self, filters_in: int, filters: int, shape: tuple[int, int], stride: int = 1,
                 threshold: float = 0.5) -> None:
        super().__init__()
        self.block = ConvNorm(filters_in, filters, shape, stride)
        self.gate = ChannelGate(filters, threshold=threshold, spread=FILTER_SPREAD)

    def forward(self, x: Tensor, inputs: Tensor, padding: Padding, rows: Tensor | None = None) -> tuple[Tensor, Kept]:
        """Compute the filters that have not been cut.

        Parameters
        ----------
        x : [N, len(inputs), rows, length]    what is left of the filters before
        inputs : [K] int64    which of all these are left
        rows : [R] int64      which rows of a filter over all sensors x has; None: all

        Returns
        -------
        [N, kept filters, rows', length'], and which these are
        """
        kept = self.gate.kept().to(x.device)
        weight = take(take(self.block.conv.weight, 0, kept.indices), 1, inputs)
        if rows is not None:
            weight = take(weight, 2, rows)
        y = conv_over_time(x, weight, None, self.block.stride, padding)
        return kept.on(F.relu(_normalised(self.block.norm, y, kept.indices)), 1), kept


def _normalised(norm: nn.BatchNorm2d, y: Tensor, indices: Tensor) -> Tensor:
    """Batch norm of some of its channels; the statistics of the others stay as they are."""
    if len(indices) == norm.num_features:
        return norm(y)
    assert norm.running_mean is not None and norm.running_var is not None and norm.num_batches_tracked is not None
    mean, variance = norm.running_mean[indices], norm.running_var[indices]
    y = F.batch_norm(y, mean, variance, norm.weight[indices], norm.bias[indices], norm.training, norm.momentum or 0.0,
                     norm.eps)
    if norm.training:
        with torch.no_grad():
            norm.running_mean[indices], norm.running_var[indices] = mean, variance
            norm.num_batches_tracked.add_(1)
    return y


class MixedConv(nn.Module):
    """A layer of the super-net (Zhou et al., fig. 4 and eq. 6); only the chosen operator is computed.

    An identity passes on what it gets, and with it which filters these are: a wider layer behind it takes the others
    for zeros, as the derived network does, which has no such layer.
    """

    def __init__(self, filters_in: int, filters: int, kernels: tuple[int, ...], stride: int,
                 threshold: float = 0.5) -> None:
        super().__init__()
        assert filters >= filters_in, "an identity can add empty filters, not remove full ones"
        self.kernels = kernels
        self.stride = stride
        self.ops = nn.ModuleList(GatedConv(filters_in, filters, (1, k), stride, threshold) for k in kernels)

    def op(self, option: int) -> GatedConv:
        op = self.ops[option - 1]
        assert isinstance(op, GatedConv)
        return op

    def forward(self, x: Tensor, filters: Kept, option: int, padding: Padding) -> tuple[Tensor, Kept]:
        """[N, filters, rows, length] to [N, filters', rows, length'], and which filters these are."""
        if option == IDENTITY:
            return x, filters  # also for stride 2: the layer is absent, nothing is decimated
        op: GatedConv = self.op(option)
        return op(x, filters.indices, padding)
