"""The layers that the latency model of CMSIS-NN is fitted to, see latency_design.py.

It chooses its kernels by other sizes than ours: by filters of one tap, strides, channels that fill words, squares of
three by three. Layers that it lacks are here too, since they run on our portable kernels.
"""

from collections.abc import Sequence

from harembed.cost.design_conv import (
    MOST_BYTES,
    MOST_MACS,
    MOST_SLOW,
    Draw,
    Rng,
    conv,
    dense,
    dense_rows,
    depthwise,
    dilated,
    few_positions,
    fusing,
    large,
    narrow,
    pick,
    plane,
    pointwise,
    size,
    square_depthwise,
    temporal,
    temporal_one_channel,
    wide,
    wide_depthwise,
)
from harembed.cost.design_layers import (
    attention,
    average_pool,
    concatenation,
    elementwise,
    gru,
    lookup,
    lstm,
    matmul,
    max_pool,
    mean,
    pad,
    prelu,
    run_mean,
    slices,
    softmax,
    transpose,
)
from harembed.ir.ops.base import Case
from harembed.ir.ops.conv import Conv2DAttrs
from harembed.ir.ops.dense import FullyConnected, FullyConnectedAttrs
from harembed.ir.ops.depthwise import DepthwiseConv2D
from harembed.ir.ops.elementwise import Add, Mul, Sub
from harembed.ir.ops.matmul import BatchMatMul
from harembed.ir.ops.rearrange import Transpose, TransposeAttrs
from harembed.ir.ops.unary import unary_case
from harembed.ir.ops.xnor import XnorConv


def upright(rng: Rng) -> Case | None:
    """Time along H and sensors along W, as most converters leave it."""
    k = pick(rng, 1, 2, 3, 5, 7, 9)
    h, w, c, o = size(rng, 4, 160), pick(rng, 1, 3, 5, 7, 9), size(rng, 1, 40), size(rng, 2, 40)
    return conv(rng, h, w, c, o, k, 1, ((pick(rng, 1, 1, 2, 3), 1), (1, 1)))


def upright_one_channel(rng: Rng) -> Case | None:
    k = pick(rng, 2, 3, 5, 7, 9)
    return conv(rng, size(rng, 8, 160), pick(rng, 1, 3, 5, 7, 9), 1, size(rng, 2, 24), k, 1,
                ((pick(rng, 1, 2, 3), 1), (1, 1)))


def words(rng: Rng) -> Case | None:
    """Channels that fill words, as in most published networks."""
    h, w, c, o = size(rng, 1, 48), pick(rng, 1, 3, 5, 9), 4 * size(rng, 1, 32), 4 * size(rng, 1, 14)
    kh, kw = pick(rng, 1, 1, 3, 5, 7), pick(rng, 1, 1, 2, 3, 5)
    return conv(rng, h, w, c, o, kh, kw, ((1, pick(rng, 1, 1, 2)), (1, 1)), most=2 * MOST_MACS)


def strided_pointwise(rng: Rng) -> Case | None:
    return conv(rng, pick(rng, 1, 2, 5, 9), size(rng, 4, 60), size(rng, 2, 60), size(rng, 2, 40), 1, 1,
                ((pick(rng, 1, 2), pick(rng, 2, 3)), (1, 1)))


def multiplied_depthwise(rng: Rng) -> Case | None:
    return depthwise(rng, pick(rng, 2, 3, 4, 4, 8, 8))


def dilated_depthwise(rng: Rng) -> Case | None:
    h, w, c, m = size(rng, 1, 10), size(rng, 9, 30), size(rng, 1, 12), pick(rng, 1, 1, 2)
    kh, kw = pick(rng, 1, 2, 3), pick(rng, 2, 3)
    dilation = (pick(rng, 1, 2), pick(rng, 2, 3))
    if h <= (kh - 1) * dilation[0] or h * w * c * m * kh * kw > MOST_MACS // 3:
        return None
    return DepthwiseConv2D.case("designed", h, w, c, m, kh, kw,
                                Conv2DAttrs((1, 1), dilation, str(rng.choice(["same", "valid"]))))


def dense_by_tensor(rng: Rng) -> Case | None:
    """One scale for all weights."""
    i, o = size(rng, 3, 300), size(rng, 2, 64)
    if i * o > MOST_MACS:
        return None
    return FullyConnected.case("designed", (1, i), o, FullyConnectedAttrs("none"), per_channel=False)


def matmul_broadcast(rng: Rng) -> Case | None:
    """One right operand for all left ones."""
    b, m, k, n = size(rng, 2, 12), size(rng, 1, 12), size(rng, 2, 32), size(rng, 2, 24)
    turned = rng.random() < 0.5
    if b * m * k * n > MOST_SLOW:
        return None
    return BatchMatMul.case("designed", (1, b, m, k), (1, 1, n, k) if turned else (1, 1, k, n), adj_y=turned)


def binary(rng: Rng) -> Case | None:
    h, k, w = pick(rng, 1, 1, 2, 5), pick(rng, 1, 3, 5, 9), size(rng, 2, 40)
    kh = h if h > 1 and rng.random() < 0.5 else 1
    channels, filters = pick(rng, size(rng, 2, 40), 64, 100), size(rng, 2, 24)
    kw, padding = 1 if kh > 1 else k, str(rng.choice(["same", "valid"]))
    if (padding == "valid" and w < kw) or h * w * channels > MOST_BYTES \
            or h * w * kh * kw * channels * filters > MOST_MACS:
        return None
    attrs = Conv2DAttrs((1, pick(rng, 1, 2)), (1, 1), padding)
    return XnorConv.case("designed", h, w, channels, filters, kh, kw, attrs)


def transpose_five(rng: Rng) -> Case:
    """More axes than it knows."""
    perm = [(0, 4, 2, 1, 3), (0, 2, 1, 3, 4), (0, 1, 4, 3, 2)][pick(rng, 0, 1, 2)]
    return unary_case(Transpose(), "designed", (1, *(size(rng, 2, 9) for _ in range(4))), TransposeAttrs(perm))


DRAWS: Sequence[tuple[Draw, int]] = (
    (temporal, 40), (temporal_one_channel, 40), (upright, 60), (upright_one_channel, 40), (narrow, 32), (wide, 32),
    (words, 60), (large, 24), (fusing, 16), (plane, 32), (dilated, 8), (few_positions, 16), (pointwise, 36),
    (strided_pointwise, 20), (dense, 24), (dense_by_tensor, 20), (dense_rows, 28), (depthwise, 40),
    (wide_depthwise, 20), (square_depthwise, 28), (multiplied_depthwise, 36), (dilated_depthwise, 16), (lstm, 32),
    (gru, 12), (softmax, 20), (matmul, 28), (attention, 16), (elementwise(Add), 20), (elementwise(Mul), 20),
    (elementwise(Sub), 12), (prelu, 12), (mean, 24), (run_mean, 12), (lookup, 12), (average_pool, 28),
    (max_pool, 32), (pad, 24), (transpose, 20), (concatenation, 20), (slices, 16),
    (matmul_broadcast, 16), (transpose_five, 16), (elementwise(Mul), 24), (elementwise(Add), 12), (dense, 20),
    (binary, 28),
)
