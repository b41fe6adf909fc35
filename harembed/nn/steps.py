"""Layers in front of and behind convolutions: they move values and compute none."""

from torch import Tensor, nn


class SensorsAsFilters(nn.Module):
    """[N, 1, S, T] to [N, S, 1, T]: behind it, a convolution over time sees all sensors.

    The first layer of a network, if at all; the integer graph gets its input in this order."""

    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2)


class TimeFirst(nn.Module):
    """[N, F, S, T] of a first stage to [N, T, S, F]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 3, 2, 1)


class JoinSensors(nn.Module):
    """The features of all sensors side by side at every time step: [N, T, S, F] to [N, T, S * F]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2)


class Flatten(nn.Module):
    """All features in a row, sensor by sensor and sample by sample: [N, F, S, T] to [N, S * T * F]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


class LastStep(nn.Module):
    """What a recurrent layer says after the whole window: [N, T, H] to [N, H]."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, -1]
