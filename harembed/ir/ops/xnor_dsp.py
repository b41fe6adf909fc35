"""xnor_conv for the DSP instructions: packed thresholds, weights and channels of he_xnor_conv_s8_dsp."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from harembed.ir.ops.base import DspForm
from harembed.ir.ops.conv_dsp import inner_outputs
from harembed.ir.ops.requantize_dsp import RequantizeS8, are_alike, sign_channels


@dataclass(frozen=True, eq=False)
class XnorConvDspParams:
    """Field names as in he_xnor_conv_s8_dsp_params."""

    input_h: int
    input_w: int
    input_c: int
    output_h: int
    output_w: int
    output_c: int
    filter_h: int
    filter_w: int
    stride_h: int
    stride_w: int
    pad_top: int
    pad_left: int
    inner_top: int
    inner_rows: int
    inner_left: int
    inner_columns: int
    layout: int
    words: int
    shift: int  # of all sums to the left, -1: each filter's own
    thresholds: np.ndarray  # [C] int8
    kept: np.ndarray  # [words] uint32: 0 for channels whose threshold no int8 reaches, which is 128
    weights: np.ndarray  # [N, KH, KW, words] uint32
    filter_words: int
    rounding: int
    channel: np.ndarray  # [N, filter_words] int32
    requantize: RequantizeS8


def xnor_scratch_bytes(height: int, width: int, channels: int) -> int:
    """Of the input [H, W, C] as bits."""
    return 4 * height * width * -(-channels // 32)


def xnor_dsp(p: Any, thresholds: np.ndarray, weights: np.ndarray, signs: np.ndarray,
             bias: np.ndarray | None) -> DspForm:
    """The same for every goal: bits are what weights are kept as.

    Parameters
    ----------
    p : XnorConvParams
    thresholds : [C] int16
    weights : [N, KH, KW, words] int32
    signs : [N, KH, KW, C] int8    what the weights' bits say
    bias : [N] int32
    """
    c = p.conv
    flat = signs.reshape(len(signs), -1)
    channels = sign_channels(flat, bias, c.multiplier, c.shift, c.output_zero_point, c.act_min, c.act_max)
    alike = are_alike(channels)
    r, words = channels.requantize, channels.words.astype(np.int64)
    shifts = np.full(len(words), r.sum_shift) if r.sum_shift else words[:, 3] if r.shifted else np.zeros(len(words))
    # Sums start from all taps in agreement: what is counted are those that are not.
    words[:, 0] = (words[:, 0] + (flat.shape[1] << shifts.astype(np.int64)) + 2**31) % 2**32 - 2**31
    inner_top, inner_rows = inner_outputs(c.input_h, c.filter_h, c.stride_h, 1, c.pad_top, c.output_h)
    inner_left, inner_columns = inner_outputs(c.input_w, c.filter_w, c.stride_w, 1, c.pad_left, c.output_w)
    kept = np.zeros(32 * p.words, np.uint32)
    kept[: c.input_c] = thresholds <= 127
    params = XnorConvDspParams(
        c.input_h, c.input_w, c.input_c, c.output_h, c.output_w, c.output_c, c.filter_h, c.filter_w, c.stride_h,
        c.stride_w, c.pad_top, c.pad_left, inner_top, inner_rows, inner_left, inner_columns, layout=0, words=p.words,
        shift=int(shifts[0]) if (shifts == shifts[0]).all() else -1,
        thresholds=np.minimum(thresholds, 127).astype(np.int8),
        kept=(kept.reshape(-1, 32) << np.arange(32, dtype=np.uint32)).sum(1, dtype=np.uint32),
        weights=weights.view(np.uint32), filter_words=2 if alike else 4, rounding=int(words[0, 2]) if alike else 0,
        channel=words[:, : 2 if alike else 4].astype(np.int32), requantize=r)
    return DspForm("he_xnor_conv_s8_dsp", params, inline=True)
