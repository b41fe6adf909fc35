"""One searchable layer: convolutions of several kernel sizes and the identity, of which one runs at a time."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from harembed.nn.gates import ChannelGate
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
    return x * pick.p[pick.option] if pick.p.requires_grad else x


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

    def forward(self, x: Tensor, padding: Padding) -> Tensor:
        """[N, filters_in, rows, length] to [N, filters, rows', length']."""
        y = conv_over_time(x, self.block.conv.weight, None, self.block.stride, padding)
        return self.gate(F.relu(self.block.norm(y)))


class MixedConv(nn.Module):
    """A layer of the super-net (Zhou et al., fig. 4 and eq. 6); only the chosen operator is computed.

    Filters that a layer does not have are zeros: an identity in front of a wider layer pads, so that the
    derived network, which has no such layer, computes the same.
    """

    def __init__(self, filters_in: int, filters: int, kernels: tuple[int, ...], stride: int,
                 threshold: float = 0.5) -> None:
        super().__init__()
        assert filters >= filters_in, "an identity can add empty filters, not remove full ones"
        self.filters = filters
        self.kernels = kernels
        self.stride = stride
        self.ops = nn.ModuleList(GatedConv(filters_in, filters, (1, k), stride, threshold) for k in kernels)

    def op(self, option: int) -> GatedConv:
        op = self.ops[option - 1]
        assert isinstance(op, GatedConv)
        return op

    def forward(self, x: Tensor, option: int, padding: Padding) -> Tensor:
        """[N, filters_in, rows, length] to [N, filters, rows, length']."""
        if option == IDENTITY:
            # Also for stride 2: the layer is absent, nothing is decimated.
            missing = self.filters - x.shape[1]
            return F.pad(x, (0, 0, 0, 0, 0, missing)) if missing else x
        return self.op(option)(x, padding)
