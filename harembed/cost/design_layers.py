"""Sizes of designed layers other than convolutions, see latency_design.py."""

from harembed.cost.design_conv import MOST_SLOW, Draw, Rng, pick, size
from harembed.ir.ops.activations import Logistic, Tanh
from harembed.ir.ops.base import Case
from harembed.ir.ops.concatenation import Concatenation
from harembed.ir.ops.elementwise import Add, Mul, Sub
from harembed.ir.ops.gru import Gru
from harembed.ir.ops.lstm import Lstm
from harembed.ir.ops.matmul import BatchMatMul
from harembed.ir.ops.mean import Mean, MeanAttrs
from harembed.ir.ops.pool import AveragePool2D, MaxPool2D, Pool2DAttrs
from harembed.ir.ops.prelu import Prelu
from harembed.ir.ops.rearrange import Pad, PadAttrs, Transpose, TransposeAttrs
from harembed.ir.ops.rescale import Quantize
from harembed.ir.ops.slice import StridedSlice, StridedSliceAttrs
from harembed.ir.ops.softmax import Softmax
from harembed.ir.ops.unary import unary_case


def lstm(rng: Rng) -> Case | None:
    steps, inputs, units = size(rng, 2, 24), size(rng, 3, 40), size(rng, 4, 40)
    if 4 * steps * units * (inputs + units) > 2 * MOST_SLOW:
        return None
    cell = 2.0 ** -pick(rng, 5, 13, 13, 13)  # the coarse one is the portable kernel's
    return Lstm.case("designed", steps, inputs, units, scales=(0.03, 0.008, cell))


def gru(rng: Rng) -> Case | None:
    steps, inputs, units = size(rng, 2, 12), size(rng, 3, 24), size(rng, 4, 24)
    return Gru.case("designed", steps, inputs, units) if steps * units * (inputs + units) <= MOST_SLOW else None


def wide_gru(rng: Rng) -> Case | None:
    """Weights that exceed the cache, which every time step reads again."""
    steps, inputs, units = size(rng, 2, 10), size(rng, 8, 128), size(rng, 32, 64)
    return Gru.case("designed", steps, inputs, units) if steps * units * (inputs + units) <= 15 * MOST_SLOW else None


def softmax(rng: Rng) -> Case:
    shape = (1, size(rng, 1, 20), size(rng, 2, 40))
    return Softmax.case("designed", shape, float(rng.choice([0.03, 0.05, 0.08])))


def matmul(rng: Rng) -> Case | None:
    b, m, k, n = size(rng, 1, 20), size(rng, 1, 16), size(rng, 2, 40), size(rng, 2, 32)
    if rng.random() < 0.25:  # the portable kernel's
        b, m, n = size(rng, 1, 6), pick(rng, 1, 2, 3), pick(rng, 1, 2, 3)
    left, right = rng.random() < 0.3, rng.random() < 0.5  # stored transposed
    if b * m * k * n > 2 * MOST_SLOW:
        return None
    return BatchMatMul.case("designed", (1, b, k, m) if left else (1, b, m, k),
                            (1, b, n, k) if right else (1, b, k, n), left, right)


def matvec(rng: Rng) -> Case | None:
    """A matrix times a vector, or a vector times a matrix, again and again."""
    b, n, k, right = size(rng, 1, 12), size(rng, 4, 40), size(rng, 3, 40), rng.random() < 0.5
    if b * n * k > 2 * MOST_SLOW:
        return None
    left, other = ((1, b, n, k), (1, b, k, 1)) if right else ((1, b, 1, k), (1, b, k, n))
    return BatchMatMul.case("designed", left, other)


def attention(rng: Rng) -> Case | None:
    """Products of few rows, again and again."""
    b, s, f, scores = size(rng, 3, 40), size(rng, 2, 12), size(rng, 3, 24), rng.random() < 0.5
    if b * s * s * f > 2 * MOST_SLOW:
        return None
    left, right = ((1, b, s, f), (1, b, s, f)) if scores else ((1, b, s, s), (1, b, s, f))
    return BatchMatMul.case("designed", left, right, adj_y=scores)


