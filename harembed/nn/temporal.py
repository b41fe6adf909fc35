"""Convolutions over time and across sensors, with batch norm and ReLU behind them: the first stage.

Layout is PyTorch's [N, filters, sensors, time]; the integer graph has the same axes as [N, sensors, time, filters].
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harembed.space import Padding


def same_padding(length: int, kernel: int, stride: int) -> tuple[int, int]:
    """(before, after) in samples, as TFLite pads: half of the total in front, the larger half behind."""
    out = -(-length // stride)
    total = max((out - 1) * stride + kernel - length, 0)
    return total // 2, total - total // 2


def conv_over_time(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: Padding) -> Tensor:
    """Convolve [N, C, S, T] by weight [O, C, KH, KW]: `stride` and `padding` act on time, sensors are valid.

    Returns
    -------
    Tensor    [N, O, S - KH + 1, temporal_length(T, KW, stride, padding)]
    """
    if padding == "valid":
        return F.conv2d(x, weight, bias, (1, stride))
    before, after = same_padding(x.shape[3], weight.shape[3], stride)
    if before != after:
        return F.conv2d(F.pad(x, (before, after)), weight, bias, (1, stride))
    return F.conv2d(x, weight, bias, (1, stride), (0, before))


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm, ReLU.

    Parameters
    ----------
    inputs, filters : int
    kernel : (over sensors, over time)    (1, k) is an individual convolution: every sensor meets the same weights;
        (S, 1) fuses all S sensors
    stride : int    over time
    padding : of time; over sensors always valid
    relu : False leaves it to who adds something first
    """

    def __init__(self, inputs: int, filters: int, kernel: tuple[int, int], stride: int = 1,
                 padding: Padding = "valid", relu: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, filters, kernel, bias=False)
        self.norm = nn.BatchNorm2d(filters)
        self.stride = stride
        self.padding: Padding = padding
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(conv_over_time(x, self.conv.weight, None, self.stride, self.padding))
        return F.relu(y) if self.relu else y

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the one convolution that equals this block in evaluation (batch norm folded in)."""
        assert self.norm.running_mean is not None and self.norm.running_var is not None
        gain = self.norm.weight / torch.sqrt(self.norm.running_var + self.norm.eps)
        weight = self.conv.weight * gain.view(-1, 1, 1, 1)
        return weight.detach().clone(), (self.norm.bias - self.norm.running_mean * gain).detach().clone()


class MeanOverTime(nn.Module):
    """Average the features over sensors and time: [N, C, S, T] to [N, C]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))
