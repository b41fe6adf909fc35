"""The layers that the latency model of our own kernels is fitted to, see latency_design.py."""

from collections.abc import Sequence

from harembed.cost.design_conv import (
    Draw,
    coarse,
    dense,
    dense_rows,
    depthwise,
    depthwise_portable,
    dilated,
    few_fused,
    few_positions,
    fusing,
    large,
    large_lego,
    lego,
    narrow,
    paired,
    plane,
    pointwise,
    square_depthwise,
    temporal,
    temporal_one_channel,
    unlike,
    wide,
    wide_depthwise,
    xnor,
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
    matvec,
    max_pool,
    mean,
    mul_portable,
    pad,
    prelu,
    run_mean,
    slices,
    softmax,
    transpose,
    wide_gru,
)
from harembed.ir.ops.elementwise import Add, Mul, Sub

# How many layers of each sort. Convolutions need most: their kernels have most loops.
DRAWS: Sequence[tuple[Draw, int]] = (
    (temporal, 60), (narrow, 80), (wide, 40), (temporal_one_channel, 40), (fusing, 40), (pointwise, 28),
    (plane, 40), (dilated, 12), (few_positions, 32), (dense, 40), (dense_rows, 40), (depthwise, 44),
    (depthwise_portable, 12), (lstm, 32), (gru, 16), (softmax, 32), (matmul, 56), (elementwise(Add), 16),
    (elementwise(Sub), 12), (elementwise(Mul), 16), (prelu, 12), (mean, 40), (lookup, 14),
    (average_pool, 24), (max_pool, 24), (pad, 12), (transpose, 24), (concatenation, 12),
    (slices, 20), (few_fused, 28), (unlike(narrow), 10), (unlike(wide), 10), (unlike(few_positions), 10),
    (unlike(few_fused), 8), (unlike(dense), 10), (unlike(depthwise), 8), (coarse(narrow), 6),
    (coarse(wide), 6), (coarse(few_positions), 8), (coarse(dense), 6), (coarse(depthwise), 6), (paired, 16),
    (wide_depthwise, 30), (average_pool, 20), (max_pool, 24), (run_mean, 16), (attention, 24),
    (large, 24), (mul_portable, 8), (square_depthwise, 80), (matvec, 24), (gru, 28),
    (wide_gru, 16), (lego, 80), (unlike(lego), 10), (coarse(lego), 24),
    (large_lego, 20), (xnor, 110), (unlike(xnor), 14), (coarse(xnor), 14),
)