def elementwise(op: type[Add] | type[Sub] | type[Mul]) -> Draw:
    def draw(rng: Rng) -> Case:
        shape = (1, size(rng, 1, 4), size(rng, 1, 8), size(rng, 2, 40))
        other, constant = [(shape, False), ((1, 1, 1, shape[3]), False), ((1,), True)][int(rng.choice([0, 0, 1, 2]))]
        return op.case("designed", shape, other, activation=str(rng.choice(["none", "relu"])), constant=constant)

    return draw


def mul_portable(rng: Rng) -> Case:
    """Products scaled up so far that the portable kernel serves."""
    shape = (1, size(rng, 1, 8), size(rng, 2, 40))
    return Mul.case("designed", shape, (1,), (3.0, 1.0, 1e-4), constant=True)


def prelu(rng: Rng) -> Case:
    shape = (1, size(rng, 1, 4), size(rng, 1, 8), size(rng, 2, 40))
    return Prelu.case("designed", shape, shape[1:] if rng.random() < 0.5 else (1, 1, shape[3]))


def mean(rng: Rng) -> Case:
    channels = pick(rng, 2, 3) if rng.random() < 0.25 else size(rng, 1, 48)
    shape = (1, size(rng, 1, 9), size(rng, 2, 40), channels)
    axes = [(1, 2), (2,), (1,), (3,)][pick(rng, 0, 0, 1, 2, 3)]
    return unary_case(Mean(), "designed", shape, MeanAttrs(axes), (0.02, 0.01), (-128, -128))


def run_mean(rng: Rng) -> Case:
    shape = (1, size(rng, 1, 9), size(rng, 3, 80))
    return unary_case(Mean(), "designed", shape, MeanAttrs((2,)), (0.02, 0.01), (-128, -128))


def lookup(rng: Rng) -> Case:
    shape = (1, size(rng, 2, 1500))
    which = pick(rng, 0, 1, 2)
    if which == 0:
        return unary_case(Quantize(), "designed", shape, None, (0.02, 0.0353), (-7, 11))
    if which == 1:
        return unary_case(Tanh(), "designed", shape, None, (0.02, 1 / 128), (-7, 0))
    return unary_case(Logistic(), "designed", shape, None, (0.02, 1 / 256), (-7, -128))


def _pool(op: type[AveragePool2D] | type[MaxPool2D]) -> Draw:
    def draw(rng: Rng) -> Case | None:
        h, w, c = size(rng, 1, 10), size(rng, 4, 40), size(rng, 1, 24)
        window = (pick(rng, 1, 2, 3), pick(rng, 2, 3, 4))
        if h < window[0] or w < window[1] or h * w * c * window[0] * window[1] > MOST_SLOW:
            return None
        attrs = Pool2DAttrs(window, (pick(rng, 1, 2), pick(rng, 1, 2, 3)), str(rng.choice(["same", "valid"])))
        return unary_case(op(), "designed", (1, h, w, c), attrs, zero_points=(-128, -128))

    return draw


average_pool, max_pool = _pool(AveragePool2D), _pool(MaxPool2D)


def pad(rng: Rng) -> Case:
    before, after = ((0, *(int(n) for n in rng.integers(0, 4, 3))) for _ in range(2))
    return unary_case(Pad(), "designed", (1, size(rng, 1, 10), size(rng, 2, 20), size(rng, 1, 20)),
                      PadAttrs(before, after))


def transpose(rng: Rng) -> Case:
    perm = [(0, 2, 1, 3), (0, 2, 1, 3), (0, 3, 1, 2), (0, 1, 3, 2), (0, 3, 2, 1)][pick(rng, 0, 1, 2, 3, 4)]
    return unary_case(Transpose(), "designed", (1, size(rng, 2, 12), size(rng, 2, 24), size(rng, 1, 24)),
                      TransposeAttrs(perm))


def concatenation(rng: Rng) -> Case:
    rows = size(rng, 1, 40)
    parts = pick(rng, 2, 2, 3, 4)
    return Concatenation.case("designed", tuple((1, rows, size(rng, 1, 40)) for _ in range(parts)), 2)


def slices(rng: Rng) -> Case:
    h, w, c = size(rng, 1, 8), size(rng, 2, 24), size(rng, 1, 24)
    taken = (int(rng.integers(1, h + 1)), int(rng.integers(1, w + 1)), int(rng.integers(1, c + 1)))
    return StridedSlice.case("designed", (1, h, w, c), StridedSliceAttrs((0, 0, 0, 0), (1, *taken), (1, 1, 1, 1)))
