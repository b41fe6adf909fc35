"""reshape, transpose, pads and concatenation in a .tflite: their shapes are tensors there and attributes here."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from harembed.errors import GraphError
from harembed.export.tflite_ops.base import FileOperator, TfliteOp, Written
from harembed.ir.graph import DType, IntGraph, Kind, Node, TensorSpec
from harembed.ir.ops.concatenation import ConcatenationAttrs
from harembed.ir.ops.rearrange import PadAttrs, PadV2Attrs, ReshapeAttrs, TransposeAttrs


def _write_reshape(graph: IntGraph, node: Node) -> Written:
    options = schema.ReshapeOptionsT()
    options.newShape = np.array(node.attrs.shape, np.int32)
    return Written((*node.inputs, np.array(node.attrs.shape, np.int32)), options)


def _read_reshape(op: FileOperator) -> tuple[tuple[str, ...], ReshapeAttrs]:
    # The declared output shape is the wanted one with its -1 resolved.
    return (op.name(0),), ReshapeAttrs(op.outputs[0].shape)


def _write_transpose(graph: IntGraph, node: Node) -> Written:
    return Written((*node.inputs, np.array(node.attrs.perm, np.int32)))


def _read_transpose(op: FileOperator) -> tuple[tuple[str, ...], TransposeAttrs]:
    return (op.activation(0),), TransposeAttrs(tuple(int(i) for i in op.constant(1).ravel()))


def _write_pad(graph: IntGraph, node: Node) -> Written:
    a = node.attrs
    return Written((*node.inputs, np.array([a.before, a.after], np.int32).T))


def _read_pad(op: FileOperator) -> tuple[tuple[str, ...], PadAttrs]:
    pairs = op.constant(1).reshape(-1, 2)
    return (op.activation(0),), PadAttrs(tuple(int(b) for b in pairs[:, 0]), tuple(int(a) for a in pairs[:, 1]))


def _write_pad_v2(graph: IntGraph, node: Node) -> Written:
    a = node.attrs
    value = TensorSpec(f"{node.name}/value", (1,), DType.INT8, Kind.CONSTANT, graph[node.inputs[0]].qparams,
                       np.array([a.value], np.int8))
    return Written((*node.inputs, np.array([a.before, a.after], np.int32).T, value))


def _read_pad_v2(op: FileOperator) -> tuple[tuple[str, ...], PadV2Attrs]:
    inputs, pad = _read_pad(op)
    value = op.constant(2).ravel()
    if len(value) != 1:
        raise GraphError(f"{op.where}: it pads with {len(value)} values; only one is supported.")
    return inputs, PadV2Attrs(pad.before, pad.after, int(value[0]))


def _write_concatenation(graph: IntGraph, node: Node) -> Written:
    options = schema.ConcatenationOptionsT()
    options.axis = node.attrs.axis
    return Written(node.inputs, options)


def _read_concatenation(op: FileOperator) -> tuple[tuple[str, ...], ConcatenationAttrs]:
    if op.option("fusedActivationFunction") != schema.ActivationFunctionType.NONE:
        raise GraphError(f"{op.where}: a fused activation is not supported.")
    return tuple(op.name(i) for i in range(len(op.inputs))), ConcatenationAttrs(int(op.option("axis")))


RESHAPE = TfliteOp("RESHAPE", 1, _write_reshape, _read_reshape)
TRANSPOSE = TfliteOp("TRANSPOSE", 2, _write_transpose, _read_transpose)
PAD = TfliteOp("PAD", 2, _write_pad, _read_pad)
PADV2 = TfliteOp("PADV2", 2, _write_pad_v2, _read_pad_v2)
CONCATENATION = TfliteOp("CONCATENATION", 2, _write_concatenation, _read_concatenation)
