"""lego_conv for the DSP instructions: packed bricks, indices and scratch of he_lego_conv_s8_dsp."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harembed.ir.ops.base import DspForm
from harembed.ir.ops.dot_dsp import (
    TILE_POSITIONS,
    WEIGHTS_8,
    WEIGHTS_JOINED,
    DotS8,
    filled,
    joined_words,
    run_order,
    tile_weights,
    to_quads,
)
from harembed.ir.ops.requantize_dsp import (
    AWAY,
    Channels,
    are_alike,
    defined_channels,
    joined_channels,
    requantize_channels,
)

MOST_BRICKS = 256  # indices are bytes
MOST_TAPS = 16  # of a row, which are straight code
MOST_WORDS = 126  # of a line: both of four channels lie within the reach of LDRD, 1,020 bytes


@dataclass(frozen=True, eq=False)
class LegoConvDspParams:
    """Field names as in he_lego_conv_s8_dsp_params."""

    input_h: int
    input_w: int
    input_c: int
    output_h: int
    output_w: int
    stride_h: int
    stride_w: int
    pad_top: int
    pad_left: int
    outside: tuple[int, int]
    rows: int
    row_dilation: int
    taps: int
    places: np.ndarray  # [taps] uint8
    samples: int
    phase: int
    line: int
    layout: int
    fragments: int
    channels: int
    bricks: int
    weights: np.ndarray  # uint32
    step: int
    indices: np.ndarray  # [N, O] uint8
    words: int
    rounding: int
    merge: DotS8


def lego_scratch_bytes(bricks: tuple[int, ...], fragments: int, stride: int, dilation: int) -> int:
    """The lines of one fragment, two for each four channels, and the sums of all bricks with all fragments at four
    positions.

    Parameters
    ----------
    bricks : (K, KH, KW, C / O)
    stride, dilation : over the width
    """
    count, rows, taps, channels = bricks
    return 8 * rows * -(-channels // 4) * stride * _phase(taps, stride, dilation) + 16 * fragments * count


def lego_dsp(p: Any, bricks: np.ndarray, indices: np.ndarray, filters: np.ndarray,
             bias: np.ndarray | None) -> DspForm | None:
    """The same for every goal: code of its own takes a layer about 1 kB, one copy for all would take 3.

    Parameters
    ----------
    p : Conv2DParams    of the convolution that it stands for
    bricks : [K, KH, KW, C / O] int8
    indices : [N, O] int16
    filters : [N, KH, KW, C] int8    what bricks and indices make
    bias : [N] int32

    Returns
    -------
    DspForm    None if a size is beyond what the kernel is made for
    """
    count, rows, taps, channels = bricks.shape
    fragments = indices.shape[1]
    phase = _phase(taps, p.stride_w, p.dilation_w)
    line = p.stride_w * phase
    if count > MOST_BRICKS or taps > MOST_TAPS or line > MOST_WORDS:
        return None
    layout, merged = _channels(p, filters, bias, channels)
    _, even, last = tile_weights(bricks.reshape(count, -1).astype(np.int32), _order(bricks.shape, channels), layout)
    places = [tap * p.dilation_w % p.stride_w * phase + tap * p.dilation_w // p.stride_w for tap in range(taps)]
    alike = are_alike(merged)
    whole = fragments * count <= 256  # then an index is a byte, too, if it counts the bricks of all fragments
    params = LegoConvDspParams(
        p.input_h, p.input_w, p.input_c, p.output_h, p.output_w, p.stride_h, p.stride_w, p.pad_top, p.pad_left,
        _outside(p.input_zero_point, layout), rows, p.dilation_h, taps, np.array(places, np.uint8),
        samples=_samples(taps, p.stride_w, p.dilation_w), phase=phase, line=line, layout=layout, fragments=fragments,
        channels=channels, bricks=count, weights=np.concatenate([even, last]), step=0 if whole else 4 * count,
        indices=(indices + whole * count * np.arange(fragments)).astype(np.uint8),
        words=2 if alike else 4, rounding=int(merged.words[0, 2]) if alike else 0,
        merge=DotS8(0, 0, len(indices), np.zeros(0, np.uint32), merged.words[:, :2] if alike else merged.words,
                    merged.requantize))
    return DspForm("he_lego_conv_s8_dsp", params, inline=True)


def _samples(taps: int, stride: int, dilation: int) -> int:
    """Of a row, which four positions need."""
    return (taps - 1) * dilation + 1 + (TILE_POSITIONS - 1) * stride


def _phase(taps: int, stride: int, dilation: int) -> int:
    """Samples that are a stride apart lie side by side: how many of them."""
    return -(-_samples(taps, stride, dilation) // stride)


def _outside(zero_point: int, layout: int) -> tuple[int, int]:
    """Four times the zero point as the two pairs that he_widen_4 makes."""
    pairs = [zero_point] * 2
    if layout == WEIGHTS_JOINED:
        pairs = [zero_point - 127, 256 * zero_point - (zero_point - 127)]
    first, second = ((pair & 0xFFFF) * 0x10001 for pair in pairs)
    return first, second


def _channels(p: Any, filters: np.ndarray, bias: np.ndarray | None, channels: int) -> tuple[int, Channels]:
    """The layout of the bricks, and how the filters' sums are requantised."""
    scales = (filters.reshape(len(filters), -1), bias, p.input_zero_point, p.multiplier, p.shift, p.output_zero_point,
              p.act_min, p.act_max)
    joined = joined_channels(*scales, prefer_alike=True)
    if joined is not None and _takes_any_sum(joined):
        order = [i for first in range(0, p.input_c, channels) for i in _order(filters.shape, channels, first)]
        return WEIGHTS_JOINED, replace(joined, words=joined_words(joined, to_quads(joined.weights, order)))
    plain = requantize_channels(*scales, shift_weights=False)
    return WEIGHTS_8, plain if _takes_any_sum(plain) else defined_channels(*scales)


def _takes_any_sum(channels: Channels) -> bool:
    """A settled channel, whose multiplier is 0, yields its value whatever its sum. Elsewhere its weights are set to
    zero; bricks cannot be, and to round away from zero takes the sign of the sum."""
    return channels.requantize.form != AWAY or bool(channels.words[:, 1].all())


def _order(shape: tuple[int, ...], channels: int, first: int = 0) -> list[int]:
    """Taps of one fragment of weights [_, KH, KW, C], `channels` from `first` on, in the order of use: row by row, of
    each four channels all taps."""
    _, rows, taps, step = shape
    run = filled(run_order(channels))
    return [first + (row * taps + tap) * step + k if k >= 0 else -1
            for row in range(rows) for at in range(0, len(run), 4) for tap in range(taps) for k in run[at : at + 4]]
