"""Fake quantisation to TFLite's int8 semantics: floats that can only take the values that the integers can.

Activations: per tensor, asymmetric int8. Weights: symmetric in [-127, 127], per output channel or per tensor.
Biases: int32 at input scale times weight scale. Gradients pass straight through rounding and stop where a value
was clipped (Bengio et al. 2013).

A quantised layer takes and returns a Signal, so that it knows the scale of its input. All layers of a network
share one Mode:

FLOAT      no quantisation: the network that the integers approximate
CALIBRATE  as FLOAT, while every quantiser collects what it sees
INT8       fake-quantised, for training and for evaluation
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import torch
from torch import Tensor, nn

_SAMPLES = 200  # values of each window that a quantiser keeps of one call to choose its range from


# Axes here to those of the integer graph: of a convolution's [N, F, S, T], and of an input [N, 1, S, T] whose sensors
# are filters; "same" is the same, but for axes of length 1.
LAYOUTS = {"nfst": (0, 2, 3, 1), "sensors_last": (0, 1, 3, 2), "same": None}


class Mode(StrEnum):
    FLOAT = "float"
    CALIBRATE = "calibrate"
    INT8 = "int8"


class Switched(nn.Module):
    """A module that computes differently in each Mode."""

    def __init__(self) -> None:
        super().__init__()
        self.mode = Mode.FLOAT


class Quantizer(Switched):
    """Fake-quantises one activation tensor.

    Parameters
    ----------
    name : of the tensor in the integer graph
    layout : how the axes here become those of the integer graph; one of LAYOUTS
    fixed : (scale, zero_point) that TFLite prescribes, or None: chosen by calibration
    bits : 8 or 16; 16 is symmetric with a power of two as scale (an LSTM's cell)
    """

    scale: Tensor  # [] float32
    zero_point: Tensor  # [] int32

    def __init__(self, name: str, layout: str = "same", fixed: tuple[float, int] | None = None,
                 bits: int = 8) -> None:
        super().__init__()
        self.name, self.layout, self.fixed, self.bits = name, layout, fixed is not None, bits
        self.tap: Tensor | None = None  # the last value seen, where `record` is set
        self.record = False
        self.sharing: list[Quantizer] = [self]  # who has the same range; see share_range
        self._seen: list[Tensor] = []
        scale, zero_point = fixed or (float("nan"), 0)  # not a number until calibrated
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32))
        self.register_buffer("zero_point", torch.tensor(zero_point, dtype=torch.int32))

    def forward(self, x: Tensor, unit: Tensor | None = None) -> Tensor:
        """Quantise x as the mode says.

        Parameters
        ----------
        unit : what 1 in the integer accumulator behind x stands for, broadcastable to x: input scale times weight
            scale. Given, evaluation rounds twice, as the integers do; training leaves out that costly nicety
        """
        if self.mode is Mode.INT8:
            if unit is not None and not self.training:
                x = twice_rounded(x, self.scale, unit)
            x = fake_quantise(x, self.scale, self.zero_point, self.bits)
        elif self.mode is Mode.CALIBRATE and not self.fixed:
            flat = x.detach().flatten(1)
            # An odd stride meets all phases of axes that are powers of two long.
            self._seen.append(flat[:, :: (flat.shape[1] // _SAMPLES) | 1])
        if self.record:
            self.tap = x.detach()
        return x

    def in_graph(self, x: Tensor) -> Tensor:
        """A value of this tensor with the axes of the integer graph."""
        order = LAYOUTS[self.layout]
        return x if order is None else x.permute(order)

    def choose_range(self) -> None:
        """Set scale and zero point from all that was seen since the last time, by whomever shares them."""
        seen = [values for q in self.sharing for values in q._seen]
        if self.fixed or not seen:
            return
        values = torch.cat(seen, 1)
        if self.bits == 16:
            largest = max(float(values.abs().max()), 2.0**-15)
            # A little room: 16 bits are plenty, and a cell that saturates forgets.
            power = int(torch.tensor(largest * 1.25 / 32767.0).log2().ceil())
            scale, zero_point = 2.0 ** max(power, -15), 0
        else:
            scale, zero_point = best_int8_range(values)
        self.set_range(scale, zero_point)

    def set_range(self, scale: float, zero_point: int) -> None:
        """This range, for all who share it."""
        for q in self.sharing:
            q.scale.fill_(scale)
            q.zero_point.fill_(zero_point)
            q._seen = []


class Signal(NamedTuple):
    """A value on its way through a quantised network, and the quantiser that it went through."""

    value: Tensor
    quantizer: Quantizer


def fake_quantise(x: Tensor, scale: Tensor, zero_point: Tensor, bits: int = 8) -> Tensor:
    """Round to the values that an integer of `bits` can hold, and clip."""
    half = 2 ** (bits - 1)
    return torch.fake_quantize_per_tensor_affine(x, scale, zero_point, -half, half - 1)


def twice_rounded(x: Tensor, scale: Tensor, unit: Tensor) -> Tensor:
    """The first of the two roundings of TFLite's requantisation, so that the second one falls the same way.

    The integers multiply by a mantissa in [0.5, 1), round, then divide by a power of two and round again, ties
    away from zero. Where that power is small (a first layer over few taps), values that come back at every time
    step, as a resting sensor's do, land on the other side of a tie, all of them.
    """
    ratio = unit / scale
    step = scale * torch.ldexp(torch.ones_like(ratio), torch.frexp(ratio).exponent.clamp_max(0))
    rounded = (x / step).round()
    # A quarter of a step sends exact ties away from zero in the second rounding and changes nothing else.
    return (rounded + 0.25 * rounded.sign()) * step


def int8_qparams(low: float, high: float) -> tuple[float, int]:
    """(scale, zero_point) for real values from `low` to `high`; 0 becomes exactly representable."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = max((high - low) / 255.0, 1e-7)  # a tensor that is always 0 still needs a positive scale
    return scale, max(-128, min(127, round(-128 - low / scale)))


def best_int8_range(values: Tensor) -> tuple[float, int]:
    """The (scale, zero_point) with the smallest noise-to-signal ratio, clipping counted, averaged over windows.

    The ratio is taken window by window because one range serves people who run and people who sit: squared error
    alone would be spent on peaks, while a resting sensor's constant values keep one rounding error for the whole
    window. On UCI-HAR this halves the deviation of logits for the postures.

    Each end of the range is drawn in, first the upper, then the lower, then the upper again.

    Parameters
    ----------
    values : [windows, samples] float
    """
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    power = values.square().mean(1)
    weight = 1.0 / (power + 0.01 * power.mean() + 1e-30)  # windows of silence do not count without bound
    shares = [1.0 - 0.025 * i for i in range(37)]
    best_low, best_high = low, high

    def error(a: float, b: float) -> float:
        scale, zero_point = int8_qparams(a, b)
        q = torch.fake_quantize_per_tensor_affine(values, scale, zero_point, -128, 127)
        return float(((q - values).square().mean(1) * weight).mean())

    for end in ("high", "low", "high"):
        if end == "high" and high > 0.0:
            best_high = min((error(best_low, high * s), high * s) for s in shares)[1]
        if end == "low" and low < 0.0:
            best_low = min((error(low * s, best_high), low * s) for s in shares)[1]
    return int8_qparams(best_low, best_high)


def weight_scales(weight: Tensor, groups: int, bias: Tensor | None = None,
                  input_scale: Tensor | None = None) -> Tensor:
    """[groups] float32 scales of a weight whose first axis splits into `groups` equal parts.

    The largest magnitude becomes 127. Where weights all but vanish beside their bias (a filter that was pruned),
    the scale is kept large enough for the bias to fit into int32.
    """
    scales = weight.detach().reshape(groups, -1).abs().amax(1) / 127.0
    if bias is not None and input_scale is not None:
        largest = bias.detach().reshape(groups, -1).abs().amax(1)
        scales = torch.maximum(scales, largest / (input_scale * 2.0**30))
    return scales.clamp_min(1e-9)


def fake_quantise_weight(weight: Tensor, scales: Tensor) -> Tensor:
    """Symmetric int8 by `scales` [groups] along the first axis."""
    grouped = weight.reshape(len(scales), -1)
    zeros = torch.zeros(len(scales), dtype=torch.int32, device=scales.device)
    return torch.fake_quantize_per_channel_affine(grouped, scales, zeros, 0, -127, 127).view_as(weight)


def fake_quantise_bias(bias: Tensor, scales: Tensor, input_scale: Tensor) -> Tensor:
    """int32 at input_scale * scales; bias [O], scales [O] or [groups] with O a multiple."""
    step = (scales * input_scale).repeat_interleave(len(bias) // len(scales))
    return bias + ((bias / step).round() * step - bias).detach()


def integer_weight(weight: Tensor, scales: Tensor) -> Tensor:
    """The int8 numbers behind fake_quantise_weight, of weight's shape."""
    rounded = fake_quantise_weight(weight.detach(), scales).reshape(len(scales), -1) / scales[:, None]
    return rounded.round().to(torch.int8).view(weight.shape)


def integer_bias(bias: Tensor, scales: Tensor, input_scale: Tensor) -> Tensor:
    """The int32 numbers behind fake_quantise_bias."""
    step = (scales * input_scale).repeat_interleave(len(bias) // len(scales))
    return (bias.detach() / step).round().to(torch.int32)


def share_range(parts: Sequence[Quantizer]) -> None:
    """From the next choice of ranges on, let tensors, and all that share with one of them already, have one range."""
    if all(part.sharing is parts[0].sharing for part in parts):
        return
    together = list(dict.fromkeys(q for part in parts for q in part.sharing))
    for q in together:
        q.sharing = together


def set_mode(model: nn.Module, mode: Mode) -> None:
    """Switch all quantisers and quantised layers of a network."""
    for module in model.modules():
        if isinstance(module, Switched):
            module.mode = mode


def quantizers(model: nn.Module) -> list[Quantizer]:
    """All quantisers of a network, in the order of its layers."""
    return [m for m in model.modules() if isinstance(m, Quantizer)]
