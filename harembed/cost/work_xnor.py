"""The work of he_xnor_conv_s8_dsp: twin in words of its loops in firmware/kernels, see work.py."""

from typing import Any

import numpy as np

from harembed.cost.work_conv import requantised
from harembed.ir.ops.conv_dsp import CACHE_LINE, missed_again
from harembed.ir.ops.xnor_dsp import TWICE


def xnor_work(p: Any) -> tuple[str, dict[str, float]]:
    """Inputs to bits; for every position of the output the bits under the filter, then filter by filter.

    Parameters
    ----------
    p : XnorConvDspParams

    Returns
    -------
    (kind, terms)
    """
    inputs, outputs = p.input_h * p.input_w, p.output_h * p.output_w
    taps = p.filter_h * p.filter_w
    triples, rest = divmod(taps * p.words, 3)
    pairs, odd = divmod(triples, 2)
    quads, alone = divmod(p.input_c, 4)
    passes = outputs * p.output_c
    bounded, twice = p.cut > 0, p.cut > 0 and p.layout == TWICE
    cut = _cut(p) * p.output_c
    patches, counted = outputs * (1 + twice), passes + cut * twice
    weights = p.filters.nbytes
    missed = (outputs - 1) * missed_again(weights)
    terms = {
        "calls": 1.0, "inputs": inputs, "words in": inputs * p.words, "quads in": inputs * quads,
        "channels in alone": inputs * alone,
        "outputs": patches, "rows": patches * p.filter_h, "taps": patches * taps, "words": patches * taps * p.words,
        "triples": patches * triples, "taps that may be outside": patches * taps * bounded,
        "bytes outside": outputs * p.outside_bytes,
        "filters": passes, "pairs of triples": counted * pairs, "triples alone": counted * odd,
        f"rests of {rest}": counted * (rest > 0), "filters that may be cut": passes * bounded, "filters cut": cut,
        "bytes of filters cut": cut * -(-p.outside_bytes // 4),
        "filters of their own": passes * (p.channel_words > 2),
        "shifts of their own": passes * (p.shift < 0),
        "weight lines": weights / CACHE_LINE,
        "weight lines missed again": missed / CACHE_LINE,
        **requantised(p.requantize, passes)}
    return "xnor_conv, twice" if twice else "xnor_conv", terms


def xnor_portable_work(p: Any) -> tuple[str, dict[str, float]]:
    """Bit by bit, then tap by tap.

    Parameters
    ----------
    p : XnorConvParams

    Returns
    -------
    (kind, terms)
    """
    c = p.conv
    y = np.arange(c.output_h)[:, None] * c.stride_h - c.pad_top + np.arange(c.filter_h)
    x = np.arange(c.output_w)[:, None] * c.stride_w - c.pad_left + np.arange(c.filter_w)
    rows, columns = ((y >= 0) & (y < c.input_h)).sum(), ((x >= 0) & (x < c.input_w)).sum()
    inputs, outputs = c.input_h * c.input_w, c.output_h * c.output_w * c.output_c
    return "xnor_conv, portable", {
        "calls": 1.0, "inputs": inputs, "words in": inputs * p.words, "channels in": inputs * c.input_c,
        "outputs": outputs, "rows": outputs * c.filter_h,
        "columns": float(c.output_c * rows * c.output_w * c.filter_w),
        "taps": float(c.output_c * rows * columns), "words": float(c.output_c * rows * columns * p.words)}


def _cut(p: Any) -> float:
    """Positions of the output some of whose taps lie outside."""
    if not p.cut:
        return 0.0
    y, x = np.arange(p.output_h) * p.stride_h - p.pad_top, np.arange(p.output_w) * p.stride_w - p.pad_left
    inside = ((y >= 0) & (y + p.filter_h <= p.input_h)).sum() * ((x >= 0) & (x + p.filter_w <= p.input_w)).sum()
    return float(p.output_h * p.output_w - inside)
