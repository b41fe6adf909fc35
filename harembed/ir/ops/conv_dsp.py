"""conv_2d for the DSP instructions: geometry, scratch and packed weights of he_conv_2d_s8_dsp."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from harembed.ir.ops.base import DspForm, Goal
from harembed.ir.ops.dot_dsp import (
    TILE_POSITIONS,
    WEIGHTS_8,
    WEIGHTS_16,
    WEIGHTS_JOINED,
    DotS8,
    dot_row,
    dot_tile,
    filled,
    pairs_of_run,
    run_order,
)
from harembed.ir.ops.requantize_dsp import joined_channels, requantize_channels

WIDE_WEIGHTS = 512  # a filter up to this size is kept as int16 in "balanced": most quickness for least flash
WIDEN_CYCLES = 25.0  # of four bytes at four positions, about
MISS_CYCLES = 5.0  # of a line of the cache
# Of the direct-mapped cache of 8,192 bytes, what the code of a layer leaves to its weights, about.
CACHE_FOR_WEIGHTS = 6656
CACHE_LINE = 16
SHARED_BLOCK_BYTES = 4608  # of weights that several tiles meet; what shares its place with code is missed again
LONG_ROUNDS = 8192  # a filter of that size is worth the flash of longer rounds in "balanced"


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
    joined: int
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
    block: int
    tiles: int
    last: int
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


def conv_dsp(p: Any, weights: np.ndarray, bias: np.ndarray | None, goal: Goal, room: int = 0) -> DspForm:
    """
    Parameters
    ----------
    p : Conv2DParams
    weights : [O, KH, KW, C] int8
    bias : [O] int32
    room : bytes of scratch memory that are there, if that is more than conv_scratch_bytes
    """
    scales = (weights.reshape(p.output_c, -1), bias, p.input_zero_point, p.multiplier, p.shift, p.output_zero_point,
              p.act_min, p.act_max)
    layout = _layout(p, weights.size, goal)
    channels = joined_channels(*scales) if layout == WEIGHTS_JOINED else None
    if channels is None:
        layout = _plain_layout(weights.size, goal)
        channels = requantize_channels(*scales, shift_weights=layout == WEIGHTS_16)
    arrange = dot_tile if p.output_h * p.output_w >= TILE_POSITIONS else dot_row
    inner_top, inner_rows = inner_outputs(p.input_h, p.filter_h, p.stride_h, p.dilation_h, p.pad_top, p.output_h)
    inner_left, inner_columns = inner_outputs(p.input_w, p.filter_w, p.stride_w, p.dilation_w, p.pad_left, p.output_w)
    dot = arrange(channels, _order(p, layout), layout, _unroll(p, layout, weights.size, goal))
    tiles = _tiles(p, dot, layout, room) if goal != "size" else 1
    first_tile = conv_scratch_bytes(p.filter_h * p.filter_w, p.input_c) - _tile_bytes(p, layout)
    params = Conv2DDspParams(
        geometry=_geometry(p, layout), positions=p.output_h * p.output_w,
        inner_top=inner_top, inner_rows=inner_rows, inner_left=inner_left, inner_columns=inner_columns,
        layout=layout, own_border=int(goal == "speed"),
        block=_shared_block(dot) if tiles > 1 else _block(p, dot), tiles=tiles,
        last=_last(p, weights.size), tile=first_tile if tiles == 1 else -(-_run(p) // 4) * 4,
        dot=dot,
    )
    return DspForm("he_conv_2d_s8_dsp", params, inline=goal != "size",
                   borrows=params.tile + tiles * _tile_bytes(p, layout) if tiles > 1 else 0)


def _layout(p: Any, elements: int, goal: Goal) -> int:
    """Joined weights where they are quickest, if they fit into the scratch."""
    plain = _plain_layout(elements, goal)
    if goal == "size" or p.output_h * p.output_w < TILE_POSITIONS or _is_paired(p):
        return plain
    if _tile_cycles(p, WEIGHTS_JOINED) >= _tile_cycles(p, plain):
        return plain
    scratch = conv_scratch_bytes(p.filter_h * p.filter_w, p.input_c) - _run(p)
    return WEIGHTS_JOINED if _tile_bytes(p, WEIGHTS_JOINED) <= scratch else plain


def _tile_cycles(p: Any, layout: int) -> float:
    """Modelled cycles that depend on the layout, of two channels of a tile: pairs of taps, shifts of the sums, and
    these channels' share of what it takes to join the tile."""
    pairs = _pairs(p, layout)
    if layout == WEIGHTS_16:
        return 16.5 * pairs
    return 17.6 * pairs + 8 if layout == WEIGHTS_8 else 16.1 * pairs + 8 + 4 * pairs / p.output_c


def _plain_layout(elements: int, goal: Goal) -> int:
    wide = goal == "speed" or (goal == "balanced" and elements <= WIDE_WEIGHTS)
    return WEIGHTS_16 if wide else WEIGHTS_8


