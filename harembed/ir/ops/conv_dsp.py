"""conv_2d for the DSP instructions: geometry, scratch and packed weights of he_conv_2d_s8_dsp."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from harembed.ir.ops.base import DspForm, Goal
from harembed.ir.ops.dot_dsp import (
    TILE_POSITIONS,
    WEIGHTS_8,
    WEIGHTS_16,
    DotS8,
    dot_row,
    dot_tile,
    pairs_of_run,
    run_order,
)
from harembed.ir.ops.requantize_dsp import requantize_channels

WIDE_WEIGHTS = 512  # a filter up to this size is kept as int16 in "balanced": most quickness for least flash


@dataclass(frozen=True)
class Geometry:
    """Field names as in he_geometry."""

    input_h: int
    input_w: int
    input_c: int
    output_w: int
    stride_h: int
    stride_w: int
    pad_top: int
    pad_left: int
    rows: int
    row_dilation: int
    segments: int
    column_dilation: int
    columns: int
    paired: int
    zero_point: int


@dataclass(frozen=True, eq=False)
class Conv2DDspParams:
    """Field names as in he_conv_2d_s8_dsp_params."""

    geometry: Geometry
    positions: int
    inner_top: int
    inner_rows: int
    inner_left: int
    inner_columns: int
    layout: int
    own_border: int
    tile: int
    dot: DotS8


def conv_scratch_bytes(kernel_elements: Any, channels: Any) -> Any:
    """Enough for a tile and for the run beside it: 9 bytes a tap and a little for what fills up pairs and words.

    A bound that is linear in the sizes, because searches reckon with it before they know a network's shapes: 4
    positions of int16, each run up to one tap longer than it is, and one run of int8. Sizes may be tensors with
    gradients, which rounding up to whole words leaves as they are.
    """
    nbytes = 9 * kernel_elements * channels + 8 * kernel_elements
    return nbytes + 4 + -int(nbytes) % 4


def conv_dsp(p: Any, weights: np.ndarray, bias: np.ndarray | None, goal: Goal) -> DspForm:
    """
    Parameters
    ----------
    p : Conv2DParams
    weights : [O, KH, KW, C] int8
    bias : [O] int32
    """
    wide = goal == "speed" or (goal == "balanced" and weights.size <= WIDE_WEIGHTS)
    layout = WEIGHTS_16 if wide else WEIGHTS_8
    channels = requantize_channels(weights.reshape(p.output_c, -1), bias, p.input_zero_point, p.multiplier, p.shift,
                                   p.output_zero_point, p.act_min, p.act_max, layout == WEIGHTS_16)
    dot = dot_tile if p.output_h * p.output_w >= TILE_POSITIONS else dot_row
    inner_top, inner_rows = inner_outputs(p.input_h, p.filter_h, p.stride_h, p.dilation_h, p.pad_top, p.output_h)
    inner_left, inner_columns = inner_outputs(p.input_w, p.filter_w, p.stride_w, p.dilation_w, p.pad_left, p.output_w)
    params = Conv2DDspParams(
        geometry=_geometry(p), positions=p.output_h * p.output_w,
        inner_top=inner_top, inner_rows=inner_rows, inner_left=inner_left, inner_columns=inner_columns,
        layout=layout, own_border=int(goal == "speed"),
        tile=conv_scratch_bytes(p.filter_h * p.filter_w, p.input_c) - _tile_bytes(p),
        dot=dot(channels, _order(p), layout, 8 if goal == "speed" else 4),
    )
    return DspForm("he_conv_2d_s8_dsp", params, inline=goal != "size")


def _geometry(p: Any) -> Geometry:
    segments = _segments(p)
    return Geometry(
        p.input_h, p.input_w, p.input_c, p.output_w, p.stride_h, p.stride_w, p.pad_top, p.pad_left, p.filter_h,
        p.dilation_h, segments, p.dilation_w if segments > 1 else 1, p.filter_w // segments, int(_is_paired(p)),
        p.input_zero_point)


def _segments(p: Any) -> int:
    """Runs in one filter row."""
    return p.filter_w if p.dilation_w > 1 else 1


def _run(p: Any) -> int:
    """Bytes that lie side by side in the input."""
    return p.filter_w // _segments(p) * p.input_c


def _is_paired(p: Any) -> bool:
    return _run(p) == 1 and min(p.filter_h, _segments(p)) == 1


def _order(p: Any) -> list[int]:
    """Taps, as indices into [KH, KW, C], in the order of the widened patch."""
    taps = p.filter_h * p.filter_w * p.input_c
    if _is_paired(p):
        return [*range(taps), *[-1] * (taps % 2)]
    run = _run(p)
    return [first + k if k >= 0 else -1 for first in range(0, taps, run) for k in run_order(run)]


def _pairs(p: Any) -> int:
    if _is_paired(p):
        return (p.filter_h * _segments(p) + 1) // 2
    return p.filter_h * _segments(p) * pairs_of_run(_run(p))


def _tile_bytes(p: Any) -> int:
    """Of a tile, or of a row if there are fewer positions.

    It lies at the end of the scratch, so that the last byte of the plan is one that is written.
    """
    pairs = _pairs(p)
    return 16 * pairs if p.output_h * p.output_w >= TILE_POSITIONS else 4 * (pairs + pairs % 2)


def inner_outputs(length: int, kernel: int, stride: int, dilation: int, pad: int, outputs: int) -> tuple[int, int]:
    """(first, number) of the outputs along one axis whose taps all lie inside the input."""
    first = -(-pad // stride)
    last = (length - 1 - (kernel - 1) * dilation + pad) // stride
    return first, max(min(last, outputs - 1) - first + 1, 0)
