"""Convolutions of signs by signs (Rastegari et al., XNOR-Net, ECCV 2016; Shen's thesis, chapter 4).

Layout is PyTorch's [N, filters, sensors, time].
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harembed.nn.temporal import conv_over_time
from harembed.space import Padding


class _Sign(torch.autograd.Function):
    """Eq. 4.1 of the thesis, with the straight-through estimator: gradients pass where |x| <= 1 (Hubara et al.
    2016)."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradient * (x.abs() <= 1)


def sign(x: Tensor) -> Tensor:
    """-1 or +1; 0 is +1."""
    return _Sign.apply(x)


class XnorConvNorm(nn.Module):
    """ConvNorm (harembed.nn.temporal) in binary: batch norm, sign, convolution by signs times the filters' mean
    magnitudes, batch norm, ReLU. Padding counts as 0.

    The norm in front decides where each channel's sign changes; the one behind takes the scale of the sums.

    Parameters
    ----------
    inputs, filters, kernel, stride, padding, relu : as of ConvNorm
    """

    def __init__(self, inputs: int, filters: int, kernel: tuple[int, int], stride: int = 1,
                 padding: Padding = "valid", relu: bool = True) -> None:
        super().__init__()
        self.before = nn.BatchNorm2d(inputs)
        self.conv = nn.Conv2d(inputs, filters, kernel, bias=False)
        self.norm = nn.BatchNorm2d(filters)
        self.stride = stride
        self.padding: Padding = padding
        self.relu = relu

    def magnitudes(self) -> Tensor:
        """[filters, 1, 1, 1]: alpha of XNOR-Net, the mean of |W|."""
        return self.conv.weight.abs().mean((1, 2, 3), keepdim=True)

    def forward(self, x: Tensor) -> Tensor:
        weight = sign(self.conv.weight) * self.magnitudes()
        y: Tensor = self.norm(conv_over_time(sign(self.before(x)), weight, None, self.stride, self.padding))
        return F.relu(y) if self.relu else y
