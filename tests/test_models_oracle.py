"""Whole graphs: imported models, and graphs with several inputs, outputs and a long chain of operators."""

import shutil
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from host_model import HostModel

from harembed.errors import GraphError
from harembed.export.onnx import compare_onnx
from harembed.export.oracles import run_litert, run_tflm
from harembed.export.tflite import write_tflite
from harembed.export.tflite_import import read_tflite
from harembed.ir.graph import GraphBuilder, IntGraph, Kind, QParams
from harembed.ir.interpreter import Interpreter
from harembed.ir.ops.conv import Conv2DAttrs
from harembed.ir.ops.dense import FullyConnectedAttrs
from harembed.ir.ops.elementwise import ElementwiseAttrs
from harembed.ir.ops.mean import MeanAttrs
from harembed.ir.ops.rearrange import ReshapeAttrs, TransposeAttrs

ANCHORS = Path(__file__).parents[2] / "shared" / "anchors"
WINDOWS = 200


def individual_convolutions(rng: np.random.Generator) -> IntGraph:
    """Weight-shared convolutions over each sensor, then all sensors mixed: the shape of our searched networks."""
    g = GraphBuilder("individual")
    g.tensor("x", (1, 6, 40, 1), kind=Kind.INPUT, qparams=QParams((0.03,), 4))
    _conv(g, rng, "a", "x", (6, 20, 4), 5, Conv2DAttrs((1, 2), padding="same", activation="relu"))
    _conv(g, rng, "b", "a", (6, 8, 8), 5, Conv2DAttrs((1, 2), activation="relu"))
    g.tensor("t", (1, 8, 6, 8), qparams=g.tensors["b"].qparams)
    g.node("transpose", ["b"], ["t"], TransposeAttrs((0, 2, 1, 3)))
    g.tensor("r", (1, 1, 8, 48), qparams=g.tensors["b"].qparams)
    g.node("reshape", ["t"], ["r"], ReshapeAttrs((1, 1, 8, 48)))
    _conv(g, rng, "c", "r", (1, 8, 24), 1, Conv2DAttrs(activation="relu"))
    g.tensor("m", (1, 24), qparams=QParams((0.02,), -128))
    g.node("mean", ["c"], ["m"], MeanAttrs())
    _dense(g, rng, "logits", "m", 24, 7)
    return g.build(["x"], ["logits"])


def two_inputs_two_outputs(rng: np.random.Generator) -> IntGraph:
    g = GraphBuilder("two_by_two")
    for name in ("left", "right"):
        g.tensor(name, (1, 12), kind=Kind.INPUT, qparams=QParams((0.04,), -2))
    g.tensor("sum", (1, 12), qparams=QParams((0.07,), 1))
    g.node("add", ["left", "right"], ["sum"], ElementwiseAttrs())
    _dense(g, rng, "first", "sum", 12, 5)
    _dense(g, rng, "second", "right", 12, 3)
    return g.build(["left", "right"], ["first", "second"])


def _conv(g: GraphBuilder, rng: np.random.Generator, name: str, source: str, out: tuple[int, int, int], k: int,
          attrs: Conv2DAttrs) -> None:
    c = g.tensors[source].shape[3]
    scales = tuple(rng.uniform(0.5, 1.0, out[2]) * 0.04 / np.sqrt(k * c))
    g.constant(f"{name}/filter", rng.integers(-127, 128, (out[2], 1, k, c)).astype(np.int8), QParams(scales, 0, 0))
    g.constant(f"{name}/bias", rng.integers(-500, 500, out[2]).astype(np.int32))
    g.tensor(name, (1, *out), qparams=QParams((0.03,), -128 if attrs.activation == "relu" else 0))
    g.node("conv_2d", [source, f"{name}/filter", f"{name}/bias"], [name], attrs)


def _dense(g: GraphBuilder, rng: np.random.Generator, name: str, source: str, i: int, o: int) -> None:
    g.constant(f"{name}/filter", rng.integers(-127, 128, (o, i)).astype(np.int8),
               QParams(tuple(rng.uniform(0.002, 0.004, o)), 0, 0))
    g.constant(f"{name}/bias", rng.integers(-500, 500, o).astype(np.int32))
    g.tensor(name, (1, o), qparams=QParams((0.05,), 3))
    g.node("fully_connected", [source, f"{name}/filter", f"{name}/bias"], [name], FullyConnectedAttrs())


