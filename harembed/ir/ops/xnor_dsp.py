"""xnor_conv for the DSP instructions: packed thresholds, weights and channels of he_xnor_conv_s8_dsp."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from harembed.ir.ops.base import DspForm, Goal
from harembed.ir.ops.requantize_dsp import RequantizeS8, are_alike, sign_channels

ONES, TWICE = 0, 1  # as HE_XNOR_ONES and HE_XNOR_TWICE
_COUNTED_BITS = 32 * 7  # whose ones fit into a byte


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
    layout: int  # ONES or TWICE
    words: int
    shift: int  # of all sums to the left, -1: each filter's own
    thresholds: np.ndarray  # [C] int8
    kept: np.ndarray  # [words] uint32: 0 for channels whose threshold no int8 reaches, which is 128
    channel_words: int
    rounding: int
    filters: np.ndarray  # [N, KH * KW * words + channel_words] uint32
    cut: int
    outside_bytes: int
    ones: np.ndarray  # [N * outside_bytes + 3] uint8
    requantize: RequantizeS8


def xnor_scratch_bytes(positions: int, channels: int, taps: int, cut: bool) -> int:
    """Bits of the input and of what is under the filter, these twice where taps may lie outside.

    Parameters
    ----------
    positions : of the input
    taps : of a filter, over all its rows
    cut : see is_cut
    """
    return 4 * -(-channels // 32) * (positions + taps * (2 if cut else 1))


def is_cut(c: Any) -> bool:
    """Whether a tap lies outside the input, at any position of the output.

    c : Conv2DParams
    """
    ends = ((c.output_h - 1) * c.stride_h - c.pad_top + c.filter_h, (c.output_w - 1) * c.stride_w - c.pad_left
            + c.filter_w)
    return bool(c.pad_top or c.pad_left or ends[0] > c.input_h or ends[1] > c.input_w)


def xnor_dsp(p: Any, thresholds: np.ndarray, weights: np.ndarray, signs: np.ndarray,
             bias: np.ndarray | None, goal: Goal) -> DspForm:
    """Bits are what weights are kept as, for every goal; "size" does without a table of them for the border.

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
    kept = np.zeros(32 * p.words, np.uint32)
    kept[: c.input_c] = thresholds <= 127
    channel = words[:, : 2 if alike else 4].astype(np.int32).view(np.uint32)
    cut, layout = is_cut(c), TWICE if goal == "size" else ONES
    ones = _ones(signs) if cut and layout == ONES else np.zeros((len(flat), 0), np.uint8)
    params = XnorConvDspParams(
        c.input_h, c.input_w, c.input_c, c.output_h, c.output_w, c.output_c, c.filter_h, c.filter_w, c.stride_h,
        c.stride_w, c.pad_top, c.pad_left, layout, words=p.words,
        shift=int(shifts[0]) if (shifts == shifts[0]).all() else -1,
        thresholds=np.minimum(thresholds, 127).astype(np.int8),
        kept=(kept.reshape(-1, 32) << np.arange(32, dtype=np.uint32)).sum(1, dtype=np.uint32),
        channel_words=channel.shape[1], rounding=int(words[0, 2]) if alike else 0,
        filters=np.concatenate([_triples(weights.view(np.uint32).reshape(len(flat), -1)), channel], axis=1),
        cut=int(cut), outside_bytes=ones.shape[1], ones=np.append(ones, np.zeros(3, np.uint8)), requantize=r)
    return DspForm("he_xnor_conv_s8_dsp", params, inline=True)


def _triples(words: np.ndarray) -> np.ndarray:
    """[N, words] uint32: three by three a, b, c become a ^ b ^ c, a ^ b, a ^ c; up to two are left as they are."""
    whole = words.shape[1] // 3 * 3
    a, b, c = (words[:, i:whole:3] for i in range(3))
    return np.concatenate([np.stack([a ^ b ^ c, a ^ b, a ^ c], 2).reshape(len(words), whole), words[:, whole:]], 1)


def _ones(signs: np.ndarray) -> np.ndarray:
    """[N, taps * parts] uint8: the ones of each part."""
    parts = np.array_split(signs > 0, range(_COUNTED_BITS, signs.shape[3], _COUNTED_BITS), axis=3)
    return np.stack([p.sum(3) for p in parts], 3).reshape(len(signs), -1).astype(np.uint8)
