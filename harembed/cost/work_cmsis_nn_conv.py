"""The work of CMSIS-NN's convolutions and fully connected layers on cores with DSP instructions: twins in words of
the loops in its Source/ConvolutionFunctions and Source/NNSupportFunctions.

Each function takes the params of the portable kernel (what the call gets) and returns (kind, terms), see work.py.
"""

from typing import Any

import numpy as np

from harembed.cost.block_copies import added, copy_terms, set_terms

# Of the direct-mapped cache of 8,192 bytes, what the code of a convolution leaves to its weights, about.
CACHE_FOR_WEIGHTS = 6144
CACHE_LINE = 16
CHANNEL_BYTES = 12  # bias, multiplier, shift

Counted = tuple[str, dict[str, float]]


def convolve_work(p: Any) -> Counted:
    """arm_convolve_wrapper_s8: what it chooses."""
    pointwise = p.filter_h == p.filter_w == p.dilation_h == p.dilation_w == 1 and p.pad_top == p.pad_left == 0
    if not pointwise:
        return "arm_convolve_s8", _im2col(p)  # arm_convolve_1_x_n_s8 calls it too, on cores without vectors
    if p.stride_h == p.stride_w == 1:
        return _pointwise(1, p.output_h * p.output_w, p.input_c, p.output_c)
    return _pointwise(p.output_h, p.output_w, p.input_c, p.output_c)


def dense_rows_work(p: Any) -> Counted:
    """arm_convolve_1x1_s8_fast, as which fully connected layers of several rows run."""
    return _pointwise(1, p.rows, p.input_c, p.output_c)


def _im2col(p: Any) -> dict[str, float]:
    """arm_convolve_s8: patches of two positions as int16, then arm_nn_mat_mult_kernel_s8_s16."""
    positions, columns = p.output_h * p.output_w, p.filter_h * p.filter_w * p.input_c
    fours, ones = divmod(columns, 4)
    tiles, single = divmod(positions, 2)
    twos, odd = divmod(p.output_c, 2)
    weights = p.output_c * (columns + CHANNEL_BYTES)
    missed = min(weights, 2 * max(weights - CACHE_FOR_WEIGHTS, 0))
    return {
        "calls": 1, "rows": p.output_h, "positions": positions, "filter rows": positions * p.filter_h,
        **_patches(p), "widened fours": positions * fours, "widenings with a rest": positions * (ones > 0),
        "widened ones": positions * ones, "tiles": tiles, "channel pairs": tiles * twos,
        "looped channel pairs": tiles * twos * (fours > 0), "fours": tiles * twos * fours,
        "pairs with a rest": tiles * twos * (ones > 0), "ones": tiles * twos * ones, "odd channels": tiles * odd,
        "fours of odd channels": tiles * odd * fours, "ones of odd channels": tiles * odd * ones,
        "single outputs": single * p.output_c, "fours of single outputs": single * p.output_c * fours,
        "ones of single outputs": single * p.output_c * ones, "weight lines": weights / CACHE_LINE,
        "weight lines missed again": max(tiles - 1, 0) * missed / CACHE_LINE}


def _patches(p: Any) -> dict[str, float]:
    """The copies of all taps of all positions; taps outside the input are set."""
    oy, ox = np.divmod(np.arange(p.output_h * p.output_w), p.output_w)
    ky, kx = np.divmod(np.arange(p.filter_h * p.filter_w), p.filter_w)
    y = (oy * p.stride_h - p.pad_top)[:, np.newaxis] + ky * p.dilation_h
    x = (ox * p.stride_w - p.pad_left)[:, np.newaxis] + kx * p.dilation_w
    inside = (y >= 0) & (y < p.input_h) & (x >= 0) & (x < p.input_w)
    tap = np.arange(len(ky))
    # Every second patch lies behind the first.
    target = ((np.arange(len(oy)) % 2 * len(ky))[:, np.newaxis] + tap) * p.input_c
    source = (y * p.input_w + x) * p.input_c
    return added(copy_terms(p.input_c, source[inside], target[inside]), set_terms(p.input_c, target[~inside]))


