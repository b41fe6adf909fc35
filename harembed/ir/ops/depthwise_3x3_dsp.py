"""depthwise_conv_2d of 3 x 3 taps with stride 1 for the DSP instructions: weights of he_depthwise_3x3_s8_dsp."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from harembed.ir.ops.base import DspForm, Goal
from harembed.ir.ops.dot_dsp import WEIGHTS_8, WEIGHTS_16
from harembed.ir.ops.requantize_dsp import RequantizeS8, requantize_channels

CHANNELS_AT_ONCE = 4
SMALLEST = 4  # rows and columns of an output below which he_depthwise_conv_2d_s8_dsp is quicker


@dataclass(frozen=True, eq=False)
class Depthwise3x3DspParams:
    """Field names as in he_depthwise_3x3_s8_dsp_params."""

    input_h: int
    input_w: int
    channels: int
    output_h: int
    output_w: int
    pad_top: int
    pad_left: int
    line: int
    layout: int
    input_zero_point: int
    weights: np.ndarray  # uint32
    channel: np.ndarray  # [C, 4] int32
    requantize: RequantizeS8


def takes_3x3(p: Any) -> bool:
    """Whether the kernel serves a DepthwiseConv2DParams, and pays: not where most of a plane is border."""
    return ((p.filter_h, p.filter_w, p.stride_h, p.stride_w, p.dilation_h, p.dilation_w, p.depth_multiplier)
            == (3, 3, 1, 1, 1, 1, 1) and p.input_c >= CHANNELS_AT_ONCE and min(p.output_h, p.output_w) >= SMALLEST)


def strips_bytes(p: Any) -> int:
    """Scratch: two strips of four channels' pairs."""
    return 2 * CHANNELS_AT_ONCE * 4 * _line(p)


def depthwise_3x3_dsp(p: Any, weights: np.ndarray, bias: np.ndarray | None, goal: Goal) -> DspForm:
    """
    Parameters
    ----------
    p : DepthwiseConv2DParams
    weights : [1, 3, 3, C] int8
    bias : [C] int32
    """
    layout = WEIGHTS_16 if goal == "speed" else WEIGHTS_8
    by_channel = np.ascontiguousarray(weights.reshape(9, p.output_c).T)
    channels = requantize_channels(by_channel, bias, p.input_zero_point, p.multiplier, p.shift, p.output_zero_point,
                                   p.act_min, p.act_max, shift_weights=layout == WEIGHTS_16)
    params = Depthwise3x3DspParams(
        input_h=p.input_h, input_w=p.input_w, channels=p.output_c, output_h=p.output_h, output_w=p.output_w,
        pad_top=p.pad_top, pad_left=p.pad_left, line=_line(p),
        layout=layout, input_zero_point=p.input_zero_point, weights=_packed(channels.weights, layout),
        channel=channels.words, requantize=channels.requantize,
    )
    return DspForm("he_depthwise_3x3_s8_dsp", params, inline=goal != "size")


def _line(p: Any) -> int:
    """Input columns that the output reads, those outside included."""
    return p.output_w + 2


def _packed(weights: np.ndarray, layout: int) -> np.ndarray:
    """[C, 9] in the order of he_depthwise_3x3_s8_dsp.h."""
    c = len(weights)
    starts = [min(first, c - CHANNELS_AT_ONCE) for first in range(0, c, CHANNELS_AT_ONCE)]
    fours = np.concatenate([weights[s : s + CHANNELS_AT_ONCE] for s in starts])
    rows = fours.reshape(-1, 3, 3).transpose(0, 2, 1)  # [channel, column, row]
    order = [0, 1, 1, 2]  # two pairs of int16, or bytes 0, 2 of one pair and 1, 3 of the other: the same
    kind = "<i2" if layout == WEIGHTS_16 else "<i1"
    return np.ascontiguousarray(rows[:, :, order].astype(kind)).ravel().view("<u4").astype(np.uint32)
