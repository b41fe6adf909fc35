"""Quantised twins of TinyHAR's attention blocks."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harembed.nn.attention import SensorAttention, SensorFusion, TemporalAggregation
from harembed.nn.quant import Quantizer, Signal
from harembed.nn.quant_layers import QuantDense, QuantWeight

SOFTMAX = (1.0 / 256.0, -128)  # output quantisation that TFLite prescribes
TANH = (1.0 / 128.0, 0)


class QuantSensorAttention(nn.Module):
    """SensorAttention's twin. gamma is folded into the value projection, which saves an operation."""

    def __init__(self, layer: SensorAttention, name: str) -> None:
        super().__init__()
        filters = len(layer.query.weight)
        self.query = QuantWeight(layer.query.weight, None, filters)
        self.key = QuantWeight(layer.key.weight, None, filters)
        self.value = QuantWeight(layer.value.weight * layer.gamma, None, filters)
        self.q, self.k, self.v = (Quantizer(f"{name}.{t}") for t in ("query", "key", "value"))
        self.scores = Quantizer(f"{name}.scores")
        self.softmax = Quantizer(f"{name}.softmax", fixed=SOFTMAX)
        self.mixed = Quantizer(f"{name}.mixed")
        self.out = Quantizer(name)

    def forward(self, x: Signal) -> Signal:
        value, scale = x.value.permute(0, 3, 2, 1), x.quantizer.scale
        query, key, v = (out(F.linear(value, weight(scale)[0])) for out, weight in
                         ((self.q, self.query), (self.k, self.key), (self.v, self.value)))
        weights = self.softmax(F.softmax(self.scores(key @ query.transpose(2, 3)), dim=3))
        return Signal(self.out(value + self.mixed(weights @ v)), self.out)


class QuantSensorFusion(nn.Module):
    """SensorFusion's twin; in the integer graph a convolution over all sensors, so weights are per channel."""

    def __init__(self, layer: SensorFusion, name: str) -> None:
        super().__init__()
        self.kernel = QuantWeight(layer.dense.weight, layer.dense.bias, len(layer.dense.weight))
        self.out = Quantizer(name)

    def forward(self, x: Signal) -> Signal:
        weight, bias = self.kernel(x.quantizer.scale)
        return Signal(self.out(F.relu(F.linear(x.value.flatten(2), weight, bias))), self.out)


class QuantTemporalAggregation(nn.Module):
    """TemporalAggregation's twin; gamma is a constant that is exact: its sign times its scale."""

    gamma: Tensor

    def __init__(self, layer: TemporalAggregation, name: str) -> None:
        super().__init__()
        self.fc_1 = QuantDense(layer.fc_1, f"{name}.fc_1")
        self.tanh = Quantizer(f"{name}.tanh", fixed=TANH)
        self.fc_2 = QuantDense(layer.fc_2, f"{name}.fc_2")
        self.softmax = Quantizer(f"{name}.softmax", fixed=SOFTMAX)
        self.context = Quantizer(f"{name}.context")
        self.gamma = nn.Parameter(layer.gamma.detach().clone())
        self.scaled = Quantizer(f"{name}.scaled")
        self.out = Quantizer(name)

    def forward(self, x: Signal) -> Signal:
        squashed = Signal(self.tanh(torch.tanh(self.fc_1(x).value)), self.tanh)
        weights = self.softmax(F.softmax(self.fc_2(squashed).value.squeeze(2), dim=1))
        context = self.context((weights[:, None] @ x.value).squeeze(1))
        return Signal(self.out(x.value[:, -1] + self.scaled(self.gamma * context)), self.out)
