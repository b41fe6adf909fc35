"""The recurrent tails of the super-net. A closed gate stands for a channel, filter or feature that does not exist:
each place where it would leave a trace (a bias, a softmax, a recurrent weight) is masked, so that the derived
network, which was cut physically, computes the same."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harembed.models.mixed_conv import FILTER_SPREAD
from harembed.nn.attention import SensorAttention, SensorFusion, TemporalAggregation, TemporalAttention
from harembed.nn.centres import Centres
from harembed.nn.gates import ChannelGate
from harembed.nn.gru import Gru
from harembed.nn.lstm import Lstm
from harembed.space import AttendTail, DeepConvLstmTail, RecurrentTail, TinyHarTail

Indices = Sequence[int]
State = dict[str, Tensor]


class SuperRecurrentTail(nn.Module):
    """A published tail with a gate on its hidden features.

    Attributes
    ----------
    gate : ChannelGate    on hidden features
    """

    gate: ChannelGate

    def forward(self, x: Tensor, filters: Tensor, sensors: Tensor) -> Tensor:
        """[N, F, sensors, length], closed filters and sensors zero, and their masks, to logits [N, classes]."""
        raise NotImplementedError

    def derived(self) -> RecurrentTail:
        """What is left under the gate."""
        raise NotImplementedError

    def cut(self, filters: Indices, sensors: Indices) -> State:
        """The weights of the tail that is left, by their names in harembed.models.network."""
        raise NotImplementedError


class SuperTinyHarTail(SuperRecurrentTail):
    """TinyHAR's original tail."""

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
        hidden = self.gate.mask()
        x = self.dropout(attend(self.attention, x, filters, sensors))
        x = recur(self.lstm.lstm, self.fusion(x) * hidden, hidden)
        a = self.aggregation
        weights = F.softmax(a.fc_2(torch.tanh(a.fc_1(x)) * hidden), dim=1)
        return self.linear(x[:, -1] + a.gamma * (weights * x).sum(1))

    def derived(self) -> TinyHarTail:
        return TinyHarTail(len(self.gate.open()))

    def cut(self, filters: Indices, sensors: Indices) -> State:
        h = list(self.gate.open())
        dense, a = self.fusion.dense, self.aggregation
        fused = joined(filters, sensors, self.attention.query.in_features)
        return {
            **cut_attention(self.attention, list(filters)),
            "fusion.dense.weight": dense.weight[h][:, fused], "fusion.dense.bias": dense.bias[h],
            **cut_recurrent("lstm.lstm", self.lstm.lstm, h, h),
            "aggregation.fc_1.weight": a.fc_1.weight[h][:, h], "aggregation.fc_1.bias": a.fc_1.bias[h],
            "aggregation.fc_2.weight": a.fc_2.weight[:, h], "aggregation.gamma": a.gamma,
            **cut_classifier(self.linear, h),
        }


class SuperDeepConvLstmTail(SuperRecurrentTail):
    """DeepConvLSTM's tail; all layers share the gate, as the paper gives them one size."""

    def __init__(self, filters: int, sensors: int, hidden: int, classes: int, dropout: float, threshold: float,
                 layers: int = DeepConvLstmTail.layers) -> None:
        super().__init__()
        self.filters = filters
        self.layers = nn.ModuleList(Lstm(sensors * filters if i == 0 else hidden, hidden) for i in range(layers))
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(hidden, classes)
        self.gate = ChannelGate(hidden, threshold=threshold, spread=FILTER_SPREAD)

    def forward(self, x: Tensor, filters: Tensor, sensors: Tensor) -> Tensor:
        hidden = self.gate.mask()
        x = x.permute(0, 3, 2, 1).flatten(2)  # what is closed is 0 and adds nothing
        for layer in self._lstms():
            x = recur(layer, x, hidden)
        return self.linear(self.dropout(x[:, -1]))

    def derived(self) -> DeepConvLstmTail:
        return DeepConvLstmTail(len(self.gate.open()), len(self.layers))

    def cut(self, filters: Indices, sensors: Indices) -> State:
        h = list(self.gate.open())
        state = cut_classifier(self.linear, h)
        for i, layer in enumerate(self._lstms()):
            inputs = joined(filters, sensors, self.filters) if i == 0 else h
            state |= cut_recurrent(f"lstm{i}.lstm", layer, inputs, h)
        return state

    def _lstms(self) -> list[nn.LSTM]:
        return [layer.lstm for layer in self.layers if isinstance(layer, Lstm)]


