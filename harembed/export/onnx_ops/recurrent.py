"""lstm in ONNX, as an explicit Scan over time.

ONNX's own LSTM would carry a float hidden state; the integer one is rounded to int8 after every step, and the
rounding feeds back. The Scan's body rounds hidden state and cell where the integer kernel does, and clips each
part of a gate to Q3.12. Both states start at 0 in every run.
"""

from itertools import pairwise

import numpy as np
from onnx import GraphProto, TensorProto, ValueInfoProto, helper

from harembed.export.onnx_ops.writer import OnnxWriter
from harembed.ir.graph import Node
from harembed.ir.ops.lstm import CELL_STATE, GATE_SCALE, OUTPUT_STATE

GATE_RANGE = (-32768 * GATE_SCALE, 32767 * GATE_SCALE)


def write_lstm(w: OnnxWriter, node: Node) -> None:
    x, state = w.input(node, 0), w.input(node, OUTPUT_STATE)
    units = state.shape[1]
    from_input = w.op("Add", w.op("MatMul", w.real(x.name), _gates(w, node, first=1)), _biases(w, node))
    recurrent = _gates(w, node, first=5)
    zero = _zeros(w, x.name, units)
    body = _body(w, node, recurrent)
    outputs = [w.fresh("scan") for _ in range(3)]
    w.nodes.append(helper.make_node(
        "Scan", [zero, zero, _clipped(w, from_input, *GATE_RANGE)], outputs, name=f"Scan:{node.name}", body=body,
        num_scan_inputs=1, scan_input_axes=[1], scan_output_axes=[1]))
    w.quantise(outputs[2], node.outputs[0])


def _body(w: OnnxWriter, node: Node, recurrent: str) -> GraphProto:
    """One time step: (hidden, cell, gates from the input) -> (hidden, cell, hidden), floats [N, U] and [N, 4 U]."""
    state, cell = w.input(node, OUTPUT_STATE), w.input(node, CELL_STATE)
    units = state.shape[1]
    h, c, gates_in = w.fresh("hidden"), w.fresh("cell"), w.fresh("gates")
    with w.body() as nodes:
        from_state = _clipped(w, w.op("MatMul", h, recurrent), *GATE_RANGE)
        total = _clipped(w, w.op("Add", gates_in, from_state), *GATE_RANGE)
        edges = range(0, 5 * units, units)
        gate_in, forget, candidate, gate_out = (_columns(w, total, a, b) for a, b in pairwise(edges))
        kept = w.op("Mul", w.op("Sigmoid", forget), c)
        added = w.op("Mul", w.op("Sigmoid", gate_in), w.op("Tanh", candidate))
        limit = node.attrs.cell_clip or 32768 * cell.scale
        step = w.constant(np.float32(cell.scale), "scale")
        summed = _clipped(w, w.op("Add", kept, added), -limit, min(limit, 32767 * cell.scale))
        new_c = w.op("Mul", w.op("Round", w.op("Div", summed, step)), step)
        shown = w.op("Mul", w.op("Sigmoid", gate_out), w.op("Tanh", new_c))
        rounded = w.rounded(shown, state)
        new_h = w.op("DequantizeLinear", rounded, w.scale(state), w.zero_point(state))
        scanned = w.op("Identity", new_h)

    def floats(name: str, width: int) -> ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", width])

    return helper.make_graph(
        nodes, f"{node.name}/step",
        [floats(h, units), floats(c, units), floats(gates_in, 4 * units)],
        [floats(new_h, units), floats(new_c, units), floats(scanned, units)],
    )


def _gates(w: OnnxWriter, node: Node, first: int) -> str:
    """The weights of four gates side by side, [I, 4 U] floats."""
    parts = []
    for name in node.inputs[first : first + 4]:
        spec = w.graph[name]
        assert spec.data is not None
        parts.append(w.dequantised(spec.data.T, spec))
    return w.op("Concat", *parts, axis=1)


def _biases(w: OnnxWriter, node: Node) -> str:
    parts = []
    for weights, bias in zip(node.inputs[1:5], node.inputs[9:13], strict=True):
        data, qparams = w.graph[bias].data, w.graph[weights].qparams
        assert data is not None and qparams is not None
        parts.append(w.bias(data, w.input(node, 0).scale, qparams.scale))
    return w.op("Concat", *parts, axis=0)


def _zeros(w: OnnxWriter, like: str, units: int) -> str:
    """Floats [N, units] of 0, N from the batch of a tensor."""
    batch = w.op("Shape", like, start=0, end=1)
    return w.op("ConstantOfShape", w.op("Concat", batch, w.constant(np.array([units], np.int64), "units"), axis=0))


def _clipped(w: OnnxWriter, value: str, low: float, high: float) -> str:
    return w.op("Clip", value, w.constant(np.float32(low), "low"), w.constant(np.float32(high), "high"))


def _columns(w: OnnxWriter, value: str, start: int, end: int) -> str:
    return w.op("Slice", value, *(w.constant(np.array([v], np.int64), "slice") for v in (start, end, 1)))
