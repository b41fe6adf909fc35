"""Convolutions whose filters are put together from few bricks (Tang et al., sec. III-B and C; Yang et al., LegoNet).

Layout is PyTorch's [N, filters, sensors, time]. Input channels are split into equal fragments of neighbours.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harembed.nn.temporal import conv_over_time
from harembed.space import Padding


def mask(wanted: Tensor) -> Tensor:
    """M of eq. 4, [n, o, k] with one 1 in each last row, from real-valued N of the same shape; its gradient is handed
    to N as it is (straight-through estimator)."""
    hard = F.one_hot(wanted.argmax(2), wanted.shape[2]).to(wanted.dtype)
    return hard + wanted - wanted.detach()


def lego_conv(x: Tensor, bricks: Tensor, wanted: Tensor, stride: int, padding: Padding) -> Tensor:
    """Split, transform, merge (eq. 5 and 6): convolve each fragment with each brick once, then add up.

    Parameters
    ----------
    x : [N, C, S, T]
    bricks : [k, C / o, KH, KW]
    wanted : [n, o, k]    N of eq. 4

    Returns
    -------
    Tensor    [N, n, S - KH + 1, temporal_length(T, KW, stride, padding)]
    """
    filters, fragments, count = wanted.shape
    windows, channels, sensors, samples = x.shape
    split = x.reshape(windows * fragments, channels // fragments, sensors, samples)
    maps = conv_over_time(split, bricks, None, stride, padding)
    height, width = maps.shape[2:]
    merged = mask(wanted).view(filters, fragments * count) @ maps.reshape(windows, fragments * count, height * width)
    return merged.view(windows, filters, height, width)


class LegoConvNorm(nn.Module):
    """ConvNorm (harembed.nn.temporal) with Lego filters: convolution without bias, batch norm, ReLU.

    The norm's gain counts by its magnitude: folded into filters that share bricks, it can change their scale but not
    their sign.

    Parameters
    ----------
    inputs, filters, kernel, stride, padding, relu : as of ConvNorm
    fragments : o, a divisor of inputs
    bricks : k
    """

    def __init__(self, inputs: int, filters: int, kernel: tuple[int, int], fragments: int, bricks: int,
                 stride: int = 1, padding: Padding = "valid", relu: bool = True) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs * kernel[0] * kernel[1])  # as nn.Conv2d of whole filters
        self.bricks = nn.Parameter(torch.empty(bricks, inputs // fragments, *kernel).uniform_(-bound, bound))
        self.wanted = nn.Parameter(torch.randn(filters, fragments, bricks))
        self.norm = nn.BatchNorm2d(filters)
        self.stride = stride
        self.padding: Padding = padding
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        y = lego_conv(x, self.bricks, self.wanted, self.stride, self.padding)
        n = self.norm
        y = F.batch_norm(y, n.running_mean, n.running_var, n.weight.abs(), n.bias, self.training, n.momentum or 0.0,
                         n.eps)
        return F.relu(y) if self.relu else y

    def folded(self) -> tuple[Tensor, Tensor]:
        """(gain, bias) [n] behind the merged maps that equal the norm in evaluation."""
        n = self.norm
        assert n.running_mean is not None and n.running_var is not None
        gain = n.weight.abs() / torch.sqrt(n.running_var + n.eps)
        return gain.detach().clone(), (n.bias - n.running_mean * gain).detach().clone()
