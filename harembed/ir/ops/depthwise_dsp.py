"""depthwise_conv_2d for the DSP instructions: packed weights of he_depthwise_conv_2d_s8_dsp.

With one input channel it is a convolution and computed as one. With several outputs of each of several input channels
the portable kernel serves.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from harembed.ir.ops.base import DspForm, Goal
from harembed.ir.ops.conv_dsp import inner_outputs
from harembed.ir.ops.requantize_dsp import UPWARD, Channels, RequantizeS8, requantize_channels


@dataclass(frozen=True, eq=False)
class DepthwiseConv2DDspParams:
    """Field names as in he_depthwise_conv_2d_s8_dsp_params."""

    input_h: int
    input_w: int
    channels: int
    filter_h: int
    filter_w: int
    output_h: int
    output_w: int
    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int
    pad_top: int
    pad_left: int
    inner_top: int
    inner_rows: int
    inner_left: int
    inner_columns: int
    layout: int
    input_zero_point: int
    weights: np.ndarray  # uint32
    channel: np.ndarray  # [C, 4] int32
    two: np.ndarray | None  # uint32
    own_border: int
    requantize: RequantizeS8


def depthwise_dsp(p: Any, weights: np.ndarray, bias: np.ndarray | None, goal: Goal) -> DspForm:
    """
    Parameters
    ----------
    p : DepthwiseConv2DParams    of depth multiplier 1
    weights : [1, KH, KW, C] int8
    bias : [C] int32
    """
    by_channel = np.ascontiguousarray(weights.reshape(-1, p.output_c).T)
    channels = requantize_channels(by_channel, bias, p.input_zero_point, p.multiplier, p.shift, p.output_zero_point,
                                   p.act_min, p.act_max, shift_weights=True)
    words = channels.words.copy()
    # The kernel subtracts the zero_point from each input: taps outside are then left out.
    words[:, 0] += (p.input_zero_point * channels.weights.sum(axis=1)).astype(np.int32)
    inner_top, inner_rows = inner_outputs(p.input_h, p.filter_h, p.stride_h, p.dilation_h, p.pad_top, p.output_h)
    inner_left, inner_columns = inner_outputs(p.input_w, p.filter_w, p.stride_w, p.dilation_w, p.pad_left, p.output_w)
    # Code of its own for the last row and column where no other reaches beyond the input.
    own_border = (goal == "speed" and (p.dilation_h, p.dilation_w, inner_top, inner_left) == (1, 1, 0, 0)
                  and inner_rows >= p.output_h - 1 and inner_columns >= p.output_w - 1)
    params = DepthwiseConv2DDspParams(
        input_h=p.input_h, input_w=p.input_w, channels=p.output_c, filter_h=p.filter_h, filter_w=p.filter_w,
        output_h=p.output_h, output_w=p.output_w, stride_h=p.stride_h, stride_w=p.stride_w, dilation_h=p.dilation_h,
        dilation_w=p.dilation_w, pad_top=p.pad_top, pad_left=p.pad_left, inner_top=inner_top, inner_rows=inner_rows,
        inner_left=inner_left, inner_columns=inner_columns, layout=0, input_zero_point=p.input_zero_point,
        weights=_packed(channels.weights), channel=words,
        two=_two(p, channels) if own_border else None, own_border=int(own_border), requantize=channels.requantize,
    )
    return DspForm("he_depthwise_conv_2d_s8_dsp", params, inline=goal != "size")


def _two(p: Any, channels: Channels) -> np.ndarray | None:
    """Four channels after the other for he_depthwise_two_asm.h; None where that does not compute it."""
    r, taps = channels.requantize, (p.filter_h, p.filter_w)
    farthest = (2 * p.dilation_h * p.input_w + 2 * p.dilation_w + p.stride_w) * p.input_c
    if (taps != (3, 3) or p.output_c % 4 or r.form != UPWARD or not r.shifted or r.sum_shift or farthest > 4095
            or (r.act_min, r.act_max) != (-128, 127)):
        return None
    start = channels.words[:, 0].reshape(-1, 4).view(np.uint32)
    weights = _packed(channels.weights).reshape(len(start), -1)
    scale = np.ascontiguousarray(channels.words[:, 1:3]).reshape(len(start), -1).view(np.uint32)
    return np.concatenate([start, weights, scale], axis=1).ravel()


def _packed(weights: np.ndarray) -> np.ndarray:
    """[C, taps] in the order of he_depthwise_conv_2d_s8_dsp.h."""
    fours = weights[: len(weights) // 4 * 4].reshape(-1, 4, weights.shape[1])
    pairs = fours[:, [0, 2, 1, 3]].transpose(0, 2, 1).astype("<i2")  # [four, tap, channel]
    words = np.ascontiguousarray(pairs).ravel().view("<u4")
    rest = weights[len(weights) // 4 * 4 :].ravel().astype(np.int64) & 0xFFFF
    return np.concatenate([words, rest]).astype(np.uint32)
