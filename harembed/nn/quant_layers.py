"""Quantised twins of the simple layers: convolution, dense, mean, dropout, and the network around them."""

from collections import OrderedDict
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harembed.nn.centres import Centres
from harembed.nn.quant import (
    Mode,
    Quantizer,
    Signal,
    Switched,
    fake_quantise_bias,
    fake_quantise_weight,
    weight_scales,
)
from harembed.nn.temporal import ConvNorm, conv_over_time
from harembed.space import Padding


class Kernel(NamedTuple):
    """A weight and a bias ready to compute with, and their accumulator's unit (see Quantizer.forward)."""

    weight: Tensor
    bias: Tensor | None
    unit: Tensor | None  # [O] or [1]; None without quantisation


class QuantWeight(Switched):
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

    def scales(self, input_scale: Tensor) -> Tensor:
        return weight_scales(self.weight, self.groups, self.bias, input_scale)

    def forward(self, input_scale: Tensor) -> "Kernel":
        """Weight and bias as the integers have them."""
        if self.mode is not Mode.INT8:
            return Kernel(self.weight, self.bias, None)
        scales = self.scales(input_scale)
        bias = None if self.bias is None else fake_quantise_bias(self.bias, scales, input_scale)
        return Kernel(fake_quantise_weight(self.weight, scales), bias, scales * input_scale)


class QuantConv(nn.Module):
    """A convolution with batch norm folded in and ReLU: ConvNorm's twin, [N, F, S, T]."""

    def __init__(self, weight: Tensor, bias: Tensor, name: str, stride: int, padding: Padding,
                 relu: bool = True) -> None:
        super().__init__()
        self.kernel = QuantWeight(weight, bias, len(weight))
        self.stride = stride
        self.padding: Padding = padding
        self.relu = relu
        self.out = Quantizer(name, "nfst")

    @classmethod
    def from_float(cls, layer: ConvNorm, name: str) -> "QuantConv":
        weight, bias = layer.folded()
        return cls(weight, bias, name, layer.stride, layer.padding, layer.relu)

    def forward(self, x: Signal) -> Signal:
        weight, bias, unit = self.kernel(x.quantizer.scale)
        y = conv_over_time(x.value, weight, bias, self.stride, self.padding)
        y = F.relu(y) if self.relu else y
        return Signal(self.out(y, None if unit is None else unit.view(-1, 1, 1)), self.out)


class QuantMean(nn.Module):
    """MeanOverTime's twin: [N, F, S, T] to [N, F], with a range of its own."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.out = Quantizer(name)

    def forward(self, x: Signal) -> Signal:
        # The integers divide by the power of two below the count, and put the rest of it into the multiplier.
        power = (x.value.shape[2] * x.value.shape[3]).bit_length() - 1
        return Signal(self.out(x.value.mean((2, 3)), x.quantizer.scale * 2.0**-power), self.out)


class QuantDense(nn.Module):
    """A dense layer over the last axis, weights per tensor as all int8 runtimes support."""

    def __init__(self, layer: nn.Linear, name: str) -> None:
        super().__init__()
        self.kernel = QuantWeight(layer.weight, layer.bias, 1)
        self.out = Quantizer(name)

    def forward(self, x: Signal) -> Signal:
        weight, bias, unit = self.kernel(x.quantizer.scale)
        return Signal(self.out(F.linear(x.value, weight, bias), unit), self.out)


class QuantDropout(nn.Module):
    """Dropout while training; nothing in the integer graph."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(p)

    def forward(self, x: Signal) -> Signal:
        return Signal(self.dropout(x.value), x.quantizer)


class QuantCentres(nn.Module):
    """Centre loss while training; nothing in the integer graph."""

    def __init__(self, layer: Centres) -> None:
        super().__init__()
        self.centres = Centres(*layer.centres.shape)
        self.centres.load_state_dict(layer.state_dict())

    def forward(self, x: Signal) -> Signal:
        return Signal(self.centres(x.value), x.quantizer)


class QuantMoved(nn.Module):
    """A layer that moves values and computes none: its output is quantised as its input.

    Parameters
    ----------
    layer : of harembed.nn.steps
    name : of the tensor in the integer graph
    """

    def __init__(self, layer: nn.Module, name: str) -> None:
        super().__init__()
        self.layer, self.name = layer, name

    def forward(self, x: Signal) -> Signal:
        return Signal(self.layer(x.value), x.quantizer)


class QuantNet(nn.Module):
    """A chain of quantised layers from [N, 1, S, T] to logits.

    Attributes
    ----------
    input : Quantizer    of the normalised sensor values
    layers : nn.Sequential    each from Signal to Signal
    count : [S] float32    what one raw count of each sensor channel is worth after normalisation: 1 / deviation;
        the input's rounding depends on it. Empty if unknown: then it is rounded once
    """

    count: Tensor

    def __init__(self, layers: "OrderedDict[str, nn.Module]", count: Tensor | None = None,
                 layout: str = "nfst") -> None:
        super().__init__()
        self.input = Quantizer("input", layout)
        self.layers = nn.Sequential(layers)
        self.register_buffer("count", torch.empty(0) if count is None else count)

    def forward(self, x: Tensor) -> Tensor:
        unit = self.count.view(-1, 1) if len(self.count) else None
        return self.layers(Signal(self.input(x, unit), self.input)).value

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
        values = {q.name: q.in_graph(q.tap) for q in found if q.tap is not None}
        for q in found:
            q.tap = None
        return values
