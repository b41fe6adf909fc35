"""Quantised twins of the attention blocks."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harembed.nn.attention import SensorAttention, SensorFusion, TemporalAggregation, TemporalAttention
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
        q, k, v = (self._project(value, scale, weight, out) for weight, out in
                   ((self.query, self.q), (self.key, self.k), (self.value, self.v)))
        scores = self.scores(k @ q.transpose(2, 3), self.k.scale * self.q.scale)
        weights = self.softmax(F.softmax(scores, dim=3))
        return Signal(self.out(value + self.mixed(weights @ v, self.softmax.scale * self.v.scale)), self.out)

    @staticmethod
    def _project(x: Tensor, scale: Tensor, weight: QuantWeight, out: Quantizer) -> Tensor:
        kernel = weight(scale)
        return out(F.linear(x, kernel.weight), kernel.unit)


class QuantSensorFusion(nn.Module):
    """SensorFusion's twin; in the integer graph a convolution over all sensors, so weights are per channel."""

    def __init__(self, layer: SensorFusion, name: str) -> None:
        super().__init__()
        self.kernel = QuantWeight(layer.dense.weight, layer.dense.bias, len(layer.dense.weight))
        self.out = Quantizer(name)

    def forward(self, x: Signal) -> Signal:
        weight, bias, unit = self.kernel(x.quantizer.scale)
        return Signal(self.out(F.relu(F.linear(x.value.flatten(2), weight, bias)), unit), self.out)


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
        context = weighted_sum(x, self.fc_2(squashed).value, self.softmax, self.context)
        scaled = self.scaled(self.gamma * context, (self.gamma.detach().abs() * self.context.scale).clamp_min(1e-12))
        return Signal(self.out(x.value[:, -1] + scaled), self.out)


class QuantTemporalAttention(nn.Module):
    """TemporalAttention's twin."""

    def __init__(self, layer: TemporalAttention, name: str) -> None:
        super().__init__()
        self.fc = QuantDense(layer.fc, f"{name}.fc")
        self.softmax = Quantizer(f"{name}.softmax", fixed=SOFTMAX)
        self.out = Quantizer(name)

    def forward(self, x: Signal) -> Signal:
        return Signal(weighted_sum(x, self.fc(x).value, self.softmax, self.out), self.out)


def weighted_sum(x: Signal, scores: Tensor, softmax: Quantizer, out: Quantizer) -> Tensor:
    """[N, T, H] and a score for every step [N, T, 1] to the sum over time [N, H], weighted by softmax over time."""
    weights = softmax(F.softmax(scores.squeeze(2), dim=1))
    return out((weights[:, None] @ x.value).squeeze(1), softmax.scale * x.quantizer.scale)
