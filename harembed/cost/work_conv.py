"""The work of the kernels with DSP instructions that convolve: twins in words of the loops in firmware/kernels.

Each function takes the params of a DspForm and returns (kind, terms), see work.py.
"""

from typing import Any

import numpy as np

from harembed.ir.ops.conv_dsp import CACHE_LINE, missed_again
from harembed.ir.ops.dot_dsp import WEIGHTS_8, WEIGHTS_16, WEIGHTS_JOINED
from harembed.ir.ops.requantize_dsp import AWAY, TWICE

TILE = 4  # positions
LAYOUT_NAMES = {WEIGHTS_16: "int16 weights", WEIGHTS_8: "int8 weights", WEIGHTS_JOINED: "joined weights"}


def conv_work(p: Any) -> tuple[str, dict[str, float]]:
    """he_conv_2d_s8_dsp: tiles of four positions, or rows where there are fewer."""
    layout = LAYOUT_NAMES[p.layout]
    if p.positions < TILE:
        terms = {"calls": 1.0, **_row(p.dot, p.positions), **_border(p.geometry, p.dot.pairs, p.positions)}
        return f"conv_2d of few positions, {layout}", terms
    tiles = -(-p.positions // TILE)
    blocks = -(-p.dot.channels // p.block) if p.tiles == 1 else 1  # that widen anew
    border, clipped = border_tiles(p)
    places = _places(p)
    passes = blocks * tiles
    terms = {"calls": 1.0, "blocks": blocks, "tiles": passes, f"tiles {places}": passes,
             "output rows": blocks * p.positions / p.geometry.output_w, "border tiles": blocks * border,
             "tiles side by side": tiles * (p.tiles > 1),
             **_widen(p.geometry, passes, places), **_tile(p, tiles),
             **_border(p.geometry, p.dot.pairs, blocks * clipped)}
    return f"conv_2d, {layout}", terms


def dense_work(p: Any) -> tuple[str, dict[str, float]]:
    """he_fully_connected_s8_dsp."""
    quads, rest = divmod(p.input_c, 4)
    terms = {"calls": 1.0, "rows": p.rows, "quads": p.rows * quads, f"rests of {rest}": p.rows * (rest > 0),
             **_row(p.dot, p.rows)}
    return f"fully_connected, {LAYOUT_NAMES[p.layout]}", terms


def depthwise_work(p: Any) -> tuple[str, dict[str, float]]:
    """he_depthwise_conv_2d_s8_dsp: four channels at a time."""
    positions = p.output_h * p.output_w
    inner = p.inner_rows * p.inner_columns
    taps = p.filter_h * p.filter_w
    fours, ones = divmod(p.channels, 4)
    if p.own_border:
        return "depthwise_conv_2d, own border", _depthwise_own_border(p)
    border = positions - inner
    reached = (_reached(p) - inner * taps) / max(border, 1)  # taps inside the input of a border position, on average
    return "depthwise_conv_2d", {
        "calls": 1.0, "rows": p.output_h, "positions": inner, "border positions": border,
        "fours": inner * fours, "fours of several": inner * fours * (fours > 1),
        "taps of fours": inner * fours * taps, "ones": inner * ones, "taps of ones": inner * ones * taps,
        "filter rows of ones": inner * ones * p.filter_h, "border fours": border * fours,
        "border fours of several": border * fours * (fours > 1), "taps of border fours": border * fours * reached,
        "border ones": border * ones, "taps of border ones": border * ones * reached,
        **requantised(p.requantize, positions * p.channels)}


def _depthwise_own_border(p: Any) -> dict[str, float]:
    """Positions in straight code: two at a time where that is possible, the others one by one."""
    fours, ones = divmod(p.channels, 4)
    columns = p.inner_columns // 2 * 2 if p.two is not None else 0
    whole = p.inner_rows * columns
    positions = p.output_h * p.output_w - whole
    taps = _reached(p) - whole * p.filter_h * p.filter_w
    return {"calls": 1.0, "rows": p.output_h, "twos": whole / 2, "fours of twos": whole / 2 * fours,
            "positions": positions, "fours": positions * fours, "fours of several": positions * fours * (fours > 1),
            "taps of fours": taps * fours, "ones": positions * ones, "taps of ones": taps * ones,
            **requantised(p.requantize, positions * p.channels)}


def depthwise_3x3_work(p: Any) -> tuple[str, dict[str, float]]:
    """he_depthwise_3x3_s8_dsp: four channels at a time, strips of two input rows, two by two outputs in each step."""
    groups, row_pairs, column_pairs = -(-p.channels // 4), -(-p.output_rows // 2), -(-p.output_columns // 2)
    strips = groups * (1 + row_pairs)
    inside = min(p.input_columns, p.line - p.pad_left)
    rows = 4 * groups * row_pairs
    weights = p.weights.nbytes + p.channel.nbytes
    if p.assembled:
        odd_row, odd_column = p.output_rows % 2, p.output_columns % 2
        two_rows = 1 + odd_row if p.all_strips else row_pairs  # how often a channel begins
        starts = 4 * groups * two_rows * (1 + odd_column)
        return "depthwise_conv_2d 3x3, assembled", {
            "calls": 1, "fours": groups, "strips": strips, "strips of all": strips * p.all_strips,
            "columns widened": strips * inside, "columns outside": strips * (p.line - inside), "starts": starts,
            "starts of several strips": starts * (not p.all_strips), "channel rows": rows * (1 + odd_column),
            "column pairs": rows * column_pairs, "weight lines": weights / CACHE_LINE}
    return f"depthwise_conv_2d 3x3, {LAYOUT_NAMES[p.layout]}", {
        "calls": 1, "fours": groups, "strips": strips, "columns widened": strips * inside,
        "columns outside": strips * (p.line - inside), "channel rows": rows, "column pairs": rows * column_pairs,
        "odd columns": rows * (p.output_columns % 2), "weight lines": weights / CACHE_LINE,
        **requantised(p.requantize, 4 * rows * column_pairs)}


def border_tiles(p: Any) -> tuple[int, int]:
    """(tiles for which the kernel looks for the border, positions in them that are widened once more)."""
    width = p.geometry.output_w
    start = np.arange(0, p.positions, TILE)
    start[-1] = min(start[-1], p.positions - TILE)
    oy, ox = start // width, start % width
    all_columns, all_rows = p.inner_columns == width, p.inner_rows * width == p.positions
    if all_columns and width >= TILE:
        first, last = p.inner_top * width, (p.inner_top + p.inner_rows) * width - TILE
        border = (np.full(len(start), p.inner_rows < 1) if all_rows or p.inner_rows < 1
                  else (start < first) | (start > last))
    else:
        far = ox - p.inner_left
        border = (far < 0) | (far > p.inner_columns - TILE) | (p.inner_columns < TILE)
        if not all_rows:
            border |= (oy < p.inner_top) | (oy >= p.inner_top + p.inner_rows)
    position = (start[border, np.newaxis] + np.arange(TILE)).ravel()
    inside = _within(position // width - p.inner_top, p.inner_rows) & _within(position % width - p.inner_left,
                                                                              p.inner_columns)
    return int(border.sum()), int((~inside).sum())


def _within(index: np.ndarray, count: int) -> np.ndarray:
    return (index >= 0) & (index < count)


def _places(p: Any) -> str:
    """What the compiler knows of where four patches lie: all, or that one row may end among them, or nothing."""
    g = p.geometry
    in_order = p.inner_columns == g.output_w >= TILE
    if in_order and p.inner_rows * g.output_w == p.positions and g.stride_h * g.input_w == g.output_w * g.stride_w:
        return "at equal distances"
    return "in order" if in_order else "by column"


def _widen(g: Any, tiles: int, places: str) -> dict[str, float]:
    """Four patches into a tile; at equal distances, which are constants, code is shorter."""
    where = " at equal distances" if places == "at equal distances" else ""
    if g.paired:
        pairs, odd = divmod(g.rows * g.segments, 2)
        return {"paired taps": tiles * pairs, "single taps": tiles * odd}
    runs = tiles * g.rows * g.segments
    quads, rest = divmod(g.columns * g.input_c, 4)
    return {f"filter rows{where}": tiles * g.rows, f"quads{where}": runs * quads,
            f"looped runs{where}": runs * (quads > 1), f"rests of {rest}{where}": runs * (rest > 0)}


def _border(g: Any, pairs: int, positions: int) -> dict[str, float]:
    """Patches widened one by one."""
    run = g.columns * g.input_c
    runs = positions * g.rows * g.segments
    staged = 0 if g.paired or g.input_c % 4 == 0 else runs * run
    return {"border positions": positions, "border runs": 0 if g.paired else runs,
            "border pairs": positions * pairs, "border bytes staged": staged}


def _tile(p: Any, tiles: int) -> dict[str, float]:
    """he_tile_s8: two channels at a time, the sums of a pair of taps in each step, with joined weights of two."""
    dot = p.dot
    joined = p.layout == WEIGHTS_JOINED
    unroll = 4 if p.layout == WEIGHTS_8 else dot.unroll >> joined
    steps = dot.pairs >> joined
    twos, one = divmod(dot.channels, 2)
    whole = tiles - (p.last > 0)
    rounds = (steps - 1) // unroll
    weights = dot.nbytes
    blocks = -(-dot.channels // p.block)
    if p.tiles == 1:
        missed = (tiles - 1) * blocks * missed_again(-(-weights // blocks))
    else:
        missed = (-(-tiles // p.tiles) - 1) * weights
    return {"tiles of several channel pairs": blocks * whole * (twos > 1), "channel pairs": whole * twos,
            "steps": whole * twos * steps, "rounds": whole * twos * rounds,
            "steps before rounds": whole * twos * ((steps - 1) % unroll),
            "looped channel pairs": whole * twos * (rounds > 0),
            "odd channels": whole * one, "odd steps": whole * one * steps, "odd rounds": whole * one * rounds,
            "single positions": p.last, "channel pairs of single positions": p.last * (twos + one),
            "steps of single positions": p.last * (twos + one) * steps,
            "weight lines": weights / CACHE_LINE, "weight lines missed again": missed / CACHE_LINE,
            **requantised(dot.requantize, (whole * TILE + p.last) * dot.channels)}


def _row(dot: Any, rows: int) -> dict[str, float]:
    """he_row_s8: four channels at a time, four pairs of taps in each round, or two."""
    fours, ones = divmod(dot.channels, 4)
    halves = dot.pairs // 2
    return {"fours": rows * fours, "rounds of fours": rows * fours * (halves // 2),
            "half rounds of fours": rows * fours * (halves % 2), "ones": rows * ones,
            "rounds of ones": rows * ones * halves,
            "weight lines": dot.nbytes / CACHE_LINE,
            **requantised(dot.requantize, rows * dot.channels)}


def requantised(r: Any, outputs: int) -> dict[str, float]:
    """What comes on top of the quickest form (UPWARD, sums shifted already, clamped by saturation)."""
    return {"outputs shifted": outputs * (r.form != TWICE and not r.shifted),
            "outputs shifted by channel": outputs * (r.form != TWICE and r.sum_shift > 0),
            "outputs away": outputs * (r.form == AWAY), "outputs twice": outputs * (r.form == TWICE),
            "outputs clamped": outputs * ((r.act_min > -128) + (r.act_max < 127))}


def _reached(p: Any) -> float:
    """Taps inside the input, over all positions of a depthwise convolution."""
    def axis(outputs: int, stride: int, pad: int, taps: int, dilation: int, length: int) -> int:
        at = (np.arange(outputs) * stride - pad)[:, np.newaxis] + np.arange(taps) * dilation
        return int(_within(at, length).sum())

    return float(axis(p.output_h, p.stride_h, p.pad_top, p.filter_h, p.dilation_h, p.input_h)
                 * axis(p.output_w, p.stride_w, p.pad_left, p.filter_w, p.dilation_w, p.input_w))
