"""The tails of the super-net. A closed gate stands for a channel, filter or feature that does not exist: each
place where it would leave a trace (a bias, a softmax, a recurrent weight) is masked, so that the derived
network, which was cut physically, computes the same."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harembed.models.mixed_conv import FILTER_SPREAD, GatedConv, MixedConv, Pick, weigh
from harembed.nn.attention import SensorAttention, SensorFusion, TemporalAggregation
from harembed.nn.gates import ChannelGate
from harembed.nn.lstm import Lstm
from harembed.space import Padding


class SuperConvTail(nn.Module):
    """The cheap tail: fuse sensors, convolve over time (searchable), average over time, classify."""

    def __init__(self, filters: int, sensors: int, fusion: int, kernels: tuple[int, ...], layers: int,
                 classes: int, dropout: float, threshold: float) -> None:
        super().__init__()
        self.fusion = GatedConv(filters, fusion, (sensors, 1), threshold=threshold)
        self.layers = nn.ModuleList(MixedConv(fusion, fusion, kernels, 1, threshold) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(fusion, classes)

    def forward(self, x: Tensor, picks: Sequence[Pick], padding: Padding) -> Tensor:
        """[N, F, sensors, length], closed sensors zero, to logits [N, classes]."""
        x = self.fusion(x, "valid")
        for layer, pick in zip(self.layers, picks, strict=True):
            x = weigh(layer(x, pick.option, padding), pick)
        return self.linear(self.dropout(x.mean((2, 3))))


class SuperTinyHarTail(nn.Module):
    """TinyHAR's original tail with a gate on its hidden features."""

    def __init__(self, filters: int, sensors: int, hidden: int, classes: int, dropout: float,
                 threshold: float) -> None:
        super().__init__()
        self.attention = SensorAttention(filters)
        self.dropout = nn.Dropout(dropout)
        self.fusion = SensorFusion(sensors, filters, hidden)
        self.lstm = Lstm(hidden, hidden)
        self.aggregation = TemporalAggregation(hidden)
        self.linear = nn.Linear(hidden, classes)
        self.gate = ChannelGate(hidden, threshold=threshold, spread=FILTER_SPREAD)

    def forward(self, x: Tensor, filters: Tensor, sensors: Tensor) -> Tensor:
        """[N, F, sensors, length], closed filters and sensors zero, and their masks, to logits [N, classes]."""
        hidden = self.gate.mask()
        x = self.dropout(self._attend(x, filters, sensors))
        x = self._recur(self.fusion(x) * hidden, hidden)
        a = self.aggregation
        weights = F.softmax(a.fc_2(torch.tanh(a.fc_1(x)) * hidden), dim=1)
        return self.linear(x[:, -1] + a.gamma * (weights * x).sum(1))

    def _attend(self, x: Tensor, filters: Tensor, sensors: Tensor) -> Tensor:
        """SensorAttention.forward over the open sensors and filters: [N, F, S, T] to [N, T, S, F]."""
        a = self.attention
        x = x.permute(0, 3, 2, 1)
        scores = (a.key(x) * filters) @ (a.query(x) * filters).transpose(2, 3)
        weights = torch.exp(scores - scores.detach().amax(3, keepdim=True)) * sensors
        weights = weights / weights.sum(3, keepdim=True).clamp_min(1e-30)
        return (x + a.gamma * (weights @ (a.value(x) * filters))) * sensors[:, None]

    def _recur(self, x: Tensor, hidden: Tensor) -> Tensor:
        """The LSTM without the recurrence from closed units: [N, T, H] to [N, T, H]."""
        p = dict(self.lstm.lstm.named_parameters())
        state = x.new_zeros(1, len(x), len(hidden))
        weights = [p["weight_ih_l0"], p["weight_hh_l0"] * hidden, p["bias_ih_l0"], p["bias_hh_l0"]]
        y, _, _ = torch.lstm(x, (state, state), weights, True, 1, 0.0, self.training, False, True)
        return y * hidden
