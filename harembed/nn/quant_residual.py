"""Residual's quantised twin."""

from torch import nn
from torch.nn import functional as F

from harembed.nn.quant import Quantizer, Signal


class QuantResidual(nn.Module):
    """[N, F, S, T]; the sum has a range of its own.

    Parameters
    ----------
    first, second : twins of the convolutions
    """

    def __init__(self, first: nn.Module, second: nn.Module, name: str) -> None:
        super().__init__()
        self.first, self.second = first, second
        self.out = Quantizer(name, "nfst")

    def forward(self, x: Signal) -> Signal:
        y = self.second(self.first(x))
        return Signal(self.out(F.relu(x.value + y.value)), self.out)
