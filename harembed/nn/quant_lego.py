"""LegoConvNorm's quantised twin: one scale for all bricks, so that sums are added up before they are rounded; what
batch norm makes of a filter is a factor of its own scale."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harembed.nn.lego import LegoConvNorm, lego_conv
from harembed.nn.quant import (
    Mode,
    Quantizer,
    Signal,
    Switched,
    fake_quantise_bias,
    fake_quantise_weight,
    weight_scales,
)
from harembed.space import Padding

_LEAST_GAIN = 1e-6  # a scale must be positive


class QuantLego(Switched):
    """[N, F, S, T]; the choice of bricks is learned on (see harembed.nn.lego.mask)."""

    def __init__(self, layer: LegoConvNorm, name: str) -> None:
        super().__init__()
        gain, bias = layer.folded()
        self.bricks = nn.Parameter(layer.bricks.detach().clone())
        self.wanted = nn.Parameter(layer.wanted.detach().clone())
        self.gain, self.bias = nn.Parameter(gain), nn.Parameter(bias)
        self.stride = layer.stride
        self.padding: Padding = layer.padding
        self.relu = layer.relu
        self.out = Quantizer(name, "nfst")

    def indices(self) -> Tensor:
        """[n, o] int64: the brick in front of each fragment, for each filter."""
        return self.wanted.detach().argmax(2)

    def brick_scale(self) -> Tensor:
        """[1] float32."""
        return weight_scales(self.bricks, 1)

    def scales(self, input_scale: Tensor) -> Tensor:
        """[n] float32: of each filter; large enough for its bias to fit into int32."""
        return self.brick_scale() * self._positive_gain(input_scale).detach()

    def _positive_gain(self, input_scale: Tensor) -> Tensor:
        """|gain|, raised where it all but vanishes."""
        least = self.bias.detach().abs() / (input_scale * self.brick_scale() * 2.0**30)
        return torch.maximum(self.gain.abs(), least.clamp_min(_LEAST_GAIN))

    def forward(self, x: Signal) -> Signal:
        if self.mode is not Mode.INT8:
            y = self._merged(x.value, self.bricks, self.gain.abs(), self.bias)
            return Signal(self.out(y), self.out)
        input_scale = x.quantizer.scale
        scales = self.scales(input_scale)
        bricks = fake_quantise_weight(self.bricks, self.brick_scale())
        bias = fake_quantise_bias(self.bias, scales, input_scale)
        y = self._merged(x.value, bricks, self._positive_gain(input_scale), bias)
        return Signal(self.out(y, (scales * input_scale).view(-1, 1, 1)), self.out)

    def _merged(self, x: Tensor, bricks: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
        y = lego_conv(x, bricks, self.wanted, self.stride, self.padding)
        y = y * gain.view(-1, 1, 1) + bias.view(-1, 1, 1)
        return F.relu(y) if self.relu else y
