"""lstm in ONNX, as an explicit Scan over time.

ONNX's own LSTM would carry floats from step to step; in the integer one every gate, cell and hidden state is
rounded, and the rounding feeds back. The Scan's body rounds wherever the integer kernel does (int8 by
QuantizeLinear, int16 by Round and Clip), so only the last bits of sigmoid and tanh differ. Both states start at 0
in every run.
"""

from itertools import pairwise

import numpy as np
from onnx import GraphProto, TensorProto, ValueInfoProto, helper

from harembed.export.onnx_ops.writer import OnnxWriter
from harembed.ir.graph import Node
from harembed.ir.ops.lstm import CELL_STATE, GATE_SCALE, OUTPUT_STATE, UNIT_SCALE


def write_lstm(w: OnnxWriter, node: Node) -> None:
    x, state = w.input(node, 0), w.input(node, OUTPUT_STATE)
    units = state.shape[1]
    from_input = w.op("Add", w.op("MatMul", w.real(x.name), _gates(w, node, first=1)), _biases(w, node))
    recurrent = _gates(w, node, first=5)
    zero = _zeros(w, x.name, units)
    body = _body(w, node, recurrent)
    outputs = [w.fresh("scan") for _ in range(3)]
    w.nodes.append(helper.make_node(
        "Scan", [zero, zero, _int16(w, from_input, GATE_SCALE)], outputs, name=f"Scan:{node.name}", body=body,
        num_scan_inputs=1, scan_input_axes=[1], scan_output_axes=[1]))
    w.quantise(outputs[2], node.outputs[0], like=state)


def _body(w: OnnxWriter, node: Node, recurrent: str) -> GraphProto:
    """One time step: (hidden, cell, gates from the input) -> (hidden, cell, hidden), floats [N, U] and [N, 4 U]."""
    state, cell = w.input(node, OUTPUT_STATE), w.input(node, CELL_STATE)
    units = state.shape[1]
    h, c, gates_in = w.fresh("hidden"), w.fresh("cell"), w.fresh("gates")
    with w.body() as nodes:
        from_state = _int16(w, w.op("MatMul", h, recurrent), GATE_SCALE)
        total = _int16(w, w.op("Add", gates_in, from_state), GATE_SCALE)
        edges = range(0, 5 * units, units)
        gate_in, forget, candidate, gate_out = (_columns(w, total, a, b) for a, b in pairwise(edges))
        kept = _int16(w, w.op("Mul", _unit(w, "Sigmoid", forget), c), cell.scale)
        added = _int16(w, w.op("Mul", _unit(w, "Sigmoid", gate_in), _unit(w, "Tanh", candidate)), cell.scale)
        new_c = _int16(w, w.op("Add", kept, added), cell.scale)
        if node.attrs.cell_clip:
            limits = [w.constant(np.float32(v), "limit") for v in (-node.attrs.cell_clip, node.attrs.cell_clip)]
            new_c = w.op("Clip", new_c, *limits)
        shown = w.op("Mul", _unit(w, "Sigmoid", gate_out), _unit(w, "Tanh", new_c))
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


def _unit(w: OnnxWriter, function: str, value: str) -> str:
    """Sigmoid or Tanh, rounded to Q0.15 as the integer tables' values are."""
    return _int16(w, w.op(function, value), UNIT_SCALE)


def _int16(w: OnnxWriter, value: str, scale: float) -> str:
    """Round floats to what an int16 of `scale` can hold. (QuantizeLinear has no int16 before opset 21.)"""
    step = w.constant(np.float32(scale), "scale")
    limits = [w.constant(np.float32(v), "limit") for v in (-32768, 32767)]
    return w.op("Mul", w.op("Clip", w.op("Round", w.op("Div", value, step)), *limits), step)


def _columns(w: OnnxWriter, value: str, start: int, end: int) -> str:
    return w.op("Slice", value, *(w.constant(np.array([v], np.int64), "slice") for v in (start, end, 1)))
