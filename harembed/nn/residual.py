"""Two convolutions and what goes past them (He et al., CVPR 2016), over time."""

from torch import Tensor, nn
from torch.nn import functional as F


class Residual(nn.Module):
    """relu(x + second(first(x))): first has a ReLU of its own, second none.

    Parameters
    ----------
    first, second : convolutions with norm that keep the shape [N, F, S, T]    ConvNorm or one of its kind
    """

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(self.first(x)))
