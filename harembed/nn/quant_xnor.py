"""XnorConvNorm's quantised twin: thresholds on the int8 input, signs as weights, one scale for each filter."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harembed.nn.quant import Mode, Quantizer, Signal, Switched, fake_quantise_bias
from harembed.nn.temporal import conv_over_time
from harembed.nn.xnor import XnorConvNorm, sign
from harembed.space import Padding

_LEAST_GAIN = 1e-6  # a scale must be positive
_NEVER = 128  # a threshold that no int8 reaches


class QuantXnor(Switched):
    """[N, F, S, T]; the norm in front stays an affine map of each channel, whose zero is the threshold."""

    def __init__(self, layer: XnorConvNorm, name: str) -> None:
        super().__init__()
        gain, shift = _affine(layer.before)
        self.slope, self.shift = nn.Parameter(gain), nn.Parameter(shift)
        self.weight = nn.Parameter(layer.conv.weight.detach().clone())
        behind, bias = _affine(layer.norm)
        self.gain = nn.Parameter(behind * layer.magnitudes().detach().flatten())
        self.bias = nn.Parameter(bias)
        self.stride = layer.stride
        self.padding: Padding = layer.padding
        self.relu = layer.relu
        self.out = Quantizer(name, "nfst")

    def signs(self) -> Tensor:
        """[n, C, KH, KW] of -1 and 1: those of the weights, turned where the slope in front or the gain behind is
        negative."""
        turned = torch.where(self.slope < 0, -1.0, 1.0).view(1, -1, 1, 1)
        return (sign(self.weight.detach()) * turned
                * torch.where(self.gain < 0, -1.0, 1.0).view(-1, 1, 1, 1)).to(torch.int8)

    def thresholds(self, scale: Tensor, zero_point: int) -> Tensor:
        """[C] int16: the least int8 whose sign is +1 after the turn; _NEVER if there is none.

        The affine map is monotonic, so it is enough to try all 256 values as evaluation computes them.

        Parameters
        ----------
        scale, zero_point : of what the layer reads
        """
        values = (torch.arange(-128, 128) - zero_point) * scale
        positive = values[None] * self.slope.detach()[:, None] + self.shift.detach()[:, None] >= 0
        reached = positive ^ (self.slope.detach() < 0)[:, None]
        first = torch.where(reached.any(1), reached.to(torch.int8).argmax(1) - 128, _NEVER)
        return first.to(torch.int16)

    def scales(self) -> Tensor:
        """[n] float32, of the sums of signs; large enough for the bias to fit into int32."""
        return torch.maximum(self.gain.detach().abs(), (self.bias.detach().abs() / 2.0**30).clamp_min(_LEAST_GAIN))

    def forward(self, x: Signal) -> Signal:
        one = torch.ones(())
        scales = self.scales()
        int8 = self.mode is Mode.INT8
        bias = fake_quantise_bias(self.bias, scales, one) if int8 else self.bias
        seen = sign(x.value * self.slope.view(-1, 1, 1) + self.shift.view(-1, 1, 1))
        y = conv_over_time(seen, sign(self.weight), None, self.stride, self.padding)
        gain = torch.where(self.gain < 0, -1.0, 1.0) * torch.maximum(self.gain.abs(), scales) if int8 else self.gain
        y = y * gain.view(-1, 1, 1) + bias.view(-1, 1, 1)
        return Signal(self.out(F.relu(y) if self.relu else y, scales.view(-1, 1, 1) if int8 else None), self.out)


def _affine(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """(slope, shift) [C] of a batch norm in evaluation."""
    assert norm.running_mean is not None and norm.running_var is not None
    slope = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return slope.detach().clone(), (norm.bias - norm.running_mean * slope).detach().clone()
