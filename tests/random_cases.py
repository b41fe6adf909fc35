"""Cases of random shapes, scales, zero points and attributes, by operator."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from harembed.ir.ops import OPS
from harembed.ir.ops.base import Case
from harembed.ir.ops.concatenation import Concatenation
from harembed.ir.ops.conv import Conv2D, Conv2DAttrs
from harembed.ir.ops.depthwise import DepthwiseConv2D
from harembed.ir.ops.elementwise import Add, Mul, Sub
from harembed.ir.ops.leaky_relu import LeakyReluAttrs
from harembed.ir.ops.lego import LegoConv
from harembed.ir.ops.lstm import Lstm, LstmAttrs
from harembed.ir.ops.matmul import BatchMatMul
from harembed.ir.ops.mean import MeanAttrs
from harembed.ir.ops.pool import Pool2DAttrs
from harembed.ir.ops.prelu import Prelu
from harembed.ir.ops.rearrange import PadAttrs, PadV2Attrs, ReshapeAttrs, TransposeAttrs
from harembed.ir.ops.slice import StridedSlice, StridedSliceAttrs
from harembed.ir.ops.softmax import Softmax
from harembed.ir.ops.unary import unary_case
from harembed.ir.ops.xnor import XnorConv

Rng = np.random.Generator
ACTIVATIONS = ("none", "relu", "relu6")


def integers(rng: Rng, low: int, high: int, count: int) -> tuple[int, ...]:
    """low and high included."""
    return tuple(int(v) for v in rng.integers(low, high + 1, count))


def shape(rng: Rng, low_rank: int = 2, high_rank: int = 4) -> tuple[int, ...]:
    return (1, *integers(rng, 1, 7, int(rng.integers(low_rank, high_rank + 1)) - 1))


def zero_points(rng: Rng, count: int) -> tuple[int, ...]:
    """Often at an end of int8."""
    return tuple(int(rng.choice([-128, 127, 0, rng.integers(-128, 128)])) for _ in range(count))


def scales(rng: Rng, count: int) -> tuple[float, ...]:
    """Of one size, so that a result keeps some of its bits."""
    return tuple(float(v) for v in 0.05 * 2 ** rng.uniform(-1.5, 1.5, count))


def _geometry(rng: Rng) -> tuple[tuple[int, int], tuple[int, int], Conv2DAttrs]:
    """Input height and width, kernel and attributes of a convolution that yields one element at least."""
    kh, kw, sh, sw = integers(rng, 1, 5, 4)
    dilation = integers(rng, 1, 3, 2) if rng.random() < 0.4 else (1, 1)
    padding = str(rng.choice(["same", "valid"]))
    low = [(k - 1) * d + 1 if padding == "valid" else 1 for k, d in zip((kh, kw), dilation, strict=True)]
    h, w = (n + int(rng.integers(0, 9)) for n in low)
    return (h, w), (kh, kw), Conv2DAttrs((sh, sw), (dilation[0], dilation[1]), padding, str(rng.choice(ACTIVATIONS)))


def sliding(op: type[Conv2D] | type[DepthwiseConv2D], last: int) -> Callable[[Rng], Case]:
    """`last` bounds the output channels or the depth multiplier."""

    def make(rng: Rng) -> Case:
        size, kernel, attrs = _geometry(rng)
        c, o = int(rng.integers(1, 8)), int(rng.integers(1, last + 1))
        zx, zy = zero_points(rng, 2)
        return op.case("random", *size, c, o, *kernel, attrs, zero_points=(zx, zy), bias=bool(rng.integers(2)))

    return make


def lego(rng: Rng) -> Case:
    size, kernel, attrs = _geometry(rng)
    channels, filters, fragments, bricks = integers(rng, 1, 6, 4)
    zx, zy = zero_points(rng, 2)
    return LegoConv.case("random", *size, channels * fragments, filters, *kernel, fragments, bricks, attrs, (zx, zy),
                         bias=bool(rng.integers(2)), per_filter=bool(rng.integers(2)))


def xnor(rng: Rng) -> Case:
    size, kernel, attrs = _geometry(rng)
    channels = int(rng.integers(1, 8) if rng.random() < 0.4 else rng.integers(8, 300))
    zx, zy = zero_points(rng, 2)
    return XnorConv.case("random", *size, channels, int(rng.integers(1, 8)), *kernel, replace(attrs, dilation=(1, 1)),
                         (zx, zy), float(10 ** rng.uniform(-2, 0.5)), bias=bool(rng.integers(2)),
                         extreme=rng.random() < 0.1)


def elementwise(op: type[Add] | type[Sub] | type[Mul]) -> Callable[[Rng], Case]:
    def make(rng: Rng) -> Case:
        whole = shape(rng)
        one, two = (tuple(1 if rng.random() < 0.3 else n for n in whole) for _ in range(2))
        s1, s2, s3 = scales(rng, 3)
        z1, z2, z3 = zero_points(rng, 3)
        return op.case("random", one, two, (s1, s2, s3 * (0.05 if op is Mul else 1)), (z1, z2, z3),
                       str(rng.choice(ACTIVATIONS)), constant=bool(rng.integers(2)))

    return make


def prelu(rng: Rng) -> Case:
    whole = shape(rng)
    alpha = tuple(1 if rng.random() < 0.5 else n for n in whole[1:])
    s1, s2, s3 = scales(rng, 3)
    z1, z2, z3 = zero_points(rng, 3)
    return Prelu.case("random", whole, alpha, (s1, s2, s3), (z1, z2, z3))


def concatenation(rng: Rng) -> Case:
    whole = shape(rng)
    axis = int(rng.integers(1, len(whole)))
    lengths = integers(rng, 1, 5, int(rng.integers(1, 7)))
    return Concatenation.case("random", tuple((*whole[:axis], n, *whole[axis + 1 :]) for n in lengths), axis,
                              zero_point=zero_points(rng, 1)[0])


def strided_slice(rng: Rng) -> Case:
    whole = shape(rng)
    begin, size, stride = [0], [1], [1]
    for n in whole[1:]:
        step = int(rng.choice([1, 1, 2, 3, -1, -2]))
        first = int(rng.integers(0, n))
        room = (n - 1 - first) // step if step > 0 else first // -step
        begin, size, stride = [*begin, first], [*size, int(rng.integers(1, room + 2))], [*stride, step]
    gone = tuple(a for a in range(1, len(whole)) if size[a] == 1 and stride[a] == 1 and rng.random() < 0.3)
    return StridedSlice.case("random", whole, StridedSliceAttrs(tuple(begin), tuple(size), tuple(stride), gone))


def unary(op: str, attrs: Callable[[Rng, tuple[int, ...]], object] = lambda rng, s: None, moves: bool = False,
          ranks: tuple[int, int] = (2, 4)) -> Callable[[Rng], Case]:
    """An operator of one input; one that only moves values keeps their quantisation."""

    def make(rng: Rng) -> Case:
        s, z, whole = scales(rng, 2), zero_points(rng, 2), shape(rng, *ranks)
        return unary_case(OPS[op], "random", whole, attrs(rng, whole), (s[0], s[0] if moves else s[1]),
                          (z[0], z[0] if moves else z[1]))

    return make


def pad(rng: Rng, whole: tuple[int, ...]) -> PadAttrs:
    return PadAttrs((0, *integers(rng, 0, 3, len(whole) - 1)), (0, *integers(rng, 0, 3, len(whole) - 1)))


def pad_v2(rng: Rng, whole: tuple[int, ...]) -> PadV2Attrs:
    a = pad(rng, whole)
    return PadV2Attrs(a.before, a.after, zero_points(rng, 1)[0])


def transpose(rng: Rng, whole: tuple[int, ...]) -> TransposeAttrs:
    return TransposeAttrs((0, *(int(a) + 1 for a in rng.permutation(len(whole) - 1))))


def reduction(rng: Rng, whole: tuple[int, ...]) -> MeanAttrs:
    first = int(rng.integers(1, len(whole)))
    return MeanAttrs(tuple(range(first, int(rng.integers(first, len(whole))) + 1)), bool(rng.integers(2)))


def pooling(op: str) -> Callable[[Rng], Case]:
    def make(rng: Rng) -> Case:
        h, w, kh, kw = integers(rng, 1, 9, 4)
        padding = str(rng.choice(["same", "valid"]))
        window = (kh, kw) if padding == "same" else (min(kh, h), min(kw, w))
        attrs = Pool2DAttrs(window, integers(rng, 1, 4, 2), padding, str(rng.choice(ACTIVATIONS)))
        s, z = scales(rng, 1)[0], zero_points(rng, 1)[0]
        return unary_case(OPS[op], "random", (1, h, w, int(rng.integers(1, 14))), attrs, (s, s), (z, z))

    return make


def softmax(rng: Rng) -> Case:
    whole = (*shape(rng, 1, 3), int(rng.integers(1, 40)))
    return Softmax.case("random", whole, float(2 ** rng.uniform(-8, 2)), zero_points(rng, 1)[0],
                        float(rng.choice([1.0, rng.uniform(0.1, 3)])))


def batch_matmul(rng: Rng) -> Case:
    m, k, n = integers(rng, 1, 12, 3)
    adj_x, adj_y = (bool(v) for v in rng.integers(0, 2, 2))
    batch = shape(rng, 1, 3)
    one, two = (tuple(1 if rng.random() < 0.3 else size for size in batch) for _ in range(2))
    scale = float(2 ** rng.uniform(-7, 1))
    lhs, rhs = (k, m) if adj_x else (m, k), (n, k) if adj_y else (k, n)
    return BatchMatMul.case("random", (*one, *lhs), (*two, *rhs), adj_x, adj_y, (0.05, 0.03, scale),
                            zero_points(rng, 3))


def lstm(rng: Rng) -> Case:
    steps, inputs, units = integers(rng, 1, 13, 3)
    clip = float(rng.choice([0.0, 10.0, rng.uniform(0.1, 4)]))
    quantised = (float(rng.uniform(0.01, 0.2)), float(2 ** rng.uniform(-8, -5)), 2.0 ** -int(rng.integers(8, 16)))
    return Lstm.case("random", steps, inputs, units, LstmAttrs(clip), quantised, zero_points(rng, 2),
                     float(10 ** rng.uniform(-3.5, -0.8)))


KINDS: dict[str, Callable[[Rng], Case]] = {
    "conv_2d": sliding(Conv2D, 9),
    "lego_conv": lego,
    "xnor_conv": xnor,
    "depthwise_conv_2d": sliding(DepthwiseConv2D, 9),
    "add": elementwise(Add), "sub": elementwise(Sub), "mul": elementwise(Mul),
    "prelu": prelu, "concatenation": concatenation, "strided_slice": strided_slice,
    "quantize": unary("quantize"), "relu": unary("relu"), "relu6": unary("relu6"),
    "leaky_relu": unary("leaky_relu", lambda rng, s: LeakyReluAttrs(float(rng.uniform(-1, 2)))),
    "hard_swish": unary("hard_swish"),
    "pad": unary("pad", pad, moves=True), "pad_v2": unary("pad_v2", pad_v2, moves=True),
    "transpose": unary("transpose", transpose, moves=True, ranks=(2, 5)),
    "reshape": unary("reshape", lambda rng, s: ReshapeAttrs((1, *s[:0:-1])), moves=True),
    "mean": unary("mean", reduction), "sum": unary("sum", reduction),
    "average_pool_2d": pooling("average_pool_2d"), "max_pool_2d": pooling("max_pool_2d"),
    "softmax": softmax, "batch_matmul": batch_matmul, "lstm": lstm,
}