def _pointwise(matrices: int, rows: int, columns: int, channels: int) -> Counted:
    """arm_nn_mat_mult_nt_t_s8, once for each matrix: two rows times two channels."""
    sixteens, fours, ones = columns // 16, columns % 16 // 4, columns % 4
    twos, odd = matrices * (channels // 2), matrices * (channels % 2)
    tiles, single = twos * (rows // 2), twos * (rows % 2)
    weights = channels * (columns + CHANNEL_BYTES)
    terms = {
        "calls": 1, "matrices": matrices, "channel pairs": twos, "summed": twos * columns, "tiles": tiles,
        "sixteens": tiles * sixteens, "looped tiles": tiles * (sixteens > 0), "fours": tiles * fours,
        "tiles with fours": tiles * (fours > 0), "ones": tiles * ones, "tiles with a rest": tiles * (ones > 0),
        "single rows": single, "sixteens of single rows": single * sixteens, "fours of single rows": single * fours,
        "ones of single rows": single * ones, "odd outputs": odd * rows, "ones of odd outputs": odd * rows * columns,
        "weight lines": matrices * weights / CACHE_LINE}
    return "arm_nn_mat_mult_nt_t_s8", {k: float(v) for k, v in terms.items()}


def dense_work(p: Any) -> Counted:
    """arm_fully_connected_s8 and arm_fully_connected_per_channel_s8."""
    return "fully_connected", {"calls": 1, **vector_matrix(1, p.input_c, p.output_c)}


def vector_matrix(vectors: int, columns: int, rows: int) -> dict[str, float]:
    """arm_nn_vec_mat_mult_t_s8 and its form by channels: two rows at a time, four steps of four in each round."""
    fours, ones = divmod(columns, 4)
    rounds, steps = divmod(fours, 4)
    twos, odd = vectors * (rows // 2), vectors * (rows % 2)
    return {
        "vectors": vectors, "pairs": twos, "rounds": twos * rounds, "looped pairs": twos * (rounds > 0),
        "steps": twos * steps, "stepped pairs": twos * (steps > 0), "ones": twos * ones,
        "pairs with a rest": twos * (ones > 0), "odd rows": odd, "rounds of odd rows": odd * rounds,
        "steps of odd rows": odd * steps, "ones of odd rows": odd * ones,
        "weight lines": vectors * rows * (columns + CHANNEL_BYTES) / CACHE_LINE}


def depthwise_work(p: Any) -> Counted:
    """arm_depthwise_conv_wrapper_s8: what it chooses."""
    plain = p.dilation_h == p.dilation_w == 1
    if p.depth_multiplier == 1 and plain:
        square = p.filter_h == p.filter_w == 3 and p.pad_top <= 1 and p.pad_left <= 1
        return ("arm_depthwise_conv_3x3_s8", _square(p)) if square else ("arm_depthwise_conv_s8_opt", _columns(p))
    if p.depth_multiplier % 4 == 0 and plain:
        return "depthwise_conv_s8_mult_4", _by_fours(p)
    return "depthwise_conv_s8_generic", _generic(p)


def _columns(p: Any) -> dict[str, float]:
    """arm_depthwise_conv_s8_opt: a patch as int16, then four channels at a time, two taps in each step."""
    positions, taps, c = p.output_h * p.output_w, p.filter_h * p.filter_w, p.output_c
    above, rows, below = (part.sum() * p.output_w for part in _rows(p))
    columns = _reach(p.output_w, p.stride_w, p.pad_left, p.filter_w, p.input_w).sum()
    inside = rows / p.output_w * columns  # taps, over all positions
    outside = rows * p.filter_w - inside
    fours, ones = divmod(c, 4)
    row_bytes = 2 * c * p.filter_w
    blocks = np.concatenate([part[part > 0] for part in (_rows(p)[0], _rows(p)[2])]) * row_bytes
    sets = added(*(set_terms(int(n), 0) for n in np.repeat(blocks, p.output_w)),
                 set_terms(np.full(int(outside), 2 * c), 0))
    return {
        "calls": 1, "rows": p.output_h, "positions": positions, "filter rows": rows, "rows left out": above + below,
        **sets, "widened taps": inside, "widened fours": inside * fours, "widened ones": inside * ones,
        "fours": positions * fours, "pairs of fours": positions * fours * (taps // 2),
        "odd taps of fours": positions * fours * (taps % 2), "ones": positions * ones,
        "taps of ones": positions * ones * taps, "weight lines": c * (taps + CHANNEL_BYTES) / CACHE_LINE}


def _square(p: Any) -> dict[str, float]:
    """arm_depthwise_conv_3x3_s8: straight from the input."""
    positions = p.output_h * p.output_w
    rows = _rows(p)[1].sum()
    columns = _reach(p.output_w, p.stride_w, p.pad_left, 3, p.input_w).sum()
    fours, ones = divmod(p.output_c, 4)
    return {
        "calls": 1, "rows": p.output_h, "positions": positions, "fours": positions * fours,
        "rows of fours": rows * p.output_w * fours, "taps of fours": rows * columns * fours,
        "ones": positions * ones, "rows of ones": rows * p.output_w * ones, "taps of ones": rows * columns * ones,
        "weight lines": p.output_c * (9 + CHANNEL_BYTES) / CACHE_LINE}


def _by_fours(p: Any) -> dict[str, float]:
    """depthwise_conv_s8_mult_4: four outputs of an input channel at a time."""
    positions, groups = p.output_h * p.output_w, p.output_c // 4
    rows = _rows(p)[1].sum()
    columns = _reach(p.output_w, p.stride_w, p.pad_left, p.filter_w, p.input_w).sum()
    return {"calls": 1, "positions": positions, "groups": positions * groups, "channels": positions * p.input_c,
            "rows of groups": rows * p.output_w * groups, "taps of groups": rows * columns * groups}


def _generic(p: Any) -> dict[str, float]:
    """depthwise_conv_s8_generic: output by output."""
    outputs = p.output_h * p.output_w * p.output_c
    rows = _reach(p.output_h, p.stride_h, p.pad_top, p.filter_h, p.input_h, p.dilation_h).sum()
    columns = _reach(p.output_w, p.stride_w, p.pad_left, p.filter_w, p.input_w, p.dilation_w).sum()
    return {"calls": 1, "positions": p.output_h * p.output_w, "channels": p.output_h * p.output_w * p.input_c,
            "outputs": outputs, "axes dilated": outputs * ((p.dilation_h > 1) + (p.dilation_w > 1)),
            "rows of outputs": rows * p.output_w * p.output_c, "taps of outputs": rows * columns * p.output_c}


def _rows(p: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of the filter above the input, inside and below it, by row of the output."""
    start = np.arange(p.output_h) * p.stride_h - p.pad_top
    above = np.maximum(0, -start)
    end = np.minimum(p.filter_h, p.input_h - start)
    return above, np.maximum(end - above, 0), p.filter_h - end


def _reach(outputs: int, stride: int, pad: int, taps: int, length: int, dilation: int = 1) -> np.ndarray:
    """How many taps lie inside the input, by output, along one axis."""
    at = (np.arange(outputs) * stride - pad)[:, np.newaxis] + np.arange(taps) * dilation
    return ((at >= 0) & (at < length)).sum(axis=1)
