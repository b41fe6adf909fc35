"""Layers between convolutions and recurrence: they move values and compute none."""

from torch import Tensor, nn


class TimeFirst(nn.Module):
    """[N, F, S, T] of a first stage to [N, T, S, F]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 3, 2, 1)


class JoinSensors(nn.Module):
    """The features of all sensors side by side at every time step: [N, T, S, F] to [N, T, S * F]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2)


class LastStep(nn.Module):
    """What a recurrent layer says after the whole window: [N, T, H] to [N, H]."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, -1]
