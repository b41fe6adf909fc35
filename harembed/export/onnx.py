"""Writes an integer graph as ONNX in QDQ form, and compares what onnxruntime makes of it.

QDQ: every layer stands between DequantizeLinear and QuantizeLinear and computes in float32. The double rounding of
the integer kernels is imitated (OnnxWriter.rounded_twice), so a result is one step beside theirs only where float32
cannot hold it, or on a tie. Inputs and outputs are the
graph's integers; the batch is free.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, ValueInfoProto, checker, helper

import harembed
from harembed.errors import GraphError
from harembed.export.onnx_ops import ONNX_OPS, OnnxWriter
from harembed.ir.expand import expanded
from harembed.ir.graph import DType, IntGraph
from harembed.ir.interpreter import Interpreter

OPSET = 17  # old enough for other tools; ReduceMean still has its axes as an attribute
IR_VERSION = 8
_TYPES = {DType.INT8: TensorProto.INT8, DType.INT16: TensorProto.INT16, DType.INT32: TensorProto.INT32}


@dataclass(frozen=True)
class OnnxReport:
    """What onnxruntime computes, beside the integer interpreter."""

    windows: int
    same_class: int  # windows with an equal argmax of the first output
    max_logit_deviation: int  # steps of the first output's quantisation
    largest_flipped_margin: int  # where the class differs: the interpreter's lead over its runner-up, in steps


def write_onnx(graph: IntGraph) -> bytes:
    """Serialise a graph.

    Returns
    -------
    bytes    an ONNX model that passes onnx.checker; the same graph gives the same bytes

    Raises
    ------
    GraphError    names the node whose operator has no ONNX form
    """
    graph = expanded(graph)
    writer = OnnxWriter(graph)
    for node in graph.nodes:
        if node.op not in ONNX_OPS:
            raise GraphError(f"Node {node.name!r}: there is no ONNX form of {node.op!r}.",
                             "Expand it into other operators, or export a .tflite or C.")
        ONNX_OPS[node.op](writer, node)
    proto = helper.make_graph(
        writer.nodes, graph.name,
        [_value(graph, name) for name in graph.inputs],
        [_value(graph, name) for name in graph.outputs],
        initializer=writer.initializers,
    )
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
                              producer_name="harembed", producer_version=harembed.__version__)
    checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def run_onnx(model: bytes, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Run a model in onnxruntime on the CPU, all windows [N, ...] at once.

    Graph optimisation is off: with it, onnxruntime replaces QDQ groups by integer kernels of its own whose
    rounding depends on its version and on the processor.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feeds = {}
    for value, array in zip(session.get_inputs(), inputs, strict=True):
        feeds[value.name] = np.ascontiguousarray(array).reshape(len(array), *value.shape[1:])
    return [np.asarray(y) for y in session.run(None, feeds)]


def compare_onnx(graph: IntGraph, inputs: Sequence[np.ndarray]) -> OnnxReport:
    """Compare the first output (the logits) of the exported model with the integer interpreter's.

    Parameters
    ----------
    inputs : one array [N, ...] per graph input, of its dtype
    """
    n = len(inputs[0])
    expected = Interpreter(graph).run(*inputs)[0].reshape(n, -1).astype(np.int64)
    actual = run_onnx(write_onnx(graph), inputs)[0].reshape(n, -1).astype(np.int64)
    flipped = expected.argmax(axis=1) != actual.argmax(axis=1)
    ranked = np.sort(expected[flipped], axis=1)
    margins = ranked[:, -1] - ranked[:, -2] if flipped.any() else np.zeros(1, np.int64)
    return OnnxReport(
        windows=n,
        same_class=int(np.sum(~flipped)),
        max_logit_deviation=int(np.abs(expected - actual).max()),
        largest_flipped_margin=int(margins.max()),
    )


def _value(graph: IntGraph, name: str) -> ValueInfoProto:
    spec = graph[name]
    return helper.make_tensor_value_info(name, _TYPES[spec.dtype], ["N", *spec.shape[1:]])
