"""The layers that a latency model is fitted to: small, drawn so that each loop of a kernel runs seldom and often.

Every operator brings its own builder of one-node graphs (the `case` of its class); here are only the sizes. Real
networks are not looked at: convolutions cover one to many rows, channels and filters of every remainder by four,
strides beyond the filter, both paddings and tiles cut by the end of a row or by the border.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from harembed.cost.design_conv import (
    MOST_SLOW,
    Draw,
    Rng,
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
    narrow,
    paired,
    pick,
    plane,
    pointwise,
    size,
    temporal,
    temporal_one_channel,
    unlike,
    wide,
    wide_depthwise,
)
from harembed.ir.graph import DType, GraphBuilder, IntGraph, Kind, Node, QParams
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
from harembed.ir.ops.rearrange import Pad, PadAttrs, ReshapeAttrs, Transpose, TransposeAttrs
from harembed.ir.ops.rescale import Quantize
from harembed.ir.ops.slice import StridedSlice, StridedSliceAttrs
from harembed.ir.ops.softmax import Softmax
from harembed.ir.ops.unary import unary_case

SEED = 1971


def designed_layers(seed: int = SEED) -> list[IntGraph]:
    """One graph of one node for each layer; the same on every machine."""
    rng = np.random.default_rng(seed)
    cases = [case for draw, count in DRAWS for case in _several(draw, count, rng)]
    # Weights of a layer's own generator, so that a new sort of layers at the end changes none before it.
    return [case.build(np.random.default_rng([seed, i])) for i, case in enumerate(cases)]


def _several(draw: Draw, count: int, rng: Rng) -> Iterator[Case]:
    """`count` cases; a draw that is too large, or no layer, is repeated."""
    found = 0
    while found < count:
        case = draw(rng)
        if case is not None:
            found += 1
            yield case


def _lstm(rng: Rng) -> Case | None:
    steps, inputs, units = size(rng, 2, 24), size(rng, 3, 40), size(rng, 4, 40)
    if 4 * steps * units * (inputs + units) > 2 * MOST_SLOW:
        return None
    cell = 2.0 ** -pick(rng, 5, 13, 13, 13)  # the coarse one is the portable kernel's
    return Lstm.case("designed", steps, inputs, units, scales=(0.03, 0.008, cell))


def _gru(rng: Rng) -> Case | None:
    steps, inputs, units = size(rng, 2, 12), size(rng, 3, 24), size(rng, 4, 24)
    return Gru.case("designed", steps, inputs, units) if steps * units * (inputs + units) <= MOST_SLOW else None


def _softmax(rng: Rng) -> Case:
    shape = (1, size(rng, 1, 20), size(rng, 2, 40))
    return Softmax.case("designed", shape, float(rng.choice([0.03, 0.05, 0.08])))


def _matmul(rng: Rng) -> Case | None:
    b, m, k, n = size(rng, 1, 20), size(rng, 1, 16), size(rng, 2, 40), size(rng, 2, 32)
    if rng.random() < 0.25:  # the portable kernel's
        b, m, n = size(rng, 1, 6), pick(rng, 1, 2, 3), pick(rng, 1, 2, 3)
    left, right = rng.random() < 0.3, rng.random() < 0.5  # stored transposed
    if b * m * k * n > 2 * MOST_SLOW:
        return None
    return BatchMatMul.case("designed", (1, b, k, m) if left else (1, b, m, k),
                            (1, b, n, k) if right else (1, b, k, n), left, right)


def _attention(rng: Rng) -> Case | None:
    """Products of few rows, again and again."""
    b, s, f, scores = size(rng, 3, 40), size(rng, 2, 12), size(rng, 3, 24), rng.random() < 0.5
    if b * s * s * f > 2 * MOST_SLOW:
        return None
    left, right = ((1, b, s, f), (1, b, s, f)) if scores else ((1, b, s, s), (1, b, s, f))
    return BatchMatMul.case("designed", left, right, adj_y=scores)


def _elementwise(op: type[Add] | type[Sub] | type[Mul]) -> Draw:
    def draw(rng: Rng) -> Case:
        shape = (1, size(rng, 1, 4), size(rng, 1, 8), size(rng, 2, 40))
        other, constant = [(shape, False), ((1, 1, 1, shape[3]), False), ((1,), True)][int(rng.choice([0, 0, 1, 2]))]
        return op.case("designed", shape, other, activation=str(rng.choice(["none", "relu"])), constant=constant)

    return draw


def _mul_portable(rng: Rng) -> Case:
    """Products scaled up so far that the portable kernel serves."""
    shape = (1, size(rng, 1, 8), size(rng, 2, 40))
    return Mul.case("designed", shape, (1,), (3.0, 1.0, 1e-4), constant=True)


def _prelu(rng: Rng) -> Case:
    shape = (1, size(rng, 1, 4), size(rng, 1, 8), size(rng, 2, 40))
    return Prelu.case("designed", shape, shape[1:] if rng.random() < 0.5 else (1, 1, shape[3]))


def _mean(rng: Rng) -> Case:
    channels = pick(rng, 2, 3) if rng.random() < 0.25 else size(rng, 1, 48)
    shape = (1, size(rng, 1, 9), size(rng, 2, 40), channels)
    axes = [(1, 2), (2,), (1,), (3,)][pick(rng, 0, 0, 1, 2, 3)]
    return unary_case(Mean(), "designed", shape, MeanAttrs(axes), (0.02, 0.01), (-128, -128))


def _run_mean(rng: Rng) -> Case:
    shape = (1, size(rng, 1, 9), size(rng, 3, 80))
    return unary_case(Mean(), "designed", shape, MeanAttrs((2,)), (0.02, 0.01), (-128, -128))


def _lookup(rng: Rng) -> Case:
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


def _pad(rng: Rng) -> Case:
    before, after = ((0, *(int(n) for n in rng.integers(0, 4, 3))) for _ in range(2))
    return unary_case(Pad(), "designed", (1, size(rng, 1, 10), size(rng, 2, 20), size(rng, 1, 20)),
                      PadAttrs(before, after))


def _transpose(rng: Rng) -> Case:
    perm = [(0, 2, 1, 3), (0, 2, 1, 3), (0, 3, 1, 2), (0, 1, 3, 2), (0, 3, 2, 1)][pick(rng, 0, 1, 2, 3, 4)]
    return unary_case(Transpose(), "designed", (1, size(rng, 2, 12), size(rng, 2, 24), size(rng, 1, 24)),
                      TransposeAttrs(perm))


def _concatenation(rng: Rng) -> Case:
    rows = size(rng, 1, 40)
    parts = pick(rng, 2, 2, 3, 4)
    return Concatenation.case("designed", tuple((1, rows, size(rng, 1, 40)) for _ in range(parts)), 2)


def _slice(rng: Rng) -> Case:
    h, w, c = size(rng, 1, 8), size(rng, 2, 24), size(rng, 1, 24)
    taken = (int(rng.integers(1, h + 1)), int(rng.integers(1, w + 1)), int(rng.integers(1, c + 1)))
    return StridedSlice.case("designed", (1, h, w, c), StridedSliceAttrs((0, 0, 0, 0), (1, *taken), (1, 1, 1, 1)))


# How many layers of each sort. Convolutions need most: their kernels have most loops.
DRAWS: Sequence[tuple[Draw, int]] = (
    (temporal, 60), (narrow, 80), (wide, 40), (temporal_one_channel, 40), (fusing, 40), (pointwise, 28),
    (plane, 40), (dilated, 12), (few_positions, 32), (dense, 40), (dense_rows, 40), (depthwise, 44),
    (depthwise_portable, 12), (_lstm, 32), (_gru, 16), (_softmax, 32), (_matmul, 56), (_elementwise(Add), 16),
    (_elementwise(Sub), 12), (_elementwise(Mul), 16), (_prelu, 12), (_mean, 40), (_lookup, 14),
    (_pool(AveragePool2D), 24), (_pool(MaxPool2D), 24), (_pad, 12), (_transpose, 24), (_concatenation, 12),
    (_slice, 20), (few_fused, 28), (unlike(narrow), 10), (unlike(wide), 10), (unlike(few_positions), 10),
    (unlike(few_fused), 8), (unlike(dense), 10), (unlike(depthwise), 8), (coarse(narrow), 6),
    (coarse(wide), 6), (coarse(few_positions), 8), (coarse(dense), 6), (coarse(depthwise), 6), (paired, 16),
    (wide_depthwise, 30), (_pool(AveragePool2D), 20), (_pool(MaxPool2D), 24), (_run_mean, 16), (_attention, 24),
    (large, 24), (_mul_portable, 8),
)


def side_by_side(name: str, graphs: Sequence[IntGraph]) -> tuple[IntGraph, list[str]]:
    """One graph that computes several one-node graphs from the same input, and the names of their nodes in it.

    Every input is a slice of the one input, of the layer's own shape and quantisation. Outputs are not read by
    anything, so their memory is free again at once.
    """
    g = GraphBuilder(name)
    longest = max(graph[t].elements for graph in graphs for t in graph.inputs)
    g.tensor("samples", (1, longest), kind=Kind.INPUT, qparams=QParams((0.05,), 0))
    nodes = []
    for i, graph in enumerate(graphs):
        names = {"": ""}
        for t in graph.tensors.values():
            names[t.name] = f"l{i}_{t.name}"
            if t.kind is Kind.CONSTANT:
                assert t.data is not None
                g.constant(names[t.name], t.data, t.qparams)
            elif t.kind is not Kind.INPUT:
                kind = Kind.STATE if t.kind is Kind.STATE else Kind.ACTIVATION
                g.tensor(names[t.name], t.shape, t.dtype, kind, t.qparams)
        for given in graph.inputs:
            _take(g, names[given], graph[given].shape, graph[given].qparams)
        node = graph.nodes[0]
        nodes.append(f"l{i}_{node.op}")
        _copy(g, node, names, nodes[-1])
    return g.build(["samples"], [g.nodes[-1].outputs[0]]), nodes


def _take(g: GraphBuilder, name: str, shape: tuple[int, ...], qparams: QParams | None) -> None:
    count = math.prod(shape)
    flat = g.tensor(f"{name}_flat", (1, count), DType.INT8, qparams=qparams)
    g.node("strided_slice", ["samples"], [flat], StridedSliceAttrs((0, 0), (1, count), (1, 1)), f"{name}_taken")
    g.tensor(name, shape, DType.INT8, qparams=qparams)
    g.node("reshape", [flat], [name], ReshapeAttrs(shape), f"{name}_shaped")


def _copy(g: GraphBuilder, node: Node, names: dict[str, str], name: str) -> None:
    g.node(node.op, [names[t] for t in node.inputs], [names[t] for t in node.outputs], node.attrs, name)
