"""strided_slice and lstm in a .tflite."""

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from harembed.errors import GraphError
from harembed.export.tflite_ops.base import FileOperator, TfliteOp, Written
from harembed.ir.graph import DType, IntGraph, Kind, Node, QParams, TensorSpec
from harembed.ir.ops.lstm import GATE_SCALE, GATES, OUTPUT_STATE, LstmAttrs
from harembed.ir.ops.slice import StridedSliceAttrs

# Where our inputs (harembed.ir.ops.lstm.INPUT_NAMES) stand among TFLite's 24; what lies between are variants.
LSTM_POSITIONS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 14, 15, 18, 19)
LSTM_VARIANTS = {
    **dict.fromkeys((9, 10, 11), "peephole weights"), **dict.fromkeys((16, 17), "a projection"),
    **dict.fromkeys((20, 21, 22, 23), "layer normalisation"),
}
LSTM_ARITY = 24


def _write_slice(graph: IntGraph, node: Node) -> Written:
    a = node.attrs
    begin, stride = np.array(a.begin, np.int32), np.array(a.stride, np.int32)
    end = begin + (np.array(a.size, np.int32) - 1) * stride + np.sign(stride)
    options = schema.StridedSliceOptionsT()
    options.beginMask = options.ellipsisMask = options.newAxisMask = 0
    # An end of -1 would count from the back, so a slice that runs backwards to the first element says "open".
    options.endMask = sum(1 << axis for axis in np.flatnonzero(end < 0).tolist())
    options.shrinkAxisMask = sum(1 << axis for axis in a.squeeze)
    return Written((*node.inputs, begin, end, stride), options)


def _read_slice(op: FileOperator) -> tuple[tuple[str, ...], StridedSliceAttrs]:
    for name in ("ellipsisMask", "newAxisMask", "offset"):
        if op.option(name):
            raise GraphError(f"{op.where}: {name} is not supported.", "Slice with begin, end and strides alone.")
    source = op.inputs[0]
    begins, ends, strides = (op.constant(i).ravel().tolist() for i in (1, 2, 3))
    if source is None or not len(begins) == len(ends) == len(strides) == len(source.shape) or 0 in strides:
        raise GraphError(f"{op.where}: begin {begins}, end {ends}, strides {strides} do not fit its input "
                         f"{source and source.shape}.")
    ranges, squeeze = [], []
    for axis, n in enumerate(source.shape):
        begin = None if op.option("beginMask") >> axis & 1 else begins[axis]
        end = None if op.option("endMask") >> axis & 1 else ends[axis]
        # Python's slices clamp and count from the back just as TFLite's do.
        taken = range(*slice(begin, end, strides[axis]).indices(n))
        if op.option("shrinkAxisMask") >> axis & 1:
            taken = range(taken.start, taken.start + 1)
            squeeze.append(axis)
        ranges.append(taken)
    attrs = StridedSliceAttrs(tuple(r.start for r in ranges), tuple(len(r) for r in ranges),
                              tuple(r.step for r in ranges), tuple(squeeze))
    return (op.name(0),), attrs


def _write_lstm(graph: IntGraph, node: Node) -> Written:
    inputs = [""] * LSTM_ARITY
    for position, name in zip(LSTM_POSITIONS, node.inputs, strict=True):
        inputs[position] = name
    options = schema.UnidirectionalSequenceLSTMOptionsT()
    options.fusedActivationFunction = schema.ActivationFunctionType.TANH
    options.cellClip = node.attrs.cell_clip
    options.projClip = 0.0
    options.timeMajor = False
    # LiteRT takes the scale of gates and hidden state from these; TFLM never looks.
    gate = QParams((GATE_SCALE,))
    hidden = graph[node.inputs[OUTPUT_STATE]].qparams
    intermediates = (
        *(_carrier(node, name, DType.INT16, gate) for name in GATES), _carrier(node, "hidden", DType.INT8, hidden),
    )
    return Written(tuple(inputs), options, intermediates)


def _carrier(node: Node, name: str, dtype: DType, qparams: QParams | None) -> TensorSpec:
    """A tensor without elements that carries a scale."""
    return TensorSpec(f"{node.name}/intermediate_{name}", (0,), dtype, Kind.ACTIVATION, qparams)


def _read_lstm(op: FileOperator) -> tuple[tuple[str, ...], LstmAttrs]:
    for position, variant in LSTM_VARIANTS.items():
        if op.name(position):
            raise GraphError(f"{op.where}: an LSTM with {variant} is not supported.", "Use a plain LSTM.")
    missing = [position for position in LSTM_POSITIONS if not op.name(position)]
    if missing:
        raise GraphError(f"{op.where}: inputs {missing} are absent; coupled gates are not supported.")
    _refuse(op, "timeMajor", False, "time-major layout")
    _refuse(op, "fusedActivationFunction", schema.ActivationFunctionType.TANH, "an activation other than tanh")
    _refuse(op, "diagonalRecurrentTensors", False, "diagonal recurrent weights")
    for weights in range(1, 9):  # from the input, whose sums start at the bias; then from the state
        op.fits_int32(weights, weights + 11 if weights < 5 else LSTM_ARITY)
    return tuple(op.name(p) for p in LSTM_POSITIONS), LstmAttrs(max(float(op.option("cellClip")), 0.0))


def _refuse(op: FileOperator, option: str, wanted: Any, what: str) -> None:
    if op.option(option) != wanted:
        raise GraphError(f"{op.where}: an LSTM with {what} is not supported.", "Use a plain LSTM, batch first.")


STRIDED_SLICE = TfliteOp("STRIDED_SLICE", 2, _write_slice, _read_slice)
LSTM = TfliteOp("UNIDIRECTIONAL_SEQUENCE_LSTM", 1, _write_lstm, _read_lstm)
