"""The work of he_lego_conv_s8_dsp: twin in words of its loops in firmware/kernels, see work.py."""

from typing import Any

import numpy as np

from harembed.cost.work_conv import LAYOUT_NAMES, TILE, requantised
from harembed.ir.ops.conv_dsp import CACHE_LINE, missed_again


def lego_work(p: Any) -> tuple[str, dict[str, float]]:
    """Split, transform, merge for every four positions of a row and every fragment.

    Parameters
    ----------
    p : LegoConvDspParams

    Returns
    -------
    (kind, terms)
    """
    tiles = p.output_h * -(-p.output_w // TILE)
    passes = tiles * p.fragments
    inside, outside = _samples(p)
    quads, rest = divmod(p.channels, 4)
    lines = quads + (rest > 0)
    twos, one = divmod(p.bricks, 2)
    groups = p.rows * lines  # of four channels, whose taps are straight code
    filters = p.merge.channels
    alone = p.output_w < TILE
    weights = p.weights.nbytes
    missed = (passes - 1) * missed_again(weights)
    terms = {
        "calls": 1.0, "rows": p.output_h, "tiles": tiles, "fragments": passes, "filter rows": passes * p.rows,
        "samples": inside, "quads": inside * quads, f"rests of {rest}": inside * (rest > 0),
        "samples outside": outside, "quads outside": outside * lines, "places": (inside + outside) * (p.stride_w > 1),
        "brick pairs": passes * twos, "groups": passes * twos * groups, "steps": passes * twos * groups * p.taps,
        "odd bricks": passes * one, "odd groups": passes * one * groups, "odd steps": passes * one * groups * p.taps,
        "filters": tiles * filters, "maps": passes * filters, "maps by fragment": passes * filters * (p.step > 0),
        "filters of their own": tiles * filters * (p.words > 2),
        "filters of few positions": tiles * filters * alone,
        "outputs alone": p.output_h * p.output_w * filters * alone,
        "weight lines": weights / CACHE_LINE, "weight lines missed again": missed / CACHE_LINE,
        **requantised(p.merge.requantize, tiles * TILE * filters)}
    return f"lego_conv, {LAYOUT_NAMES[p.layout]}", terms


def _samples(p: Any) -> tuple[float, float]:
    """Samples of a fragment that are widened inside the input, and those outside, over all tiles, rows and
    fragments."""
    start = np.arange(0, p.output_w, TILE)
    if p.output_w >= TILE:
        start[-1] = min(start[-1], p.output_w - TILE)
    x = (start * p.stride_w - p.pad_left)[:, np.newaxis] + np.arange(p.samples)
    y = (np.arange(p.output_h) * p.stride_h - p.pad_top)[:, np.newaxis] + np.arange(p.rows) * p.row_dilation
    inside = ((x >= 0) & (x < p.input_w)).sum() * ((y >= 0) & (y < p.input_h)).sum()
    return float(p.fragments * inside), float(p.fragments * (x.size * y.size - inside))
