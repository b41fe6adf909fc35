"""depthwise_conv_2d of 3 x 3 taps with stride 1 for the DSP instructions: weights of he_depthwise_3x3_s8_dsp."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from harembed.ir.ops.base import DspForm, Goal
from harembed.ir.ops.dot_dsp import WEIGHTS_8, WEIGHTS_16
from harembed.ir.ops.requantize_dsp import UPWARD, RequantizeS8, requantize_channels

CHANNELS_AT_ONCE = 4
LINE_START = 1  # of a line of one channel, in steps of two columns by two rows
SMALLEST = 4  # rows and columns of an output below which he_depthwise_conv_2d_s8_dsp is quicker


@dataclass(frozen=True, eq=False)
class Depthwise3x3DspParams:
    """Field names as in he_depthwise_3x3_s8_dsp_params."""

    channels: int
    input_rows: int
    input_columns: int
    input_row_step: int
    input_column_step: int
    output_rows: int
    output_columns: int
    output_row_step: int
    output_column_step: int
    pad_top: int
    pad_left: int
    assembled: int
    all_strips: int
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
    return 2 * CHANNELS_AT_ONCE * 4 * (_axes(p)[1].outputs + 2)


def depthwise_3x3_dsp(p: Any, weights: np.ndarray, bias: np.ndarray | None, goal: Goal, room: int) -> DspForm:
    """
    Parameters
    ----------
    p : DepthwiseConv2DParams
    weights : [1, 3, 3, C] int8
    bias : [C] int32
    room : bytes of scratch memory that are there; strips_bytes or more
    """
    layout = WEIGHTS_16 if goal == "speed" else WEIGHTS_8
    by_channel = np.ascontiguousarray(weights.reshape(9, p.output_c).T)
    channels = requantize_channels(by_channel, bias, p.input_zero_point, p.multiplier, p.shift, p.output_zero_point,
                                   p.act_min, p.act_max, shift_weights=layout == WEIGHTS_16)
    taps = channels.weights.reshape(-1, 3, 3)
    rows, columns = _axes(p)
    all_strips = strips_bytes(p) // 2 * (1 + -(-rows.outputs // 2))
    assembled = layout == WEIGHTS_16 and _assembled(channels.requantize, rows, columns)
    every = assembled and room >= all_strips
    params = Depthwise3x3DspParams(
        channels=p.output_c, input_rows=rows.inputs, input_columns=columns.inputs, input_row_step=rows.input_step,
        input_column_step=columns.input_step, output_rows=rows.outputs, output_columns=columns.outputs,
        output_row_step=rows.output_step, output_column_step=columns.output_step, pad_top=rows.pad,
        pad_left=columns.pad, assembled=int(assembled), all_strips=int(every), line=columns.outputs + 2,
        layout=layout, input_zero_point=p.input_zero_point,
        weights=_packed(taps.transpose(0, 2, 1) if _turned(p) else taps, layout), channel=channels.words,
        requantize=channels.requantize,
    )
    return DspForm("he_depthwise_3x3_s8_dsp", params, inline=goal != "size", borrows=all_strips if every else 0)


@dataclass(frozen=True)
class _Axis:
    inputs: int
    outputs: int
    pad: int
    input_step: int  # bytes
    output_step: int


def _axes(p: Any) -> tuple[_Axis, _Axis]:
    """Rows and columns of the kernel."""
    h = _Axis(p.input_h, p.output_h, p.pad_top, p.input_w * p.input_c, p.output_w * p.output_c)
    w = _Axis(p.input_w, p.output_w, p.pad_left, p.input_c, p.output_c)
    return (w, h) if _turned(p) else (h, w)


def _assembled(r: RequantizeS8, rows: _Axis, columns: _Axis) -> bool:
    """Whether he_depthwise_3x3_asm.h computes it: it has one way to requantise, and offsets within instructions."""
    return (r.form == UPWARD and r.shifted == 1 and r.sum_shift == 0 and (r.act_min, r.act_max) == (-128, 127)
            and 16 * (columns.outputs + 2) + 8 <= 1020
            and 2 * rows.output_step + columns.outputs * columns.output_step <= 4095)


def _turned(p: Any) -> bool:
    """Whether lines go down the image: they cost a start each, and of both axes an odd one wastes a half."""

    def work(rows: int, columns: int) -> int:
        return -(-rows // 2) * (LINE_START + -(-columns // 2))

    return work(p.output_w, p.output_h) < work(p.output_h, p.output_w)


def _packed(weights: np.ndarray, layout: int) -> np.ndarray:
    """[C, row, column] in the order of he_depthwise_3x3_s8_dsp.h."""
    c = len(weights)
    starts = [min(first, c - CHANNELS_AT_ONCE) for first in range(0, c, CHANNELS_AT_ONCE)]
    fours = np.concatenate([weights[s : s + CHANNELS_AT_ONCE] for s in starts])
    columns = fours.transpose(0, 2, 1)
    order = [0, 1, 1, 2]  # of a column: two pairs of int16, or bytes 0, 2 of one pair and 1, 3 of the other: the same
    kind = "<i2" if layout == WEIGHTS_16 else "<i1"
    return np.ascontiguousarray(columns[:, :, order].astype(kind)).ravel().view("<u4").astype(np.uint32)
