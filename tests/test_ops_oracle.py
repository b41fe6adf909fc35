"""Every operator at every edge: our reference, TFLM, LiteRT, our .tflite and our C compute the same integers;
our ONNX, which computes in float, is within a step.

A new case is a line in the CASES of its operator; nothing here changes.
"""

import shutil
from functools import cache
from typing import Any

import numpy as np
import pytest
from host_model import HostModel

from harembed.export.onnx import run_onnx, write_onnx
from harembed.export.oracles import run_litert, run_tflm
from harembed.export.tflite import write_tflite
from harembed.export.tflite_import import read_tflite
from harembed.ir.expand import expanded
from harembed.ir.graph import IntGraph, attrs_to_dict
from harembed.ir.interpreter import Interpreter
from harembed.ir.ops import OPS

# Where LiteRT's reference kernels do other arithmetic than TFLM: the largest difference, in steps.
LITERT_STEPS = {
    "fully_connected": 1,  # rounds once where TFLM rounds twice
    "relu": 1,  # divides the two scales in float32, TFLM in double
    "leaky_relu": 1,  # likewise
    "relu6-other_output": 255,  # rescales where TFLM does not
    "lstm": 2,  # other sigmoid and tanh than TFLM's tables
    "gru": 6,  # FULLY_CONNECTED, in a feedback
    "gru-coarse": 24,
}
LITERT_CANNOT = ("sum",)  # on int8 it answers -1 to most sums, whatever the scales
# LiteRT clips the sum of a gate's two parts to int16, TFLM each part before the sum: weights so large show it as
# soon as the hidden state has left its zero_point.
LITERT_FIRST_TIME_STEPS = {"lstm-gates_saturate": 1}
# Float gates in a feedback this steep: a difference of one step is multiplied by the next.
ONNX_STEPS = {"lstm-gates_saturate": 128, "gru": 16, "gru-coarse": 64, "gru-saturating": 128}
# Operators whose ONNX form imitates the double rounding: only what float32 cannot hold may differ.
ONNX_ROUNDS_TWICE = ("conv_2d", "depthwise_conv_2d", "fully_connected", "mean", "sum", "batch_matmul")
# Their ratios of scales are short fractions: many values lie on a tie, which ONNX rounds to even.
ONNX_TIES = ("fully_connected-per_tensor_double_product", "mean-global", "mean-of_one", "mean-saturating",
             "sum-keep_dims", "sum-weighted_time", "sum-of_one", "batch_matmul-saturating")
CASES = [pytest.param(op, i, id=f"{op}-{case.name}") for op in OPS for i, case in enumerate(OPS[op].CASES)]
WINDOWS = 24


@cache
def computed(op: str, index: int) -> tuple[IntGraph, list[np.ndarray], list[np.ndarray]]:
    """(graph, full-range inputs with both constant extremes, what the interpreter makes of them)."""
    rng = np.random.default_rng([index, *op.encode()])
    graph = OPS[op].CASES[index].build(rng)
    inputs = []
    for name in graph.inputs:
        spec = graph[name]
        info = np.iinfo(spec.dtype.numpy)
        x = rng.integers(info.min, info.max + 1, (WINDOWS, *spec.shape[1:])).astype(spec.dtype.numpy)
        x[0], x[1] = info.min, info.max
        inputs.append(x)
    return graph, inputs, Interpreter(graph).run(*inputs)


def same(actual: list[np.ndarray], expected: list[np.ndarray]) -> bool:
    return all(a.dtype == e.dtype and np.array_equal(a.reshape(e.shape), e)
               for a, e in zip(actual, expected, strict=True))


def as_stored(attrs: Any) -> dict[str, Any]:
    """Attributes as a file holds them: floats in 32 bits."""
    return {k: float(np.float32(v)) if isinstance(v, float) else v for k, v in attrs_to_dict(attrs).items()}


@pytest.mark.parametrize("op, index", CASES)
def test_tflm_computes_the_same(op: str, index: int) -> None:
    graph, inputs, expected = computed(op, index)
    assert same(run_tflm(write_tflite(graph), inputs), expected)


@pytest.mark.parametrize("op, index", [p for p in CASES if p.values[0] not in LITERT_CANNOT])
def test_litert_computes_the_same(op: str, index: int) -> None:
    graph, inputs, expected = computed(op, index)
    name = f"{op}-{OPS[op].CASES[index].name}"
    compared = slice(LITERT_FIRST_TIME_STEPS.get(name))
    for actual, e in zip(run_litert(write_tflite(graph), inputs), expected, strict=True):
        steps = np.abs(actual.reshape(e.shape).astype(np.int64) - e)[:, compared]
        assert steps.max() <= LITERT_STEPS.get(name, LITERT_STEPS.get(op, 0))


@pytest.mark.parametrize("op, index", CASES)
def test_tflite_round_trip(op: str, index: int) -> None:
    graph, inputs, expected = computed(op, index)
    data = write_tflite(graph)
    assert data == write_tflite(graph)
    again, graph = read_tflite(data), expanded(graph)
    assert [n.op for n in again.nodes] == [n.op for n in graph.nodes]
    assert [as_stored(n.attrs) for n in again.nodes] == [as_stored(n.attrs) for n in graph.nodes]
    assert same(Interpreter(again).run(*inputs), expected)


@pytest.mark.parametrize("op, index", CASES)
def test_onnx_is_within_a_step(op: str, index: int) -> None:
    graph, inputs, expected = computed(op, index)
    name = f"{op}-{OPS[op].CASES[index].name}"
    allowed = ONNX_STEPS.get(name, ONNX_STEPS.get(op, 1))
    for actual, e in zip(run_onnx(write_onnx(graph), inputs), expected, strict=True):
        assert actual.shape == e.shape
        assert np.abs(actual.astype(np.int64) - e).max() <= allowed
        if op in ONNX_ROUNDS_TWICE and name not in ONNX_TIES:
            assert np.mean(actual != e) < 1e-3


@pytest.fixture(scope="session")
def objects(tmp_path_factory: pytest.TempPathFactory):
    return tmp_path_factory.mktemp("kernels")


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc on PATH")
@pytest.mark.parametrize("op, index", CASES)
def test_generated_c_computes_the_same(op: str, index: int, tmp_path, objects) -> None:
    graph, inputs, expected = computed(op, index)
    assert same(HostModel(graph, tmp_path, objects).run(*inputs), expected)
