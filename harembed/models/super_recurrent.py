"""The recurrent tails of the super-net. A closed gate stands for a channel, filter or feature that does not exist:
each place where it would leave a trace (a bias, a softmax, a recurrent weight) is masked, so that the derived
network, which was cut physically, computes the same. What was cut before (ChannelGate.cut) is not computed at all."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harembed.models.mixed_conv import FILTER_SPREAD
from harembed.nn.attention import SensorAttention, SensorFusion, TemporalAggregation, TemporalAttention
from harembed.nn.centres import Centres
from harembed.nn.gates import ChannelGate, Kept, take
from harembed.nn.gru import Gru
from harembed.nn.lstm import Lstm
from harembed.space import AttendTail, DeepConvLstmTail, RecurrentTail, TinyHarTail

State = dict[str, Tensor]


class SuperRecurrentTail(nn.Module):
    """A published tail with a gate on its hidden features.

    Attributes
    ----------
    gate : ChannelGate    on hidden features
    """

    gate: ChannelGate

    def forward(self, x: Tensor, filters: Kept, sensors: Kept) -> Tensor:
        """[N, filters, sensors, length], closed filters and sensors zero, and which these are, to logits
        [N, classes]."""
        raise NotImplementedError

    def derived(self) -> RecurrentTail:
        """What is left under the gate."""
        raise NotImplementedError

    def cut(self, filters: Tensor, sensors: Tensor, hidden: Tensor) -> State:
        """The weights of what is left of it, by their names in harembed.models.network, with gradients.

        Parameters
        ----------
        filters, sensors, hidden : [K] int64    indices of what is left
        """
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

    def forward(self, x: Tensor, filters: Kept, sensors: Kept) -> Tensor:
        hidden = self.gate.kept().to(x.device)
        w = self.cut(filters.indices, sensors.indices, hidden.indices)
        x = self.dropout(attend(w, x, filters.mask, sensors.mask)).flatten(2)
        x = F.relu(F.linear(x, w["fusion.dense.weight"], w["fusion.dense.bias"])) * hidden.mask
        x = recur(w, "lstm.lstm", x, hidden.mask, self.training)
        scores = torch.tanh(F.linear(x, w["aggregation.fc_1.weight"], w["aggregation.fc_1.bias"])) * hidden.mask
        weights = F.softmax(F.linear(scores, w["aggregation.fc_2.weight"]), dim=1)
        return classify(w, x[:, -1] + w["aggregation.gamma"] * (weights * x).sum(1))

    def derived(self) -> TinyHarTail:
        return TinyHarTail(len(self.gate.open()))

    def cut(self, filters: Tensor, sensors: Tensor, hidden: Tensor) -> State:
        a, joint = self.aggregation, joined(filters, sensors, self.attention.query.in_features)
        return {
            **cut_attention(self.attention, filters), **cut_linear("fusion.dense", self.fusion.dense, hidden, joint),
            **cut_recurrent("lstm.lstm", self.lstm.lstm, hidden, hidden),
            **cut_linear("aggregation.fc_1", a.fc_1, hidden, hidden),
            "aggregation.fc_2.weight": take(a.fc_2.weight, 1, hidden), "aggregation.gamma": a.gamma,
            **cut_classifier(self.linear, hidden),
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

    def forward(self, x: Tensor, filters: Kept, sensors: Kept) -> Tensor:
        hidden = self.gate.kept().to(x.device)
        w = self.cut(filters.indices, sensors.indices, hidden.indices)
        x = x.permute(0, 3, 2, 1).flatten(2)  # what is closed is 0 and adds nothing
        for i in range(len(self.layers)):
            x = recur(w, f"lstm{i}.lstm", x, hidden.mask, self.training)
        return classify(w, self.dropout(x[:, -1]))

    def derived(self) -> DeepConvLstmTail:
        return DeepConvLstmTail(len(self.gate.open()), len(self.layers))

    def cut(self, filters: Tensor, sensors: Tensor, hidden: Tensor) -> State:
        state = cut_classifier(self.linear, hidden)
        for i, layer in enumerate(self._lstms()):
            inputs = joined(filters, sensors, self.filters) if i == 0 else hidden
            state |= cut_recurrent(f"lstm{i}.lstm", layer, inputs, hidden)
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

    def forward(self, x: Tensor, filters: Kept, sensors: Kept) -> Tensor:
        hidden = self.gate.kept().to(x.device)
        w = self.cut(filters.indices, sensors.indices, hidden.indices)
        x = attend(w, x, filters.mask, sensors.mask).flatten(2)
        for name in ("gru0.gru", "gru1.gru"):
            x = recur(w, name, x, hidden.mask, self.training)
        weights = F.softmax(F.linear(x, w["temporal.fc.weight"]), dim=1)
        return classify(w, self.dropout((weights * x).sum(1)))

    def derived(self) -> AttendTail:
        return AttendTail(len(self.gate.open()))

    def cut(self, filters: Tensor, sensors: Tensor, hidden: Tensor) -> State:
        inputs = joined(filters, sensors, self.attention.query.in_features)
        return {**cut_attention(self.attention, filters), **cut_recurrent("gru0.gru", self.gru0.gru, inputs, hidden),
                **cut_recurrent("gru1.gru", self.gru1.gru, hidden, hidden),
                "temporal.fc.weight": take(self.temporal.fc.weight, 1, hidden),
                "centres.centres": take(self.centres.centres, 1, hidden), **cut_classifier(self.linear, hidden)}


def attend(w: State, x: Tensor, filters: Tensor, sensors: Tensor) -> Tensor:
    """SensorAttention.forward over the open sensors and filters: [N, F, S, T] to [N, T, S, F]."""
    x = x.permute(0, 3, 2, 1)
    query, key, value = (F.linear(x, w[f"attention.{name}.weight"]) * filters for name in ("query", "key", "value"))
    scores = key @ query.transpose(2, 3)
    weights = torch.exp(scores - scores.detach().amax(3, keepdim=True)) * sensors
    weights = weights / weights.sum(3, keepdim=True).clamp_min(1e-30)
    return (x + w["attention.gamma"] * (weights @ value)) * sensors[:, None]


def recur(w: State, name: str, x: Tensor, hidden: Tensor, training: bool) -> Tensor:
    """A recurrent layer without the recurrence from closed units: [N, T, I] to [N, T, H]."""
    state = x.new_zeros(1, len(x), len(hidden))
    weights = [w[f"{name}.{part}_l0"] for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    weights[1] = weights[1] * hidden
    options = (True, 1, 0.0, training, False, True)
    y = (torch.gru(x, state, weights, *options)[0] if name.endswith("gru")
         else torch.lstm(x, (state, state), weights, *options)[0])
    return y * hidden


def classify(w: State, x: Tensor) -> Tensor:
    return F.linear(x, w["classifier.weight"], w["classifier.bias"])


def joined(filters: Tensor, sensors: Tensor, width: int) -> Tensor:
    """Where the features that are left of the sensors that are left lie when [S, width] is laid out flat."""
    return (sensors[:, None] * width + filters).flatten()


def cut_attention(a: SensorAttention, filters: Tensor) -> State:
    return {"attention.gamma": a.gamma,
            **{f"attention.{name}.weight": take(take(getattr(a, name).weight, 0, filters), 1, filters)
               for name in ("query", "key", "value")}}


def cut_linear(name: str, linear: nn.Linear, outputs: Tensor, inputs: Tensor) -> State:
    return {f"{name}.weight": take(take(linear.weight, 0, outputs), 1, inputs),
            f"{name}.bias": take(linear.bias, 0, outputs)}


def cut_recurrent(name: str, layer: nn.LSTM | nn.GRU, inputs: Tensor, hidden: Tensor) -> State:
    """Weights of a recurrent layer; PyTorch stacks its gates."""
    weights = dict(layer.named_parameters())
    starts = torch.arange(0, len(weights["bias_ih_l0"]), layer.hidden_size, device=hidden.device)
    rows = joined(hidden, starts, 1)
    columns = {"weight_ih_l0": inputs, "weight_hh_l0": hidden}
    return {f"{name}.{n}": take(take(value, 0, rows), 1, columns[n]) if n in columns else take(value, 0, rows)
            for n, value in weights.items()}


def cut_classifier(linear: nn.Linear, hidden: Tensor) -> State:
    return {"classifier.weight": take(linear.weight, 1, hidden), "classifier.bias": linear.bias}


# By the names that a search allows them by; SuperDeepConvLstmTail, which wants one argument more, is apart.
RECURRENT: dict[str, type[SuperTinyHarTail] | type[SuperAttendTail]] = {
    "tinyhar": SuperTinyHarTail, "attend": SuperAttendTail}
