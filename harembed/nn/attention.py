"""The attention blocks of Attend-and-Discriminate (Abedin et al., IMWUT 2021) and TinyHAR (Zhou et al., ISWC 2022):
across sensors, where both have the same one, and over time."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SensorAttention(nn.Module):
    """Self-attention across sensor channels at every time step, added to its input with a learnt weight.

    As the authors' code has it: no scaling by the square root of the width, and the softmax runs over the
    *first* axis of the score matrix, so each column (one key) is a distribution over queries. With q, k, v of
    [S, F]: out = x + gamma * softmax_columns(q k^T)^T v. Computed as softmax_rows(k q^T) v, which is the same
    and needs no transposition of the scores.

    Input [N, F, S, T], output [N, T, S, F].
    """

    def __init__(self, filters: int) -> None:
        super().__init__()
        self.query = nn.Linear(filters, filters, bias=False)
        self.key = nn.Linear(filters, filters, bias=False)
        self.value = nn.Linear(filters, filters, bias=False)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 3, 2, 1)
        scores = self.key(x) @ self.query(x).transpose(2, 3)
        return x + self.gamma * (F.softmax(scores, dim=3) @ self.value(x))


class SensorFusion(nn.Module):
    """Mix all sensors at every time step by a dense layer with ReLU: [N, T, S, F] to [N, T, hidden]."""

    def __init__(self, sensors: int, filters: int, hidden: int) -> None:
        super().__init__()
        self.dense = nn.Linear(sensors * filters, hidden)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.dense(x.flatten(2)))


class TemporalAggregation(nn.Module):
    """Weighted sum over time, added to the last step with a learnt weight: [N, T, H] to [N, H].

    Weights are softmax over time of fc_2(tanh(fc_1(x))).
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.fc_1 = nn.Linear(hidden, hidden)
        self.fc_2 = nn.Linear(hidden, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        weights = F.softmax(self.fc_2(torch.tanh(self.fc_1(x))), dim=1)
        return x[:, -1] + self.gamma * (weights * x).sum(1)


class TemporalAttention(nn.Module):
    """Abedin et al.'s weighted sum over time, [N, T, H] to [N, H]: weights are softmax over time of a linear layer.

    Its bias is left out: the softmax takes it away again.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.fc = nn.Linear(hidden, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return (F.softmax(self.fc(x), dim=1) * x).sum(1)
