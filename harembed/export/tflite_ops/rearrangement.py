"""reshape, transpose and pad in a .tflite: their shapes are tensors there and attributes here."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from harembed.export.tflite_ops.base import FileOperator, TfliteOp, Written
from harembed.ir.graph import IntGraph, Node
from harembed.ir.ops.rearrange import PadAttrs, ReshapeAttrs, TransposeAttrs


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


RESHAPE = TfliteOp("RESHAPE", 1, _write_reshape, _read_reshape)
TRANSPOSE = TfliteOp("TRANSPOSE", 2, _write_transpose, _read_transpose)
PAD = TfliteOp("PAD", 2, _write_pad, _read_pad)