def full_range(graph: IntGraph) -> list[np.ndarray]:
    rng = np.random.default_rng(7)
    return [rng.integers(-128, 128, (WINDOWS, *graph[n].shape[1:])).astype(np.int8) for n in graph.inputs]


def same(actual: list[np.ndarray], expected: list[np.ndarray]) -> bool:
    return all(np.array_equal(a.reshape(e.shape), e) for a, e in zip(actual, expected, strict=True))


@pytest.mark.parametrize("build", [individual_convolutions, two_inputs_two_outputs])
def test_built_graph(build, tmp_path: Path) -> None:
    graph = build(np.random.default_rng(3))
    inputs = full_range(graph)
    expected = Interpreter(graph).run(*inputs)
    assert all(len(np.unique(e)) > 20 for e in expected), "an output that hardly varies proves nothing"
    data = write_tflite(graph)
    assert same(run_tflm(data, inputs), expected)
    for actual, e in zip(run_litert(data, inputs), expected, strict=True):
        assert np.abs(actual.astype(int) - e).max() <= 1
    if shutil.which("gcc"):
        assert same(HostModel(graph, tmp_path, tmp_path).run(*inputs), expected)


@pytest.mark.skipif(not ANCHORS.is_dir(), reason="no ../shared/anchors beside the checkout")
@pytest.mark.parametrize("model", ["m1", "m2", "h1", "l1"])
def test_imported_model(model: str, tmp_path: Path) -> None:
    """Models made by TensorFlow's converter: read, computed, written again, generated as C."""
    data = (ANCHORS / f"{model}.tflite").read_bytes()
    graph = read_tflite(data)
    inputs = full_range(graph)
    truth = run_tflm(data, inputs)
    assert same(Interpreter(graph).run(*inputs), truth)
    assert same(run_tflm(write_tflite(graph), inputs), truth)
    if shutil.which("gcc"):
        assert same(HostModel(graph, tmp_path, tmp_path).run(*inputs), truth)
    # On noise the two best logits often tie; a class may flip only there.
    report = compare_onnx(graph, inputs)
    assert report.max_logit_deviation <= 1
    assert report.largest_flipped_margin <= 2 * report.max_logit_deviation


def test_what_is_not_a_model_is_refused() -> None:
    graph = individual_convolutions(np.random.default_rng(3))
    data = write_tflite(graph)
    for damaged, words in [(b"", "not a .tflite"), (b"\0" * 64, "not a .tflite"), (data[:200], "damaged"),
                           (data.replace(b"TFL3", b"TFL4"), "not a .tflite")]:
        with pytest.raises(GraphError, match=words):
            read_tflite(damaged)


@pytest.mark.parametrize("change, words", [
    ({"builtin": "COS"}, r"operator 4 \(COS\) is not supported"),
    ({"type": "FLOAT32"}, r"operator 3 \(RESHAPE\): tensor 'r' is FLOAT32"),
    ({"buffer": 999}, r"operator 3 \(RESHAPE\): tensor 'r' uses buffer 999 of"),
    ({"input": 999}, r"operator 4 \(CONV_2D\): tensor 999 of"),
    ({"padding": 7}, r"operator 4 \(CONV_2D\): padding 7 is not supported"),
])
def test_an_unsupported_model_is_refused_by_operator(change: dict, words: str) -> None:
    data = write_tflite(individual_convolutions(np.random.default_rng(3)))
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    operator = model.subgraphs[0].operators[4]
    tensor = model.subgraphs[0].tensors[operator.inputs[0]]
    if "builtin" in change:
        model.operatorCodes.append(schema.OperatorCodeT())
        model.operatorCodes[-1].builtinCode = getattr(schema.BuiltinOperator, change["builtin"])
        operator.opcodeIndex = len(model.operatorCodes) - 1
    if "type" in change:
        tensor.type = getattr(schema.TensorType, change["type"])
    if "buffer" in change:
        tensor.buffer = change["buffer"]
    if "input" in change:
        operator.inputs = [change["input"], *operator.inputs[1:]]
    if "padding" in change:
        operator.builtinOptions.padding = change["padding"]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    with pytest.raises(GraphError, match=words):
        read_tflite(bytes(builder.Output()))