class SuperAttendTail(SuperRecurrentTail):
    """The tail of Attend-and-Discriminate; both layers share the gate, as the paper gives them one size. The
    super-net's loss is that of eq. 10, without centres; they are there for the network that is derived."""

    def __init__(self, filters: int, sensors: int, hidden: int, classes: int, dropout: float,
                 threshold: float) -> None:
        super().__init__()
        self.attention = SensorAttention(filters)
        self.gru0 = Gru(sensors * filters, hidden)
        self.gru1 = Gru(hidden, hidden)
        self.temporal = TemporalAttention(hidden)
        self.centres = Centres(classes, hidden)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(hidden, classes)
        self.gate = ChannelGate(hidden, threshold=threshold, spread=FILTER_SPREAD)

    def forward(self, x: Tensor, filters: Tensor, sensors: Tensor) -> Tensor:
        hidden = self.gate.mask()
        x = attend(self.attention, x, filters, sensors).flatten(2)
        x = recur(self.gru1.gru, recur(self.gru0.gru, x, hidden), hidden)
        return self.linear(self.dropout(self.temporal(x)))

    def derived(self) -> AttendTail:
        return AttendTail(len(self.gate.open()))

    def cut(self, filters: Indices, sensors: Indices) -> State:
        h = list(self.gate.open())
        inputs = joined(filters, sensors, self.attention.query.in_features)
        return {**cut_attention(self.attention, list(filters)), **cut_recurrent("gru0.gru", self.gru0.gru, inputs, h),
                **cut_recurrent("gru1.gru", self.gru1.gru, h, h), "temporal.fc.weight": self.temporal.fc.weight[:, h],
                "centres.centres": self.centres.centres[:, h], **cut_classifier(self.linear, h)}


def attend(a: SensorAttention, x: Tensor, filters: Tensor, sensors: Tensor) -> Tensor:
    """SensorAttention.forward over the open sensors and filters: [N, F, S, T] to [N, T, S, F]."""
    x = x.permute(0, 3, 2, 1)
    scores = (a.key(x) * filters) @ (a.query(x) * filters).transpose(2, 3)
    weights = torch.exp(scores - scores.detach().amax(3, keepdim=True)) * sensors
    weights = weights / weights.sum(3, keepdim=True).clamp_min(1e-30)
    return (x + a.gamma * (weights @ (a.value(x) * filters))) * sensors[:, None]


def recur(layer: nn.LSTM | nn.GRU, x: Tensor, hidden: Tensor) -> Tensor:
    """A recurrent layer without the recurrence from closed units: [N, T, I] to [N, T, H]."""
    p = dict(layer.named_parameters())
    state = x.new_zeros(1, len(x), len(hidden))
    weights = [p["weight_ih_l0"], p["weight_hh_l0"] * hidden, p["bias_ih_l0"], p["bias_hh_l0"]]
    options = (True, 1, 0.0, layer.training, False, True)
    y = (torch.gru(x, state, weights, *options)[0] if isinstance(layer, nn.GRU)
         else torch.lstm(x, (state, state), weights, *options)[0])
    return y * hidden


def joined(filters: Indices, sensors: Indices, width: int) -> list[int]:
    """Where the open features of the open sensors lie when [S, width] is laid out flat."""
    return [s * width + f for s in sensors for f in filters]


def cut_attention(a: SensorAttention, filters: list[int]) -> State:
    return {"attention.gamma": a.gamma, **{f"attention.{name}.weight": getattr(a, name).weight[filters][:, filters]
                                           for name in ("query", "key", "value")}}


def cut_recurrent(name: str, layer: nn.LSTM | nn.GRU, inputs: list[int], hidden: list[int]) -> State:
    """Weights of a recurrent layer; PyTorch stacks its gates."""
    weights = dict(layer.named_parameters())
    rows = [start + i for start in range(0, len(weights["bias_ih_l0"]), layer.hidden_size) for i in hidden]
    columns = {"weight_ih_l0": inputs, "weight_hh_l0": hidden}
    return {f"{name}.{n}": value[rows][:, columns[n]] if n in columns else value[rows]
            for n, value in weights.items()}


def cut_classifier(linear: nn.Linear, hidden: list[int]) -> State:
    return {"classifier.weight": linear.weight[:, hidden], "classifier.bias": linear.bias}


# By the names that a search allows them by; SuperDeepConvLstmTail, which wants one argument more, is apart.
RECURRENT: dict[str, type[SuperTinyHarTail] | type[SuperAttendTail]] = {
    "tinyhar": SuperTinyHarTail, "attend": SuperAttendTail}
