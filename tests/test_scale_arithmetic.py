"""Scales are combined in double, but clamp limits are found in float32: TFLM shows which.

The two precisions differ in the last bits of a multiplier, which random inputs almost never see. Here scales and
inputs are sought for which the outputs differ. TFLM's sources of August 2026 multiply scales in float32 for
FULLY_CONNECTED, BATCH_MATMUL, LSTM and RELU; the pinned wheel, which is newer, does not.
"""

from collections.abc import Iterator

import numpy as np
import pytest

from harembed.export.oracles import run_tflm
from harembed.export.tflite import write_tflite
from harembed.ir.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
from harembed.ir.graph import GraphBuilder, IntGraph, Kind, QParams
from harembed.ir.interpreter import Interpreter
from harembed.ir.ops.dense import FullyConnectedAttrs
from harembed.ir.ops.elementwise import ElementwiseAttrs
from harembed.ir.ops.matmul import BatchMatMulAttrs

DEPTH = 45
DRAWS = 6


def telling_products() -> Iterator[tuple[float, float, float, int]]:
    """(scale, scale, output scale, accumulator) whose result depends on the precision of the product."""
    rng = np.random.default_rng(3)
    acc = np.arange(1, (DEPTH - 5) * 127 * 127)
    while True:
        a, b = (np.float32(v) for v in rng.uniform(0.01, 0.1, 2))
        y = float(np.float32(float(a * b) * rng.uniform(5200, 9000)))
        results = [multiply_by_quantized_multiplier(acc, *quantize_multiplier(product / y))
                   for product in (float(a * b), float(a) * float(b))]
        differing = np.flatnonzero(results[0] != results[1])
        if len(differing):
            yield float(a), float(b), y, int(acc[differing[len(differing) // 2]])


def factors(acc: int) -> tuple[np.ndarray, np.ndarray]:
    """Two int8 vectors [DEPTH] with that dot product."""
    full, rest = divmod(acc, 127 * 127)
    a, b = np.zeros(DEPTH, np.int8), np.zeros(DEPTH, np.int8)
    a[:full] = b[:full] = a[full] = 127
    b[full], b[full + 1], a[full + 1] = rest // 127, rest % 127, 1
    return a, b


def dense(a: float, b: float, y: float, weights: np.ndarray) -> IntGraph:
    g = GraphBuilder("dense")
    g.tensor("x", (1, DEPTH), kind=Kind.INPUT, qparams=QParams((a,)))
    g.constant("w", weights.reshape(1, DEPTH), QParams((b,)))
    g.tensor("y", (1, 1), qparams=QParams((y,)))
    g.node("fully_connected", ["x", "w", ""], ["y"], FullyConnectedAttrs())
    return g.build(["x"], ["y"])


def matmul(a: float, b: float, y: float, weights: np.ndarray) -> IntGraph:
    g = GraphBuilder("matmul")
    g.tensor("x", (1, 1, DEPTH), kind=Kind.INPUT, qparams=QParams((a,)))
    g.constant("w", weights.reshape(1, DEPTH, 1), QParams((b,)))
    g.tensor("y", (1, 1, 1), qparams=QParams((y,)))
    g.node("batch_matmul", ["x", "w"], ["y"], BatchMatMulAttrs())
    return g.build(["x"], ["y"])


@pytest.mark.parametrize("build", [dense, matmul])
def test_products_of_scales_are_double(build) -> None:
    for _, (a, b, y, acc) in zip(range(DRAWS), telling_products(), strict=False):
        left, right = factors(acc)
        graph = build(a, b, y, right)
        x = left.reshape(graph["x"].shape)
        assert np.array_equal(run_tflm(write_tflite(graph), [x])[0], Interpreter(graph).run(x)[0])


def test_quotients_of_scales_are_double() -> None:
    rng = np.random.default_rng(3)
    inputs = np.arange(-128, 128)
    found = 0
    while found < DRAWS:
        x, tie = np.float32(rng.uniform(0.01, 0.1)), int(rng.integers(0, 100)) + 0.5
        y = np.float32(float(x) * int(rng.integers(1, 128)) / tie)
        results = [multiply_by_quantized_multiplier(inputs, *quantize_multiplier(q))
                   for q in (float(x / y), float(x) / float(y))]
        if not ((results[0] != results[1]) & (inputs > 0) & (results[0] < 120)).any():
            continue
        found += 1
        g = GraphBuilder("relu")
        g.tensor("x", (1, 256), kind=Kind.INPUT, qparams=QParams((float(x),)))
        g.tensor("y", (1, 256), qparams=QParams((float(y),)))
        g.node("relu", ["x"], ["y"])
        graph, data = g.build(["x"], ["y"]), inputs.astype(np.int8).reshape(1, 256)
        assert np.array_equal(run_tflm(write_tflite(graph), [data])[0], Interpreter(graph).run(data)[0])


def test_clamp_limits_are_float32() -> None:
    telling = [float(np.float32(6 / (k + 0.5))) for k in range(1, 120)]
    telling = [s for s in telling if np.floor(float(np.float32(6) / np.float32(s)) + 0.5) != np.floor(6 / s + 0.5)]
    assert len(telling) > 20
    for scale in telling[:DRAWS]:
        g = GraphBuilder("relu6")
        for name in ("left", "right"):
            g.tensor(name, (1, 1), kind=Kind.INPUT, qparams=QParams((scale,)))
        g.tensor("y", (1, 1), qparams=QParams((scale,)))
        g.node("add", ["left", "right"], ["y"], ElementwiseAttrs("relu6"))
        graph, x = g.build(["left", "right"], ["y"]), np.full((1, 1), 127, np.int8)
        assert np.array_equal(run_tflm(write_tflite(graph), [x, x])[0], Interpreter(graph).run(x, x)[0])
