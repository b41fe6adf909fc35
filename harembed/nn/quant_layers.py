"""Quantised twins of the simple layers: convolution, dense, mean, dropout, and the network around them."""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harembed.nn.quant import (
    Mode,
    Quantizer,
    Signal,
    fake_quantise_bias,
    fake_quantise_weight,
    weight_scales,
)
from harembed.nn.temporal import ConvNorm, conv_over_time
from harembed.space import Padding


class QuantWeight(nn.Module):
    """A weight [O, ...] and a bias [O] or none, fake-quantised together.

    Parameters
    ----------
    groups : how many scales; O is per channel, 1 per tensor, 4 one for each gate of an LSTM
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, groups: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.detach().clone())
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone())
        self.groups = groups
        self.mode = Mode.FLOAT

    def scales(self, input_scale: Tensor) -> Tensor:
        return weight_scales(self.weight, self.groups, self.bias, input_scale)

    def forward(self, input_scale: Tensor) -> tuple[Tensor, Tensor | None]:
        """(weight, bias) as the integers have them."""
        if self.mode is not Mode.INT8:
            return self.weight, self.bias
        scales = self.scales(input_scale)
        bias = None if self.bias is None else fake_quantise_bias(self.bias, scales, input_scale)
        return fake_quantise_weight(self.weight, scales), bias


class QuantConv(nn.Module):
    """A convolution with batch norm folded in and ReLU: ConvNorm's twin, [N, F, S, T]."""

    def __init__(self, weight: Tensor, bias: Tensor, name: str, stride: int, padding: Padding) -> None:
        super().__init__()
        self.kernel = QuantWeight(weight, bias, len(weight))
        self.stride = stride
        self.padding: Padding = padding
        self.out = Quantizer(name, "nfst")

    @classmethod
    def from_float(cls, layer: ConvNorm, name: str) -> "QuantConv":
        weight, bias = layer.folded()
        return cls(weight, bias, name, layer.stride, layer.padding)

    def forward(self, x: Signal) -> Signal:
        weight, bias = self.kernel(x.quantizer.scale)
        return Signal(self.out(F.relu(conv_over_time(x.value, weight, bias, self.stride, self.padding))), self.out)


class QuantMean(nn.Module):
    """MeanOverTime's twin: [N, F, S, T] to [N, F], with a range of its own."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.out = Quantizer(name)

    def forward(self, x: Signal) -> Signal:
        return Signal(self.out(x.value.mean((2, 3))), self.out)


class QuantDense(nn.Module):
    """A dense layer over the last axis, weights per tensor as all int8 runtimes support."""

    def __init__(self, layer: nn.Linear, name: str) -> None:
        super().__init__()
        self.kernel = QuantWeight(layer.weight, layer.bias, 1)
        self.out = Quantizer(name)

    def forward(self, x: Signal) -> Signal:
        weight, bias = self.kernel(x.quantizer.scale)
        return Signal(self.out(F.linear(x.value, weight, bias)), self.out)


class QuantDropout(nn.Module):
    """Dropout while training; nothing in the integer graph."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(p)

    def forward(self, x: Signal) -> Signal:
        return Signal(self.dropout(x.value), x.quantizer)


class QuantNet(nn.Module):
    """A chain of quantised layers from [N, 1, S, T] to logits.

    Attributes
    ----------
    input : Quantizer    of the normalised sensor values
    layers : nn.Sequential    each from Signal to Signal
    """

    def __init__(self, layers: "OrderedDict[str, nn.Module]") -> None:
        super().__init__()
        self.input = Quantizer("input", "nfst")
        self.layers = nn.Sequential(layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(Signal(self.input(x), self.input)).value

    @torch.no_grad()
    def taps(self, x: Tensor) -> dict[str, Tensor]:
        """Every activation by the name of its tensor, in the layout of the integer graph."""
        found = [m for m in self.modules() if isinstance(m, Quantizer)]
        for q in found:
            q.record = True
        self.eval()
        self(x)
        for q in found:
            q.record = False
        values = {q.name: q.tap.permute(0, 2, 3, 1) if q.layout == "nfst" else q.tap
                  for q in found if q.tap is not None}
        for q in found:
            q.tap = None
        return values
