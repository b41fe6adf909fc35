"""Sizes of designed convolutions and fully connected layers, see latency_design.py."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from harembed.ir.graph import IntGraph
from harembed.ir.ops.base import Case
from harembed.ir.ops.conv import Conv2D, Conv2DAttrs
from harembed.ir.ops.dense import FullyConnected, FullyConnectedAttrs
from harembed.ir.ops.depthwise import DepthwiseConv2D
from harembed.ir.ops.lego import LegoConv
from harembed.ir.ops.xnor import XnorConv

MOST_MACS = 30_000  # of a layer, so that a simulator gets through hundreds of them
LEAST_MACS = 1_200  # of a convolution: what takes no time in a network should not count in the fit
MOST_SLOW = 4_000  # of whatever takes ten instructions or more
MOST_BYTES = 8_192  # of an input

Rng = np.random.Generator
Draw = Callable[[Rng], Case | None]
_RELU = ((-7, -128), "relu")  # zero points of input and output, activation: what training leaves behind a convolution
_FORMS = (_RELU, _RELU, ((-128, -128), "relu"), ((-128, 4), "none"), ((3, -9), "none"), ((5, -100), "relu6"))


def pick(rng: Rng, *values: int) -> int:
    return int(rng.choice(values))


def size(rng: Rng, least: int, most: int) -> int:
    """Half of them uniform, half log-uniform: small sizes as often as large ones."""
    if rng.random() < 0.5:
        return int(rng.integers(least, most + 1))
    return min(int(least * math.exp(rng.uniform(0.0, math.log((most + 1) / least)))), most)


def conv(rng: Rng, h: int, w: int, c: int, o: int, kh: int, kw: int, attrs: tuple[tuple[int, int], tuple[int, int]],
          positions: tuple[int, int] = (4, 4096), most: int = MOST_MACS) -> Case | None:
    """attrs: stride and dilation; padding and the activation are drawn."""
    (stride, dilation) = attrs
    padding = str(rng.choice(["same", "valid"]))
    zero_points, activation = _FORMS[int(rng.integers(len(_FORMS)))]
    extent = [(k - 1) * d + 1 for k, d in zip((kh, kw), dilation, strict=True)]
    out = [-(-n // s) if padding == "same" else (n - e) // s + 1
           for n, s, e in zip((h, w), stride, extent, strict=True)]
    fits = min(out) >= 1 and (padding == "same" or (h >= extent[0] and w >= extent[1]))
    outputs = out[0] * out[1]
    least = LEAST_MACS if positions[0] >= 4 else 1
    if (not fits or not positions[0] <= outputs <= positions[1] or h * w * c > MOST_BYTES
            or not least <= outputs * o * kh * kw * c <= most):
        return None
    return Conv2D.case("designed", h, w, c, o, kh, kw,
                       Conv2DAttrs(stride, dilation, padding, activation), zero_points)


def temporal(rng: Rng) -> Case | None:
    """Along time, each row (sensor) by itself."""
    k = pick(rng, 1, 2, 3, 4, 5, 7, 9)
    h, w, c, o = pick(rng, 1, 2, 3, 5, 7, 8, 11), size(rng, 4, 160), size(rng, 1, 40), size(rng, 2, 40)
    return conv(rng, h, w, c, o, 1, k, ((1, pick(rng, 1, 1, 2, 2, 3)), (1, 1)))


def narrow(rng: Rng) -> Case | None:
    """Few filters: what follows the first layer of a small network."""
    return conv(rng, pick(rng, 1, 2, 3, 5, 7, 8, 11), size(rng, 8, 120), int(rng.integers(1, 10)),
                 int(rng.integers(2, 12)), 1, pick(rng, 1, 2, 3, 4, 5, 7, 9), ((1, pick(rng, 1, 2, 2, 3)), (1, 1)))


def wide(rng: Rng) -> Case | None:
    """Filters of many weights at few positions."""
    k = pick(rng, 1, 3, 3, 4, 5, 7)
    h, w, c, o = pick(rng, 1, 1, 2, 3), size(rng, 4, 24), int(rng.integers(8, 56)), int(rng.integers(8, 56))
    return conv(rng, h, w, c, o, 1, k, ((1, pick(rng, 1, 1, 2)), (1, 1)))


def large(rng: Rng) -> Case | None:
    """More weights than the cache holds."""
    k, c, o = pick(rng, 1, 3, 5), int(rng.integers(24, 90)), int(rng.integers(32, 90))
    if not 5_000 < k * c * o < 16_000:
        return None
    return conv(rng, 1, size(rng, 8, 24), c, o, 1, k, ((1, pick(rng, 1, 2)), (1, 1)), positions=(4, 16),
                 most=5 * MOST_MACS)


def temporal_one_channel(rng: Rng) -> Case | None:
    return conv(rng, pick(rng, 1, 2, 3, 5, 7, 8, 11), size(rng, 8, 200), 1, size(rng, 2, 24), 1,
                 pick(rng, 1, 2, 3, 5, 6, 7, 9), ((1, pick(rng, 1, 2, 2, 3)), (1, 1)))


def fusing(rng: Rng) -> Case | None:
    """All rows into one."""
    h = pick(rng, 2, 3, 5, 7, 8, 11, 14)
    return conv(rng, h, size(rng, 4, 48), size(rng, 1, 32), size(rng, 2, 48), h, 1, ((1, 1), (1, 1)))


def pointwise(rng: Rng) -> Case | None:
    return conv(rng, pick(rng, 1, 1, 4, 7), size(rng, 4, 60), size(rng, 2, 80), size(rng, 2, 48), 1, 1,
                 ((1, 1), (1, 1)))


def plane(rng: Rng) -> Case | None:
    """Two-dimensional filters."""
    kh, kw = pick(rng, 2, 3, 3, 5), pick(rng, 1, 2, 3, 3, 4)
    stride = pick(rng, 1, 1, 2, 3)
    return conv(rng, size(rng, 3, 20), size(rng, 3, 20), size(rng, 1, 24), size(rng, 2, 32), kh, kw,
                 ((stride, stride), (1, 1)))


def dilated(rng: Rng) -> Case | None:
    return conv(rng, pick(rng, 1, 3, 6), size(rng, 12, 60), size(rng, 1, 12), size(rng, 2, 16), pick(rng, 1, 2),
                 pick(rng, 2, 3, 5), ((1, 1), (1, pick(rng, 2, 3))))


def lego(rng: Rng) -> Case | None:
    """Put together from bricks."""
    h, k = pick(rng, 1, 1, 1, 2, 5), pick(rng, 1, 2, 3, 3, 5, 5, 7, 9)
    kh = h if h > 1 and rng.random() < 0.6 else 1
    filters = size(rng, 4, 64)
    bricks = max(2, round(filters * rng.uniform(0.15, 0.6)))
    return _lego(rng, h, size(rng, 2, 40), size(rng, 1, 24), filters, kh, 1 if kh > 1 else k, pick(rng, 2, 3, 4),
                 bricks, pick(rng, 1, 1, 1, 2), 2 * MOST_MACS)


def large_lego(rng: Rng) -> Case | None:
    """More bricks than the cache holds, or than a byte counts of all fragments."""
    bricks, fragments, channels, k = size(rng, 60, 128), pick(rng, 2, 3, 4), size(rng, 4, 32), pick(rng, 1, 3, 5)
    if bricks * fragments <= 256 and bricks * channels * k < 6_000:
        return None
    return _lego(rng, 1, size(rng, 4, 12), channels, size(rng, 64, 160), 1, k, fragments, bricks, 1, 6 * MOST_MACS)


def _lego(rng: Rng, h: int, w: int, channels: int, filters: int, kh: int, kw: int, fragments: int, bricks: int,
          stride: int, most: int) -> Case | None:
    """channels: of a fragment."""
    padding = str(rng.choice(["same", "valid"]))
    zero_points, activation = _FORMS[int(rng.integers(len(_FORMS)))]
    outputs = -(-w // stride)
    if (padding == "valid" and w < kw) or h * w * channels * fragments > MOST_BYTES \
            or not LEAST_MACS <= h * outputs * kh * kw * channels * fragments * bricks <= most:
        return None
    return LegoConv.case("designed", h, w, channels * fragments, filters, kh, kw, fragments, bricks,
                         Conv2DAttrs((1, stride), (1, 1), padding, activation), zero_points)


def xnor(rng: Rng) -> Case | None:
    """Of signs by signs."""
    h, k = pick(rng, 1, 1, 1, 2, 5, 9), pick(rng, 1, 2, 3, 3, 5, 7, 9, 15)
    kh = h if h > 1 and rng.random() < 0.6 else 1
    kw, w, stride = 1 if kh > 1 else k, size(rng, 2, 64), pick(rng, 1, 1, 1, 2)
    channels, filters = pick(rng, size(rng, 2, 130), 16, 32, 48, 64, 64, 96, 128), size(rng, 2, 128)
    padding = str(rng.choice(["same", "valid"]))
    zero_points, activation = _FORMS[int(rng.integers(len(_FORMS)))]
    if (padding == "valid" and w < kw) or h * w * channels > MOST_BYTES \
            or not LEAST_MACS <= h * -(-w // stride) * kh * kw * channels * filters <= 4 * MOST_MACS:
        return None
    attrs = Conv2DAttrs((1, stride), (1, 1), padding, activation)
    return XnorConv.case("designed", h, w, channels, filters, kh, kw, attrs, zero_points,
                         float(rng.choice([0.1, 0.4, 1.5])))


def few_positions(rng: Rng) -> Case | None:
    return conv(rng, 1, size(rng, 1, 7), size(rng, 1, 40), size(rng, 2, 40), 1, pick(rng, 1, 2, 3, 5),
                 ((1, pick(rng, 1, 2, 3)), (1, 1)), positions=(1, 3))


def depthwise(rng: Rng, multiplier: int = 1,
              channels: tuple[int, ...] = (2, 3, 4, 5, 6, 7, 8, 11, 12, 16, 18, 24, 32)) -> Case | None:
    h, kh = (1, 1) if rng.random() < 0.4 else (size(rng, 3, 14), pick(rng, 1, 3, 3, 5))
    w, kw, stride = size(rng, 5, 40), pick(rng, 1, 3, 3, 4, 5, 7), pick(rng, 1, 1, 2)
    c = pick(rng, *channels)
    zero_points, activation = _FORMS[int(rng.integers(len(_FORMS)))]
    padding = str(rng.choice(["same", "valid"]))
    most = MOST_MACS if multiplier == 1 else MOST_SLOW
    if h < kh or w < kw or h * w * c * multiplier * kh * kw > most or h * w * c > MOST_BYTES:
        return None
    attrs = Conv2DAttrs((stride if h > 1 else 1, stride), (1, 1), padding, activation)
    return DepthwiseConv2D.case("designed", h, w, c, multiplier, kh, kw, attrs, zero_points)


def wide_depthwise(rng: Rng) -> Case | None:
    """Of many channels, which are mostly whole fours."""
    return depthwise(rng, 1, (8, 8, 12, 14, 16, 16, 20, 24, 25, 32, 40, 48, 64))


def square_depthwise(rng: Rng) -> Case | None:
    """Three by three, for which there are kernels of their own."""
    h, w, c, stride = size(rng, 3, 16), size(rng, 3, 16), size(rng, 1, 32), pick(rng, 1, 1, 1, 2)
    zero_points, activation = _FORMS[int(rng.integers(len(_FORMS)))]
    if not LEAST_MACS <= h * w * c * 9 <= MOST_MACS:
        return None
    attrs = Conv2DAttrs((stride, stride), (1, 1), str(rng.choice(["same", "valid"])), activation)
    return DepthwiseConv2D.case("designed", h, w, c, 1, 3, 3, attrs, zero_points)


def depthwise_portable(rng: Rng) -> Case | None:
    return depthwise(rng, pick(rng, 2, 3, 4))


def dense(rng: Rng) -> Case | None:
    zero_points, activation = _FORMS[int(rng.integers(len(_FORMS)))]
    i, o = size(rng, 3, 300), size(rng, 2, 64)
    if i * o > MOST_MACS:
        return None
    return FullyConnected.case("designed", (1, i), o, FullyConnectedAttrs(activation), zero_points)


def dense_rows(rng: Rng) -> Case | None:
    zero_points, activation = _FORMS[int(rng.integers(len(_FORMS)))]
    rows, i, o = pick(rng, 2, 3, 5, 9, 13, 20), size(rng, 3, 64), size(rng, 1, 40)
    if rows * i * o > MOST_MACS:
        return None
    return FullyConnected.case("designed", (1, rows, i), o, FullyConnectedAttrs(activation, True), zero_points)


def few_fused(rng: Rng) -> Case | None:
    """All rows into one, at few positions."""
    h = pick(rng, 2, 3, 5, 7, 8, 11, 14)
    return conv(rng, h, pick(rng, 1, 2, 3), size(rng, 1, 32), size(rng, 2, 48), h, 1, ((1, 1), (1, 1)),
                 positions=(1, 3))


def paired(rng: Rng) -> Case | None:
    """Taps of one byte that are no neighbours: one channel, and the filter goes down, or is dilated."""
    if rng.random() < 0.5:
        h, w, o, kh = size(rng, 6, 60), pick(rng, 1, 2, 4, 7, 9), size(rng, 2, 16), pick(rng, 2, 3, 5, 6)
        return conv(rng, h, w, 1, o, kh, 1, ((pick(rng, 1, 2), 1), (1, 1)))
    return conv(rng, pick(rng, 1, 3, 6), size(rng, 20, 90), 1, size(rng, 2, 16), 1, pick(rng, 2, 3, 4, 5, 7),
                 ((1, 1), (1, pick(rng, 2, 3))))


def _varied(draw: Draw, scales: Callable[[Rng, int], np.ndarray]) -> Draw:
    """The same layers, the weights of each output channel scaled by further factors."""

    def scaled(case: Case, rng: Rng) -> IntGraph:
        graph = case.build(rng)
        weights = next(graph[t] for t in graph.nodes[0].inputs[1:] if graph[t].qparams is not None)
        assert weights.qparams is not None
        factors = scales(rng, len(weights.qparams.scale))
        qparams = replace(weights.qparams, scale=tuple(np.array(weights.qparams.scale) * factors))
        return replace(graph, tensors={**graph.tensors, weights.name: replace(weights, qparams=qparams)})

    def draw_varied(rng: Rng) -> Case | None:
        case = draw(rng)
        return None if case is None else Case(case.name, partial(scaled, case))

    return draw_varied


def unlike(draw: Draw) -> Draw:
    """Channels so unlike that their sums cannot all be shifted by the weights."""
    return _varied(draw, lambda rng, n: 2.0 ** -rng.integers(0, 10, n))


def coarse(draw: Draw) -> Draw:
    """Outputs finer than the sums: requantisation by its definition."""
    return _varied(draw, lambda rng, n: np.full(n, 2.0**20))