def _unroll(p: Any, layout: int, elements: int, goal: Goal) -> int:
    """Pairs of taps in a round of a tile's loop: where 16 are all, there is none."""
    joined = layout == WEIGHTS_JOINED
    if goal == "speed":
        return 16 if joined or _pairs(p, layout) <= 16 else 8
    return 8 if joined and elements >= LONG_ROUNDS else 4


def _last(p: Any, elements: int) -> int:
    """Positions after the last whole tile that are computed one by one: at three times the cycles of one in a tile,
    and by code of their own."""
    positions = p.output_h * p.output_w
    rest = positions % TILE_POSITIONS
    return rest if positions > TILE_POSITIONS and rest in (1, 2) and elements >= LONG_ROUNDS else 0


def _block(p: Any, dot: DotS8) -> int:
    """Channels whose weights are read by all tiles before the next ones': of the most that fit the cache to all."""
    tiles = -(-p.output_h * p.output_w // TILE_POSITIONS)
    nbytes = dot.nbytes

    def cycles(blocks: int) -> float:
        again = missed_again(-(-nbytes // blocks)) * blocks * (tiles - 1)
        return (blocks - 1) * tiles * WIDEN_CYCLES * dot.pairs / 2 + MISS_CYCLES * again / CACHE_LINE

    blocks = min(range(1, max(dot.channels // 2, 1) + 1), key=cycles)
    return dot.channels if blocks == 1 else 2 * -(-dot.channels // (2 * blocks))


def _tiles(p: Any, dot: DotS8, layout: int, room: int) -> int:
    """Tiles that lie side by side so that weights which do not stay in the cache are fetched once for all of them: so
    many as there is room for, but not all of the layer."""
    if missed_again(dot.nbytes) == 0 or p.output_h * p.output_w < TILE_POSITIONS:
        return 1
    tiles = -(-p.output_h * p.output_w // TILE_POSITIONS)
    fit = (room - -(-_run(p) // 4) * 4) // _tile_bytes(p, layout)
    most = max(min(fit, -(-tiles // 2)), 1)
    return -(-tiles // -(-tiles // most))  # passes of equal length


def _shared_block(dot: DotS8) -> int:
    """Channels whose weights stay in the cache while a few tiles meet them."""
    nbytes = (dot.nbytes) / dot.channels
    return max(int(SHARED_BLOCK_BYTES / nbytes) // 2 * 2, 2)


def missed_again(nbytes: float) -> float:
    """Bytes of a table that each pass over it misses, when it was read before, because of its own other bytes."""
    return min(nbytes, 2 * max(nbytes - CACHE_FOR_WEIGHTS, 0))


def _geometry(p: Any, layout: int) -> Geometry:
    segments = _segments(p)
    return Geometry(
        p.input_h, p.input_w, p.input_c, p.output_w, p.stride_h, p.stride_w, p.pad_top, p.pad_left, p.filter_h,
        p.dilation_h, segments, p.dilation_w if segments > 1 else 1, p.filter_w // segments, int(_is_paired(p)),
        int(layout == WEIGHTS_JOINED), p.input_zero_point)


def _segments(p: Any) -> int:
    """Runs in one filter row."""
    return p.filter_w if p.dilation_w > 1 else 1


def _run(p: Any) -> int:
    """Bytes that lie side by side in the input."""
    return p.filter_w // _segments(p) * p.input_c


def _is_paired(p: Any) -> bool:
    return _run(p) == 1 and min(p.filter_h, _segments(p)) == 1


def _order(p: Any, layout: int) -> list[int]:
    """Taps, as indices into [KH, KW, C], in the order of the widened patch."""
    taps = p.filter_h * p.filter_w * p.input_c
    if _is_paired(p):
        return [*range(taps), *[-1] * (taps % 2)]
    run = _run(p)
    order = filled(run_order(run)) if layout == WEIGHTS_JOINED else run_order(run)
    return [first + k if k >= 0 else -1 for first in range(0, taps, run) for k in order]


def _pairs(p: Any, layout: int) -> int:
    if _is_paired(p):
        return (p.filter_h * _segments(p) + 1) // 2
    pairs = pairs_of_run(_run(p))
    return p.filter_h * _segments(p) * (pairs + pairs % 2 if layout == WEIGHTS_JOINED else pairs)


def _tile_bytes(p: Any, layout: int) -> int:
    """Of a tile, or of a row if there are fewer positions.

    It lies at the end of the scratch, so that the last byte of the plan is one that is written.
    """
    pairs = _pairs(p, layout)
    return 16 * pairs if p.output_h * p.output_w >= TILE_POSITIONS else 4 * (pairs + pairs % 2)


def inner_outputs(length: int, kernel: int, stride: int, dilation: int, pad: int, outputs: int) -> tuple[int, int]:
    """(first, number) of the outputs along one axis whose taps all lie inside the input."""
    first = -(-pad // stride)
    last = (length - 1 - (kernel - 1) * dilation + pad) // stride
    return first, max(min(last, outputs - 1) - first + 1, 0)
